"""The simulated fleet of the demo: its process, the orders that it takes, and the records of its PBXs."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from pbxadmin.access.models import Customer
from pbxadmin.fleet.inputs import clean_tags
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_create, pbx_edit
from pbxadmin.yeastar.fields import BY_NAME, ApiVersion

ORDER_S = 10.0
# In turn, as far as the firmware of the simulated PBXs goes. From v1.1.0 on inbound routes are listed, and v2.0.0 alone
# changes dial-out.
API_VERSIONS = (ApiVersion.V1_1, ApiVersion.V1_0, ApiVersion.V1_1, ApiVersion.V2_0)
# By the place in the name of a simulated PBX, such as "ACME-Porto" or "ACME-Porto-2".
COUNTRIES = {
    "HQ": "United Kingdom",
    "Hamburg": "Germany",
    "Leeds": "United Kingdom",
    "Porto": "Portugal",
    "Lyon": "France",
    "Gdansk": "Poland",
    "Turin": "Italy",
    "Cork": "Ireland",
    "Ghent": "Belgium",
    "Malmo": "Sweden",
    "Brno": "Czechia",
    "Graz": "Austria",
    "Tartu": "Estonia",
    "Basel": "Switzerland",
    "Delft": "Netherlands",
    "Seville": "Spain",
    "Patras": "Greece",
    "Varna": "Bulgaria",
    "Oulu": "Finland",
    "Zadar": "Croatia",
}


@contextmanager
def simulated_fleet(count: int) -> Iterator[list[dict[str, Any]]]:
    """Run a fleet in a process of its own, which ends with the block or with ours. Yield a description of each PBX.

    Raises CommandError when it does not start; the process said why on standard error.
    """
    with TemporaryDirectory(prefix="pbxadmin-demo-") as folder:  # short: a socket file has a path of 107 bytes at most
        controls = Path(folder) / "fleet.sock"
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "simulate", "--pbxs", str(count), "--json"]
        command += ["--state", str(settings.DATA_DIR / "fleet.json"), "--controls", str(controls), "--until-eof"]
        child = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            assert child.stdout is not None  # noqa: S101  (asked for just above)
            if not (line := child.stdout.readline()):
                raise CommandError("The simulated fleet did not start.")
            settings.DEMO_CONTROLS = controls
            yield json.loads(line)
        finally:
            settings.DEMO_CONTROLS = None
            child.terminate()
            child.wait(10)


def fleet_order(**order: Any) -> dict[str, dict[str, str]]:
    """Give the fleet an order, as controls.py of the simulator says. Return how each PBX is, by name.

    Raises OSError when no fleet takes orders.
    """
    with socket.socket(socket.AF_UNIX) as link, link.makefile("rw") as talk:
        link.settimeout(ORDER_S)
        link.connect(str(settings.DEMO_CONTROLS))
        talk.write(json.dumps(order) + "\n")
        talk.flush()
        if not (line := talk.readline()):
            raise OSError("the fleet did not answer")
    found: dict[str, dict[str, str]] = json.loads(line)
    return found


def edit_on_pbx(pbx: str, number: str, values: Mapping[str, str]) -> None:
    """Change an IVR on a simulated PBX, as somebody does on its own pages. values: by own name of the field."""
    fleet_order(pbx=pbx, edit=number, fields={BY_NAME[name].wire: text for name, text in values.items()})


def record_keep(customers: Mapping[str, Customer], simulated: Mapping[str, Any], position: int) -> Pbx:
    """Return the record of a simulated PBX, with the connection that it has now."""
    connection = {key: simulated[key] for key in ("scheme", "port", "username", "fingerprint")}
    values = {"name": simulated["name"], "host": "127.0.0.1", "trust": "pin", **connection}
    pbx = Pbx.objects.filter(name=simulated["name"]).select_related("customer").first()
    if pbx is not None:
        pbx_edit(pbx=pbx, values=values)
        return pbx
    prefix, place, *_ = simulated["name"].split("-")
    values |= {
        "site": f"{place}, {COUNTRIES[place]}",
        "tags": clean_tags(f"{COUNTRIES[place]}, {'vip' if position % 4 == 0 else ''}"),
        "main_numbers": f"03069 990{position:03}",  # nobody's: kept free for films
        "api_version": API_VERSIONS[position % len(API_VERSIONS)],
    }
    return pbx_create(customer=customers[prefix], values=values, password=simulated["password"])
