"""A fleet of simulated S-Series PBXs on 127.0.0.1, for the demo and the tests: they keep IVRs and misbehave on request.

    with Fleet(2) as fleet:
        pbx = fleet.pbxs[0]
        pbx.misbehave(Fault.CLOSE, call="ivr/update", stores=NOTHING)
        ...
        assert pbx.calls() == ["login", "ivr/update"]

It imports no other code of the project. It has its own table of wire names and rules (device.py), so that tests find a
typo in fields.py.
"""

from .device import V1_0, V1_1, V2_0
from .faults import ALWAYS, AS_ASKED, NOTHING, Fault, Framing, instead, only
from .fleet import Fleet
from .pbx import SimulatedPbx

__all__ = [
    "ALWAYS",
    "AS_ASKED",
    "NOTHING",
    "V1_0",
    "V1_1",
    "V2_0",
    "Fault",
    "Fleet",
    "Framing",
    "SimulatedPbx",
    "instead",
    "only",
]
