"""A rare word in 50,000 and in 500,000 IVRs, and what the index costs a reading.

Both sizes stand in one database in turn: the first tenth is measured, the rest is added, and it is measured again.
"""

from collections.abc import Callable
from statistics import median

from django.db import connection
from django.utils import timezone

from ivr.models import Ivr
from ivr.selectors import IvrFilter, ivrs_found
from ivr.snapshots import write_snapshots
from pbxadmin.access.models import Customer, User
from pbxadmin.access.services import customer_create
from pbxadmin.fleet.models import Pbx
from pbxadmin.search import indexes_install, indexes_remove

from .figures import goal, heading, in_turns, table

CUSTOMERS, PBXS, FEW, MANY = 100, 2_500, 50_000, 500_000
ROUNDS = 51
MENUS = ("Main_Menu", "After_Hours", "Sales", "Support", "Welcome", "Billing", "Holidays", "Warehouse")
# Twenty IVRs in each size; the number of one main line; a word of one PBX; a word that no row holds.
SEARCHES = ("Größenwahn", "groessenlos", "+49 89 0000777", "Site-0777", "Grossenwahn Sales")
LIMIT = 1.5


def main() -> None:
    user = User.objects.create_superuser("bench", password="only-for-the-bench")
    customers = [customer_create(name=f"Customer_{number:03}") for number in range(CUSTOMERS)]
    pbxs = Pbx.objects.bulk_create(pbx(customers[number % CUSTOMERS], number) for number in range(PBXS))
    times: dict[str, dict[int, float]] = {search: {} for search in SEARCHES}
    for size, before in ((FEW, 0), (MANY, FEW)):
        Ivr.objects.bulk_create((ivr(pbxs[n % PBXS], n) for n in range(before, size)), batch_size=1000)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        taken = in_turns({search: first_page(user, search) for search in SEARCHES}, ROUNDS)
        for search, seconds in taken.items():
            times[search][size] = median(seconds)
    heading(f"A search among {FEW:,} and {MANY:,} IVRs, the first page of ids")
    for search, by_size in times.items():
        few, many = by_size[FEW] * 1000, by_size[MANY] * 1000
        print(f"{search:>22}: {few:7.2f} ms, {many:7.2f} ms")
        goal(f"{search}: x the time among a tenth", many / few, LIMIT)
    writes(pbxs)


def pbx(customer: Customer, number: int) -> Pbx:
    name = f"Site-{number:04}"
    return Pbx(customer=customer, name=name, host="pbx.invalid", username="api", main_numbers=f"+49 89 {number:07}")


def ivr(pbx: Pbx, number: int) -> Ivr:
    is_rare = number % (FEW // 20) == 7 and number < FEW
    name = "Größenwahn" if is_rare else f"{MENUS[number % len(MENUS)]}_{number}"
    values = {"prompt_repeat": "3", "response_timeout": "3", "digit_timeout": "3", "dial_outbound": "off"}
    return Ivr(pbx=pbx, number=str(6500 + number // PBXS), name=name, read_at=timezone.now(), **values)


def first_page(user: User, typed: str) -> Callable[[], None]:
    def read() -> None:
        wanted = IvrFilter(q=typed)
        list(ivrs_found(user, wanted).order_by(*wanted.order).values_list("pk", flat=True)[:51])

    return read


def writes(pbxs: list[Pbx]) -> None:
    """Rename the IVRs of fifty PBXs, with the index and without."""
    heading("Storing the changed snapshots of 50 PBXs (10,000 IVRs), with the index and without")
    rows = list(Ivr.objects.filter(pbx__in=pbxs[:50]))
    taken: dict[str, list[float]] = {}
    for name in ("with", "without"):
        taken |= in_turns({name: lambda: renamed(rows)}, 5)
        indexes_remove(connection, "ivr_ivr")
    table(taken, "without")
    indexes_install(connection.alias)


def renamed(rows: list[Ivr]) -> None:
    for row in rows:
        row.name = f"{(row.name or '')[:40]}x"
    write_snapshots(rows)
