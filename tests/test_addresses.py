"""Addresses come from their names, and no package reaches into the views of another."""

import re
from pathlib import Path

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver, resolve, reverse

from ivr.addresses import ivr_address, ivr_page_address

ROOT = Path(settings.BASE_DIR)
PYTHON = sorted([*(ROOT / "pbxadmin").rglob("*.py"), *(ROOT / "ivr").rglob("*.py")])
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def test_no_template_writes_an_address_by_hand():
    by_hand = re.compile(r"""\b(?:href|action|url|hx-get|hx-post)=["']/""")

    assert [path.name for path in TEMPLATES if by_hand.search(path.read_text(encoding="utf-8"))] == []


def test_no_package_imports_the_views_of_another():
    import_of_views = re.compile(r"^from ((?:pbxadmin\.)?\w+)\.(?:\w*views)\b", re.MULTILINE)
    ours = {"ivr", *(f"pbxadmin.{path.name}" for path in (ROOT / "pbxadmin").iterdir() if path.is_dir())}

    found = [
        (str(path.relative_to(ROOT)), package)
        for path in PYTHON
        for package in import_of_views.findall(path.read_text(encoding="utf-8"))
        if package in ours and not str(path.relative_to(ROOT)).startswith(package.replace(".", "/"))
    ]

    assert found == []


def names(entry: URLPattern | URLResolver) -> list[str | None]:
    if isinstance(entry, URLPattern):
        return [entry.name]
    return [name for below in entry.url_patterns for name in names(below)]


def test_only_one_module_asks_a_request_for_its_host():
    """Addresses that leave the site come from `site_address`; a proxy may pass any Host."""
    asks = re.compile(r"\bbuild_absolute_uri\(|\bget_host\(|\bget_current_site\(")

    found = [path.relative_to(ROOT) for path in PYTHON if asks.search(path.read_text(encoding="utf-8"))]

    assert [str(path) for path in found] == ["pbxadmin/web/site.py"]


def test_every_address_has_a_name():
    assert all(names(get_resolver()))


def test_the_address_of_an_ivr_leads_to_it_whatever_its_number_holds():
    for number in ("6500", "*6#", "#", "*98", "0100"):
        address = ivr_address(7, number)
        found = resolve(address.replace("%23", "#"))

        assert (found.view_name, found.kwargs) == ("ivr:ivr-page", {"pbx_id": 7, "number": number})
        assert address == reverse("ivr:ivr-page", args=[7, number])


def test_a_number_that_cannot_stand_in_an_address_leads_to_the_list_of_its_pbx():
    for number in ("", "65/00", "65 00", "6500?", "6" * 33):
        assert ivr_page_address(7, number) == ""
        assert ivr_address(7, number) == "/pbxs/7/ivrs/"
