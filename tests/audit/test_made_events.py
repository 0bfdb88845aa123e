"""Events that benchmarks make in bulk are such as the log itself writes."""

import pytest

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import verify
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from tests.bench.events import fill_events

from .conftest import ACME

pytestmark = pytest.mark.django_db


def test_made_events_continue_good_chains():
    record(EventAction.PBX_EDITED, customer=ACME)

    fill_events(300, customers=[ACME, (2, "Bell")])
    fill_events(200, customers=[ACME], seed=2)
    record(EventAction.PBX_EDITED, customer=ACME)

    report = verify()
    assert (report.events, report.faults) == (502, [])
    assert set(report.chains) == {"customer:1", "customer:2", "installation"}


def test_made_events_say_what_recorded_ones_say():
    recorded = record(EventAction.PBX_EDITED, customer=ACME)

    fill_events(2_000)

    assert all(event.data.keys() == recorded.data.keys() for event in Event.objects.all())
    assert len(set(Event.objects.values_list("action", flat=True))) > 10
