"""A change is one line of the log: that it is being sent is folded into how it ended, and nothing is lost by it."""

import re
from typing import Any

import pytest
from django.db import connection

from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_remove
from pbxadmin.review.sections import SECTIONS_OF_LOG
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor(client, acme):
    client.force_login(make_user("auditor", acme))
    return client


def step(acme, action, outcome, change_id=5):
    where: dict[str, Any] = {"customer": (acme.pk, acme.name), "ivr": ("6500", "Main"), "ticket": "T-1"}
    return record(action, outcome=outcome, change_id=change_id, **where).pk


def change(acme, outcome="verified", change_id=5):
    sent = step(acme, EventAction.CHANGE_SENDING, "sending", change_id)
    return sent, step(acme, EventAction.CHANGE_OUTCOME, outcome, change_id)


def rows_of(page):
    return [int(pk) for pk in re.findall(r'<tr data-event="(\d+)"', page)]


def shown(client, query="?ticket=T-1"):
    return client.get(f"/audit/{query}").content.decode()


def test_a_change_is_one_line_that_leads_to_both_events(auditor, acme):
    sent, ended = change(acme)

    page = shown(auditor)

    assert rows_of(page) == [ended]
    assert f'data-sent-by="{sent}" href="/audit/{sent}/"' in page
    assert f'<a class="main" href="/audit/{ended}/">Change</a>' in page


def test_what_is_still_being_sent_has_a_line_and_what_was_settled_later_too(auditor, acme):
    sending = step(acme, EventAction.CHANGE_SENDING, "sending", 6)
    _, ended = change(acme, "unknown", 7)
    settled = step(acme, EventAction.CHANGE_SETTLED, "verified", 7)

    assert rows_of(shown(auditor)) == [settled, ended, sending]


@pytest.mark.parametrize("query", ["?outcome=sending", "?action=change.sending"])
def test_a_filter_that_finds_only_the_sending_shows_it(auditor, acme, query):
    sent, _ = change(acme)

    assert rows_of(shown(auditor, query)) == [sent]


def test_the_end_on_the_page_before_counts_too(auditor, acme, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.views.log.PAGE_SIZE", 2)
    _, first = change(acme, change_id=1)
    sent, ended = change(acme, change_id=2)
    later = step(acme, EventAction.CHANGE_SENDING, "sending", 3)
    page = shown(auditor)

    second = shown(auditor, "?" + re.search('cursor=[^"&]+', page)[0])

    assert rows_of(page) == [later, ended]
    assert f'data-sent-by="{sent}"' in page
    assert rows_of(second) == [first]


def test_an_altered_event_is_never_folded_away(auditor, acme):
    sent, ended = change(acme)
    triggers_remove(connection)
    Event.objects.filter(pk=sent).update(text=Event.objects.get(pk=sent).text.replace("6500", "6501"))

    assert rows_of(shown(auditor)) == [ended, sent]


def test_folding_takes_two_queries_however_many_changes_there_are(auditor, acme, django_assert_max_num_queries):
    for number in range(25):
        change(acme, change_id=number + 1)
    shown(auditor)

    with django_assert_max_num_queries(14):
        shown(auditor)


def test_each_group_of_actions_stands_in_one_section():
    placed = [group for section in SECTIONS_OF_LOG.values() for group in section.groups]

    assert sorted(placed, key=str) == sorted(EventGroup, key=str)


def test_a_section_narrows_to_all_its_actions_in_list_figures_and_chips(auditor, acme):
    change(acme)
    given = record(EventAction.MEMBERSHIP_GRANTED, customer=(acme.pk, acme.name), detail={"role": "viewer"}).pk

    page = shown(auditor, "?group=access")
    figures = auditor.get("/audit/figures/?group=access").content.decode()

    access = Event.objects.filter(action__in=SECTIONS_OF_LOG["access"].actions, customer_id=acme.pk).order_by("-pk")
    expected = [event.pk for event in access]
    assert given in expected
    assert rows_of(page) == expected
    assert re.search(rf"<b>\s*{len(expected)}</b>event", figures)
    assert re.search(r'class="chip" href="/audit/">\s*<bdi>Access</bdi>', page)
