"""From 10,000 notices in the outbox to their mails, against 100: queries of each step, and its time for one notice."""

import time
from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_create, membership_grant
from pbxadmin.notices.addressing import mails_gather, some_address
from pbxadmin.notices.deliver import message_of
from pbxadmin.notices.models import Notice, NoticeMail, NoticeSeverity

from .figures import goal, heading

MANY, FEW, PEOPLE = 10_000, 100, 20


def main() -> None:
    customer = customer_create(name="Bench")
    for place in range(PEOPLE):
        user = User.objects.create_user(f"bench-{place}", f"bench-{place}@example.com", "only-for-the-bench")
        membership_grant(user=user, role=Role.MANAGER, customer=customer)
    heading(f"Notices to {PEOPLE} people, {FEW} and {MANY:,}")
    few, many = (measured(customer, count) for count in (FEW, MANY))
    goal("seconds for a notice, many x few", many[0] / MANY / (few[0] / FEW), 1.5)
    goal("queries for 1,000 notices, many x few", many[1] / (MANY / 1000) / few[1], 1.5)
    print(f"  {MANY:,} notices to {PEOPLE} people: {many[0]:.1f} s, and the first mail made in {many[2]:.2f} s")


def measured(customer: Customer, count: int) -> tuple[float, int, float]:
    """Return seconds and reading queries from outbox to mails, and the seconds in which one mail is written."""
    notices_make(customer, count)
    started = time.perf_counter()
    with CaptureQueriesContext(connection) as caught:
        while some_address(timezone.now()):
            pass
        while mails_gather():
            NoticeMail.objects.update(made_at=timezone.now() - timedelta(hours=1))
    taken = time.perf_counter() - started
    started = time.perf_counter()
    assert message_of(NoticeMail.objects.select_related("route").earliest("pk"))
    written = time.perf_counter() - started
    NoticeMail.objects.all().delete()
    Notice.objects.all().delete()
    return taken, sum("INSERT" not in query["sql"] for query in caught), written


def notices_make(customer: Customer, count: int) -> None:
    """Put so many notices of a customer into the outbox."""
    now = timezone.now()
    Notice.objects.bulk_create(
        [
            Notice(
                kind="outside",
                severity=NoticeSeverity.WARNING,
                customer_id=customer.pk,
                customer_name=customer.name,
                condition=f"outside/{place}",
                subject=f"PBX-{place}, IVR 6500: changed, outside PBX Admin",
                path=f"/outside/?pbx={place}",
                event_id=place,
                at=now,
                due_at=now,
            )
            for place in range(count)
        ],
        batch_size=1000,
    )
