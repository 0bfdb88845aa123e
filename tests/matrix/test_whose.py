"""Who am I working on? The name of the PBX and of its customer in the title, the head, and on what sends something."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponseBase
from django.utils import timezone

from ivr.models import Change
from pbxadmin.fleet.models import Pbx
from tests.pbx_http import PbxDouble

from .table import OK, ROWS
from .test_matrix import client_of
from .world import OF_US, World

pytestmark = pytest.mark.django_db
CUSTOMER, PBX = OF_US[:2]
OF_A_PBX = [
    name
    for name, row in sorted(ROWS.items())
    if re.search(r"\{(pbx|change|conflict)\}|restore", row.path)
    and row.get("site admin") == OK
    and not name.startswith("batches:")  # of several PBXs
    and not name.endswith("receipt")
]


def plain(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def part(page: str, start: str, end: str) -> str:
    found = re.search(f"{start}(.*?){end}", page, re.DOTALL)
    assert found, page
    return plain(found[1])


def buttons(page: str) -> list[str]:
    """What stands on the buttons of the forms that do something."""
    main = page.partition('<main id="main">')[2]
    forms = re.findall(r'<form[^>]*method="post".*?</form>', main, re.DOTALL)
    return [plain(label) for form in forms for label in re.findall(r"<button[^>]*>(.*?)</button>", form, re.DOTALL)]


def says_whose(answer: HttpResponseBase) -> list[str]:
    page = b"".join(answer).decode()
    for text in (part(page, "<title>", "</title>"), part(page, '<div class="head"', "</h1>.*?</div>")):
        assert CUSTOMER in text
        assert PBX in text
    found = buttons(page)
    assert [label for label in found if PBX not in label] == []
    return found


@pytest.mark.parametrize("name", OF_A_PBX)
def test_every_page_of_a_pbx_says_whose_it_is(world: World, pbx_http: PbxDouble, name: str) -> None:
    says_whose(client_of(world, "site admin").get(world.us.path(ROWS[name].path), follow=True))


@pytest.mark.parametrize("columns", [{}, {"is_enabled": False}, {"other_serial": ""}, {"scheme": "http"}])
def test_the_page_of_a_pbx_names_it_on_every_button(world: World, columns: dict[str, Any]) -> None:
    Pbx.objects.filter(pk=world.us.pbx.pk).update(**columns)

    found = says_whose(client_of(world, "manager").get(f"/pbxs/{world.us.pbx.pk}/"))

    assert f"Test {PBX}" in found


def test_the_edit_form_names_it(world: World, pbx_http: PbxDouble) -> None:
    Pbx.objects.filter(pk=world.us.pbx.pk).update(serial="", other_serial="")
    pbx_http.add(world.us.number)

    answer = client_of(world, "manager").get(f"/pbxs/{world.us.pbx.pk}/ivrs/{world.us.number}/edit/")

    assert answer.status_code == 200
    assert says_whose(answer) == [f"Review change on {PBX}"]


@pytest.mark.parametrize("status", Change.Status.values)
def test_a_change_names_it_whatever_became_of_it(world: World, status: str) -> None:
    held_until = timezone.now() + timedelta(seconds=30) if status == "sending" else None
    Change.objects.filter(pk=world.us.conflict.pk).update(status=status, claimed_until=held_until)

    found = says_whose(client_of(world, "manager").get(f"/changes/{world.us.conflict.pk}/"))

    starts = {"planned": ["Apply on"], "conflict": ["Apply on"], "unknown": ["Check"]}.get(status, [])
    starts += [] if status in ("planned", "sending") else ["Ring my phone from"]
    assert all(label.startswith(start) for label, start in zip(found, starts, strict=True))


def test_the_connection_test_names_it(world: World, pbx_http: PbxDouble) -> None:
    found = says_whose(client_of(world, "manager").post(f"/pbxs/{world.us.pbx.pk}/test/"))

    assert f"Test {PBX} again" in found


def test_an_import_names_its_customer(world: World) -> None:
    content = f"customer,name,site\n{CUSTOMER},{PBX},elsewhere".encode()
    client = client_of(world, "manager")

    page = client.post("/pbxs/import/", {"file": SimpleUploadedFile("x.csv", content)}, follow=True).content.decode()

    assert CUSTOMER in part(page, "<title>", "</title>")
    assert f"Import 1 PBX of {CUSTOMER}" in buttons(page)
