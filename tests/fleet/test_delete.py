"""Deleting a PBX while others work with it, on a database that locks rows."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from pbxadmin.fleet.models import Lease, Pbx
from pbxadmin.fleet.services import pbx_delete
from tests.factories import make_customer, make_pbx
from tests.waiting import LIMIT_S, until


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")
def test_it_waits_for_a_reading_without_holding_what_that_needs():
    pbx = make_pbx(make_customer("Acme Logistics"))

    def delete():
        try:
            pbx_delete(pbx=pbx)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():  # in the order of whoever keeps a reading: lease, record
            Lease.objects.select_for_update().get(pbx=pbx)
            deleting = pool.submit(delete)
            until(waits)
            Pbx.objects.select_for_update(nowait=True).get(pk=pbx.pk)
        deleting.result(timeout=LIMIT_S)

    assert not Pbx.objects.exists()


def waits() -> bool:
    """Whether somebody waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
