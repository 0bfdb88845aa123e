"""What a customer asks of changes: the rules themselves, the page that sets them, and working hours."""

import re
import time as clock
from datetime import UTC, datetime, time
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from pbxadmin.access.customer_rules import check_record, is_at_work, ticket_url
from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.access.rules import check_link, check_pattern, example, matches
from pbxadmin.audit.models import Event
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db


def acme(**columns: Any) -> Customer:
    customer = make_customer()
    Customer.objects.filter(pk=customer.pk).update(**columns)
    return Customer.objects.get(pk=customer.pk)


def problems(customer: Customer, reason: str = "", ticket: str = "") -> list[str]:
    try:
        check_record(customer, reason, ticket)
    except ValidationError as error:
        return sorted(error.message_dict)
    return []


def test_by_default_both_are_optional_and_any_text_is_a_ticket() -> None:
    assert problems(acme()) == []
    assert check_record(acme_again(), " hangs  up ", " any 1 ") == ("hangs up", "any 1")


def acme_again() -> Customer:
    return Customer.objects.get()


@pytest.mark.parametrize(
    ("columns", "reason", "ticket", "wrong"),
    [
        ({"reason_rule": "required"}, "", "", ["reason"]),
        ({"reason_rule": "required"}, " \u00a0 ", "", ["reason"]),
        ({"reason_rule": "required"}, "hangs up", "", []),
        ({"ticket_rule": "required"}, "", "", ["ticket"]),
        ({"ticket_rule": "required", "reason_rule": "required"}, "", "", ["reason", "ticket"]),
        ({"ticket_pattern": "INC-#"}, "", "", []),
        ({"ticket_pattern": "INC-#"}, "", "INC-4711", []),
        ({"ticket_pattern": "INC-#"}, "", "CHG-4711", ["ticket"]),
        ({"ticket_pattern": "INC-#", "ticket_rule": "off"}, "", "CHG-4711", []),
    ],
)
def test_what_is_asked_for_has_to_be_there(columns: dict[str, str], reason: str, ticket: str, wrong: list[str]) -> None:
    assert problems(acme(**columns), reason, ticket) == wrong


def test_what_is_not_asked_for_is_not_kept() -> None:
    assert check_record(acme(reason_rule="off", ticket_rule="off"), "Tom said so", "INC-1") == ("", "")


@pytest.mark.parametrize(
    ("pattern", "ticket", "fits"),
    [
        ("INC-#", "INC-1", True),
        ("INC-#", "inc-1", True),
        ("INC-#", "INC-", False),
        ("INC-#", "INC-1x", False),
        ("INC-#", "INC-1\n", False),
        ("INC-#", "INC-٤٧", False),
        ("INC-####", "INC-471", False),
        ("INC-####", "INC-47110", True),
        ("A.#", "AB1", False),
        ("#/#", "12/2026", True),
    ],
)
def test_a_pattern_is_text_with_a_sign_for_digits(pattern: str, ticket: str, fits: bool) -> None:
    check_pattern(pattern)

    assert matches(pattern, ticket) is fits
    assert matches(pattern, example(pattern))


@pytest.mark.parametrize("pattern", ["INC", "(a+)+#", "[0-9]+#", "#1#1#1#1#", "INC-#$", "#\\d", "é#", "#" * 21])
def test_a_pattern_that_we_would_not_run_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        check_pattern(pattern)


def test_the_worst_pattern_is_matched_in_no_time() -> None:
    began = clock.process_time()

    assert not matches("#1#1#1#", "1" * 99 + "x")

    assert clock.process_time() - began < 0.5


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert({ticket})",
        "https://tickets.example.com/",
        "https://{ticket}.example.com/",
        "https://a@tickets.example.com/{ticket}",
        "//tickets.example.com/{ticket}",
        "https://tickets.example.com/{ticket}/{ticket}",
        "https://tickets.example.com/ {ticket}",
        "https://[/{ticket}",
    ],
)
def test_a_link_that_may_lead_elsewhere_is_refused(link: str) -> None:
    with pytest.raises(ValidationError):
        check_link(link)


def test_a_ticket_stays_inside_its_place_in_the_link() -> None:
    customer = acme(ticket_link="https://tickets.example.com/{ticket}?full=1")

    assert ticket_url(customer, "../x?y#z") == "https://tickets.example.com/..%2Fx%3Fy%23z?full=1"
    assert ticket_url(customer, "") == ""


HOURS = {"hours_from": time(8), "hours_to": time(18), "time_zone": "Europe/Berlin"}
NIGHT = HOURS | {"hours_from": time(23), "hours_to": time(3), "working_days": "67"}


@pytest.mark.parametrize(
    ("columns", "at", "expected"),
    [
        ({}, datetime(2026, 3, 7, 3, tzinfo=UTC), True),
        (HOURS, datetime(2026, 3, 6, 7, 0, tzinfo=UTC), True),  # 08:00 on a Friday in Berlin
        (HOURS, datetime(2026, 3, 6, 6, 59, tzinfo=UTC), False),
        (HOURS, datetime(2026, 3, 6, 17, 0, tzinfo=UTC), False),
        (HOURS, datetime(2026, 7, 3, 6, 0, tzinfo=UTC), True),  # summer time
        (HOURS, datetime(2026, 3, 7, 9, 0, tzinfo=UTC), False),  # a Saturday
        (HOURS, datetime(2026, 3, 27, 7, 0, tzinfo=UTC), True),  # the clocks go forward on the 29th
        (HOURS, datetime(2026, 3, 30, 5, 59, tzinfo=UTC), False),
        (HOURS, datetime(2026, 3, 30, 6, 0, tzinfo=UTC), True),
        (HOURS, datetime(2026, 10, 23, 15, 59, tzinfo=UTC), True),  # and back on the 25th
        (HOURS, datetime(2026, 10, 23, 16, 0, tzinfo=UTC), False),
        (HOURS, datetime(2026, 10, 26, 16, 30, tzinfo=UTC), True),
        (HOURS, datetime(2026, 10, 26, 17, 0, tzinfo=UTC), False),
        (NIGHT, datetime(2026, 3, 29, 0, 30, tzinfo=UTC), True),  # 01:30, before the hour that is not there
        (NIGHT, datetime(2026, 3, 29, 1, 0, tzinfo=UTC), False),  # 03:00, half an hour later
        (NIGHT, datetime(2026, 10, 25, 0, 30, tzinfo=UTC), True),  # 02:30 for the first time
        (NIGHT, datetime(2026, 10, 25, 1, 30, tzinfo=UTC), True),  # and again
        (NIGHT, datetime(2026, 10, 25, 2, 0, tzinfo=UTC), False),
        (HOURS | {"hours_from": time(22), "hours_to": time(6)}, datetime(2026, 3, 6, 22, tzinfo=UTC), True),
    ],
)
def test_working_hours_are_those_of_the_customers_own_clock(columns: Any, at: datetime, expected: bool) -> None:
    assert is_at_work(acme(**columns), at) is expected


FORM = {
    "reason_rule": "required",
    "ticket_rule": "optional",
    "ticket_pattern": "INC-#",
    "ticket_link": "https://tickets.example.com/{ticket}",
    "time_zone": "Europe/Berlin",
    "hours_from": "08:00",
    "hours_to": "18:00",
    "working_days": ["1", "2", "3", "4", "5"],
}


def test_a_manager_sets_the_rules_and_the_log_says_which(client: Client) -> None:
    customer = acme()
    client.force_login(make_user(Role.MANAGER, customer))

    answer = client.post(f"/customers/{customer.pk}/rules/", FORM)

    assert answer.status_code == 302
    kept = acme_again()
    assert (kept.reason_rule, kept.time_zone, kept.hours_from) == ("required", "Europe/Berlin", time(8))
    fields = Event.objects.get(action="customer.edited").data["fields"]
    assert fields["reason_rule"] == {"before": "optional", "asked": "required"}
    assert fields["hours_from"] == {"before": "", "asked": "08:00"}
    assert "ticket_rule" not in fields
    assert "INC-4711" in client.get(f"/customers/{customer.pk}/").content.decode()


def test_the_form_shows_the_rules_as_they_stand(client: Client) -> None:
    customer = acme()
    client.force_login(make_user(Role.MANAGER, customer))
    client.post(f"/customers/{customer.pk}/rules/", FORM)

    page = client.get(f"/customers/{customer.pk}/rules/").content.decode()

    assert re.findall(r'<option value="([^"]*)" selected', page) == ["required", "optional", "Europe/Berlin"]
    days = re.findall(r'<input type="checkbox" name="working_days" value="(.)"[^>]* checked', page)
    assert days == list("12345")


def test_saving_the_rules_unchanged_is_no_event(client: Client) -> None:
    customer = acme()
    client.force_login(make_user(Role.MANAGER, customer))

    for _ in range(2):
        client.post(f"/customers/{customer.pk}/rules/", FORM)

    assert Event.objects.filter(action="customer.edited").count() == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"ticket_pattern": "(a+)+"}, "ticket_pattern"),
        ({"ticket_link": "javascript:{ticket}"}, "ticket_link"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"hours_to": ""}, "hours_to"),
        ({"hours_to": "08:00"}, "hours_to"),
        ({"working_days": []}, "working_days"),
        ({"reason_rule": "always"}, "reason_rule"),
    ],
)
def test_rules_that_make_no_sense_are_a_form_with_the_reason(client: Client, wrong: Any, field: str) -> None:
    customer = acme()
    client.force_login(make_user(Role.MANAGER, customer))

    answer = client.post(f"/customers/{customer.pk}/rules/", FORM | wrong)

    assert answer.status_code == 422
    assert f'data-error-for="{field}"' in answer.content.decode()
    assert acme_again().reason_rule == "optional"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.HELPDESK, Role.AUDITOR])
def test_nobody_else_sets_them(client: Client, role: Role) -> None:
    customer = acme()
    client.force_login(make_user(role, customer))

    assert client.post(f"/customers/{customer.pk}/rules/", FORM).status_code == 403
