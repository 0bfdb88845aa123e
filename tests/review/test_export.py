"""The log as a file: it is the filter, row for row, comes back whole, and is an event itself."""

import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.http import QueryDict

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import verify
from pbxadmin.audit.checkpoints import read_checkpoints
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import link, record
from pbxadmin.audit.models import Event
from pbxadmin.review.exports import HEADER, events_export
from pbxadmin.review.rollup import roll_up
from pbxadmin.review.selectors import EventFilter
from pbxadmin.web.csv import restored
from tests.bench.events import fill_events
from tests.factories import make_user
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.django_db
PAYLOADS = [
    *("=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", '=HYPERLINK("https://evil.example","x")', "-2+cmd|'x'!A0"),
    *("\t=1", "\r=1", "\n=1", "\tplain", "\rplain", "\nplain", " =1", "   +1", "\u00a0=1", "\u3000=1", "\v=1"),
    *("＝1+1", "＋1", "－1", "＠SUM(A1)", " ＝1", "﹢1", "₌1", "=", "-", "'=1", "''=1", "'", '"=1",=2'),
    *("a\r\n=1", ";=1"),
]


@pytest.fixture
def auditor(client, acme, bellweather):
    client.force_login(make_user("auditor"))
    return client


def fetched(client, query):
    answer = client.get(f"/audit/export/?{query}")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


def csv_rows(text):
    header, *rows, end = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    assert header == list(HEADER)
    assert end == ["count", str(len(rows))]
    return [dict(zip(header, row, strict=True)) for row in rows]


def json_lines(text):
    *lines, end = text.removesuffix("\n").split("\n")
    assert json.loads(end)["count"] == len(lines)
    return lines


def fill(*customers):
    fill_events(900, customers=[(customer.pk, customer.name) for customer in customers], days=30)


@pytest.mark.parametrize("is_rolled_up", [True, False])
def test_an_export_is_its_filter_row_for_row(auditor, acme, bellweather, monkeypatch, is_rolled_up):
    monkeypatch.setattr("pbxadmin.review.exports.WINDOW", 70)
    monkeypatch.setattr("pbxadmin.review.rollup.SETTLED", timedelta(0))
    fill(acme, bellweather)
    if is_rolled_up:
        roll_up()
    someday = (datetime.now(UTC) - timedelta(days=15)).date()
    for query in (
        *("", f"customer={bellweather.pk}", "outcome=verified&outcome=refused", f"from={someday}", f"to={someday}"),
        *(f"from={someday}&to={someday}", "pbx=1", "pbx=1&ivr=6500", "actor=7", "q=site-0001", "q=nobody"),
        *("field=response_timeout", "ticket=HD-10001", "action=pbx.tested&action=pbx.edited"),
    ):
        before = Event.objects.order_by("-pk")[0].pk

        rows, lines = csv_rows(fetched(auditor, query)), json_lines(fetched(auditor, f"{query}&format=jsonl"))

        wanted = EventFilter.from_query(QueryDict(query)).narrow(Event.objects.filter(pk__lte=before))
        expected = list(wanted.order_by("pk"))
        assert [int(row["id"]) for row in rows] == [event.pk for event in expected], query
        assert [row["text"] for row in rows] == [event.text for event in expected]
        assert [json.loads(line)["id"] for line in lines][: len(expected)] == [event.pk for event in expected]


def test_every_column_says_what_the_event_says(auditor, acme):
    fill(acme)

    for row in csv_rows(fetched(auditor, "")):
        said = json.loads(row["text"])
        assert {name: row[name] for name in HEADER if name in said} == {
            name: "" if said[name] is None else str(said[name]) for name in HEADER if name in said
        }
        assert row["hash"] == link(said["previous_hash"], row["text"])


def test_json_lines_hold_the_stored_text_to_the_letter(auditor, acme):
    fill(acme)
    record(EventAction.PBX_EDITED, customer=(acme.pk, acme.name), reason='He said "now"\n\u2028\u0085 Zürich \\ \t')
    stored = list(Event.objects.order_by("pk"))

    lines = json_lines(fetched(auditor, "format=jsonl"))

    expected = [f'{{"id":{one.pk},"hash":"{one.hash}","event":{one.text}}}' for one in stored]
    assert lines == expected
    assert json.loads(lines[-1])["event"]["reason"].startswith('He said "now"\n')


def payload_events(acme):
    for number, payload in enumerate(PAYLOADS):
        record(
            EventAction.CHANGE_OUTCOME,
            customer=(acme.pk, payload),
            pbx=(number, payload),
            ivr=(payload, payload),
            actor=Actor(7, payload),
            ticket=payload,
            reason=payload,
            fields={"name": {"before": payload, "asked": payload}},
        )


def test_nothing_in_a_cell_is_run_by_a_spreadsheet_and_all_of_it_comes_back(auditor, acme):
    payload_events(acme)

    rows = csv_rows(fetched(auditor, "action=change.outcome"))

    assert len(PAYLOADS) >= 30
    for payload, row in zip(PAYLOADS, rows, strict=True):
        for name in ("customer_name", "pbx_name", "ivr_number", "ivr_name", "actor_name", "ticket"):
            assert not row[name].lstrip().startswith(("=", "+", "-", "@")), ascii(payload)
            assert restored(row[name]) == payload
        assert json.loads(row["text"])["reason"] == payload
        assert row["text"].startswith("{")


@pytest.mark.skipif(not shutil.which("soffice"), reason="LibreOffice is not here")
def test_libreoffice_opens_it_and_runs_nothing(auditor, acme, tmp_path):
    payload_events(acme)
    (tmp_path / "log.csv").write_bytes(fetched(auditor, "action=change.outcome").encode())

    command = ["soffice", "--headless", "--convert-to", "fods", "--outdir", str(tmp_path), str(tmp_path / "log.csv")]
    subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S)

    assert "table:formula" not in (tmp_path / "log.fods").read_text()


def test_it_is_an_event_before_it_begins_and_when_it_ended(auditor, acme):
    record(EventAction.PBX_EDITED, customer=(acme.pk, acme.name))
    answer = auditor.get(f"/audit/export/?customer={acme.pk}&action=pbx.edited&format=jsonl")

    began = Event.objects.get(action="log.exported")
    assert not Event.objects.filter(action="log.export-ended").exists()
    data = b"".join(answer.streaming_content)

    ended = Event.objects.get(action="log.export-ended")
    assert began.chain == ended.chain == f"customer:{acme.pk}"
    assert began.data["detail"] == {"filter": f"customer={acme.pk}&action=pbx.edited", "format": "jsonl"}
    expected = {"export": began.pk, "events": 1, "whole": True, "sha256": hashlib.sha256(data).hexdigest()}
    assert ended.data["detail"] == expected
    assert ended.actor_id == began.actor_id is not None
    assert ended.data["request_id"] == began.data["request_id"]
    assert not verify().faults


def test_an_export_makes_a_checkpoint_of_its_chains_and_no_others(client, auditor, acme, bellweather):
    record(EventAction.PBX_EDITED, customer=(bellweather.pk, bellweather.name))
    client.force_login(make_user("auditor", acme))

    for query in ("format=csv", f"format=csv&customer={bellweather.pk}"):
        b"".join(client.get(f"/audit/export/?{query}").streaming_content)

    assert [(one.why, [head.chain for head in one.heads]) for one in read_checkpoints().entries] == [
        ("export", [f"customer:{acme.pk}"])
    ] * 2


def test_one_that_is_broken_off_says_so(acme, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.exports.WINDOW", 100)
    fill(acme)
    parts: Any = events_export(user=make_user("auditor"), wanted=EventFilter(), form="jsonl")
    data = next(parts)

    parts.close()

    detail = Event.objects.get(action="log.export-ended").data["detail"]
    assert (detail["events"], detail["whole"], detail["sha256"]) == (100, False, hashlib.sha256(data).hexdigest())


def test_nothing_that_comes_in_after_it_began_is_in_it(auditor, acme):
    answer = auditor.get("/audit/export/?format=jsonl")
    record(EventAction.PBX_EDITED, customer=(acme.pk, acme.name))

    lines = json_lines(b"".join(answer.streaming_content).decode())

    assert json.loads(lines[-1])["id"] == Event.objects.get(action="log.exported").pk - 1


def test_an_auditor_of_one_customer_exports_nothing_of_another(client, acme, bellweather):
    client.force_login(make_user("auditor", acme))
    record(EventAction.SESSION_FAILED)
    record(EventAction.PBX_EDITED, customer=(bellweather.pk, bellweather.name), pbx=(9, "BELL-HQ"))
    mine = record(EventAction.PBX_EDITED, customer=(acme.pk, acme.name)).pk

    for query in ("", f"customer={bellweather.pk}", "pbx=9", "q=bell", "action=session.failed"):
        for form in ("csv", "jsonl"):
            text = fetched(client, f"{query}&format={form}")
            assert "BELL-HQ" not in text
            assert "Bellweather" not in text
            assert "installation" not in text
    assert mine in [int(row["id"]) for row in csv_rows(fetched(client, ""))]
    assert not Event.objects.filter(action__startswith="log.", customer_id=bellweather.pk).exists()


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "manager"])
def test_who_may_not_review_exports_nothing(client, acme, role):
    client.force_login(make_user(role, acme))

    assert client.get("/audit/export/?format=csv").status_code == 403
    assert not Event.objects.filter(action="log.exported").exists()


def test_who_is_not_signed_in_is_led_to_sign_in(client):
    assert client.get("/audit/export/?format=csv")["Location"].startswith("/accounts/login/")


def test_it_is_saved_as_a_file_and_a_format_that_is_none_is_csv(auditor):
    with time_machine.travel(datetime(2026, 3, 1, 9, 5, tzinfo=UTC), tick=False):
        made = {form: auditor.get(f"/audit/export/?format={form}") for form in ("csv", "jsonl", "exe")}
        for answer in made.values():
            b"".join(answer.streaming_content)

    assert made["jsonl"]["Content-Disposition"] == 'attachment; filename="audit-2026-03-01-0905.jsonl"'
    assert made["jsonl"]["Content-Type"] == "application/jsonl; charset=utf-8"
    assert made["csv"]["Content-Type"] == made["exe"]["Content-Type"] == "text/csv; charset=utf-8"


def test_the_page_leads_to_the_export_of_what_it_shows(auditor, acme):
    page = auditor.get("/audit/?pbx=501&from=2026-01-01").content.decode()

    assert re.findall(r'href="/audit/export/\?([^"]+)"', page) == [
        "pbx=501&amp;from=2026-01-01&amp;format=csv",
        "pbx=501&amp;from=2026-01-01&amp;format=jsonl",
    ]
