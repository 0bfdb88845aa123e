"""A renumbering under faults: the whole list is read, before and after, and both numbers count."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from ivr.changes.reconcile import reconcile
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import NOTHING, Fault, SimulatedPbx
from tests.drills.edits import confirmed, planned
from tests.drills.hands import Hand

pytestmark = [pytest.mark.tls, pytest.mark.django_db, pytest.mark.usefixtures("short_deadlines")]

UPDATE: dict[str, Any] = {"call": "ivr/update"}
READ_BACK: dict[str, Any] = {"call": "ivr/query", "after": 1}
TABLE: dict[str, tuple[Fault, dict[str, Any], str, str]] = {
    "all is well": (Fault.NONE, UPDATE, "verified", "now has number 6599."),
    "the answer is lost": (Fault.CLOSE, UPDATE, "verified", "gave no usable answer. It was read back: number 6599."),
    "nothing is done": (Fault.NONE, UPDATE | {"stores": NOTHING}, "not-as-asked", "said Success but nothing changed."),
    "it is refused": (Fault.ERRNO, UPDATE | {"errno": "10018", "stores": NOTHING}, "refused", "(10018)"),
    "refused, and done": (Fault.ERRNO, UPDATE | {"errno": "10018"}, "verified", "although ACME-HQ refused it (10018)"),
    "the token is refused": (Fault.ERRNO, UPDATE | {"errno": "20006", "stores": NOTHING}, "verified", "number 6599."),
    "it cannot be read back": (Fault.CUT, READ_BACK, "unknown", "cannot be read back"),
}


@pytest.mark.parametrize(("fault", "order", "outcome", "words"), TABLE.values(), ids=TABLE)
def test_drill(
    hand: Hand,
    pbx: Pbx,
    simulated_pbx: SimulatedPbx,
    fault: Fault,
    order: dict[str, Any],
    outcome: str,
    words: str,
) -> None:
    change = hand.plan(pbx, number="6599")
    simulated_pbx.received.clear()
    simulated_pbx.misbehave(fault, **order)

    answer = hand.apply(change)

    change.refresh_from_db()
    assert (change.status, answer.outcome) == (outcome, outcome)
    assert words in answer.text
    assert [received.body for received in simulated_pbx.received if received.call == "ivr/query"] == [{}, {}]
    assert ("6599" in simulated_pbx.ivrs) == (outcome in ("verified", "unknown"))


def test_an_unknown_renumbering_becomes_true_by_itself(manager: Client, pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    change = planned(manager, pbx, number="6599")
    simulated_pbx.misbehave(Fault.CUT, **READ_BACK)
    manager.post(f"{change.get_absolute_url()}apply/", confirmed(manager, change))

    with time_machine.travel(timezone.now() + timedelta(seconds=11)):
        reconcile()

    change.refresh_from_db()
    assert (change.status, change.number_now) == ("verified", "6599")
    assert simulated_pbx.count("ivr/update") == 1
    assert change.get_absolute_url() in manager.get(f"/pbxs/{pbx.pk}/ivrs/6599/").content.decode()
    gone = manager.get(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    assert gone.status_code == 404


def test_the_checklist_is_ticked_before_anything_is_sent(hand: Hand, pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    change = hand.plan(pbx, number="6599")

    answer = hand.apply(change, confirms=False)

    assert answer.status == 422
    assert "Inbound routes that lead to the old number" in answer.text
    assert simulated_pbx.count("ivr/update") == 0
