"""Makes every picture in docs/shots anew from a demo of its own: `python -m tests.screenshots [FOLDER [PORT]]`.

Each is there twice: `home.png` is light, `home-dark.png` dark. With `pngquant` installed they take a third of the
space. Receipts show the address, so that the pictures for docs/ are made on the port of the quick start.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.simulator import Fleet

from .browser.chromium import CHROMIUM, FLAGS
from .figures import ROOT
from .simulated import client_for

DESKTOP, PHONE = (1440, 900), (390, 844)
SIGN_IN = re.compile(r"(\w+) / (\S+)")


class Studio:
    """A running demo at an address, with its data; a browser, and the folder that the pictures go to."""

    def __init__(self, browser: Browser, address: str, data: Path, passwords: Mapping[str, str], folder: Path) -> None:
        self.browser, self.address, self.data = browser, address, data
        self.passwords, self.folder = passwords, folder

    def sign_in(self, username: str, size: tuple[int, int] = DESKTOP) -> Page:
        """Return a page of this person, who has just signed in."""
        context = self.browser.new_context(
            base_url=self.address,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="light",
            reduced_motion="reduce",
            has_touch=size == PHONE,
        )
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Username").fill(username)
        page.get_by_label("Password").fill(self.passwords[username])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Home")).to_be_visible()
        return page

    def shoot(self, page: Page, name: str) -> None:
        """Write what the page shows as <name>.png, and as <name>-dark.png."""
        self.write(page, f"{name}.png")
        page.emulate_media(color_scheme="dark")
        self.write(page, f"{name}-dark.png")
        page.emulate_media(color_scheme="light")

    def write(self, page: Page, name: str) -> None:
        path = self.folder / name
        page.screenshot(path=path)
        if pngquant := shutil.which("pngquant"):
            subprocess.run([pngquant, "--force", "--ext", ".png", "--strip", str(path)], check=True)
        sys.stdout.write(f"{path}\n")

    def edit_outside(self, pbx: str, number: str, version: ApiVersion = ApiVersion.V1_0, **wanted: str) -> None:
        """Change an IVR on the simulated PBX itself, as somebody with its own pages would.

        version: of the API, which the PBX speaks and which writes these fields.
        """
        state = self.data / "fleet.json"
        fleet = Fleet(len(json.loads(state.read_text())["pbxs"]), state_file=state)
        twin = next(one for one in fleet.pbxs if one.name == pbx)
        client = client_for(twin, version=version)
        client.update_ivr(client.query_ivr(number), wanted)


@contextmanager
def demo(data: Path, port: str) -> Iterator[dict[str, str]]:
    """Run `manage.py demo` with this data folder. Yields the password of each user name once it serves."""
    command = [sys.executable, "manage.py", "demo", "--port", port]
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(data)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        passwords: dict[str, str] = {}
        for line in process.stdout or ():
            if said := SIGN_IN.fullmatch(line.strip()):
                passwords[said[1]] = said[2]
            if line.startswith("Ctrl-C"):
                break
        yield passwords
    finally:
        process.terminate()
        process.wait(30)


def address_of(page: Page, pbx: str) -> str:
    """Return the address of the page of a PBX."""
    page.goto(f"/pbxs/?q={pbx}")
    return page.get_by_role("link", name=pbx, exact=True).get_attribute("href") or ""


def fill(page: Page, pbx: str, number: str, values: Mapping[str, str]) -> None:
    """Fill the form of an IVR, by label, and ask for the plan."""
    page.goto(f"{address_of(page, pbx)}ivrs/{number}/edit/")
    for label, value in values.items():
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Review change").click()


def plan(page: Page, pbx: str, number: str, values: Mapping[str, str]) -> None:
    fill(page, pbx, number, values)
    expect(page.locator("[data-outcome=planned]").first).to_be_visible()


def apply(page: Page, outcome: str) -> None:
    page.get_by_role("button", name="Apply on").click()
    expect(page.locator(f"[data-outcome={outcome}]").first).to_be_visible()


def read_all(page: Page) -> None:
    """Read every PBX and wait until it is done."""
    page.goto("/")
    page.get_by_role("button", name="Read all now").click()
    expect(page.locator("#refresh:not([hx-trigger])")).to_be_visible()


def changes(studio: Studio) -> None:
    """Shoot the way of a change: a wrong value, a plan, a receipt, a conflict."""
    mara, sue = studio.sign_in("mara"), studio.sign_in("sue")
    fill(mara, "ACME-HQ", "6500", {"Name": "Main Menu", "Response timeout": "12"})
    expect(mara.locator("[data-error-for=response_timeout]")).to_be_visible()
    studio.shoot(mara, "edit-error")

    record = {"Ticket": "INC-20418", "Reason": "Callers need longer to choose"}
    plan(mara, "ACME-HQ", "6500", {"Response timeout": "8", **record})
    apply(mara, "verified")
    studio.shoot(mara, "receipt")
    mara.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    studio.shoot(mara, "receipt-phone")
    mara.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})

    plan(mara, "ACME-Cork", "6503", {"Response timeout": "8", "Prompt played": "3", "Ticket": "INC-20460"})
    plan(sue, "ACME-Cork", "6503", {"Response timeout": "6"})
    apply(sue, "verified")
    apply(mara, "conflict")
    studio.shoot(mara, "conflict")

    plan(sue, "ACME-Hamburg", "6500", {"Prompt played": "2", "Response timeout": "9", "Ticket": "INC-20455"})
    studio.shoot(sue, "plan")


def outside_and_lists(studio: Studio) -> None:
    """Shoot what was changed outside, the lists, Home and the auditor's pages."""
    admin, ada = studio.sign_in("admin"), studio.sign_in("ada")
    read_all(admin)
    studio.edit_outside("ACME-Leeds", "6500", response_timeout="9")
    studio.edit_outside("BELL-HQ", "6501", prompt_repeat="1")
    admin.goto(f"{address_of(admin, 'BELL-Porto')}edit/")
    admin.get_by_label("Port").fill("35087")
    admin.get_by_role("button", name="Save").click()
    read_all(admin)
    ada.request.get("/audit/export/?format=csv")
    admin.goto("/")
    studio.shoot(admin, "home")

    mara = studio.sign_in("mara")
    mara.goto("/ivrs/?tag=vip")
    studio.shoot(mara, "ivrs")
    phone = studio.sign_in("mara", PHONE)
    phone.goto(f"{address_of(mara, 'ACME-Leeds')}ivrs/6500/")
    studio.shoot(phone, "ivr-phone")

    for name, address in (("desk", "/audit/desk/"), ("audit", "/audit/"), ("periods", "/audit/periods/")):
        ada.goto(address)
        studio.shoot(ada, name)


def monday(studio: Studio) -> None:
    """Shoot what a visitor meets first: Home on a Monday, what to break, and the help."""
    admin = studio.sign_in("admin")
    for name, address in (("monday", "/"), ("break", "/demo/"), ("help", "/help/trouble/untrusted/")):
        admin.goto(address)
        studio.shoot(admin, name)


def watching(studio: Studio) -> None:
    """Shoot what was opened to callers outside: in the list, as an accepted violation, as open, in the report."""
    admin, sue = studio.sign_in("admin"), studio.sign_in("sue")
    studio.edit_outside("ACME-Leeds", "6500", ApiVersion.V2_0, dial_outbound="on")
    read_all(admin)
    admin.goto("/outside/")
    expect(admin.get_by_text("Dial-out on").first).to_be_visible()
    studio.shoot(admin, "outside")

    sue.goto("/policies/")
    sue.get_by_role("link", name="Dial-out is off").click()
    sue.get_by_role("link", name="Accept ACME-HQ").click()
    sue.get_by_label("Why it may stay").fill("Night line, agreed with the customer")
    sue.get_by_role("button", name="Accept").click()
    expect(sue.locator("[data-violation][data-state=accepted]").first).to_be_visible()
    sue.reload()  # without what was said of it once
    studio.shoot(sue, "policy")

    admin.goto("/notices/")
    studio.shoot(admin, "open")
    admin.goto(f"{address_of_customer(admin, 'Acme Logistics')}report/")
    studio.shoot(admin, "report")


def address_of_customer(page: Page, name: str) -> str:
    page.goto("/customers/")
    return page.get_by_role("link", name=name, exact=True).first.get_attribute("href") or ""


def batches(studio: Studio) -> None:
    """Shoot the way of a batch: what is set, its preview, the pause after the first few, and its end."""
    admin = studio.sign_in("admin")
    admin.goto("/ivrs/?q=bell")
    admin.get_by_label(re.compile(r"Select all \d+ that match")).check()
    admin.get_by_role("button", name="Change these").click()
    admin.get_by_label("Response timeout").fill("8")
    admin.get_by_label("Ticket").fill("CHG-1180")
    studio.shoot(admin, "batch-form")
    for button, state, name in (
        ("Preview", "ready", "batch-preview"),
        ("Start with", "paused", "batch-paused"),
        ("Go on with", "finished", "batch-end"),
    ):
        admin.get_by_role("button", name=button).click()
        expect(admin.locator(f"[data-batch-state={state}]")).to_be_visible()
        studio.shoot(admin, name)


def main(folder: str = str(ROOT / "docs" / "shots"), port: str = "8000") -> None:
    expect.set_options(timeout=60_000)
    folder_of_demo = tempfile.TemporaryDirectory(prefix="pbxadmin-shots-")
    with folder_of_demo as data, demo(Path(data), port) as passwords, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        studio = Studio(browser, f"http://localhost:{port}", Path(data), passwords, Path(folder))
        monday(studio)
        changes(studio)
        outside_and_lists(studio)
        watching(studio)
        batches(studio)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
