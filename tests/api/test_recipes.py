"""The recipes of docs/api.md, as they stand there, against a server with a real PBX behind it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.db import connections

from ivr.models import Change, OutsideChange
from pbxadmin.access.roles import Role
from pbxadmin.api.scopes import Scope
from pbxadmin.audit.checkpoints import checkpoint_make
from pbxadmin.batches.models import Batch
from pbxadmin.batches.work import batch_work
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.readings import IvrSettings
from tests.factories import make_outside, make_pbx, make_snapshots, make_user
from tests.waiting import LIMIT_S

from .conftest import Script

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = Path("docs/api.md").read_text()
RECIPES = dict(re.findall(r"<!-- recipe: (\w+) -->\n```\w+\n(.*?)```", TEXT, re.DOTALL))


class Machine:
    """A machine with a key, on which recipes run."""

    def __init__(self, address: str, script: Script, folder: Path, **more: Any) -> None:
        self.folder = folder
        self.variables = os.environ | {"SITE": address, "KEY": script.text} | {k: str(v) for k, v in more.items()}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.variables, cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, name: str) -> str:
        return self.run(sys.executable, "-c", RECIPES["client"] + RECIPES[name])


@pytest.fixture
def pbx() -> Pbx:
    return make_pbx()


@pytest.fixture
def machine(live_server: Any, pbx: Pbx, tmp_path: Path, pbx_http: Any) -> Machine:
    holder = make_user(Role.MANAGER, None, username="script")
    script = Script(holder, Scope.MANAGE)
    return Machine(live_server.url, script, tmp_path, PBX=pbx.pk, CUSTOMER=pbx.customer_id)


def test_every_recipe_is_tried():
    tried = {"curl", "client", "export", "onboarding", "batch", "ticket", "drift", "checkpoints"}
    assert RECIPES.keys() == tried


def test_one_change_with_curl(machine, pbx, pbx_http):
    Script(make_user(is_superuser=True)).post(f"/pbxs/{pbx.pk}/refresh")

    said = machine.run("bash", "-euo", "pipefail", "-c", RECIPES["curl"])

    assert "VERIFIED: read back, all as asked" in said
    assert pbx_http.ivrs["6500"]["responsetimeout"] == "8"
    assert Change.objects.get().ticket == "HD-1042"


def test_nightly_export(machine, pbx, pbx_http):
    admin = Script(make_user(is_superuser=True))
    admin.post(f"/pbxs/{pbx.pk}/refresh")

    assert machine.python("export").startswith("Acme Logistics,ACME-HQ,6500,3,20")


def test_onboarding_from_a_csv(machine, pbx, tmp_path):
    line = f"{pbx.customer_id},ACME-NEW,pbx-new.invalid,api,Api-Passw0rd"
    (tmp_path / "pbxs.csv").write_text(f"customer,name,host,username,password\n{line}\n")

    said = [machine.python("onboarding") for _ in range(2)]  # the second run adds nothing

    assert said[0].startswith("ACME-NEW ")
    assert said == [said[0]] * 2
    assert Pbx.objects.filter(name="ACME-NEW").count() == 1


def test_all_response_timeouts_of_a_customer(machine, pbx, pbx_http):
    pbx_http.add("6501")
    Script(make_user(is_superuser=True)).post(f"/pbxs/{pbx.pk}/refresh")

    with worker():
        said = machine.python("batch")

    assert "finished" in said
    assert {ivr["responsetimeout"] for ivr in pbx_http.ivrs.values()} == {"8"}


@contextmanager
def worker() -> Iterator[None]:
    """Carry on the batches there are, as a worker does."""
    over = Event()

    def work() -> None:
        while not over.wait(0.2):
            for batch in Batch.objects.all():
                batch_work.func(batch.pk)
        connections.close_all()

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_receipt_for_a_ticket(machine, pbx, pbx_http):
    script = Script(make_user(is_superuser=True))
    asked = {"values": {"response_timeout": 8}, "ticket": "HD-1042"}
    change = script.post(f"/pbxs/{pbx.pk}/ivrs/6500/changes", asked).json()["id"]
    script.post(f"/changes/{change}/apply")

    assert "Ticket     HD-1042" in machine.python("ticket")


def test_outside_changes_to_a_ticket_system(machine, pbx):
    make_snapshots(pbx, IvrSettings(number="6500", name="Main_Menu", prompt_repeat="5"))
    event = make_outside(pbx)

    assert "IVR 6500 changed outside" in machine.python("drift")
    assert OutsideChange.objects.get(pk=event.pk).state == "accepted"


def test_checkpoints_to_another_machine(live_server, tmp_path, settings):
    settings.DATA_DIR = tmp_path
    checkpoint_make("test")
    admin = Script(make_user(is_superuser=True))

    assert Machine(live_server.url, admin, tmp_path).python("checkpoints").startswith('{"')
