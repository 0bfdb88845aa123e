"""Access on a day is rebuilt from events alone, and is what the tables held on that day."""

import csv
import io
import random
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db.models import Q

from pbxadmin.access.models import Membership, User
from pbxadmin.access.roles import SITE_ADMIN, Role
from pbxadmin.access.services import membership_end, membership_grant, membership_set_end
from pbxadmin.accounts.services import person_disable, person_enable, site_admin_give, site_admin_take
from pbxadmin.audit.models import Event
from pbxadmin.review.access_on import Access, access_events, access_on
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def in_the_tables(day):
    """Return what the tables of roles and people say now."""
    lasting = Membership.objects.filter(Q(ends_on=None) | Q(ends_on__gte=day), user__is_active=True)
    admins = User.objects.filter(is_superuser=True, is_active=True).values_list("pk", flat=True)
    rows = lasting.values_list("user_id", "role", "customer_id")
    return {Access(*row) for row in rows} | {Access(pk, SITE_ADMIN, None) for pk in admins}


def something(chance, people, customers, day):
    """Do one thing that gives or takes access, through the service that people use."""
    person = User.objects.get(pk=chance.choice(people))
    memberships = list(person.memberships.all())
    ends_on = chance.choice([None, day + timedelta(days=chance.randint(0, 4))])
    match chance.randrange(7):
        case 0 | 1:
            membership_grant(
                user=person,
                role=chance.choice(Role.values),
                customer=chance.choice([*customers, None]),
                ends_on=ends_on,
            )
        case 2 if memberships:
            membership_end(membership=chance.choice(memberships))
        case 3 if memberships:
            membership_set_end(membership=chance.choice(memberships), ends_on=ends_on)
        case 4:
            (person_disable if person.is_active else person_enable)(user=person)
        case 5:
            (site_admin_take if person.is_superuser else site_admin_give)(user=person)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_the_tables_held_whatever_was_done(time_machine, seed):
    chance = random.Random(seed)  # noqa: S311
    time_machine.move_to(START, tick=False)
    User.objects.create_superuser("root")
    people = [make_user(username=f"person{number}").pk for number in range(4)]
    customers = [make_customer(f"Customer {number}") for number in range(3)]
    moments = []
    for _ in range(60):
        time_machine.shift(timedelta(hours=chance.choice([1, 2, 5, 19])))
        now = datetime.now(UTC)
        something(chance, people, customers, now.date())
        moments.append((now, in_the_tables(now.date())))

    for day in {now.date() for now, _ in moments}:
        found = {held.access: held for held in access_on(day, access_events(day))}
        of_day = [held for now, held in moments if now.date() == day]
        at_some_time = set().union(*of_day)
        at_the_end = of_day[-1]
        assert {access for access, held in found.items() if held.until is None} == at_the_end, day
        assert at_some_time <= found.keys(), day
        before = [held for now, held in moments if now.date() < day]
        had_before = {access for access in found if found[access].since is None}
        assert had_before <= (before[-1] if before else had_before), day


@pytest.fixture
def day_of_changes(time_machine, acme, bellweather):
    """Mara has a role all day, Tom until noon, Ada from three, Eva until the day before."""
    time_machine.move_to(START, tick=False)
    for name, customer in (("mara", acme), ("tom", acme), ("bea", bellweather)):
        make_user("helpdesk", customer, username=name)
    make_user("auditor", acme, username="eva", ends_on=date(2026, 3, 3))
    make_user("manager", username="max")
    time_machine.move_to(datetime(2026, 3, 4, 12, tzinfo=UTC), tick=False)
    membership_end(membership=Membership.objects.get(user__username="tom"))
    time_machine.move_to(datetime(2026, 3, 4, 15, tzinfo=UTC), tick=False)
    make_user("auditor", acme, username="ada")
    time_machine.move_to(datetime(2026, 3, 9, 12, tzinfo=UTC), tick=False)


def shown(client, query):
    page = client.get(f"/audit/access/?{query}").content.decode()
    rows = re.findall(r'<tr data-access="\d+/([\w-]+)/(\w+)">(.*?)</tr>', page, re.DOTALL)
    return {(re.search(r"<bdi>(\w+)</bdi>", row)[1], role) for role, _, row in rows}, page


def test_an_auditor_sees_their_customer_and_who_has_a_role_for_all(client, day_of_changes):
    client.force_login(User.objects.get(username="ada"))

    found, page = shown(client, "on=2026-03-04")

    assert found == {("mara", "helpdesk"), ("tom", "helpdesk"), ("ada", "auditor"), ("max", "manager")}
    text = re.sub(r"<[^>]+>|\s+", " ", page)
    assert re.search(r"until\s+4 Mar 12:00", text)
    assert re.search(r"from\s+4 Mar 15:00", text)


def test_other_days_and_nonsense(client, day_of_changes):
    client.force_login(User.objects.get(username="ada"))

    assert ("eva", "auditor") in shown(client, "on=2026-03-03")[0]
    assert ("ada", "auditor") in shown(client, "on=2026-03-09")[0]
    assert client.get("/audit/access/?on=nonsense").status_code == 422


def test_a_day_before_the_log_is_not_said_to_have_been_without_access(client, day_of_changes):
    client.force_login(make_user("auditor"))

    before = client.get("/audit/access/?on=2020-01-01").content.decode()

    assert "Before the log" in before
    assert "Nobody had access" not in before


def test_a_day_to_come_is_refused(client, day_of_changes):
    client.force_login(make_user("auditor"))

    answer = client.get("/audit/access/?on=2126-01-01")

    assert answer.status_code == 422
    assert "This day is yet to come. Today is shown." in answer.content.decode()


def test_the_file_says_the_same_and_is_an_event(client, day_of_changes, acme):
    client.force_login(User.objects.get(username="ada"))

    text = b"".join(client.get("/audit/access/?on=2026-03-04&format=csv")).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))

    tom = next(row for row in rows if row["user"] == "tom")
    assert (tom["role"], tom["customer"], tom["since"]) == ("helpdesk", "Acme Logistics", "")
    assert tom["until"] == tom["until_local_time"] == "2026-03-04T12:00:00+00:00"
    assert "edit IVRs" in tom["may"]
    event = Event.objects.get(action="access.exported")
    assert (event.customer_id, event.data["detail"]) == (acme.pk, {"day": "2026-03-04", "rows": len(rows)})


def test_a_page_reads_the_log_once(client, day_of_changes, django_assert_max_num_queries):
    client.force_login(User.objects.get(username="ada"))
    shown(client, "on=2026-03-04")

    with django_assert_max_num_queries(9):
        shown(client, "on=2026-03-04")
