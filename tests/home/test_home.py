"""The control room: what needs attention, how the fleet is, what was changed last."""

import re
from collections import Counter
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from ivr.changes.restore import outside_accept
from ivr.models import Ivr
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_archive, membership_grant
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.home.plots import WORST_FIRST, customer_map, fleet_map
from pbxadmin.review.desk import desk_read
from pbxadmin.review.models import Period
from tests.factories import make_change, make_customer, make_outside, make_pbx, make_user

pytestmark = pytest.mark.django_db


def seen_by(client, role, customer=None, **fields):
    client.force_login(make_user(role, customer, **fields))
    return client


def make_ivr(pbx, number="6500", **fields):
    return Ivr.objects.create(pbx=pbx, number=number, read_at=timezone.now(), **fields)


def page_of(client):
    answer = client.get("/")
    assert answer.status_code == 200
    return answer.content.decode()


def tiles(page):
    """Name of each tile: the text after it, such as "2 of 3"."""
    found = {}
    for tile in re.findall(r'<a class="panel tile".*?</a>', page, re.S):
        name, figure, more = re.findall(r'class="(?:name|figure|more)">(.*?)</span>(?=<span|</a>)', tile, re.S)
        found[plain(name)] = (plain(figure), plain(more))
    return found


def plain(markup):
    return " ".join(re.sub("<[^>]+>", " ", markup).split())


def test_who_is_not_signed_in_is_led_to_sign_in(client):
    assert client.get("/")["Location"] == "/accounts/login/?next=/"


def test_home_is_only_read(client, acme):
    assert seen_by(client, "manager", acme).post("/").status_code == 405


def test_the_counts_are_those_of_the_fleet(client, acme):
    now = timezone.now()
    pbxs = [
        make_pbx(acme, name=f"ACME-{place}", state=state, state_at=now, read_at=read_at)
        for place, (state, read_at) in enumerate(
            [
                (PbxState.REACHABLE, now),
                (PbxState.REACHABLE, now - timedelta(minutes=16)),
                (PbxState.UNREACHABLE, now - timedelta(minutes=14)),
                (PbxState.LOCKED, None),
                (PbxState.NEVER_CHECKED, None),
            ]
        )
    ]
    for number, dial_outbound in (("6500", "on"), ("6501", "off"), ("6502", None)):
        make_ivr(pbxs[0], number, dial_outbound=dial_outbound)
    make_change(pbxs[0], "unknown")
    make_change(pbxs[0], "not-as-asked")
    make_change(pbxs[0], "verified")
    make_change(pbxs[0], "unknown", planned_at=now - timedelta(days=8))

    page = page_of(seen_by(client, "viewer", acme))

    assert tiles(page) == {
        "PBXs need attention": ("2", "of 5"),
        "Changes not verified": ("2", "in 7 days"),
        "Dial-out on": ("1", "of 3 IVRs, 0 new, 0 accepted"),
        "Up to date": ("2 of 5", "read within 15 min"),
    }
    assert "1 customer, 5 PBXs, 3 IVRs" in plain(page)


def test_a_disabled_pbx_is_no_part_of_the_fleet(client, acme):
    make_pbx(acme)
    make_pbx(acme, name="ACME-OFF", is_enabled=False, state=PbxState.LOCKED)

    page = page_of(seen_by(client, "viewer", acme))

    assert tiles(page)["PBXs need attention"] == ("0", "of 1")
    assert "ACME-OFF" not in page


def test_a_pbx_of_an_archived_customer_needs_nobody(client, acme, bellweather):
    make_pbx(acme, name="ACME-HQ")
    make_pbx(bellweather, name="BELL-HQ", state=PbxState.LOCKED)
    customer_archive(customer=bellweather)

    page = page_of(seen_by(client, "manager"))

    assert tiles(page)["PBXs need attention"] == ("0", "of 1")
    assert "BELL-HQ" not in page


def both(acme, bellweather):
    """The same on both sides: a PBX in trouble, an IVR that dials out, a change nobody knows the end of."""
    for customer, name in ((acme, "ACME-HQ"), (bellweather, "BELL-HQ")):
        pbx = make_pbx(customer, name=name, state=PbxState.LOCKED, state_at=timezone.now(), read_at=timezone.now())
        make_ivr(pbx, dial_outbound="on")
        make_change(pbx, "unknown")


def acts(who):
    """The tile of outside changes is for whoever may act on them; there are none here."""
    return ["0"] if who in ("helpdesk", "auditor", "manager", "site admin") else []


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "auditor", "manager"])
def test_nothing_of_another_customer_is_named_or_counted(client, acme, bellweather, role):
    both(acme, bellweather)

    page = page_of(seen_by(client, role, acme))

    assert "ACME-HQ" in page
    assert "BELL" not in page
    assert "Bellweather" not in page
    assert [figure for figure, _ in tiles(page).values()] == ["1", "1", *acts(role), "1", "1 of 1"]
    assert "1 customer, 1 PBX, 1 IVR ·" in plain(page)
    assert re.findall(r'aria-label="(1 PBX[^"]*)"', page) == ["1 PBX: 1 locked"]


@pytest.mark.parametrize("who", ["viewer of all", "site admin", "viewer of both"])
def test_who_sees_both_customers_sees_both_counted(client, acme, bellweather, who):
    both(acme, bellweather)
    user = make_user(is_superuser=who == "site admin")
    for customer in {"viewer of all": [None], "viewer of both": [acme, bellweather]}.get(who, []):
        membership_grant(user=user, role=Role.VIEWER, customer=customer)
    client.force_login(user)

    page = page_of(client)

    assert "ACME-HQ" in page
    assert "BELL-HQ" in page
    assert [figure for figure, _ in tiles(page).values()] == ["2", "2", *acts(who), "2", "2 of 2"]
    assert "2 customers, 2 PBXs, 2 IVRs" in plain(page)


@pytest.mark.parametrize("state", PbxState.values)
def test_only_a_state_that_needs_a_person_is_listed_with_the_reason(client, acme, state):
    pbx = make_pbx(acme, state=state, state_reason="Because \u202eit is so.", state_at=timezone.now())

    page = page_of(seen_by(client, "viewer", acme))

    needs = state not in (PbxState.REACHABLE, PbxState.NEVER_CHECKED)
    assert (f'data-pbx="{pbx.pk}" data-state="{state}"' in page) is needs
    assert ("Nothing needs you." in page) is not needs
    assert ("U+202E" in page) is needs
    assert "\u202e" not in page


def test_what_waits_longest_stands_first_and_eight_are_enough(client, acme):
    for place in range(10):
        at = timezone.now() - timedelta(hours=place)
        make_pbx(acme, name=f"ACME-{place}", state=PbxState.UNREACHABLE, state_at=at)

    page = page_of(seen_by(client, "viewer", acme))

    listed = re.findall(r'data-state="unreachable">.*?<bdi>(ACME-\d)</bdi>', page, re.S)
    assert listed == [f"ACME-{place}" for place in range(9, 1, -1)]
    assert tiles(page)["PBXs need attention"] == ("10", "of 10")
    assert "2 more PBXs need attention." in plain(page)


def test_what_two_tiles_count_is_listed_where_they_lead(client, acme):
    pbx = make_pbx(acme, state=PbxState.LOCKED, state_at=timezone.now())
    made = [make_change(pbx, status) for status in ("unknown", "not-as-asked", "unknown")]
    made += [make_change(pbx, "not-as-asked") for _ in range(6)]

    page = page_of(seen_by(client, "viewer", acme))

    make_change(pbx, "verified")
    make_change(pbx, "unknown", planned_at=timezone.now() - timedelta(days=8))
    address = re.search(r'href="(/changes/\?[^"]+)"[^>]*>(?:(?!</a>).)*Changes not verified', page, re.S)[1]
    listed = re.findall(r'class="main" href="/changes/(\d+)/"', client.get(unescape(address)).content.decode())
    assert listed == [str(change.pk) for change in made[::-1]]
    assert 'href="/pbxs/?state=needs-attention"' in page
    needs = page[page.index('id="needs"') : page.index("Recent changes")]
    assert f'data-pbx="{pbx.pk}"' in needs
    assert re.findall(r'href="/changes/(\d+)/"', needs) == [str(change.pk) for change in made[:0:-1]]
    assert "1 more change is not verified." in plain(needs)
    assert "more PBX" not in needs


def test_the_last_changes_are_shown_newest_first_with_what_was_asked(client, acme):
    pbx = make_pbx(acme)
    made = [make_change(pbx, number=str(6500 + place)) for place in range(10)]

    page = page_of(seen_by(client, "viewer", acme))

    assert re.findall(r'class="main" href="/changes/(\d+)/"', page) == [str(change.pk) for change in made[:1:-1]]
    assert "Response timeout 3 s → 6 s" in page


def test_without_changes_it_says_where_they_will_appear(client, acme):
    make_pbx(acme)

    assert "No changes yet." in page_of(seen_by(client, "viewer", acme))


def test_names_are_escaped(client, acme):
    pbx = make_pbx(acme, state=PbxState.LOCKED, state_at=timezone.now())
    Pbx.objects.filter(pk=pbx.pk).update(name="<script>alert(1)</script>")
    pbx.refresh_from_db()
    make_change(pbx)

    page = page_of(seen_by(client, "viewer", acme))

    assert page.count("<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>") == 2
    assert "<script>alert" not in page


def test_the_first_run_leads_a_site_admin_to_a_customer_and_then_to_a_pbx(client):
    seen_by(client, None, is_superuser=True)

    page = page_of(client)
    assert 'href="/customers/add/"' in page
    assert 'href="/pbxs/add/"' not in page

    make_customer()
    page = page_of(client)
    assert 'class="btn primary" href="/customers/add/"' not in page
    assert 'class="btn primary" href="/pbxs/add/"' in page


def test_the_first_run_leads_a_manager_to_a_pbx(client, acme):
    page = page_of(seen_by(client, "manager", acme))

    assert 'class="btn primary" href="/pbxs/add/"' in page
    assert "/customers/add/" not in page


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "auditor", None])
def test_who_may_add_nothing_is_told_whom_to_ask(client, acme, bellweather, role):
    make_pbx(bellweather, name="BELL-HQ")

    page = page_of(seen_by(client, role, acme if role else None))

    assert "No PBX to see" in page
    assert "/pbxs/add/" not in page
    assert "BELL-HQ" not in page


@pytest.mark.parametrize(("role", "count"), [("viewer", 10), ("auditor", 12), ("manager", 12)])
def test_home_takes_as_many_queries_however_large_the_fleet(client, acme, django_assert_num_queries, role, count):
    now = timezone.now()
    for place in range(30):
        pbx = make_pbx(acme, name=f"ACME-{place}", state=PbxState.LOCKED, state_at=now)
        make_ivr(pbx)
        make_change(pbx, "unknown")
        make_outside(pbx)
    seen_by(client, role, acme)

    with django_assert_num_queries(count):
        page_of(client)


def test_the_map_has_a_named_and_linked_square_for_each_pbx_by_customer(client, acme, bellweather):
    bell = make_pbx(bellweather, name="BELL-HQ", state=PbxState.LOCKED)
    made = [make_pbx(acme, name=f"ACME-{place:02}", state=PbxState.REACHABLE) for place in range(21)]

    first, second = fleet_map(Pbx.objects.select_related("customer"))
    page = page_of(seen_by(client, "viewer"))

    assert (first.name, first.height, len(first.squares)) == ("Acme Logistics", 36, 21)
    assert (first.squares[20].x, first.squares[20].y, first.squares[20].marked) == (0, 18, False)
    assert [square.marked for square in second.squares] == [True]
    assert re.findall(r'data-square="(\d+)"', page) == [str(pbx.pk) for pbx in [*made, bell]]
    assert f'href="/pbxs/{bell.pk}/"' in page
    assert "<title>BELL-HQ: Locked</title>" in page


def test_of_a_large_fleet_each_customer_has_a_square_in_the_colour_of_its_worst_pbx(
    client, acme, bellweather, monkeypatch
):
    monkeypatch.setattr("pbxadmin.home.views.MOST_DRAWN", 2)
    for name, state in (("ACME-0", "reachable"), ("ACME-1", "unreachable"), ("ACME-2", "untrusted")):
        make_pbx(acme, name=name, state=state, state_at=timezone.now())
    make_pbx(bellweather, name="BELL-HQ", state=PbxState.REACHABLE)

    page = page_of(seen_by(client, "viewer"))

    assert "data-square" not in page
    drawn = re.findall(
        r'<a href="([^"]+)"[^>]+data-customer-square.*?<title>(.*?)</title>.*?data-tone="(\w+)"', page, re.S
    )
    assert drawn == [
        (f"/customers/{acme.pk}/home/", "Acme Logistics: 3 PBXs: 1 reachable, 1 unreachable, 1 untrusted", "bad"),
        (f"/customers/{bellweather.pk}/home/", "Bellweather Clinics: 1 PBX: 1 reachable", "ok"),
    ]
    assert page.count('class="mark"') == 1
    assert "list of customers</a>." in page
    one = client.get(f"/customers/{acme.pk}/home/").content.decode()
    assert len(re.findall('data-square="', one)) == 2
    assert "1 more in the" in one
    assert "ACME-0: " not in one


def test_of_too_many_customers_those_who_need_somebody_are_drawn(monkeypatch):
    monkeypatch.setattr("pbxadmin.home.plots.MOST_DRAWN", 2)
    well, ill = Counter({"reachable": 3}), Counter({"reachable": 2, "locked": 1})

    drawn = customer_map({(1, "A"): well, (2, "C"): well, (3, "b"): ill})

    assert [square.name for square in drawn.squares] == ["A", "b"]
    assert set(WORST_FIRST) == set(PbxState)


def test_the_worst_stands_first_with_what_mends_it(client, acme):
    for name, state in (("A", "unreachable"), ("B", "credentials-rejected"), ("C", "untrusted")):
        make_pbx(acme, name=name, state=state, state_at=timezone.now())
    make_change(Pbx.objects.get(name="A"), "unknown")

    needs = page_of(seen_by(client, "manager", acme)).split('id="needs"')[1].split("Recent changes")[0]

    marks = re.findall(r'data-state="([a-z-]+)"|(/changes/)', needs)
    assert ["".join(mark) for mark in marks] == ["credentials-rejected", "untrusted", "/changes/", "unreachable"]
    assert f'href="/pbxs/{Pbx.objects.get(name="B").pk}/edit/">Edit credentials' in needs
    assert "Compare certificates of C" in needs


def test_changes_of_each_day_are_drawn_by_outcome_and_as_a_table(client, acme, bellweather):
    pbx = make_pbx(acme)
    for status in ("verified", "verified", "refused"):
        make_change(pbx, status)
    make_change(make_pbx(bellweather), "unknown")

    page = page_of(seen_by(client, "viewer", acme))

    assert "2 verified, 1 refused" in page
    assert "1 unknown" not in page


@pytest.mark.parametrize(("role", "is_shown"), [("viewer", 0), ("helpdesk", 1), ("auditor", 1), ("manager", 1)])
def test_an_outside_change_that_stands_needs_whoever_may_act_on_it(client, acme, bellweather, role, is_shown):
    for customer, name in ((acme, "ACME-HQ"), (bellweather, "BELL-HQ")):
        pbx = make_pbx(customer, name=name)
        make_ivr(pbx, prompt_repeat="5")
        make_outside(pbx)

    page = page_of(seen_by(client, role, acme))

    assert page.count("data-outside=") == is_shown
    assert ("Nothing needs you." in page) is not is_shown
    assert tiles(page).get("Changed outside", ("0", ""))[0] == str(is_shown)
    assert "BELL" not in page


def test_what_was_accepted_restored_or_vanished_and_is_back_needs_nobody(client, acme):
    pbx = make_pbx(acme)
    make_ivr(pbx, "6500", prompt_repeat="5")
    make_ivr(pbx, "6501", prompt_repeat="1")
    outside_accept(event=make_outside(pbx), note="Told.")
    make_outside(pbx, "6501")
    make_outside(pbx, "6500", "ivr.vanished")
    gone = make_outside(pbx, "6502", "ivr.vanished")

    page = page_of(seen_by(client, "helpdesk", acme))

    assert re.findall(r'data-outside="(\d+)"', page) == [str(gone.pk)]
    assert f'href="/pbxs/{pbx.pk}/ivrs/6502/"' in page


@pytest.mark.parametrize(("role", "is_shown"), [("viewer", False), ("helpdesk", False), ("auditor", True)])
def test_what_is_open_on_the_desk_is_counted_for_who_reviews_it(client, acme, bellweather, role, is_shown):
    make_pbx(acme)
    for customer in (acme, acme, bellweather):
        record(EventAction.CHANGE_OUTCOME, customer=(customer.pk, customer.name), outcome="unknown")
    desk_read()

    page = page_of(seen_by(client, role, acme))

    assert ("2 exceptions on the desk" in page) is is_shown
    assert ('href="/audit/desk/"' in page) is is_shown


def test_a_reopened_period_needs_its_auditor(client, acme, bellweather):
    make_pbx(acme)
    for customer in (acme, bellweather):
        days = {"starts_on": timezone.now(), "ends_on": timezone.now()}
        Period.objects.create(customer=customer, reopened_at=timezone.now(), **days)

    assert "1 signed period<" in page_of(seen_by(client, "auditor", acme))


def test_the_same_is_there_for_one_customer_alone(client, acme, bellweather):
    both(acme, bellweather)
    seen_by(client, "manager")

    page = client.get(f"/customers/{acme.pk}/home/").content.decode()

    assert [figure for figure, _ in tiles(page).values()] == ["1", "1", "0", "1", "1 of 1"]
    assert page.count("data-square=") == 1
    assert "BELL" not in page
    assert "Bellweather" not in page
    assert f'href="/pbxs/?state=needs-attention&amp;customer={acme.pk}"' in page


def test_what_people_are_told_of_is_acknowledged_in_its_place(client, acme):
    pbx = make_pbx(acme)
    make_ivr(pbx, prompt_repeat="5")
    event = make_outside(pbx)
    seen_by(client, "helpdesk", acme)
    form = re.search(rf'action="([^"]+)" data-condition="outside/{event.pk}"', page_of(client))

    client.post(form[1])

    assert f'data-acknowledged="outside/{event.pk}"' in page_of(client)
    assert "data-condition" not in page_of(seen_by(client, "viewer", acme))
