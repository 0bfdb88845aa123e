"""Tags: a PBX has a set of folded words; lists narrow to one of them, and the search finds them."""

import re

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from ivr.models import Ivr
from ivr.selectors import IvrFilter, pbxs_in_view
from pbxadmin.access.models import Customer
from pbxadmin.audit.models import Event
from pbxadmin.fleet.inputs import clean_tags
from pbxadmin.fleet.models import Pbx, PbxTag, has_tag
from pbxadmin.fleet.services import pbx_edit
from tests.factories import make_customer, make_pbx, make_user

from .test_pbx_form import typed

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(client: Client) -> Customer:
    acme = make_customer("Acme Logistics")
    client.force_login(make_user("manager", acme))
    return acme


def shown(client: Client, url: str) -> list[str]:
    return re.findall(r'data-(?:pbx|ivr)="([^"]+)"', client.get(url).content.decode())


@pytest.mark.parametrize(
    ("typed_in", "kept"),
    [
        ("", ""),
        (" , ,", ""),
        ("vip", "vip"),
        ("VIP, ＶＩＰ,vip ", "vip"),
        ("west,  Main   Line", "main line, west"),
        ("STRASSE, straße", "strasse"),
    ],
)
def test_tags_are_folded_and_stand_once_in_order(typed_in: str, kept: str) -> None:
    assert clean_tags(typed_in) == kept
    assert clean_tags(kept) == kept


@pytest.mark.parametrize("bad", ["x" * 31, ",".join(f"t{n}" for n in range(13)), "a\u202eb", "a\0b", "line\nfeed"])
def test_odd_tags_are_refused(bad: str) -> None:
    with pytest.raises(ValidationError):
        clean_tags(bad)


def test_a_person_tags_a_pbx_and_the_log_says_so(client: Client, acme: Customer) -> None:
    client.post("/pbxs/add/", typed(acme, tags="VIP, Leeds"))

    pbx = Pbx.objects.get()
    assert pbx.tag_list == ["leeds", "vip"]
    assert Event.objects.get(action="pbx.added").data["fields"]["tags"] == {"asked": "leeds, vip"}
    page = client.get(f"/pbxs/{pbx.pk}/").content.decode()
    assert '<a class="chip tag" href="/pbxs/?tag=leeds" title="leeds"><bdi>leeds</bdi></a>' in page


def test_tagging_forgets_nothing_of_the_connection(acme: Customer) -> None:
    pbx = make_pbx(acme)
    Pbx.objects.update(state="reachable")
    pbx.refresh_from_db()

    assert pbx_edit(pbx=pbx, values={"tags": "vip"})

    assert (Pbx.objects.get().state, Pbx.objects.get().revision) == ("reachable", 0)


@pytest.mark.parametrize("tags", ["vip", "vip, west", "east, vip", "east, vip, west"])
def test_a_tag_is_found_wherever_it_stands(client: Client, acme: Customer, tags: str) -> None:
    tagged = make_pbx(acme, name="TAGGED", tags=tags)
    make_pbx(acme, name="NOT", tags="not vip, vips, a vip b")

    assert shown(client, "/pbxs/?tag=VIP") == [str(tagged.pk)]


def test_the_list_of_ivrs_narrows_to_a_tag_and_so_does_reading_them(client: Client, acme: Customer) -> None:
    for name, tags in (("TAGGED", "vip"), ("NOT", "")):
        pbx = make_pbx(acme, name=name, tags=tags)
        Ivr.objects.create(pbx=pbx, number=f"65{len(name)}", read_at=timezone.now())

    assert shown(client, "/ivrs/?tag=vip") == ["656"]
    assert [pbx.name for pbx in pbxs_in_view(make_user("viewer"), IvrFilter.from_query({"tag": "vip"}))] == ["TAGGED"]
    assert "tag=vip" in IvrFilter.from_query({"tag": " VIP "}).query


@pytest.mark.parametrize("url", ["/pbxs/?q=vip", "/ivrs/?q=vip"])
def test_the_search_finds_tags(client: Client, acme: Customer, url: str) -> None:
    pbx = make_pbx(acme, tags="vip")
    Ivr.objects.create(pbx=pbx, number="6500", read_at=timezone.now())

    assert len(shown(client, url)) == 1


def test_a_percent_sign_in_a_tag_matches_itself_only(client: Client, acme: Customer) -> None:
    make_pbx(acme, tags="vip, west")

    assert shown(client, "/pbxs/?tag=%25") == shown(client, "/pbxs/?tag=v_p") == []


def test_only_tags_of_ones_own_customers_are_offered(client: Client, acme: Customer) -> None:
    make_pbx(acme, tags="vip")
    make_pbx(make_customer("Bellweather Clinics"), tags="secret-project")

    for url in ("/pbxs/", "/ivrs/"):
        page = client.get(url).content.decode()
        assert '<option value="vip">' in page
        assert "secret-project" not in page


def test_the_search_takes_tags_as_they_stand_in_a_file(client: Client, acme: Customer) -> None:
    make_pbx(acme, name="BOTH", tags="leeds, vip")
    make_pbx(acme, name="ONE", tags="leeds")

    assert len(shown(client, "/pbxs/?q=leeds,+vip")) == 1


def test_an_edit_takes_tags_away_and_leaves_those_of_others(acme: Customer) -> None:
    pbx, other = make_pbx(acme, tags="leeds, vip"), make_pbx(acme, name="OTHER", tags="leeds")

    assert pbx_edit(pbx=pbx, values={"tags": "vip, west"})
    assert not pbx_edit(pbx=pbx, values={"tags": "vip, west"})

    assert (Pbx.objects.get(pk=pbx.pk).tags, Pbx.objects.get(pk=other.pk).tags) == ("vip, west", "leeds")
    fields = Event.objects.get(action="pbx.edited").data["fields"]
    assert fields == {"tags": {"before": "leeds, vip", "asked": "vip, west"}}


def test_an_index_finds_a_tag(acme: Customer) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # it reads small tables whole

    for rows in (Pbx.objects.filter(has_tag("vip")), Ivr.objects.filter(has_tag("vip", "pbx__"))):
        assert "pbx_tag_by_name" in rows.explain()


@pytest.mark.django_db(transaction=True)
def test_tags_move_from_the_column_into_rows_and_back() -> None:
    pbx = make_pbx(tags="leeds, vip")
    plain = make_pbx(make_customer("Bellweather Clinics"), name="PLAIN")
    try:
        call_command("migrate", "fleet", "0009", verbosity=0)
        assert in_column() == {pbx.pk: "leeds, vip", plain.pk: ""}
        assert not PbxTag.objects.exists()
    finally:
        call_command("migrate", verbosity=0)

    assert (Pbx.objects.get(pk=pbx.pk).tags, Pbx.objects.get(pk=plain.pk).tags) == ("leeds, vip", "")


def in_column() -> dict[int, str]:
    """Return what the column that is gone held, by PBX."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, tags FROM fleet_pbx")
        return dict(cursor.fetchall())
