"""The story of the demo, told against simulated PBXs: what a user of the demo is promised on a Monday morning."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connections
from django.utils import timezone

from ivr.changes.reconcile import reconcile
from ivr.changes.restore import restoration_of
from ivr.models import Change, OutsideChange
from pbxadmin.audit.checkpoints import read_checkpoints
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import Batch
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_clock import clock_told
from pbxadmin.ops.checkpointing import log_faults
from pbxadmin.ops.demo.clock import moved_clock
from pbxadmin.ops.demo.fill import fill
from pbxadmin.ops.demo.fleet import fleet_order
from pbxadmin.ops.demo.people import CUSTOMERS
from pbxadmin.ops.demo.story import Calendar
from pbxadmin.ops.management.commands.simulate import row
from pbxadmin.policies.models import PolicyException
from pbxadmin.review.models import DeskItem, Period
from pbxadmin.yeastar.simulator import Fleet

SATURDAY = datetime(2026, 11, 28, 9, tzinfo=UTC)


@pytest.fixture
def told(transactional_db, settings, tmp_path):
    """The story, told to an empty database."""
    settings.DATA_DIR = tmp_path
    settings.DEMO_CONTROLS = tmp_path / "fleet.sock"
    settings.WAYS_IN_HOURS = 24 * 365  # routes and queues are read once; they tell nothing here
    with Fleet(24, controls=settings.DEMO_CONTROLS) as fleet:
        yield fill([row(pbx) for pbx in fleet.pbxs])
    connections.close_all()


@pytest.mark.tls
def test_what_waits_on_a_monday_and_how_it_came_to_that(told):
    report, faults = log_faults(read_checkpoints())
    assert (faults, report.events) == ([], Event.objects.count())
    assert timezone.now() - Event.objects.earliest("at").at > timedelta(days=80)
    assert all(seen <= later for seen, later in pairwise(Event.objects.order_by("pk").values_list("at", flat=True)))

    assert Counter(Pbx.objects.values_list("state", flat=True)) == {
        "reachable": 20,
        "credentials-rejected": 1,
        "untrusted": 1,
        "locked": 1,
        "unreachable": 1,  # the one that lost an answer, and comes back
    }
    told_clocks = [clock_told(pbx.clock, pbx.identity_at) for pbx in Pbx.objects.exclude(identity_at=None)]
    assert told_clocks
    assert {clock.words for clock in told_clocks if clock} == {"as ours"}
    outcomes = Counter(Change.objects.values_list("status", flat=True))
    assert outcomes.keys() == {"verified", "refused", "not-as-asked", "unknown"}
    assert outcomes["verified"] > 20
    assert sorted(Batch.objects.values_list("state", flat=True)) == ["finished", "halted"]
    open_ones = OutsideChange.objects.filter(state="open").values_list("field_names", flat=True)
    assert sorted(open_ones) == [" dial_outbound ", " response_timeout "]
    dial_out = OutsideChange.objects.get(state="open", field_names=" dial_outbound ")
    version = Pbx.objects.get(pk=dial_out.pbx_id).api_version
    assert restoration_of(Event.objects.get(pk=dial_out.pk), version), "it can be put back, as a card says"
    assert PolicyException.objects.current().get().ends_on.weekday() == 4
    assert Period.objects.filter(signed_at=None).count() == 2
    assert set(Event.objects.exclude(customer_id=None).values_list("customer_name", flat=True)) == {*CUSTOMERS.values()}
    kinds = " ".join(DeskItem.objects.still_open().values_list("kinds", flat=True))
    assert "role" not in kinds, "that people got their roles is reviewed already"

    unknown = Change.objects.get(status="unknown")
    fleet_order(pbx=unknown.pbx_name, switch="well")
    Change.objects.filter(pk=unknown.pk).update(check_at=timezone.now())
    Pbx.objects.filter(pk=unknown.pbx_id).update(paused_until=None)
    reconcile()
    unknown.refresh_from_db()
    assert unknown.status == "verified", "it had been carried out"


def test_days_are_counted_over_working_days():
    calendar = Calendar(SATURDAY)

    assert calendar.workday(1, "10:00") == datetime(2026, 11, 27, 10, tzinfo=UTC)
    assert calendar.workday(6, "10:00") == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert calendar.in_last_quarter(3, "08:00") == datetime(2026, 7, 6, 8, tzinfo=UTC), "4 July is a Saturday"
    assert str(calendar.next_friday) == "2026-12-04"
    assert str(Calendar(SATURDAY - timedelta(days=1)).next_friday) == "2026-12-04", "not the Friday that it is"


def test_the_clock_is_moved_for_the_block_alone_and_goes_on_meanwhile():
    then = datetime(2026, 7, 1, 9, tzinfo=UTC)
    with moved_clock() as move:
        move(then)
        seen = timezone.now(), timezone.now()
        default = Period._meta.get_field("added_at").get_default()

    assert timedelta(0) <= seen[0] - then < timedelta(minutes=1)
    assert seen[0] <= seen[1] <= default, "also what columns take as their default"
    assert abs(timezone.now() - datetime.now(UTC)) < timedelta(minutes=1)
