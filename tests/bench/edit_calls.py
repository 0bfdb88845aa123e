"""How often a PBX is called when a person opens the form, plans a change and applies it, with a token held."""

import re
import time
from typing import Any

from django.test import Client

from ivr.models import Change
from pbxadmin.access.roles import Role
from pbxadmin.fleet.models import Pbx
from tests.factories import make_pbx, make_user

from .figures import goal, heading
from .fleet import distant_fleet

LATENCY_S = 0.2
NUMBER = "6500"


def main() -> None:
    heading(f"Calls to the PBX in one edit, token held, {LATENCY_S * 1000:.0f} ms each call")
    with distant_fleet(1, LATENCY_S) as fleet:
        pbx = make_pbx(host="127.0.0.1", **fleet.pbxs[0])
        client = Client()
        client.force_login(make_user(Role.MANAGER, pbx.customer))
        form = f"/pbxs/{pbx.pk}/ivrs/{NUMBER}/edit/"
        client.get(form)  # signs in to the PBX
        fleet.counted()
        print(f"{'':<22}{'calls':>6}{'x latency':>11}{'s':>8}")
        page, opening = timed(client.get, form)
        opened = fleet.counted()[0]
        show("opening the form", opened["calls"], opening)
        planned, planning = timed(client.post, form, changed(page.content.decode(), response_timeout="9"))
        show("planning the change", fleet.counted()[0]["calls"], planning)
        _, applying = timed(client.post, f"{planned['Location']}apply/")
        applied = fleet.counted()[0]
        show("applying it", applied["calls"], applying)
        print(f"the change is {Change.objects.get().status}; the PBX is {Pbx.objects.get().state}")
        goal("calls to open the form", len(opened["calls"]), 1)
        goal("calls of a verified edit", len(applied["calls"]), 3)


def timed(ask: Any, *args: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    answer = ask(*args)
    return answer, time.perf_counter() - began


def show(what: str, calls: list[str], seconds: float) -> None:
    latency = f"{seconds / (len(calls) * LATENCY_S):.2f}" if calls else "-"
    print(f"{what:<22}{len(calls):>6}{latency:>11}{seconds:>8.3f}  {', '.join(calls)}")


def changed(page: str, **values: str) -> dict[str, str]:
    """The form as a browser would post it after these changes."""
    found = {}
    for tag in re.findall(r"<input[^>]*>", page.split('id="edit"')[1].split("</form>")[0]):
        attrs = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attrs.get("type") != "checkbox" or " checked" in tag:
            found[attrs["name"]] = attrs.get("value", "on")
    return found | values
