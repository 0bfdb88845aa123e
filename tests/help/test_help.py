"""The help: the pages of docs/ inside the product, found by state, by outcome and by words."""

import re

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.template import Context, Template
from django.test import Client
from django.urls import resolve

from ivr.models import Change
from pbxadmin.fleet.models import NEEDS_A_PERSON
from pbxadmin.help.pages import FIRST_PAGE, help_found, help_pages
from tests.factories import make_user

ROUGH = set(Change.Status.values) - {"planned", "sending", "verified"}


def links_in(html: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', html)


@pytest.mark.parametrize("slug", sorted(help_pages()))
def test_every_link_and_picture_of_a_page_is_there(slug):
    for link in links_in(help_pages()[slug].html):
        place, _, section = link.partition("#")
        if place.startswith("/static/"):
            assert finders.find(place.removeprefix("/static/")), link
        elif place.startswith("/help/"):
            target = help_pages()[resolve(place).kwargs.get("slug", FIRST_PAGE)]
            assert not section or f'id="{section}"' in target.html, link
        else:
            assert place == "" or place.startswith("https://"), link


def test_the_first_page_leads_to_every_other():
    linked = set(links_in(help_pages()[FIRST_PAGE].html))

    left_out = [page.slug for page in help_pages().values() if page.slug != FIRST_PAGE and page.address not in linked]
    assert left_out == [], 'Follow the recipe "Add a page to the help" in CONTRIBUTING.md.'


@pytest.mark.parametrize("trouble", sorted({*map(str, NEEDS_A_PERSON), *ROUGH}))
def test_whatever_goes_wrong_has_a_page_that_its_state_links_to(trouble):
    template = Template("{% load help %}{% help_about trouble %}")

    assert f'href="/help/trouble/{trouble}/"' in template.render(Context({"trouble": trouble}))


def test_what_is_well_links_to_nothing():
    assert Template('{% load help %}{% help_about "verified" %}').render(Context()) == ""


def test_no_page_has_markup_that_our_policy_refuses():
    for page in help_pages().values():
        assert not re.search(r"<script|<style|<[^>]*\s(style|on\w+)=|javascript:", page.html), page.slug


@pytest.mark.django_db
def test_a_page_is_shown_with_its_sections_to_who_is_signed_in(client: Client):
    assert client.get("/help/").status_code == 302
    client.force_login(make_user())

    page = client.get("/help/trouble/unknown/").content.decode()

    assert "<h1>Unknown</h1>" in page
    assert '<a href="#what-to-do">What to do</a>' in page
    assert client.get("/help/no-such/").status_code == 404
    assert client.get("/help/../settings/").status_code == 404


@pytest.mark.django_db
def test_a_search_finds_pages_with_all_words(client: Client):
    client.force_login(make_user())

    page = client.get("/help/", {"q": "certificate <b>"}).content.decode()
    found = [page.slug for page, _ in help_found("Fingerprint compare")]

    assert "&lt;b&gt;" in page
    assert "trouble/untrusted" in found
    assert "trouble/locked" not in found
    assert not list(help_found("   "))


def test_pages_are_the_files_below_docs():
    files = {path.relative_to(settings.BASE_DIR / "docs") for path in (settings.BASE_DIR / "docs").glob("**/*.md")}

    assert {f"{slug}.md" for slug in help_pages()} == {path.as_posix() for path in files}


def test_a_link_that_names_a_file_of_the_repository_says_the_title_of_its_page():
    html = "".join(page.html for page in help_pages().values())

    assert re.findall(r"<a [^>]*>[\w/-]+\.md</a>", html) == []
    assert '<a href="/help/siem/">Events for a SIEM</a>' in help_pages()["audit"].html


def test_a_table_scrolls_by_itself_and_each_cell_says_its_column():
    html = help_pages()["people"].html

    assert '<div class="scroll" tabindex="0">\n<table class="table free">' in html.replace('"0"><table', '"0">\n<table')
    assert '<td data-label="May">see PBXs, IVRs and changes</td>' in html


def test_a_picture_does_not_end_the_list_around_it():
    html = help_pages()["batches"].html

    assert html.count("<ol>") == 1


def test_a_piece_of_a_page_has_whole_words():
    for page, piece in help_found("webhook"):
        words = piece.strip("… ").split()
        assert set(words) <= set(page.text.split()), piece
