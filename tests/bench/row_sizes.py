"""How many bytes a row takes on PostgreSQL with its indexes: an event, an IVR, an hour of contacts with a PBX.

The log is that of tests/bench/events.py; 10 IVRs a PBX; two weeks of hours.
"""

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from ivr.models import Ivr
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import ContactHour, Pbx
from tests.factories import make_customer

from .events import fill_events
from .figures import heading
from .ivr_list import ivr, pbx

EVENTS, PBXS, IVRS_EACH, HOURS = 20_000, 500, 10, 14 * 24
TIMES = {"200": 3, "400": 1}  # as a quarter of an hour makes them


def main() -> None:
    if connection.vendor != "postgresql":
        return
    heading("Bytes of a row, with indexes and with what is stored beside the row")
    fill()
    with connection.cursor() as cursor:
        for model in (Event, Ivr, ContactHour):
            cursor.execute("SELECT pg_total_relation_size(%s)", [model._meta.db_table])
            print(f"{model._meta.db_table:<20}{cursor.fetchone()[0] / model._base_manager.count():>8.0f}")


def fill() -> None:
    customer, now = make_customer(), timezone.now().replace(minute=0, second=0, microsecond=0)
    fill_events(EVENTS, customers=[(customer.pk, customer.name)])
    pbxs = Pbx.objects.bulk_create([pbx(customer, number) for number in range(PBXS)])
    Ivr.objects.bulk_create([ivr(one, number, now) for one in pbxs for number in range(IVRS_EACH)], batch_size=1000)
    for back in range(HOURS):
        hour = now - timedelta(hours=back)
        ContactHour.objects.bulk_create([ContactHour(pbx=one, hour=hour, answered=4, times=TIMES) for one in pbxs])
