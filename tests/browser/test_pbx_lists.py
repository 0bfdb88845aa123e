"""The list of PBXs in a real browser: many at once from a file, tags, and a filter kept under a name."""

import re
from collections.abc import Callable

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from pbxadmin.access.roles import Role
from pbxadmin.fleet.models import Pbx, SavedFilter

FILE = """customer,name,host,username,password,tags
Acme Logistics,ACME-DÉPÔT,127.0.0.2,api,canary-Passw0rd,"vip, hull"
Acme Logistics,ACME-HQ,,,,"vip, leeds"
"""


def test_a_file_is_checked_shown_and_imported(signed_in: Callable[..., Page], pbx: Pbx) -> None:
    page = signed_in(Role.MANAGER)
    page.goto("/pbxs/")
    page.get_by_role("link", name="Import").click()
    wrong = FILE.replace("127.0.0.2", "ftp://x/")
    page.get_by_label("CSV file").set_input_files(
        {"name": "a.csv", "mimeType": "text/csv", "buffer": wrong.encode("cp1252")}
    )
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("row", name="2 host")).to_be_visible()

    page.get_by_label("CSV file").set_input_files(
        {"name": "a.csv", "mimeType": "text/csv", "buffer": FILE.encode("cp1252")}
    )
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text("1 added · 1 changed")).to_be_visible()
    assert "canary" not in page.content()
    assert Axe().run(page).response["violations"] == []
    page.get_by_label("Read as Windows-1252").check()
    page.get_by_role("button", name="Import 2 PBXs of Acme Logistics").click()

    expect(page.get_by_text("Imported: 1 PBX added, 1 changed.")).to_be_visible()
    page.get_by_role("link", name="leeds").click()
    expect(page.get_by_role("link", name="ACME-HQ")).to_be_visible()
    expect(page.get_by_role("link", name="ACME-DÉPÔT")).to_be_hidden()
    page.locator("select[name=tag]").select_option("hull")
    expect(page.get_by_role("link", name="ACME-DÉPÔT")).to_be_visible()
    expect(page.get_by_role("link", name="ACME-HQ")).to_be_hidden()
    assert Axe().run(page).response["violations"] == []


def test_a_filter_typed_in_is_saved_and_comes_back(signed_in: Callable[..., Page], pbx: Pbx) -> None:
    page = signed_in(Role.HELPDESK)
    page.goto("/ivrs/")
    page.locator("#filter-q").fill("Main")
    expect(page.get_by_text("Save this filter").first).to_be_visible()
    page.get_by_text("Save this filter").first.click()
    page.get_by_label("Name", exact=True).fill("Front door")
    page.get_by_label("Share with everybody who sees Acme Logistics").check()
    page.get_by_role("button", name="Save this filter").click()

    chip = page.get_by_role("link", name="Front door")
    expect(chip).to_be_visible()
    assert Axe().run(page).response["violations"] == []
    assert SavedFilter.objects.get().query == "q=Main"
    page.goto("/ivrs/")
    chip.click()
    expect(page.locator("#filter-q")).to_have_value("Main")


def test_what_stands_beside_a_list_follows_its_filter(signed_in: Callable[..., Page], pbx: Pbx) -> None:
    page = signed_in(Role.MANAGER)
    page.goto("/ivrs/")
    page.locator("#filter-q").fill("Main")
    expect(page.get_by_role("link", name="Remove “Main”")).to_be_visible()

    expect(page.get_by_role("link", name="CSV")).to_have_attribute("href", "/ivrs/?q=Main&sort=pbx&format=csv")
    expect(page.get_by_role("link", name="Spread")).to_have_attribute("href", re.compile(r"/ivrs/spread/\?q=Main\b"))
    expect(page.locator("form[action*=refresh]")).to_have_attribute("action", re.compile(r"\?q=Main\b"))


def test_a_pasted_web_address_goes_into_its_fields_before_anything_is_sent(
    signed_in: Callable[..., Page], pbx: Pbx
) -> None:
    page = signed_in(Role.MANAGER)
    page.goto(f"/pbxs/{pbx.pk}/edit/")
    host = page.get_by_label("Host", exact=True)
    host.fill("http://10.1.2.3:8443/")
    host.blur()

    expect(host).to_have_value("10.1.2.3")
    expect(page.get_by_label("Port")).to_have_value("8443")
    expect(page.get_by_label("Protocol")).to_have_value("http")
    host.fill("https://me@10.1.2.3/")
    host.blur()
    expect(host).to_have_value("https://me@10.1.2.3/")  # the server says what is wrong with it


def test_what_is_chosen_is_counted_and_all_that_match_shows_in_the_rows(
    signed_in: Callable[..., Page], pbx: Pbx
) -> None:
    page = signed_in(Role.MANAGER)
    page.goto("/ivrs/")
    rows, change = page.locator("[name=ivr]"), page.get_by_role("button", name="Change these")
    count = rows.count()
    rows.first.check()
    expect(change).to_have_text("Change these 1…")

    page.get_by_label("Select all").check()
    expect(change).to_have_text(f"Change these {count}…")
    expect(page.locator("[name=ivr]:checked")).to_have_count(count)

    rows.first.uncheck()
    expect(page.get_by_label("Select all")).not_to_be_checked()
    expect(change).to_have_text(f"Change these {count - 1}…")
    page.get_by_label("All on this page").check()
    page.get_by_label("All on this page").uncheck()
    change.click()
    expect(page.get_by_role("heading", name="No IVR is chosen")).to_be_visible()


def test_what_a_filter_finds_is_said_and_its_chip_takes_it_away(signed_in: Callable[..., Page], pbx: Pbx) -> None:
    page = signed_in(Role.HELPDESK)
    page.goto("/ivrs/?sort=name")
    count = page.locator("[data-say]").inner_text()
    page.locator("#filter-q").fill("Main")

    chip = page.get_by_role("link", name="Remove “Main”")
    expect(chip).to_be_visible()
    expect(page.locator("#said")).to_have_text(page.locator("[data-say]").inner_text())
    expect(page.locator("#said")).to_contain_text(f"1 of {count.split()[0]} IVRs on 1 PBX")
    page.locator("#filter-q").fill("Main nothing")
    expect(page.locator("#said")).to_have_text("No IVR matches")
    page.get_by_role("link", name="Remove “Main nothing”").click()
    expect(page.locator("[data-say]")).to_have_text(count)
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
