"""The line of figures and the plot: they say what a count over the events would say, to each what they may see."""

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from html import unescape

import pytest
import time_machine
from django.http import QueryDict

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.review.figures import figures, group_of
from pbxadmin.review.plots import LEAST, MOST_BARS, plot
from pbxadmin.review.rollup import roll_up
from pbxadmin.review.selectors import EventFilter, events_for
from tests.bench.events import fill_events
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor(client, acme, bellweather):
    client.force_login(make_user("auditor", acme))
    return client


def asked(query):
    return EventFilter.from_query(QueryDict(query))


def counted(user, wanted):
    rows = wanted.narrow(events_for(user)).values_list("at", "action", "outcome")
    return Counter((at.date(), group_of(action, outcome)) for at, action, outcome in rows)


def fill(count, *customers, days=40):
    fill_events(count, customers=[(customer.pk, customer.name) for customer in customers], days=days)


@pytest.mark.parametrize("who", ["of one", "of both", "of all"])
@pytest.mark.parametrize("part", [0, 300, 1000])
def test_figures_are_the_count_over_the_events_however_much_is_rolled_up(acme, bellweather, monkeypatch, who, part):
    fill(1000, acme, bellweather)
    monkeypatch.setattr("pbxadmin.review.rollup.SETTLED", timedelta(days=-1))
    monkeypatch.setattr("pbxadmin.review.rollup.EVENTS_PER_STEP", 100)
    roll_up(part // 100)
    user = make_user("auditor", None if who == "of all" else acme)
    if who == "of both":
        user.memberships.create(role="auditor", customer=bellweather)
    someday = (datetime.now(UTC) - timedelta(days=20)).date()
    for query in (
        *("", f"customer={acme.pk}", f"customer={bellweather.pk}", "customer=999", "action=pbx.tested"),
        *("outcome=verified&outcome=refused", "outcome=sending", f"from={someday}", f"to={someday}"),
        *(f"from={someday}&to={someday}&action=change.outcome", "pbx=1", "actor=7", "q=site-0001"),
        *("field=response_timeout", "ivr=6500", "ticket=HD-10001"),
    ):
        wanted = asked(query)

        found = figures(user, wanted)

        assert found.counts == counted(user, wanted), query
        assert not found.at_least


def test_an_auditor_of_one_customer_learns_nothing_of_another(auditor, acme, bellweather):
    with time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC), tick=False):
        record(
            EventAction.CHANGE_OUTCOME,
            outcome="refused",
            customer=(bellweather.pk, bellweather.name),
            pbx=(9, "BELL-HQ"),
        )
        record(EventAction.SESSION_FAILED)
    with time_machine.travel(datetime(2026, 3, 2, 12, tzinfo=UTC), tick=False):
        record(EventAction.CHANGE_OUTCOME, outcome="verified", customer=(acme.pk, acme.name))
        while_open = auditor.get("/audit/figures/?from=2026-01-01&to=2026-03-31").content.decode()
    with time_machine.travel(datetime(2026, 3, 3, tzinfo=UTC), tick=False):
        roll_up()
        closed = auditor.get("/audit/figures/?from=2026-01-01&to=2026-03-31").content.decode()
        theirs = auditor.get(f"/audit/figures/?customer={bellweather.pk}&from=2026-01-01").content.decode()

    for page in (while_open, closed):
        assert "<b>1</b>event<" in page
        assert "First event kept 2026-03-02" in page
        assert "efused" not in page
        assert "2026-03-01" not in page
    assert "<b>0</b>events<" in theirs
    assert 'class="bars"' not in theirs


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "manager"])
def test_who_may_not_review_gets_no_figures(client, acme, role):
    client.force_login(make_user(role, acme))

    assert client.get("/audit/figures/").status_code == 403


def test_who_is_not_signed_in_gets_none(client):
    assert client.get("/audit/figures/")["Location"].startswith("/accounts/login/")


def test_what_is_counted_one_by_one_stops_at_a_limit_and_says_so(auditor, acme, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.figures.MOST_LIVE", 5)
    for _ in range(7):
        record(EventAction.PBX_TESTED, customer=(acme.pk, acme.name), pbx=(501, "ACME-HQ"))

    page = auditor.get("/audit/figures/?pbx=501").content.decode()

    assert "<b>at least 5</b>events" in page
    assert "A shorter period is counted in full." in page


def test_the_page_loads_them_after_itself_and_without_a_script_by_a_link(auditor, acme):
    record(EventAction.PBX_TESTED, customer=(acme.pk, acme.name), pbx=(501, "ACME-HQ"))

    page = auditor.get("/audit/?pbx=501").content.decode()
    whole = auditor.get("/audit/figures/?pbx=501").content.decode()
    part = auditor.get("/audit/figures/?pbx=501", headers={"HX-Request": "true"}).content.decode()

    assert 'hx-get="/audit/figures/?pbx=501" hx-trigger="load"' in page
    assert 'hx-swap="outerHTML ignoreTitle:true"' in page  # the page keeps its own
    assert '<noscript><a href="/audit/figures/?pbx=501">' in page
    assert "<!doctype html>" in whole
    panel, title = part.strip().rsplit("<title>", 1)
    assert panel in whole
    assert f"<title>{title}" in whole
    assert part.lstrip().startswith('<section class="panel" id="figures"')


def drawn(*events, query="", kept_since=date(2026, 1, 4)):
    """The plot of events, each a day of March 2026, an outcome and a count."""
    user = make_user(is_superuser=True)
    found = figures(user, asked("action=period.reopened"))
    for day, outcome, count in events:
        found.counts[date(2026, 3, day), outcome] += count
    return plot(found, asked(query), kept_since)


def test_a_bar_is_a_day_and_a_link_that_narrows_to_it():
    shown = drawn((1, "verified", 8), (1, "refused", 2), (3, "unknown", 1), query="customer=5&outcome=verified")

    assert [(bar.x, bar.count, bar.said) for bar in shown.bars] == [
        (27 * 12.0, 10, "8 verified, 2 refused"),
        (29 * 12.0, 1, "1 unknown"),
    ]
    assert shown.bars[1].query == "customer=5&outcome=verified&from=2026-03-03&to=2026-03-03"
    assert (shown.peak, shown.width) == (10, 30 * 12.0)
    assert shown.words.startswith(
        "Events per day by outcome, 2026-02-02 to 2026-03-03: 8 verified, 2 refused, 1 unknown"
    )


def test_a_single_day_is_drawn_as_a_bar_and_not_as_a_wall():
    shown = drawn((3, "verified", 8), query="from=2026-03-03&to=2026-03-03")

    assert [bar.x for bar in shown.bars] == [0.0]
    assert shown.bar_width < shown.width / 20
    assert (shown.first, shown.last) == (date(2026, 3, 3), date(2026, 3, 3))


def test_one_refusal_among_thousands_is_seen():
    shown = drawn((1, "verified", 5000), (1, "refused", 1))

    (_, tall, _), (y, least, tone) = shown.bars[0].parts
    assert (least, tone) == (LEAST, "warn")
    assert y == 0
    assert round(tall + least + 1, 1) == shown.height


def test_no_bar_is_higher_than_the_plot():
    shown = drawn(*((day, group, day * 3) for day in range(1, 30) for group in ("verified", "refused", "unknown")))

    assert min(y for bar in shown.bars for y, _, _ in bar.parts) >= 0
    assert max(y + height for bar in shown.bars for y, height, _ in bar.parts) <= shown.height + 0.1


def test_a_long_period_is_drawn_in_bars_of_several_days():
    shown = drawn((1, "verified", 1), (31, "verified", 1), query="from=2025-01-01", kept_since=date(2025, 6, 1))

    assert (shown.first, shown.last, shown.days_each) == (date(2025, 6, 1), date(2026, 3, 31), 4)
    assert shown.width / 12 <= MOST_BARS
    assert shown.bars[-1].query == "from=2026-03-28&to=2026-03-31"
    assert shown.bars[0].query == "from=2026-02-28&to=2026-03-03"


def test_the_plot_has_neither_script_nor_style_and_a_table_says_the_same(auditor, acme):
    for day, outcome in ((1, "verified"), (2, "refused"), (2, "verified")):
        with time_machine.travel(datetime(2026, 3, day, 12, tzinfo=UTC), tick=False):
            record(EventAction.CHANGE_OUTCOME, outcome=outcome, customer=(acme.pk, acme.name))

    page = auditor.get("/audit/figures/?action=change.outcome", headers={"HX-Request": "true"}).content.decode()

    svg = re.search(r"<svg class=\"bars\".*?</svg>", page, re.DOTALL)[0]
    assert not re.search(r"style=|<script|\son\w+=", page)
    assert len(re.findall(r"<rect [^>]*data-tone", svg)) == 3
    assert 'aria-label="2026-03-02: 2, 1 verified, 1 refused"' in svg
    table = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)[1]
    assert re.findall(r'href="([^"]+)">([^<]+)<', table) == [
        ("/audit/?action=change.outcome&amp;from=2026-03-02&amp;to=2026-03-02", "2026-03-02"),
        ("/audit/?action=change.outcome&amp;from=2026-03-01&amp;to=2026-03-01", "2026-03-01"),
    ]


def test_a_day_of_the_plot_leads_to_the_events_it_counts(auditor, acme):
    fill(300, acme, days=12)
    page = auditor.get("/audit/figures/?outcome=verified").content.decode()

    for link, count in re.findall(r'<a href="/audit/\?([^"]+)" tabindex="-1" aria-label="[\d-]+: (\d+)', page):
        rows = Event.objects.filter(customer_id=acme.pk, outcome="verified")
        day = date.fromisoformat(re.search(r"from=([\d-]+)", unescape(link))[1])
        assert rows.filter(at__date=day).count() == int(count)
        assert len(auditor.get(f"/audit/?{unescape(link)}").context["page"].rows) == min(int(count), 50)


@pytest.mark.parametrize("query", ["q=x&to=0001-01-01", "from=0001-01-01", "to=9999-12-31", "from=9999-12-31", "q=%00"])
def test_any_period_is_answered(auditor, query):
    assert auditor.get(f"/audit/figures/?{query}").status_code == 200
    assert auditor.get(f"/audit/?{query}").status_code == 200


def test_figures_take_a_fixed_number_of_queries(auditor, acme, django_assert_max_num_queries):
    fill(200, acme, days=12)

    with django_assert_max_num_queries(12):
        auditor.get("/audit/figures/?from=2026-01-01")
