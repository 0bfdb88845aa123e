"""Evidence packs from the log page and from the command."""

import io
import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from pbxadmin.audit import verify_pack
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import checkpoint_make, public_key
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def events(acme, bellweather):
    for customer in (acme, acme, bellweather, None):
        record(EventAction.PBX_TESTED, customer=(customer.pk, customer.name) if customer else None)


def signed_in(client, user):
    client.force_login(user)
    return client


def pack_of(answer):
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    return verify_pack.read_zip(io.BytesIO(answer.getvalue()))


def test_a_pack_holds_what_the_filter_finds_and_is_recorded(client, events, acme):
    ada = make_user("auditor", username="ada")

    answer = signed_in(client, ada).post(f"/audit/evidence/?customer={acme.pk}&action=pbx.tested")

    data = answer.getvalue()
    files = verify_pack.read_zip(io.BytesIO(data))
    assert list(verify_pack.check(files, public_key())) == []
    assert files["events.jsonl"].count(b"\n") == 2
    event = Event.objects.get(action="evidence.made")
    assert (event.customer_id, event.actor_name) == (acme.pk, "ada")
    assert event.data["detail"]["filter"] == f"customer={acme.pk}&action=pbx.tested"
    assert event.data["detail"]["count"] == 2
    assert event.data["detail"]["sha256"] == verify_pack.sha256(data)


def test_a_pack_holds_only_events_of_customers_that_the_person_may_review(client, events, acme):
    files = pack_of(signed_in(client, make_user("auditor", acme)).post("/audit/evidence/"))

    assert b"Bellweather" not in b"".join(files.values())
    assert b"installation" not in files["events.jsonl"] + files["seal.json"]
    assert (
        files["events.jsonl"].count(b"\n") == len(Event.objects.filter(customer_id=acme.pk, action__contains=".")) - 1
    )


def test_the_page_says_what_will_be_packed_and_shows_the_public_key(client, events, acme):
    public_key()  # makes it, as the first checkpoint does
    page = signed_in(client, make_user("auditor")).get(f"/audit/evidence/?customer={acme.pk}").content.decode()

    assert f'action="/audit/evidence/?customer={acme.pk}"' in page
    assert "Customer Acme Logistics" in re.sub("<[^>]+>", "", page)
    assert public_key() in page
    assert not Event.objects.filter(action="evidence.made").exists()


def test_the_page_of_an_event_shows_the_key_of_its_checkpoints(client, events):
    checkpoint_make("daily")

    page = signed_in(client, make_user("auditor")).get(f"/audit/{Event.objects.first().pk}/").content.decode()

    assert f"data-public-key>{public_key()}<" in page


def test_looking_at_pages_makes_no_key(client, events, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    ada = signed_in(client, make_user("auditor"))

    for address in ("/audit/evidence/", f"/audit/{Event.objects.first().pk}/"):
        assert ada.get(address).status_code == 200

    assert list(tmp_path.iterdir()) == []


def test_an_empty_filter_packs_nothing(client, events):
    answer = signed_in(client, make_user("auditor")).post("/audit/evidence/?pbx=999")

    assert answer.status_code == 422
    assert "There is nothing to pack" in answer.content.decode()


def test_too_many_events_for_a_page_are_refused_with_the_way_out(client, events, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.views.evidence.PACK_LIMIT", 3)

    answer = signed_in(client, make_user("auditor")).post("/audit/evidence/")

    assert answer.status_code == 422
    assert "manage.py audit_evidence" in answer.content.decode()
    assert not Event.objects.filter(action="evidence.made").exists()


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "manager"])
def test_who_may_not_review_the_log_gets_none(client, events, role):
    assert signed_in(client, make_user(role)).post("/audit/evidence/").status_code == 403


def test_who_is_not_signed_in_is_led_to_sign_in(client):
    assert client.post("/audit/evidence/").status_code == 302


def test_the_log_page_leads_to_a_pack_of_its_filter(client, events, acme):
    page = signed_in(client, make_user("auditor")).get(f"/audit/?customer={acme.pk}").content.decode()

    assert f'href="/audit/evidence/?customer={acme.pk}"' in page


def test_a_search_says_from_which_day_on_it_looked(client, events):
    record(EventAction.PBX_TESTED, reason="wanted")
    files = pack_of(signed_in(client, make_user("auditor")).post("/audit/evidence/?q=wanted"))

    assert b'"filter":"q=wanted&from=20' in files["pack.json"]


# --- the command ---


def test_the_command_packs_a_filter_of_all_events(events, acme, tmp_path):
    path, out = tmp_path / "evidence.zip", StringIO()

    call_command("audit_evidence", str(path), filter=f"customer={acme.pk}", stdout=out)

    count = Event.objects.filter(customer_id=acme.pk).exclude(action="evidence.made").count()
    assert out.getvalue().startswith(f"{count} events in 1 chain packed.")
    assert list(verify_pack.check(verify_pack.read_pack(path))) == []
    assert path.stat().st_mode & 0o077 == 0
    assert Event.objects.filter(action="evidence.made", customer_id=acme.pk).exists()


@pytest.mark.parametrize(
    "query", ["custmer=1", "customer=acme", "action=pbx.painted", "from=yesterday", "customer=1&pbx=x"]
)
def test_the_command_refuses_a_filter_that_would_be_ignored(events, tmp_path, query):
    with pytest.raises(CommandError, match="means nothing to the log page"):
        call_command("audit_evidence", str(tmp_path / "evidence.zip"), filter=query)

    assert list(tmp_path.iterdir()) == []


def test_the_command_packs_no_filter_that_finds_nothing(events, tmp_path):
    with pytest.raises(CommandError, match="There is nothing to pack"):
        call_command("audit_evidence", str(tmp_path / "evidence.zip"), filter="customer=999")

    assert list(tmp_path.iterdir()) == []
    assert not Event.objects.filter(action="evidence.made").exists()


def test_the_command_writes_over_nothing(events, tmp_path):
    path = tmp_path / "evidence.zip"
    path.write_text("here already")

    with pytest.raises(CommandError, match="cannot be written: File exists"):
        call_command("audit_evidence", str(path))

    assert path.read_text() == "here already"


def test_a_pack_that_failed_leaves_nothing_behind(events, tmp_path, monkeypatch):
    monkeypatch.setattr("pbxadmin.audit.evidence.sign", lambda text: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        call_command("audit_evidence", str(tmp_path / "evidence.zip"))

    assert list(tmp_path.iterdir()) == []
    assert not Event.objects.filter(action="evidence.made").exists()
