"""What is told of policies beside events: IVRs that break one since a reading, and exceptions that end soon."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone

from pbxadmin.access.models import Customer
from pbxadmin.fleet.models import Pbx
from pbxadmin.policies.models import Policy, PolicyException, Severity, Violation
from pbxadmin.web.times import utc_today
from pbxadmin.web.words import number_of

from .kinds import POLICY_BROKEN, NoticeEffect, Telling, policy_key, policy_path
from .models import Condition, NoticeSeverity
from .outbox import NoticeSource, condition_move, telling_note

ENDS_SOON = timedelta(days=7)
EXCEPTIONS_AT_ONCE = 2000
SEVERITY_OF = {
    Severity.HIGH.value: NoticeSeverity.CRITICAL,
    Severity.MEDIUM.value: NoticeSeverity.WARNING,
    Severity.LOW.value: NoticeSeverity.INFORMATION,
}
Pair = tuple[int, int]  # ids of a policy and a customer


def violations_note(*, opened: Sequence[Violation], reopened: Sequence[PolicyException], **_: Any) -> None:
    """Write which policies are broken since now, one notice for each with a customer. Called in the transaction.

    What is open again is told by its event; here its condition is opened.
    """
    customer_of = dict(Pbx.objects.filter(pk__in={row.pbx_id for row in opened}).values_list("pk", "customer_id"))
    new: dict[Pair, list[Violation]] = defaultdict(list)
    for row in opened:
        new[row.policy_id, customer_of[row.pbx_id]].append(row)
    again = {(each.policy_id or 0, each.customer_id) for each in reopened}
    pairs = sorted({*new, *again})  # in one order, so that two writers never wait for each other
    policies = Policy.objects.in_bulk({policy_id for policy_id, _ in pairs})
    customers = Customer.objects.in_bulk({customer_id for _, customer_id in pairs})
    counts = open_counts(pairs)
    for pair in pairs:
        policy, customer = policies.get(pair[0]), customers.get(pair[1])
        if policy is None or customer is None:
            continue
        source = NoticeSource(customer.pk, customer.name, timezone.now())
        telling = broken_telling(policy, customer, counts.get(pair, 0))
        if pair in new:
            telling_note("policy", source, telling)
        else:
            condition_move("policy", source, telling)


def open_counts(pairs: Iterable[Pair]) -> dict[Pair, int]:
    """Return how many IVRs of each customer break each policy and are not accepted."""
    open_ones = Violation.objects.still_open().filter(policy__in={policy_id for policy_id, _ in pairs}).order_by()
    rows = open_ones.values_list("policy_id", "pbx__customer_id").annotate(count=Count("pk"))
    return {(policy_id, customer_id): count for policy_id, customer_id, count in rows}


def broken_telling(policy: Policy, customer: Customer, count: int) -> Telling:
    broken_by = f"{number_of(count, 'IVR')} of {customer.name}"
    return Telling(
        condition=policy_key(policy.pk, customer.pk),
        subject=f"“{policy.title}” is broken by {broken_by}",
        text=policy.reason,
        path=policy_path(policy.pk, customer.pk),
        severity=SEVERITY_OF[policy.severity],
        effect=NoticeEffect.BEGINS,
        now=POLICY_BROKEN,
    )


def exceptions_note() -> int:
    """Write which exceptions end within seven days, each once. Return how many."""
    soon = utc_today() + ENDS_SOON
    ending = PolicyException.objects.current().filter(ends_on__lte=soon).order_by("pk")[:EXCEPTIONS_AT_ONCE]
    due = {f"exception/{each.pk}": each for each in ending if is_soon_news(each)}
    known = set(Condition.objects.filter(key__in=due).values_list("key", flat=True))
    with transaction.atomic():
        for key in sorted(due.keys() - known):
            source = NoticeSource(due[key].customer_id, due[key].customer_name, timezone.now())
            telling_note("exception", source, ending_telling(key, due[key]))
    return len(due.keys() - known)


def is_soon_news(exception: PolicyException) -> bool:
    """Return whether an exception was given for longer than the seven days within which its end is told."""
    return exception.ends_on - exception.accepted_at.date() > ENDS_SOON


def ending_telling(key: str, exception: PolicyException) -> Telling:
    return Telling(
        condition=key,
        subject=f"{exception.pbx_name}, IVR {exception.number}: an exception ends on {exception.ends_on:%Y-%m-%d}",
        text=f"“{exception.policy_title}” is broken again then. Accepted: {exception.accepts}. {exception.reason}",
        path=reverse("policies:exception-list"),
        severity=NoticeSeverity.INFORMATION,
        effect=NoticeEffect.BEGINS,
    )
