"""What the page of a batch says while it runs, what waiting targets offer, and how much it asks of the database."""

import gzip
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pbxadmin.access.models import User
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import WAITING, Batch, BatchState, BatchTarget, TargetClass
from pbxadmin.batches.services import batch_stop
from pbxadmin.batches.work import batches_kick
from pbxadmin.fleet.models import Pbx
from tests.batches.job import added, outcomes, page_of, press, previewed, work
from tests.pbx_http import PbxDouble, cannot_be_reached

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 2_000


def waiting(client: Client, pbx_http: PbxDouble, **typed: str) -> Batch:
    """Start a batch of which a target waits for its PBX."""
    until = timezone.now() + timedelta(hours=2)
    batch = previewed(client, keep_trying_until=f"{until:%Y-%m-%dT%H:%M}", **typed)
    pbx_http.fail("ivr/query", cannot_be_reached)
    press(client, batch, "start")
    assert WAITING in outcomes(batch).values()
    return batch


def test_a_waiting_target_says_when_and_is_cancelled(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = waiting(client, pbx_http)
    target = batch.targets.get(outcome=WAITING)
    again_at = batch.units.get().not_before

    page = page_of(client, batch)
    assert again_at is not None
    assert f"{again_at:%Y-%m-%dT%H:%M:%SZ}" in page
    assert f'name="target" value="{target.pk}"' in page

    press(client, batch, "cancel", target=str(target.pk))
    target.refresh_from_db()
    assert (target.outcome, target.is_past) == ("not-sent", True)
    assert "Mara cancelled it" in target.sentence
    assert Event.objects.filter(action="batch.cancelled", batch_id=batch.pk).get().data["detail"]["cancelled"] == 1

    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        batches_kick()
        work(batch)
    assert batch.state == BatchState.PAUSED
    assert sorted(outcomes(batch).values()) == ["", "", "", "", "not-sent", "verified"]


def test_all_that_wait_are_cancelled_at_once(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = waiting(client, pbx_http, canary="1")

    assert "Cancel all 1 that wait" in page_of(client, batch)
    press(client, batch, "cancel")

    assert batch.state == BatchState.PAUSED
    assert sorted(outcomes(batch).values()) == ["", "", "", "", "", "not-sent"]


def test_patience_ends_also_for_those_that_wait_for_hours(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = waiting(client, pbx_http, canary="1", only_in_hours="on")

    with time_machine.travel(timezone.now() + timedelta(hours=3)):
        batches_kick()

    assert sorted(outcomes(batch).values()) == ["", "", "", "", "", "not-sent"]


def test_a_pbx_in_hand_has_a_line_and_the_page_asks_until_it_is_done(client: Client, pbx: Pbx, manager: User) -> None:
    batch = previewed(client)
    Batch.objects.update(state=BatchState.RUNNING, started_at=timezone.now(), resumed_at=timezone.now())
    batch.units.update(claimed_until=timezone.now() + timedelta(minutes=1))
    batch.targets.filter(number="6500").update(outcome="verified", finished_at=timezone.now())

    page = page_of(client, batch)
    assert "1 PBX in hand" in page
    assert "1 of 6 done" in page

    batch.refresh_from_db()
    batch_stop(batch=batch, actor=Actor(manager.pk, "Mara"))
    assert "X-Poll" in page_of(client, batch)
    batch.units.update(claimed_until=None)
    assert "X-Poll" not in page_of(client, batch)


def test_class_and_outcome_stay_on_the_next_page_and_in_the_file(client: Client, pbx: Pbx) -> None:
    batch = previewed(client)
    many_more(batch, 60)

    page = client.get(f"/batches/{batch.pk}/?class=would-change").content.decode()

    assert "?class=would-change&amp;cursor=" in page
    assert f"/batches/{batch.pk}/results.csv?class=would-change" in page


def test_the_form_does_not_count_in_the_rail(client: Client, pbx: Pbx) -> None:
    page = client.post("/batches/add/", {"all": "on", "query": ""}).content.decode()

    assert 'aria-current="page"' in page
    assert 'data-open="' not in page


def many_more(batch: Batch, count: int) -> None:
    """Give a batch so many more targets that would change."""
    like = batch.targets.filter(klass=TargetClass.WOULD_CHANGE)[0]
    columns = {"batch": batch, "customer_id": like.customer_id, "customer_name": like.customer_name, "name": "Menu"}
    columns |= {"pbx_id": like.pbx_id, "pbx_name": like.pbx_name, "klass": like.klass}
    columns |= {"base": like.base, "wanted": like.wanted}
    BatchTarget.objects.bulk_create(
        BatchTarget(place=100 + place, number=f"7{place:04}", **columns) for place in range(count)
    )


def test_a_poll_of_many_targets_is_small(client: Client, pbx: Pbx) -> None:
    batch = previewed(client)
    many_more(batch, MANY)
    Batch.objects.update(state=BatchState.RUNNING, started_at=timezone.now(), resumed_at=timezone.now())
    batch.units.update(claimed_until=timezone.now() + timedelta(minutes=1))

    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = client.get(f"/batches/{batch.pk}/", headers={"HX-Request": "true", "X-Poll": "yes"})

    assert len(queries) <= 12, "\n".join(query["sql"] for query in queries)
    assert len(gzip.compress(answer.content)) < 30_000


def test_the_list_asks_the_same_of_few_and_many(client: Client, pbx: Pbx) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get("/batches/")
        return len(queries)

    added(client)
    few = asked()
    for _ in range(4):
        added(client)
    assert asked() == few
