"""200 IVRs in one answer of the API, against the page of the list of IVRs, over 50,000 of them."""

import json
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.test import Client
from django.utils import timezone

from ivr.views.lists import IVRS_PER_PAGE
from pbxadmin.access.models import User
from pbxadmin.api.paging import MOST_LISTED
from pbxadmin.api.scopes import Scope
from pbxadmin.api.services import api_key_make

from .figures import goal, heading, in_turns, table
from .ivr_list import CUSTOMERS, IVRS, PBXS, fill, get, queries, signed_in

ROUNDS = 20


def main() -> None:
    settings.API_RATE, settings.API_BURST = 1000, 10_000
    heading(f"A page of {CUSTOMERS} customers' {PBXS * IVRS:,} IVRs, and the same from the API, {ROUNDS} rounds")
    admin = User.objects.create_superuser("bench-api", password="only-for-the-bench")
    fill()
    last_day = timezone.localdate() + timedelta(days=1)
    _, text = api_key_make(holder=admin, name="bench", scope=Scope.READ, last_day=last_day)
    page = get(signed_in(admin), "/ivrs/")
    same, most = (asked(text, f"/ivrs?limit={rows}") for rows in (IVRS_PER_PAGE, MOST_LISTED))
    if len(json.loads(most())["items"]) != MOST_LISTED:
        raise RuntimeError("the API listed fewer")
    ways = {f"page, {IVRS_PER_PAGE}": page, f"API, {IVRS_PER_PAGE}": same, f"API, {MOST_LISTED}": most}
    taken = in_turns(ways, ROUNDS)
    table(taken, f"page, {IVRS_PER_PAGE}")
    of_page, _, of_most = (min(times) for times in taken.values())
    goal(f"{MOST_LISTED} IVRs, x the page (min)", of_most / of_page, 1.2)
    goal("queries, with those of the key", queries(most), queries(page))


def asked(key: str, path: str) -> Callable[[], str]:
    return get(Client(), f"/api/v1{path}", Authorization=f"Bearer {key}")
