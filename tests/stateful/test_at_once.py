"""Two people at the same moment: one gets what they asked for, the other is told why not."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event as Flag
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.test import Client

from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_create, customer_rename
from pbxadmin.audit.chain import verify
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_edit
from tests.factories import make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def meanwhile(first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """What `second` returns, which runs while `first` has written and not yet committed."""
    started = Flag()

    def run() -> Any:
        try:
            started.set()
            return second()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            running: Future[Any] = pool.submit(run)
            assert started.wait(10)
            with pytest.raises(TimeoutError):  # it waits for the first
                running.result(0.5)
        return running.result(20)


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        act()
    return " ".join(caught.value.messages)


def test_a_pbx_that_somebody_adds_under_the_same_name_is_a_form_with_the_reason(client: Client):
    acme = make_customer()
    client.force_login(make_user(Role.MANAGER, acme))
    form = {"customer": acme.pk, "name": "ACME-HQ", "host": "pbx.example.com", "port": "8088", "username": "api"}

    answer = meanwhile(
        lambda: make_pbx(acme, name="ACME-HQ"), lambda: client.post("/pbxs/add/", form | {"password": "Api-Passw0rd"})
    )

    assert answer.status_code == 422
    assert "already" in answer.content.decode()
    assert Pbx.objects.count() == 1
    assert verify().faults == []


def test_a_pbx_renamed_to_what_somebody_adds_keeps_its_name():
    acme = make_customer()
    pbx = make_pbx(acme, name="ACME-Depot")

    said = meanwhile(
        lambda: make_pbx(acme, name="ACME-HQ"), lambda: refusal(lambda: pbx_edit(pbx=pbx, values={"name": "ACME-HQ"}))
    )

    assert "already exists" in said
    assert sorted(Pbx.objects.values_list("name", flat=True)) == ["ACME-Depot", "ACME-HQ"]


def test_a_customer_that_somebody_adds_under_the_same_name_is_refused():
    said = meanwhile(lambda: make_customer("Acme"), lambda: refusal(lambda: customer_create(name="ACME")))

    assert said == "There is a customer with this name already."
    assert Customer.objects.count() == 1


def test_a_customer_renamed_to_what_somebody_adds_keeps_its_name():
    bell = make_customer("Bell")

    said = meanwhile(
        lambda: make_customer("Acme"), lambda: refusal(lambda: customer_rename(customer=bell, name="ACME"))
    )

    assert said == "There is a customer with this name already."
    assert sorted(Customer.objects.values_list("name", flat=True)) == ["Acme", "Bell"]
