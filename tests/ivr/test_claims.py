"""Claims with an expiry, on the tables that use them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from ivr.claims import (
    claim_many,
    claim_one,
    expired_claim,
    release_claims,
    release_expired,
    released_on_failure,
    still_claimed,
)
from ivr.models import Change, ChangeQuerySet, Refresh, RefreshItem
from tests.factories import make_change, make_customer, make_pbx

pytestmark = pytest.mark.django_db(transaction=True)
State = RefreshItem.State


@pytest.fixture
def change() -> Change:
    return make_change(make_pbx(), status="planned")


@pytest.fixture
def items() -> list[RefreshItem]:
    run, customer = Refresh.objects.create(asked_by_id=1, asked_by_name="Mara Lindqvist"), make_customer()
    pbxs = [make_pbx(customer, name=f"ACME-{number}") for number in range(4)]
    return [RefreshItem.objects.create(refresh=run, pbx=pbx) for pbx in pbxs]


def row(change: Change) -> ChangeQuerySet:
    return Change.objects.filter(pk=change.pk)


def all_at_once(claim: Callable[[], object], claimers: int = 4) -> list[object]:
    """What each of several threads gets that claim at the same moment."""
    ready = Barrier(claimers)

    def run() -> object:
        ready.wait(20)
        try:
            return claim()
        finally:
            connection.close()

    with ThreadPoolExecutor(claimers) as pool:
        return [future.result(60) for future in [pool.submit(run) for _ in range(claimers)]]


def test_a_claimed_row_is_not_claimed_again_and_the_columns_of_the_winner_stay(change: Change) -> None:
    first = claim_one(row(change), 30, applied_by_name="Mara Lindqvist")
    second = claim_one(row(change), 30, applied_by_name="Tom Okafor")

    change.refresh_from_db()
    assert (first, second) == (True, False)
    assert change.applied_by_name == "Mara Lindqvist"
    assert change.claimed_until is not None
    assert timedelta(seconds=20) < change.claimed_until - timezone.now() <= timedelta(seconds=30)


def test_a_row_that_does_not_meet_the_conditions_any_more_is_not_claimed(change: Change) -> None:
    assert not claim_one(row(change).filter(status="sending"), 30)


def test_one_of_several_who_claim_at_once_gets_the_row(change: Change) -> None:
    assert sorted(all_at_once(lambda: claim_one(row(change), 30)), key=bool) == [False, False, False, True]


def test_each_of_many_rows_is_claimed_by_one_of_those_who_claim_at_once(items: list[RefreshItem]) -> None:
    waiting = RefreshItem.objects.filter(state=State.WAITING)

    taken = all_at_once(lambda: claim_many(waiting.all(), 45, state=State.READING))

    assert sorted(pk for ids in taken for pk in ids) == [item.pk for item in items]  # type: ignore[attr-defined]


def test_an_expired_claim_is_found_and_may_be_claimed_by_the_next(change: Change) -> None:
    claim_one(row(change), -1)

    assert row(change).filter(expired_claim(timezone.now())).exists()
    assert claim_one(row(change), 30)
    assert not row(change).filter(expired_claim(timezone.now())).exists()


def test_a_claim_is_ours_until_somebody_else_claims_after_us(change: Change) -> None:
    claim_one(row(change), -1)
    change.refresh_from_db()
    ours = still_claimed(Change.objects.all(), change)

    assert ours.exists()
    claim_one(row(change), 30)
    assert not ours.exists()


def test_a_released_row_is_free_at_once(change: Change) -> None:
    claim_one(row(change), 30)

    assert release_claims(row(change), sentence="Given back.") == 1
    assert claim_one(row(change), 30)
    change.refresh_from_db()
    assert change.sentence == "Given back."


def test_what_a_dead_process_left_is_taken_up_and_what_a_living_one_has_is_not(items: list[RefreshItem]) -> None:
    claim_many(RefreshItem.objects.filter(pk=items[0].pk), -1, state=State.READING)
    claim_many(RefreshItem.objects.filter(pk=items[1].pk), 45, state=State.READING)

    assert release_expired(RefreshItem.objects.filter(state=State.READING), state=State.WAITING) == 1
    assert [item.state for item in RefreshItem.objects.order_by("pk")] == ["waiting", "reading", "waiting", "waiting"]


def test_a_block_that_fails_gives_its_claim_back_even_when_the_process_is_told_to_end(change: Change) -> None:
    claim_one(row(change), 30)

    with pytest.raises(SystemExit), released_on_failure(row(change)):
        raise SystemExit

    assert claim_one(row(change), 30)


def test_a_block_that_works_keeps_its_claim(change: Change) -> None:
    claim_one(row(change), 30)

    with released_on_failure(row(change)):
        pass

    assert not claim_one(row(change), 30)
