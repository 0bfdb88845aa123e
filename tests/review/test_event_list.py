"""The log's list: who may look, what each may see, filters and pages."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qsl

import pytest
import time_machine

from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_grant
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.review.rollup import roll_up
from tests.factories import make_user
from tests.walks import there_and_back

pytestmark = pytest.mark.django_db
MARA, TOM = Actor(70, "Mara Lindqvist"), Actor(71, "Tom Reed")
HQ, DEPOT = (501, "ACME-HQ"), (502, "ACME-DEPOT")


@pytest.fixture
def auditor(client):
    client.force_login(make_user("auditor"))
    return client


def of(customer):
    return (customer.pk, customer.name)


def listed(client, query=""):
    answer = client.get(f"/audit/?{query}")
    assert answer.status_code == 200, query
    return [int(pk) for pk in re.findall(r'data-event="(\d+)"', answer.content.decode())]


def roll_up_next(count):
    """The next events, however young."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pbxadmin.review.rollup.SETTLED", timedelta(days=-1))
        patch.setattr("pbxadmin.review.rollup.EVENTS_PER_STEP", count)
        assert roll_up(1) == count


def test_who_is_not_signed_in_is_led_to_sign_in(client):
    answer = client.get("/audit/?q=acme")

    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/audit/%3Fq%3Dacme")


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "manager"])
@pytest.mark.parametrize("for_all", [True, False])
def test_who_may_not_review_is_refused(client, acme, role, for_all):
    event = record(EventAction.PBX_EDITED, customer=of(acme), pbx=HQ)
    client.force_login(make_user(role, None if for_all else acme))

    for path in ("/audit/", f"/audit/{event.pk}/", "/audit/999999/"):
        answer = client.get(path)
        assert answer.status_code == 403, path
        assert "ACME-HQ" not in answer.content.decode()


def test_a_refusal_is_an_event(client, acme):
    user = make_user("helpdesk", acme)
    client.force_login(user)

    client.get("/audit/")

    denied = Event.objects.get(action="access.denied")
    assert (denied.actor_id, denied.data["detail"]) == (user.pk, {"action": "review-log"})


def test_somebody_without_any_role_is_refused(client):
    client.force_login(make_user())

    assert client.get("/audit/").status_code == 403


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_log_is_only_read(auditor, acme, method):
    event = record(EventAction.PBX_EDITED, customer=of(acme))

    assert getattr(auditor, method)("/audit/").status_code == 405
    assert getattr(auditor, method)(f"/audit/{event.pk}/").status_code == 405


def test_an_auditor_of_one_customer_sees_its_events_and_no_others(client, acme, bellweather):
    client.force_login(make_user("auditor", acme))
    record(EventAction.SESSION_FAILED, detail={"user": "x"})
    record(EventAction.PBX_EDITED, customer=of(bellweather), pbx=(9, "BELL-HQ"))

    shown = listed(client)

    assert shown
    assert shown == list(Event.objects.filter(customer_id=acme.pk).values_list("pk", flat=True))
    page = client.get("/audit/").content.decode()
    assert "BELL-HQ" not in page
    assert "Bellweather" not in page


def test_no_filter_reaches_past_the_right(client, acme, bellweather):
    client.force_login(make_user("auditor", acme))
    record(EventAction.SESSION_FAILED, outcome="refused")
    record(EventAction.PBX_EDITED, customer=of(bellweather), pbx=(9, "BELL-HQ"), actor=TOM, outcome="verified")

    for query in (f"customer={bellweather.pk}", "pbx=9", "q=BELL-HQ", "actor=Tom", "action=session.failed"):
        assert listed(client, query) == [], query


def test_roles_for_two_customers_add_up_to_both_logs_but_not_the_installations(client, acme, bellweather):
    user = make_user("auditor", acme)
    membership_grant(user=user, role=Role.VIEWER, customer=bellweather)
    client.force_login(user)
    first, second = (record(EventAction.PBX_EDITED, customer=of(customer)).pk for customer in (acme, bellweather))

    assert first in listed(client)
    assert second not in listed(client)

    membership_grant(user=user, role=Role.AUDITOR, customer=bellweather)

    assert {first, second} <= set(listed(client))
    assert not Event.objects.filter(pk__in=listed(client), chain="installation").exists()


@pytest.mark.parametrize("who", ["auditor of all", "site admin"])
def test_an_auditor_of_all_and_a_site_admin_see_everything(client, acme, bellweather, who):
    client.force_login(make_user(is_superuser=True) if who == "site admin" else make_user("auditor"))
    record(EventAction.SESSION_FAILED)
    record(EventAction.PBX_EDITED, customer=of(bellweather))

    assert listed(client) == list(Event.objects.order_by("-id").values_list("pk", flat=True))
    assert {event.chain for event in Event.objects.all()} >= {"installation", f"customer:{acme.pk}"}


@pytest.fixture
def four(acme, bellweather):
    """Four events a day apart from 1 March 2026, at noon."""
    made = []
    for day, say in enumerate(
        (
            {"action": EventAction.PBX_EDITED, "customer": of(acme), "pbx": HQ, "actor": MARA, "fields": {"host": {}}},
            {"action": EventAction.CHANGE_OUTCOME, "customer": of(acme), "pbx": HQ, "actor": TOM, "outcome": "verified"}
            | {"fields": {"response_timeout": {}, "prompt_repeat": {}}, "ticket": "CHG-17", "reason": "Callers wait"},
            {
                "action": EventAction.CHANGE_OUTCOME,
                "customer": of(acme),
                "pbx": DEPOT,
                "actor": MARA,
                "outcome": "unknown",
            }
            | {"fields": {"response_timeout": {}}, "detail": {"why": "As CHG-17 did"}},
            {"action": EventAction.PBX_TESTED, "customer": of(bellweather), "pbx": (9, "BELL-HQ"), "actor": TOM},
        ),
        1,
    ):
        ivr = ("6500", "Night_Menu") if say["action"] == EventAction.CHANGE_OUTCOME else None
        with time_machine.travel(datetime(2026, 3, day, 12, tzinfo=UTC), tick=False):
            made.append(record(**say, ivr=ivr).pk)
    return made


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("q=bell-hq", [3]),
        ("q=night+mara", [2]),
        ("q=6500", [2, 1]),
        ("q=acme-depot+tom", []),
        ("q=LOGISTICS+reed", [1]),
        ("q=%25", []),
        ("q=chg-17", [2, 1]),
        ("q=callers+WAIT", [1]),
        ("pbx=501", [1, 0]),
        ("pbx=501&action=pbx.edited", [0]),
        ("pbx=501&ivr=6500", [1]),
        ("ivr=6500", [2, 1]),
        ("ivr=650", []),
        ("actor=tom", [3, 1]),
        ("actor=70", [2, 0]),
        ("actor=7", []),
        ("action=change.outcome", [2, 1]),
        ("action=change.outcome&action=pbx.tested", [3, 2, 1]),
        ("action=change.outcome&action=pbx.painted", [2, 1]),
        ("outcome=unknown", [2]),
        ("outcome=unknown&outcome=verified", [2, 1]),
        ("outcome=verif", []),
        ("field=response_timeout", [2, 1]),
        ("field=prompt_repeat", [1]),
        ("field=host", [0]),
        ("field=response_timeout&outcome=verified&actor=71", [1]),
        ("ticket=CHG-17", [1]),
        ("ticket=CHG-1", []),
        ("to=2026-03-02", [1, 0]),
        ("from=2026-03-03&to=2026-03-31", [3, 2]),
        ("from=2026-03-02&to=2026-03-02", [1]),
        ("from=2026-03-03&to=2026-03-02", []),
        ("actor=tom&from=2026-03-01&to=2026-03-03", [1]),
    ],
)
@pytest.mark.parametrize("rolled_up", [0, 1, 4])
def test_filters_narrow_and_combine(auditor, four, query, places, rolled_up):
    for _ in range(rolled_up):
        roll_up_next(1)

    shown = [pk for pk in listed(auditor, query if "from=" in query else f"{query}&from=2026-01-01") if pk in four]

    assert shown == [four[place] for place in places]


@pytest.mark.parametrize(
    "query",
    [
        *("actor=zoe", "actor=ZOË", "actor=zoë+muller", "actor=weiss", "actor=strasse&q=acme"),
        *("q=zoe+STRASSE", "q=Straße", "q=lodz", "q=o’brien"),
        *("q=%2B4989123456", "q=089+1234-56", "q=0891234", "q=0891234+zoe"),
    ],
)
def test_the_log_is_searched_as_lists_are(auditor, acme, query):
    main_number = {"main_numbers": {"before": "", "asked": "+49 89 1234-56"}, "site": {"asked": "Łódź, O'Brien"}}
    for name in ("Zoë Müller-Weiß Strasse", "Tom Reed"):
        fields = main_number if name != "Tom Reed" else {"notes": {"asked": "Zoe, in der Strasse, weiss es"}}
        record(EventAction.PBX_EDITED, customer=of(acme), pbx=HQ, actor=Actor(80, name), fields=fields)

    shown = [Event.objects.get(pk=pk).actor_name for pk in listed(auditor, query)]

    assert "Zoë Müller-Weiß Strasse" in shown
    assert query.startswith("q=") or "Tom Reed" not in shown


@pytest.mark.parametrize("query", ["q=mara", "actor=mara", "ivr=6500", "field=response_timeout"])
def test_what_only_reading_finds_is_looked_for_in_the_last_ninety_days_unless_said_otherwise(auditor, four, query):
    with time_machine.travel(datetime(2026, 6, 1, 9, tzinfo=UTC), tick=False):  # 90 days after 3 March
        recent = [pk for pk in listed(auditor, query) if pk in four]
        page = auditor.get(f"/audit/?{query}").content.decode()
        earlier = [pk for pk in listed(auditor, f"{query}&to=2026-03-02") if pk in four]
        said = auditor.get(f"/audit/?{query}&from=2026-01-01").content.decode()

    assert recent == [four[2]]
    assert "in 90 days, here from 2026-03-03 on" in page
    assert len(earlier) == 1
    assert "in 90 days" not in said


@pytest.mark.parametrize("query", ["actor=70", "pbx=501&ivr=6500", "ticket=CHG-17", "outcome=verified", "pbx=501"])
def test_what_an_index_finds_is_found_however_old(auditor, four, query):
    assert [pk for pk in listed(auditor, query) if pk in four]
    assert "in 90 days" not in auditor.get(f"/audit/?{query}").content.decode()


def test_an_event_whose_clock_was_wrong_is_found_in_the_period_that_it_says(auditor, four):
    with time_machine.travel(datetime(2026, 3, 2, 8, tzinfo=UTC), tick=False):
        late = record(EventAction.SESSION_FAILED).pk
    for _ in range(5):
        roll_up_next(1)

    assert listed(auditor, "from=2026-03-02&to=2026-03-02") == [late, four[1]]


def test_a_customer_is_chosen_by_its_id(auditor, four, bellweather):
    shown = listed(auditor, f"customer={bellweather.pk}")

    assert shown == list(Event.objects.filter(customer_id=bellweather.pk).values_list("pk", flat=True))
    assert four[3] in shown


def test_a_day_runs_from_midnight_to_midnight_utc(auditor):
    times = ("2026-03-01T23:59:59.999999", "2026-03-02T00:00:00", "2026-03-02T23:59:59.999999", "2026-03-03T00:00:00")
    made = []
    for at in times:
        with time_machine.travel(datetime.fromisoformat(f"{at}+00:00"), tick=False):
            made.append(record(EventAction.SESSION_FAILED).pk)

    assert listed(auditor, "from=2026-03-02&to=2026-03-02") == [made[2], made[1]]


@pytest.mark.parametrize(
    "query",
    [
        "customer=x",
        "customer=-1",
        "customer=99999999999999999999",
        "customer=%D9%A1",
        "pbx=1.5",
        "pbx='%20OR%201=1",
        "action=pbx.painted",
        "from=yesterday",
        "from=2026-02-30",
        "to=31.12.2026",
        "to=9999-12-31",
        "from=0001-01-01",
        "q=%00",
        "actor=%00",
        "outcome=%00",
        "cursor=@@@",
        "cursor=%C3%A9",
        "cursor=" + "W" * 3900,
        "nonsense=1",
    ],
)
def test_values_that_make_no_sense_count_as_absent(auditor, four, query):
    assert listed(auditor, query) == listed(auditor)


def test_a_text_of_any_length_is_a_search(auditor, four):
    assert listed(auditor, "q=" + "mara+" * 700) == listed(auditor, "q=mara")
    assert listed(auditor, "q=" + "x" * 3000) == []


def test_what_was_chosen_stands_in_the_form_and_in_the_links_of_the_pager(auditor, four, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.views.log.PAGE_SIZE", 1)

    page = auditor.get("/audit/?q=acme+%26co%22&action=change.outcome&from=2026-03-02&pbx=501").content.decode()
    assert 'value="acme &amp;co&quot;"' in page
    assert 'name="action" value="change.outcome" checked>' in page
    assert 'name="action" value="pbx.edited">' in page
    assert 'name="from" value="2026-03-02"' in page
    assert '<input type="hidden" name="pbx" value="501">' in page
    assert "No event matches" in page

    pager = auditor.get("/audit/?action=change.outcome&from=2026-03-02").content.decode()
    assert re.search(r'href="\?action=change\.outcome&amp;from=2026-03-02&amp;cursor=[\w-]+" rel="next"', pager)


def test_each_filter_is_a_chip_that_takes_it_away(auditor, four, acme):
    query = f"q=acme&customer={acme.pk}&pbx=501&ivr=6500&actor=71&action=change.outcome&action=pbx.edited"
    query += "&outcome=verified&field=prompt_repeat&ticket=CHG-17&from=2026-03-01&to=2026-03-31"
    page = auditor.get(f"/audit/?{query}").content.decode()
    chips = dict(re.findall(r'<a class="chip" href="/audit/\?([^"]+)"><bdi>([^<]+)</bdi>', page))

    assert list(chips.values()) == [
        *("“acme”", "Customer Acme Logistics", "PBX ACME-HQ", "IVR 6500", "Person Tom Reed", "PBX edited"),
        *("Change ended", "Verified", "Field Prompt played", "Ticket CHG-17", "From 2026-03-01", "To 2026-03-31"),
    ]
    for rest, words in chips.items():
        left = parse_qsl(unescape(rest))
        assert len(left) == 11, words
        assert set(left) < set(parse_qsl(query)), words
    assert 'class="chip" href="/audit/"' in auditor.get("/audit/?pbx=999").content.decode()
    assert "PBX 999" in auditor.get("/audit/?pbx=999").content.decode()
    assert 'class="chip"' not in auditor.get("/audit/").content.decode()


def line_of(client, event):
    """The cells of an event's row, as a person reads them."""
    page = client.get("/audit/").content.decode()
    row = re.search(rf'<tr data-event="{event.pk}">(.*?)</tr>', page, re.DOTALL)[1]
    return [re.sub("<[^>]+>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]


def test_a_row_says_what_changed_where_and_for_which_ticket(auditor, acme):
    event = record(
        EventAction.CHANGE_OUTCOME,
        outcome="verified",
        customer=of(acme),
        pbx=HQ,
        ivr=("6500", "Main_Menu"),
        actor=MARA,
        ticket="INC-1",
        fields={"response_timeout": {"before": "3", "asked": "6", "found": "6"}},
        detail={"sentence": "ACME-HQ now has response timeout 6 s."},
    )

    assert line_of(auditor, event)[1:] == [
        "Change ended",
        "ACME-HQ 6500 Main_Menu",
        "Response timeout 3 s → 6 s",
        "Mara Lindqvist",
        "Acme Logistics",
        "INC-1",
        "Verified",
    ]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            {"action": EventAction.MEMBERSHIP_GRANTED, "detail": {"role": "auditor", "user": "ada", "user_id": 6}},
            "User ada, Role auditor, 1 more",
        ),
        (
            {
                "action": EventAction.MEMBERSHIP_EDITED,
                "fields": {"last_day": {"before": "no end", "asked": "2026-12-31"}},
                "detail": {"role": "auditor", "user": "ada", "user_id": 6},
            },
            "User ada, Last day no end → 2026-12-31",
        ),
        ({"action": EventAction.REFRESH_FAILED, "detail": {"why": "No answer within 4 s."}}, "No answer within 4 s."),
        (
            {
                "action": EventAction.CHANGE_OUTCOME,
                "outcome": "refused",
                "fields": {"number": {"before": "6500", "asked": "6510"}},
                "detail": {"sentence": "Refused (10018)."},
            },
            "Refused (10018).",
        ),
        (
            {
                "action": EventAction.IVR_CHANGED_OUTSIDE,
                "detail": {"sentence": "Changed outside PBX Admin, between 09:10 and …"},
            },
            "between 09:10 and …",
        ),
        (
            {"action": EventAction.PBX_ADDED, "fields": {"fingerprint": {"asked": "ab" * 32}}},
            f"Fingerprint {'ab' * 11}a…",
        ),
        (
            {"action": EventAction.PBX_EDITED, "fields": {name: {"asked": "x"} for name in ("host", "port", "site")}},
            "Host x, Port x, 1 more",
        ),
        ({"action": EventAction.SESSION_SIGNED_IN}, ""),
        ({"action": EventAction.ACCESS_DENIED, "detail": {"action": "dial-outbound"}}, "may not let callers dial out"),
        (
            {
                "action": EventAction.PBX_STATE_CHANGED,
                "detail": {"was": "unreachable", "state": "reachable", "why": ""},
            },
            "Unreachable → Reachable",
        ),
        (
            {
                "action": EventAction.BATCH_HALTED,
                "detail": {"targets": {"would-change": 2, "not-as-asked": 1}, "customers": 1, "not_verified": 1},
                "reason": "Callers wait too long",
            },
            "1 not as asked, 2 would change, Callers wait too long",
        ),
        (
            {"action": EventAction.PBXS_EXPORTED, "detail": {"pbxs": 1, "filter": "customer=1"}},
            "1 PBX, customer 1",
        ),
        (
            {"action": EventAction.LOG_EXPORTED, "detail": {"filter": "from=2026-07-01&q=Main+Menu", "format": "csv"}},
            "CSV, from 2026-07-01, q Main Menu",
        ),
        (
            {"action": EventAction.SESSION_SIGNED_IN, "detail": {"by": ["password", "totp"]}},
            "by password and authenticator app",
        ),
        (
            {"action": EventAction.SECOND_FACTOR_ADDED, "detail": {"kind": "webauthn", "name": "Blue"}},
            "security key Blue",
        ),
        ({"action": EventAction.IVRS_EXPORTED, "detail": {"ivrs": 8, "filter": ""}}, "8 IVRs, no filter"),
        (
            {
                "action": EventAction.DESK_REVIEWED,
                "detail": {"event": 9, "kinds": ["role"]},
                "reason": "Asked Mara. " * 9,
            },
            f"{'Asked Mara. ' * 6}Asked M…, Event 9, 1 more",
        ),
    ],
)
def test_a_row_says_the_gist_in_one_line(auditor, said, shown):
    assert line_of(auditor, record(**said))[3] == shown


def test_pages_follow_each_other_both_ways(auditor, acme, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.views.log.PAGE_SIZE", 3)
    made = [record(EventAction.PBX_EDITED, customer=of(acme), pbx=HQ).pk for _ in range(8)]

    def page_at(cursor):
        return auditor.get(f"/audit/?pbx=501&cursor={cursor}").context["page"]

    there, back = there_and_back(page_at)

    newest_first = made[::-1]
    pages = [newest_first[:3], newest_first[3:6], newest_first[6:]]
    assert [[event.pk for event in page.rows] for page in there] == pages
    assert [[event.pk for event in page.rows] for page in back] == pages[:-1]


def test_an_event_that_comes_in_meanwhile_moves_no_page(auditor, acme, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.views.log.PAGE_SIZE", 2)
    made = [record(EventAction.PBX_EDITED, customer=of(acme), pbx=HQ).pk for _ in range(4)]
    first = auditor.get("/audit/?pbx=501").context["page"]

    record(EventAction.PBX_EDITED, customer=of(acme), pbx=HQ)

    assert listed(auditor, f"pbx=501&cursor={first.next_cursor}") == [made[1], made[0]]


def test_the_list_takes_ten_queries_however_long(auditor, acme, django_assert_num_queries):
    for number in range(60):
        record(
            EventAction.PBX_EDITED, customer=of(acme), pbx=HQ, fields={"host": {"before": "a", "asked": str(number)}}
        )

    with django_assert_num_queries(7):
        assert len(listed(auditor, "pbx=501")) == 50
    with django_assert_num_queries(10):
        assert len(listed(auditor, "q=acme")) == 50


def test_first_and_last_page_are_one_click_away(auditor, acme, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.views.log.PAGE_SIZE", 3)
    made = [record(EventAction.PBX_EDITED, customer=of(acme), pbx=HQ).pk for _ in range(8)]
    page = auditor.get("/audit/?pbx=501").content.decode()
    last = re.search(r'href="\?(pbx=501&amp;cursor=[\w-]+)">Last page', page)[1]

    end = auditor.get(f"/audit/?{unescape(last)}")

    assert [event.pk for event in end.context["page"].rows] == made[2::-1]
    assert 'href="?pbx=501">First page' in end.content.decode()
    assert "Last page" not in end.content.decode()
    assert 'rel="next"' not in end.content.decode()
    assert "First page" not in page


def test_htmx_gets_the_table_alone(auditor, four):
    whole = auditor.get("/audit/?q=night").content.decode()
    answer = auditor.get("/audit/?q=night", headers={"HX-Request": "true"})

    fragment = answer.content.decode()
    assert "<!doctype html>" in whole
    table, title = fragment.strip().split("<title>")
    assert table in whole
    assert f"<title>{title}" in whole
    assert table.startswith('<div id="event-table"')
    assert "HX-Request" in answer["Vary"]


@pytest.mark.parametrize("header", ["HX-Boosted", "HX-History-Restore-Request"])
def test_a_boosted_link_and_the_back_button_get_the_whole_page(auditor, header):
    answer = auditor.get("/audit/", headers={"HX-Request": "true", header: "true"})

    assert "<!doctype html>" in answer.content.decode()


HOSTILE = "<img src>\u202eQH\x1b[31m'\""
SHOWN = (
    '<bdi>&lt;img src&gt;<span class="odd" title="A character that cannot be seen">U+202E</span>'
    'QH<span class="odd" title="A character that cannot be seen">U+001B</span>[31m&#x27;&quot;</bdi>'
)


def test_names_from_a_pbx_are_shown_escaped_and_with_what_cannot_be_seen(auditor, acme):
    record(
        EventAction.CHANGE_OUTCOME,
        customer=of(acme),
        pbx=(501, HOSTILE),
        ivr=("6500", HOSTILE),
        actor=Actor(70, HOSTILE),
        fields={"name": {"before": HOSTILE, "asked": HOSTILE}},
    )

    page = auditor.get("/audit/?pbx=501").content.decode()

    assert page.count(SHOWN) == 5
    assert "<img src>" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
