"""Reading 200 PBXs in the background, against what the PBXs' own latency leaves; one request at a time for each."""

import time
from typing import Any

from django.conf import settings

from ivr.models import Refresh, RefreshItem
from ivr.refresh import refresh_start, refresh_work
from pbxadmin.audit.context import SYSTEM
from pbxadmin.fleet.models import Pbx
from tests.factories import make_customer, make_pbx

from .figures import goal, heading
from .fleet import DistantFleet, distant_fleet

PBXS = 200
LATENCY_S = 0.2
ROUNDS = 3


def main() -> None:
    heading(f"Reading {PBXS} PBXs, {LATENCY_S * 1000:.0f} ms each call, {settings.REFRESH_THREADS} threads")
    with distant_fleet(PBXS, LATENCY_S) as fleet:
        customer = make_customer()
        for pbx in fleet.pbxs:
            make_pbx(customer, **record_of(pbx))
        print(
            f"{'':<12}{'x latency':>10}{'x of 2 calls':>14}{'s':>8}{'calls':>8}{'at one time, per PBX':>22}{'read':>6}"
        )
        for _ in range(ROUNDS):
            Pbx.objects.update(token="", token_at=None)
            run(fleet, "no token")
            run(fleet, "token held")


def record_of(pbx: dict[str, Any]) -> dict[str, Any]:
    return {**pbx, "host": "127.0.0.1", "trust": "pin"}


def run(fleet: DistantFleet, what: str) -> None:
    fleet.counted()
    began = time.perf_counter()
    started = refresh_start(pbxs=Pbx.objects.all(), actor=SYSTEM)
    refresh_work.call(started.pk)
    took = time.perf_counter() - began
    assert Refresh.objects.get(pk=started.pk).finished_at
    counted = fleet.counted()
    sent, most = sum(len(pbx["calls"]) for pbx in counted), max(pbx["max_in_flight"] for pbx in counted)
    least = sent * LATENCY_S / settings.REFRESH_THREADS
    two_calls = 2 * PBXS * LATENCY_S / settings.REFRESH_THREADS  # login and query, whatever was really called
    items = RefreshItem.objects.filter(refresh=started)
    read = items.filter(state=RefreshItem.State.DONE).count()
    ratios = f"{took / least:>10.2f}{took / two_calls:>14.2f}"
    print(f"{what:<12}{ratios}{took:>8.2f}{sent:>8}{most:>22}{read:>6}  {', '.join(counted[0]['calls'])}")
    for item in items.exclude(state=RefreshItem.State.DONE).select_related("pbx"):
        print(f"not read: {item.pbx.name}, {item.state}: {item.sentence}")
    goal(f"{what}, x calls x latency x PBXs / threads", took / least, 2.0)
    goal("requests at one time to one PBX", most, 1)
