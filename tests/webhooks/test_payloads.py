"""What is posted: harmless in a chat, as the documentation says, and never without its facts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as used

from pbxadmin.notices.kinds import NOTICE_KINDS
from pbxadmin.notices.models import Notice, NoticeSeverity
from pbxadmin.webhooks.models import PayloadForm
from pbxadmin.webhooks.payloads import PAYLOADS, message_body
from tests.factories import make_outside, make_pbx

from .test_delivery import hook, tell, work

pytestmark = pytest.mark.django_db
HOSTILE = "<!channel> @all [Sign in](https://evil.example) **bold** & </script>"
DOCS = (Path(used.BASE_DIR) / "docs/webhooks.md").read_text(encoding="utf-8")


def said(form: str, notice: Notice) -> Any:
    return json.loads(message_body(form, notice))


def critical(acme: Any) -> Notice:
    return tell(acme, "pbx/1", subject=HOSTILE, text="Port 8088.", severity=NoticeSeverity.CRITICAL)


def test_a_chat_is_told_in_lines_and_nobody_is_called(acme, settings):
    settings.SITE_URL = "https://pbx.example.com"

    first, second, third, link = said(PayloadForm.SLACK, critical(acme))["text"].split("\n")

    assert first.startswith("CRITICAL: &lt;!channel&gt; @\u200ball [Sign in]\u200b(https://evil")
    assert "&amp; &lt;/script&gt;" in first
    assert (second, link) == ("Port 8088.", "https://pbx.example.com/pbxs/1/")
    assert re.fullmatch(r"Acme Logistics, \d{4}-\d\d-\d\d \d\d:\d\d UTC", third)


def test_a_card_has_texts_without_markup_and_one_button(acme, settings):
    settings.SITE_URL = "https://pbx.example.com"

    (card,) = said(PayloadForm.TEAMS, critical(acme))["attachments"]

    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    (box,) = card["content"]["body"]
    runs = [block["inlines"][0] for block in box["items"]]
    assert (box["style"], runs[0]["text"], runs[0]["weight"]) == ("attention", f"CRITICAL: {HOSTILE}", "Bolder")
    assert {run["type"] for run in runs} == {"TextRun"}
    assert [action["url"] for action in card["content"]["actions"]] == ["https://pbx.example.com/pbxs/1/"]


def test_without_an_address_of_this_site_a_chat_gets_no_link(acme, settings):
    settings.SITE_URL = ""

    assert "/pbxs/1/" not in message_body(PayloadForm.SLACK, critical(acme))
    assert said(PayloadForm.TEAMS, critical(acme))["attachments"][0]["content"]["actions"] == []


def test_each_form_is_posted_and_signed(acme, receiver):
    secrets = [hook(receiver, acme, form=form)[1] for form in PayloadForm]
    tell(acme, "pbx/1")

    work()

    assert set(PAYLOADS) == set(PayloadForm)
    kinds = [sorted(message.verify(secret)) for message, secret in zip(receiver.received, secrets, strict=True)]
    assert kinds == [["data", "timestamp", "type"], ["text"], ["attachments", "type"]]


def test_the_documentation_shows_each_kind_with_the_fields_that_there_are(acme):
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)]
    real = said(PayloadForm.STANDARD, Notice.objects.get(event_id=make_outside(make_pbx(acme)).pk))

    assert [example["type"] for example in examples] == [f"notice.{kind}" for kind in NOTICE_KINDS]
    assert examples[0].keys() == real.keys()
    assert examples[0]["data"].keys() == real["data"].keys()
    assert examples[0]["data"]["event"].keys() == real["data"]["event"].keys()
    for example in examples:
        assert example["data"].keys() <= real["data"].keys()


def test_what_the_documentation_says_verifies_a_message(acme, receiver):
    _, secret = hook(receiver, acme)
    tell(acme, "pbx/1")
    work()
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    names: dict[str, Any] = {"secret": secret, "body": receiver.received[0].body}

    exec(code, names | {"headers": receiver.received[0].headers}, names)  # noqa: S102  (our own documentation)

    assert names["message"]["type"] == "notice.pbx"
