"""The lists of IVRs: search, filters, sort, pages, CSV; and reading PBXs again."""

import csv
import io
import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone
from django.utils.html import strip_tags

from ivr import selectors
from ivr.bulk_reading import RUN_S
from ivr.models import Ivr, Refresh, RefreshItem
from ivr.refresh import refresh_rekick, refresh_start, refresh_work
from pbxadmin.access.models import User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_archive, membership_end, membership_grant
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.fleet.lease import leased
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_customer, make_pbx, make_snapshots, make_user
from tests.pbx_http import IVR, cannot_be_reached
from tests.waiting import Clock
from tests.walks import there_and_back

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pbx(acme):
    return make_pbx(acme, site="Leeds, Kirkstall Road", main_numbers="0113 496 0100", notes="Door code with Tom")


@pytest.fixture
def member(client, acme):
    client.force_login(make_user(Role.HELPDESK, acme))
    return client


def keep(pbx, *ivrs, **common):
    entries = [IVR | common | ivr for ivr in ivrs]
    make_snapshots(pbx, *(read_ivr(entry, ApiVersion.V1_0) for entry in entries))


def listed(client, query="", path="/ivrs/"):
    answer = client.get(f"{path}?{query}")
    assert answer.status_code == 200
    return re.findall(r'data-ivr="([^"]*)"', answer.content.decode())


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("6501", ["6501"]),
        ("night", ["6501"]),
        ("acme-hq", ["6500", "6501"]),
        ("kirkstall NIGHT", ["6501"]),
        ("0113", ["6500", "6501"]),
        ("door+code", ["6500", "6501"]),
        ("logistics", ["6500", "6501"]),
        ("nothing", []),
        ("100%25", []),
        ("%00", ["6500", "6501"]),
    ],
)
def test_words_are_looked_for_everywhere(member, pbx, q, found):
    keep(pbx, {}, {"ivrnumber": "6501", "ivrname": "Night"})

    assert listed(member, f"q={q}") == found


def test_filters_narrow_and_combine(member, pbx, acme):
    other = make_pbx(acme, name="ACME-DEPOT")
    keep(
        pbx,
        {},
        {"ivrnumber": "6501", "dialoutboundroutes": "on"},
        {"ivrnumber": "6502", "dialext": "on", "responsetimeout": 9},
    )
    keep(other, {"ivrnumber": "6600", "responsetimeout": "x"})

    assert listed(member, "dial_outbound=on") == ["6501"]
    assert listed(member, "dial_extension=on") == ["6502"]
    assert listed(member, "response_under=9") == ["6500", "6501"]
    assert listed(member, f"pbx={other.pk}") == ["6600"]
    assert listed(member, f"customer={acme.pk}&dial_outbound=on&dial_extension=on") == []
    assert listed(member, "customer=x&pbx=&response_under=-1&sort=evil&cursor=@@") == ["6600", "6500", "6501", "6502"]


def test_it_says_what_callers_may_dial_with_outside_numbers(member, pbx):
    keep(pbx, {}, {"ivrnumber": "6501", "dialoutboundroutes": "on"}, {"ivrnumber": "6502", "dialext": "on"})

    for path in ("/ivrs/", f"/pbxs/{pbx.pk}/"):
        page = member.get(path).content.decode()
        assert re.findall(r'data-label="Callers may dial">([^<]+)<', page) == [
            "Keys only",
            "Outside numbers",
            "An extension",
        ], path


@pytest.mark.parametrize("sort", ["number", "name", "pbx", "customer", "response", "read"])
def test_pages_follow_each_other_both_ways_in_every_order(member, pbx, sort, monkeypatch):
    monkeypatch.setattr("ivr.views.lists.IVRS_PER_PAGE", 3)
    keep(pbx, *({"ivrnumber": f"65{n:02}", "responsetimeout": "?" if n % 3 else str(n % 2 + 1)} for n in range(8)))
    for order in (sort, f"-{sort}"):
        forwards, backwards = walk(member, f"sort={order}")

        assert len(set(forwards)) == 8
        assert forwards[:6] == backwards


def walk(client, query):
    def page_at(cursor):
        return client.get(f"/ivrs/?{query}&cursor={cursor}").context["page"]

    def numbers_on(pages):
        return [row["number"] for page in pages for row in page.rows]

    there, back = there_and_back(page_at)
    return numbers_on(there), numbers_on(back)


def test_the_list_takes_few_queries_however_long(member, pbx, django_assert_max_num_queries):
    keep(pbx, *({"ivrnumber": str(6500 + n)} for n in range(120)))

    listed(member, "q=650+acme")  # a process looks once whether the indexes are there
    with django_assert_max_num_queries(13):  # one for each word, to find its PBXs
        listed(member, "q=650+acme")


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/ivrs/", "", "3 IVRs on 2 PBXs, oldest reading just now"),
        ("/ivrs/", "q=65", "2 of 3 IVRs on 1 PBX, oldest reading just now"),
        ("/ivrs/", "pbx={pbx}", "2 of 3 IVRs on 1 PBX, oldest reading just now"),
        ("/pbxs/{pbx}/ivrs/", "", "2 IVRs on 1 PBX, oldest reading just now"),
        ("/pbxs/{pbx}/ivrs/", "q=6501", "1 of 2 IVRs on 1 PBX, oldest reading just now"),
    ],
)
def test_the_list_says_how_much_of_what_there_is_it_shows(member, pbx, acme, bellweather, path, query, said):
    keep(pbx, {"ivrnumber": "6500"}, {"ivrnumber": "6501"})
    keep(make_pbx(acme, name="ACME-LEEDS"), {"ivrnumber": "7000"})
    keep(make_pbx(bellweather, name="BELL-HQ"), {"ivrnumber": "6502"})

    page = member.get(f"{path}?{query}".format(pbx=pbx.pk)).content.decode()

    assert strip_tags(re.search(r"data-say>(.*?)</p>", page)[1]) == said


def test_of_more_than_are_counted_it_says_so_and_a_batch_counts_them_all(client, acme, pbx, monkeypatch):
    monkeypatch.setattr(selectors, "COUNTED_AT_MOST", 3)
    keep(pbx, *({"ivrnumber": str(6500 + n)} for n in range(5)), {"ivrnumber": "7000"})
    client.force_login(make_user(Role.MANAGER, acme))

    page = client.get("/ivrs/?q=650").content.decode()

    assert "More than 3 of 6 IVRs</p>" in page
    assert "Select all 5 that match" in page


def test_what_narrows_the_list_can_be_taken_away_one_by_one(member, pbx):
    page = member.get(f"/ivrs/?q=menu&customer={pbx.customer_id}&dial_outbound=on&sort=-name").content.decode()

    chips = {
        strip_tags(words): unescape(rest) for rest, words in re.findall(r'class="chip" href="([^"]*)">(.*?)</a>', page)
    }
    assert chips == {
        "Remove “menu”": f"?customer={pbx.customer_id}&dial_outbound=on&sort=-name",
        "Remove Acme Logistics": "?q=menu&dial_outbound=on&sort=-name",
        "Remove Dial-out on": f"?q=menu&customer={pbx.customer_id}&sort=-name",
    }


def test_a_customer_of_somebody_else_has_no_name_in_what_narrows_the_list(member, bellweather):
    page = member.get(f"/ivrs/?customer={bellweather.pk}").content.decode()

    assert "A customer you do not see" in page
    assert "Bellweather" not in page


def test_taking_the_list_along_is_an_event_of_its_customer(member, pbx):
    keep(pbx, {"ivrnumber": "6500"}, {"ivrnumber": "6501"}, {"ivrnumber": "7000"})

    member.get(f"/pbxs/{pbx.pk}/ivrs/?format=csv&q=65")

    event = Event.objects.get(action="ivrs.exported")
    assert (event.customer_id, event.data["detail"]["ivrs"]) == (pbx.customer_id, 2)
    assert "q=65" in event.data["detail"]["filter"]


@pytest.mark.parametrize("query", ["", "customer={customer}", "pbx={pbx}"])
def test_so_is_taking_along_all_that_somebody_of_one_customer_sees(member, pbx, query):
    keep(pbx, {"ivrnumber": "6500"})

    member.get(f"/ivrs/?format=csv&{query.format(customer=pbx.customer_id, pbx=pbx.pk)}")

    assert Event.objects.get(action="ivrs.exported").customer_id == pbx.customer_id


def test_the_csv_holds_the_whole_filter_and_no_formula(member, pbx):
    keep(pbx, *({"ivrnumber": str(6500 + n), "ivrname": "=1+1"} for n in range(60)))

    answer = member.get("/ivrs/?format=csv&q=65")

    lines = list(csv.reader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))
    assert lines[0][:4] == ["customer", "pbx", "number", "name"]
    assert len(lines) == 61
    assert {line[3] for line in lines[1:]} == {"'=1+1"}


def test_nothing_of_another_customer_is_listed_counted_or_exported(client, pbx):
    keep(pbx, {"ivrname": "SECRET_MENU"})
    client.force_login(make_user(Role.MANAGER, make_customer("Bellweather Clinics")))

    for path in ("/ivrs/", f"/ivrs/?pbx={pbx.pk}", f"/ivrs/?customer={pbx.customer_id}", "/ivrs/?q=secret"):
        assert "SECRET_MENU" not in client.get(path).content.decode()
    assert b"SECRET_MENU" not in b"".join(client.get("/ivrs/?format=csv"))
    assert client.get(f"/pbxs/{pbx.pk}/ivrs/").status_code == 404
    assert client.get(f"/pbxs/{pbx.pk}/ivrs/6500/").status_code == 404


def test_one_ivr_shows_all_ten_fields_and_why_some_are_locked(member, pbx):
    keep(pbx, {"selectedrouters": None, "dialoutboundroutes": "on"})

    page = member.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()

    assert len(set(re.findall(r'data-field="(\w+)"', page))) == 10
    assert 'data-field="dial_outbound" data-value="on"' in page
    assert 'data-field="outbound_routes" data-value=""' in page
    assert "API v1.0.0 cannot change it" in page
    assert "Plays the prompt 3 times, waits 3 s for a key after each, 3 s between digits." in page
    assert "No version of this API shows them" in page


def test_a_prompt_played_once_is_told_as_once(member, pbx):
    keep(pbx, {"promptrepeat": "1"})

    page = member.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()

    assert "Plays the prompt once, waits 3 s for a key, 3 s between digits." in page


def test_reading_one_pbx_keeps_what_it_holds(member, pbx, pbx_http):
    pbx_http.add("6501", ivrname="Night")

    answer = member.post(f"/pbxs/{pbx.pk}/refresh/", follow=True)

    assert listed(member) == ["6500", "6501"]
    assert "ACME-HQ was read: 2 IVRs." in answer.content.decode()
    pbx.refresh_from_db()
    assert (pbx.state, pbx.ivr_count) == ("reachable", 2)


def test_an_ivr_that_is_not_listed_any_more_is_dropped_and_an_empty_list_proves_nothing(member, pbx, pbx_http):
    keep(pbx, {}, {"ivrnumber": "6501"})

    member.post(f"/pbxs/{pbx.pk}/refresh/")
    assert listed(member) == ["6500"]

    pbx_http.ivrs.clear()
    member.post(f"/pbxs/{pbx.pk}/refresh/")
    assert listed(member) == ["6500"]


def test_a_read_that_fails_says_why_and_is_logged(member, pbx, pbx_http):
    pbx_http.fail("login", cannot_be_reached)

    answer = member.post(f"/pbxs/{pbx.pk}/refresh/", {"next": "//evil.example/"}, follow=True)

    assert "ACME-HQ could not be read." in answer.content.decode()
    assert answer.redirect_chain[0][0] == f"/pbxs/{pbx.pk}/ivrs/"
    assert Event.objects.filter(action="refresh.failed", pbx_id=pbx.pk).count() == 1


MARA = Actor(1, "Mara")


def test_a_run_reads_every_pbx_once_and_says_what_failed(acme, pbx, pbx_http):
    dead = make_pbx(acme, name="ACME-DEAD", host="dead.invalid")
    disabled = make_pbx(acme, name="ACME-OFF", is_enabled=False)

    run = refresh_start(pbxs=[pbx, dead, disabled], actor=MARA)
    refresh_work.call(run.pk)

    states = dict(run.items.values_list("pbx__name", "state"))
    assert states == {"ACME-HQ": "done", "ACME-DEAD": "failed", "ACME-OFF": "failed"}
    run.refresh_from_db()
    assert run.finished_at is not None
    assert Ivr.objects.count() == 1


def test_a_pbx_in_use_is_read_when_it_is_free_again(pbx, pbx_http, monkeypatch):
    monkeypatch.setattr("ivr.bulk_reading.time", Clock())
    monkeypatch.setattr("ivr.bulk_reading.IN_USE_WAIT_S", RUN_S)
    run = refresh_start(pbxs=[pbx], actor=MARA)

    with leased(pbx.pk, "Tom"):
        refresh_work.call(run.pk)
        assert run.items.get().state == "waiting"
    refresh_work.call(run.pk)

    assert run.items.get().state == "done"


def test_what_a_dead_worker_had_claimed_is_kicked_again(pbx, pbx_http):
    run = refresh_start(pbxs=[pbx], actor=MARA)
    long_ago = timezone.now() - timedelta(minutes=2)
    RefreshItem.objects.update(state="reading", claimed_until=long_ago)
    Refresh.objects.update(asked_at=long_ago)

    assert refresh_rekick() == 1
    assert run.items.get().state in ("waiting", "done")


def test_all_in_view_are_read_in_the_background(member, pbx, pbx_http):
    answer = member.post("/ivrs/refresh/?q=", follow=True)

    run = Refresh.objects.get()
    assert answer.redirect_chain == [(f"/refreshes/{run.pk}/", 302)]
    assert f'data-pbx="{pbx.pk}"' in answer.content.decode()


def test_a_disabled_pbx_and_one_of_an_archived_customer_are_not_among_them(client, acme):
    in_use, gone = make_pbx(acme, name="IN-USE"), make_customer("Bellweather Clinics")
    make_pbx(acme, name="OFF", is_enabled=False)
    make_pbx(gone, name="GONE")
    customer_archive(customer=gone)
    client.force_login(make_user("viewer"))

    client.post("/ivrs/refresh/")

    assert list(RefreshItem.objects.values_list("pbx_id", flat=True)) == [in_use.pk]


def test_a_run_is_shown_to_who_asked_for_it_only(member, client, pbx, pbx_http):
    run = refresh_start(pbxs=[pbx], actor=Actor(12345, "Somebody"))

    assert member.get(f"/refreshes/{run.pk}/").status_code == 404


def test_a_run_shows_nothing_of_a_customer_that_was_taken_from_who_asked_for_it(client, acme, pbx, pbx_http):
    user, other = make_user("viewer", acme), make_customer("Bellweather Clinics")
    membership_grant(user=user, role=Role.VIEWER, customer=other)
    run = refresh_start(pbxs=[pbx, make_pbx(other, name="BELL-HQ")], actor=Actor(user.pk, "Somebody"))
    membership_end(membership=user.memberships.get(customer=other))
    client.force_login(User.objects.get(pk=user.pk))

    page = client.get(f"/refreshes/{run.pk}/").content.decode()

    assert pbx.name in page
    assert "BELL" not in page
    membership_end(membership=user.memberships.get())
    client.force_login(User.objects.get(pk=user.pk))
    assert client.get(f"/refreshes/{run.pk}/").status_code == 404
