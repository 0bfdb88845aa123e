"""Holding 50,000 IVRs against 20 policies, against a plain read of the same rows; and the list of what breaks one."""

import time
from datetime import timedelta

from django.utils import timezone

from ivr.models import Ivr
from pbxadmin.access.models import Customer, User
from pbxadmin.fleet.models import Pbx, PbxTag
from pbxadmin.policies.models import Policy, Violation
from pbxadmin.policies.watching import policies_recheck

from .figures import goal, heading, in_turns, table
from .ivr_list import IVRS, PBXS, fill, get, queries, signed_in

ROUNDS = 8
POLICIES = 20
COLUMNS = ("pbx_id", "number", "dial_extension", "dial_outbound", "prompt_repeat", "response_timeout", "digit_timeout")
ASKED = (
    ("dial_outbound", "is", "off"),
    ("dial_extension", "one-of", "on, off"),
    ("prompt_repeat", "at-most", "5"),
    ("response_timeout", "at-least", "1"),
    ("digit_timeout", "at-most", "9"),
)


def main() -> None:
    fill()
    customers = list(Customer.objects.all()[:POLICIES])
    PbxTag.objects.bulk_create(PbxTag(pbx=pbx, name="vip") for pbx in Pbx.objects.all()[::5])
    policies = [made(place, customers) for place in range(POLICIES)]
    began = timezone.now()
    heading(f"{POLICIES} policies over {PBXS * IVRS:,} IVRs")
    differed = policies_recheck(policies)
    took = (timezone.now() - began) / timedelta(seconds=1)
    print(f"first time: {differed:,} PBXs differed, {Violation.objects.count():,} violations stored, {took:.2f} s")
    ways = {
        "plain read of the rows": lambda: list(Ivr.objects.order_by().values_list(*COLUMNS)),
        "held against 20 policies": lambda: policies_recheck(policies),
    }
    taken = in_turns(ways, ROUNDS, time.process_time)
    table(taken, "plain read of the rows")
    ratio = min(taken["held against 20 policies"]) / min(taken["plain read of the rows"])
    goal("x a plain read of the rows (min)", ratio, 3)
    page = get(signed_in(User.objects.create_superuser("bench-policies", password="only-for-the-bench")), "/policies/")
    table(in_turns({"list of policies": page}, ROUNDS), "list of policies")
    goal("queries of the list of policies", queries(page), 7)


def made(place: int, customers: list[Customer]) -> Policy:
    """One policy: every fourth of one customer, every fifth for a tag; the others of all."""
    field, comparison, value = ASKED[place % len(ASKED)]
    return Policy.objects.create(
        customer=customers[place] if place % 4 == 3 else None,
        title=f"Policy {place}",
        reason="A benchmark.",
        field=field,
        comparison=comparison,
        value=value,
        tag="vip" if place % 5 == 4 else "",
    )
