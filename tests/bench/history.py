"""What one PBX with 100,000 changes costs, against the same PBX with 100: readings that differ, and pages of an IVR."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from ivr.models import Change, Ivr
from ivr.outside import Difference, outside_record
from pbxadmin.access.models import User
from pbxadmin.fleet.models import Pbx
from tests.factories import make_customer, make_pbx

from .figures import goal, heading, in_turns, table
from .ivr_list import get, ivr, signed_in

FEW, MANY, IVRS, ROUNDS = 100, 100_000, 50, 40
RENUMBERED = 20  # one change in so many


def main() -> None:
    admin = signed_in(User.objects.create_superuser("bench-history", password="only-for-the-bench"))
    customer = make_customer()
    few, many = (make_pbx(customer, name=f"PBX-{count}", read_at=timezone.now()) for count in (FEW, MANY))
    for pbx, count in ((few, FEW), (many, MANY)):
        Ivr.objects.bulk_create(ivr(pbx, number, timezone.now()) for number in range(IVRS))
        Change.objects.bulk_create(changes(pbx, count), batch_size=1000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for words, way in {
        "a reading that differs": reading,
        "a reading that differs, one in motion": in_motion,
        "the page of an IVR": lambda pbx: get(admin, f"/pbxs/{pbx.pk}/ivrs/{Ivr.objects.filter(pbx=pbx)[0].number}/"),
    }.items():
        heading(f"{words}, {FEW} and {MANY:,} changes on its PBX, {ROUNDS} rounds")
        taken = in_turns({f"{FEW}": way(few), f"{MANY:,}": way(many)}, ROUNDS)
        table(taken, f"{FEW}")
        goal(f"{words}, x {FEW} (min)", min(taken[f"{MANY:,}"]) / min(taken[f"{FEW}"]), 1.2)


def changes(pbx: Pbx, count: int) -> Iterator[Change]:
    """Yield changes over all IVRs of a PBX, all settled, the last one an hour ago."""
    rows, first = list(Ivr.objects.filter(pbx=pbx)), timezone.now() - timedelta(hours=1, seconds=count)
    for place in range(count):
        row = rows[place % len(rows)]
        other = {"number": f"9{place:06}"} if place % RENUMBERED == 0 else {"prompt_repeat": str(place % 5)}
        yield change_of(row, other, first + timedelta(seconds=place))


def change_of(row: Ivr, wanted: dict[str, str], at: datetime, status: str = Change.Status.VERIFIED) -> Change:
    pbx, values = row.pbx, row.settings.values()
    people = {"planned_by_id": 1, "planned_by_name": "Mara", "planned_at": at}
    is_over = status == Change.Status.VERIFIED
    return Change(
        form_key=uuid.uuid4().hex,
        customer_id=pbx.customer_id,
        customer_name="Acme",
        pbx_id=pbx.pk,
        pbx_name=pbx.name,
        api_version=pbx.api_version,
        number=row.number,
        base=values,
        wanted=wanted,
        found=values | wanted if is_over else None,
        status=status,
        sent_at=at,
        finished_at=at if is_over else None,
        **people,
    )


def reading(pbx: Pbx) -> Callable[[], None]:
    """Return what finds one IVR of a PBX changed, and then forgets it."""
    row = Ivr.objects.filter(pbx=pbx).select_related("pbx__customer")[0]
    before = row.settings.values()
    now = timezone.now()
    one = Difference(row.pbx, row.number, before, before | {"name": "By hand"}, now - timedelta(minutes=15), now)

    def find() -> None:
        with transaction.atomic():
            outside_record([one])
            transaction.set_rollback(True)

    return find


def in_motion(pbx: Pbx) -> Callable[[], None]:
    row = Ivr.objects.filter(pbx=pbx)[0]
    change_of(row, {"prompt_repeat": "4"}, timezone.now(), Change.Status.SENDING).save()
    return reading(pbx)
