"""An owner of the database may write anything into a row of the log: no page fails of it, and they say so."""

from datetime import date, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from pbxadmin.access.models import Customer
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.check import is_as_recorded
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_remove
from pbxadmin.fleet.models import Pbx
from pbxadmin.review.desk import desk_read
from pbxadmin.review.periods import period_add
from pbxadmin.review.rollup import roll_up
from tests.factories import make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL keeps to its types")
on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite knows no such time")
DAY = date(2026, 1, 1)
COLUMNS = [field.column for field in Event._meta.concrete_fields if field.name != "id"]
ODD = {"words": "'two'", "bytes": "x'ff00'", "half a character": "CAST(x'c328' AS TEXT)", "a fraction": "1.5"}
DATES = {"no month": "'2026-13-45 00:00:00'", "the end": "'9999-12-31 23:59:59'", "the start": "'0001-01-01 00:00:00'"}
ENDLESS = {
    "no end": "'infinity'",
    "no start": "'-infinity'",
    "too late": "'10000-01-01'",
    "before Christ": "'0044-03-15 BC'",
}
WRITTEN = ODD | DATES | ENDLESS
KEPT_BY_SQLITE = [
    *((column, "bytes") for column in COLUMNS),
    *((column, "words") for column in ("sequence", "at", "actor_id", "customer_id", "pbx_id", "change_id", "text")),
    *((column, "half a character") for column in ("at", "chain", "actor_name", "text", "hash")),
    *((column, "a fraction") for column in ("sequence", "at", "pbx_id")),
    *(("at", odd) for odd in DATES),
]
CASES = [
    *(pytest.param(*case, marks=on_sqlite) for case in KEPT_BY_SQLITE),
    *(pytest.param("at", odd, marks=on_postgresql) for odd in ENDLESS),
]
ODD_ROWS = {
    odd: [column for column, kept in [*KEPT_BY_SQLITE, *(("at", odd) for odd in ENDLESS)] if kept == odd]
    for odd in WRITTEN
}
PATHS = (
    *("/audit/", "/audit/?q=acme", "/audit/?from=2026-01-01&outcome=unknown", "/audit/figures/", "/audit/figures/?q=a"),
    *("/audit/desk/", "/audit/desk/?state=all", "/audit/periods/", "/audit/evidence/", "/", "/ivrs/"),
)


@pytest.fixture
def auditor(client):
    client.force_login(make_user("auditor"))
    return client


@pytest.fixture
def pbx():
    return make_pbx(make_customer("Acme Logistics"), name="ACME-HQ")


@pytest.fixture
def event(pbx):
    """One in the middle of its chain that the desk has to look at."""
    return outside_changes(pbx, 3)[1]


def outside_changes(pbx: Pbx, count: int) -> list[Event]:
    facts: dict[str, Any] = {
        "customer": (pbx.customer_id, pbx.customer.name),
        "pbx": (pbx.pk, pbx.name),
        "ivr": ("6500", "Main_Menu"),
    }
    fields = {"prompt_repeat": {"before": "1", "found": "5"}}
    return [record(EventAction.IVR_CHANGED_OUTSIDE, fields=fields, **facts) for _ in range(count)]


def tamper(event, column, odd):
    triggers_remove(connection)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE audit_event SET {column} = {odd} WHERE id = %s", [event.pk])  # noqa: S608
    triggers_install(connection)


@pytest.mark.parametrize(
    "odd", [pytest.param(odd, marks=on_postgresql if odd in ENDLESS else on_sqlite) for odd in WRITTEN]
)
@pytest.mark.parametrize("is_read", [False, True], ids=["new to the desk", "read before"])
def test_whatever_stands_in_rows_every_page_is_shown(auditor, pbx, monkeypatch, odd, is_read):
    monkeypatch.setattr("pbxadmin.review.rollup.SETTLED", timedelta(days=-1))
    first, *events, last = outside_changes(pbx, len(ODD_ROWS[odd]) + 2)
    if is_read:
        desk_read()
        roll_up()
    period = period_add(customer=Customer.objects.get(), starts_on=DAY, ends_on=timezone.now().date(), by="Ada")
    for event, column in zip(events, ODD_ROWS[odd], strict=True):
        tamper(event, column, WRITTEN[odd])
    roll_up()
    paths = [
        *PATHS,
        f"/audit/periods/{period.pk}/",
        *(f"/audit/{event.pk}/" for event in (first, *events, last)),
        f"/pbxs/{pbx.pk}/ivrs/6500/",
    ]
    timeline = auditor.get(f"/timeline/?pbx={pbx.pk}")

    answers = {path: auditor.get(path).status_code for path in paths}
    exports = [b"".join(auditor.get(f"/audit/export/?format={form}").streaming_content) for form in ("csv", "jsonl")]
    pack = auditor.post("/audit/evidence/")
    pack.close()

    assert {path: status for path, status in answers.items() if status != 200} == {paths[-1]: 404}
    assert (timeline.status_code, pack.status_code) == (200, 200)
    assert [b"count" in export.splitlines()[-1] for export in exports] == [True, True]


@pytest.mark.parametrize(("column", "odd"), CASES)
def test_the_event_says_that_it_is_not_as_recorded(auditor, event, column, odd):
    tamper(event, column, WRITTEN[odd])

    page = auditor.get(f"/audit/{event.pk}/").content.decode()

    assert "This row is not what was recorded" in page
    assert "This row is not what was recorded" not in auditor.get(f"/audit/{event.pk + 1}/").content.decode()
    with pytest.raises(CommandError):
        call_command("audit_verify", stdout=(told := StringIO()), stderr=told)
    assert f"event {event.pk}" in told.getvalue()


@pytest.mark.parametrize(("column", "odd"), CASES)
def test_events_are_recorded_whatever_stands_in_the_last_one(event, column, odd):
    last = Event.objects.get(pk=event.pk + 1)
    tamper(last, column, WRITTEN[odd])
    facts: dict[str, Any] = {"customer": (event.customer_id, "Acme Logistics")}

    events = [record(EventAction.PBX_EDITED, **facts), record(EventAction.PBX_EDITED, **facts)]

    assert events[1].sequence == events[0].sequence + 1
    assert events[1].previous_hash == events[0].hash
    with pytest.raises(CommandError):
        call_command("audit_verify", stdout=(told := StringIO()), stderr=told)
    assert f"event {last.pk}" in told.getvalue()


def test_every_event_as_it_was_recorded_is_told_to_be(auditor, event):
    assert "Altered" not in auditor.get("/audit/").content.decode()
    assert [is_as_recorded(one) for one in Event.objects.all()] == [True] * Event.objects.count()
