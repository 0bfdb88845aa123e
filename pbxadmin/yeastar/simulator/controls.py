"""Orders for a fleet that runs in a process of its own: one JSON object a line, over a socket file.

    {"pbx": "ACME-HQ", "switch": "off"}                             how it behaves from now on
    {"pbx": "ACME-HQ", "edit": "6500", "fields": {"prompt": "x"}}   somebody changes an IVR on its own pages
    {"behind_s": 3600}                                              how far the clocks of all are behind
    {}                                                              only the answer

Each is answered by a line with how each PBX is, by name: its switch, "well" for one that behaves, and its password.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .faults import ALWAYS, NOTHING, Fault
from .pbx import WELL, SimulatedPbx

if TYPE_CHECKING:
    from .fleet import Fleet

SLOW_ANSWER_S = 3.0  # an answer, which is well within what a caller waits for one
LOCKED_S = 4 * 3600.0
AWAY_S = 140.0
OTHER_PASSWORD = "-new"  # noqa: S105  (the end of one, of a simulated PBX)

Switch = Callable[["Fleet", SimulatedPbx], None]


def well(fleet: "Fleet", pbx: SimulatedPbx) -> None:
    """Let a PBX behave, with the password that it was seeded with."""
    pbx.behave()
    pbx.latency_s, pbx.locked_until, pbx.wrong_logins = 0.0, 0.0, 0
    pbx.password = pbx.password.removesuffix(OTHER_PASSWORD)
    if pbx.listener is None:
        pbx.open(fleet.certificates)


def off(fleet: "Fleet", pbx: SimulatedPbx) -> None:
    pbx.close()


def slow(fleet: "Fleet", pbx: SimulatedPbx) -> None:
    pbx.latency_s = SLOW_ANSWER_S


def lies(fleet: "Fleet", pbx: SimulatedPbx) -> None:
    """Say that each update was a success, and store nothing."""
    pbx.misbehave(Fault.NONE, call="ivr/update", times=ALWAYS, stores=NOTHING)


def refuses(fleet: "Fleet", pbx: SimulatedPbx) -> None:
    pbx.misbehave(Fault.ERRNO, call="ivr/update", times=ALWAYS, stores=NOTHING, errno="10018")


def loses(fleet: "Fleet", pbx: SimulatedPbx) -> None:
    """Carry out the next update, hang up instead of answering, and stay away for a while."""

    def go() -> None:
        pbx.switch = WELL  # it comes back by itself
        pbx.close()
        fleet.loop.call_later(AWAY_S, well, fleet, pbx)

    def hang_up() -> None:
        fleet.loop.call_soon(go)

    pbx.misbehave(Fault.CLOSE, call="ivr/update", then=hang_up)


def other_certificate(fleet: "Fleet", pbx: SimulatedPbx) -> None:
    pbx.misbehave(Fault.OTHER_CERTIFICATE, times=ALWAYS)


def other_password(fleet: "Fleet", pbx: SimulatedPbx) -> None:
    pbx.password += OTHER_PASSWORD
    pbx.expire_tokens()


def locked_out(fleet: "Fleet", pbx: SimulatedPbx) -> None:
    """Refuse every login from here, as after five wrong passwords."""
    pbx.locked_until = time.monotonic() + LOCKED_S
    pbx.expire_tokens()


SWITCHES: Mapping[str, Switch] = {
    WELL: lambda fleet, pbx: None,
    "off": off,
    "slow": slow,
    "lies": lies,
    "refuses": refuses,
    "loses": loses,
    "certificate": other_certificate,
    "password": other_password,
    "locked": locked_out,
}


def switch_turn(fleet: "Fleet", pbx: SimulatedPbx, switch: str) -> None:
    """Let a PBX behave as this switch says, and in no other way. Runs in the loop of the fleet."""
    well(fleet, pbx)
    pbx.switch = switch
    SWITCHES[switch](fleet, pbx)


def obey(fleet: "Fleet", order: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Carry out an order. Return how each PBX is. Raises KeyError for what there is not."""
    by_name = {pbx.name: pbx for pbx in fleet.pbxs}
    for each in fleet.pbxs if "behind_s" in order else ():
        each.behind_s = float(order["behind_s"])
    if "pbx" in order:
        pbx = by_name[order["pbx"]]
        if "switch" in order:
            switch_turn(fleet, pbx, order["switch"])
            fleet.save()
        if "edit" in order:
            pbx.edit(order["edit"], **order["fields"])
    return {name: {"switch": pbx.switch, "password": pbx.password} for name, pbx in by_name.items()}


async def listen(fleet: "Fleet", place: Path) -> asyncio.Server:
    """Take orders at a socket file, until the server is closed. Whoever may open the file may give them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(obey(fleet, json.loads(line))).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()

    return await asyncio.start_unix_server(serve, place)
