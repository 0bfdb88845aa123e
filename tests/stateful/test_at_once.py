"""Two people at the same moment: one gets what they asked for, the other is told why not."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event as Flag
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.test import Client

from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_create, customer_rename
from pbxadmin.accounts.invitations import InvitationGone, invitation_accept, invitation_create
from pbxadmin.accounts.models import Invitation
from pbxadmin.accounts.services import person_disable, site_admin_take
from pbxadmin.audit.chain import verify
from pbxadmin.audit.models import Event
from pbxadmin.fleet.imports import import_apply, import_plan, import_store
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_edit
from tests.factories import make_customer, make_pbx, make_user
from tests.waiting import LIMIT_S

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
            assert started.wait(LIMIT_S)
            with pytest.raises(TimeoutError):  # it waits for the first
                running.result(0.5)
        return running.result(60)


def offered(customer: Customer | None) -> dict[str, Any]:
    return {"email": "m@example.com", "name": "M", "role": Role.VIEWER, "customer": customer, "ends_on": None}


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


def test_of_two_site_admins_who_put_each_other_out_one_stays() -> None:
    first, second = (make_user(username=name, is_superuser=True) for name in ("first", "second"))

    told = meanwhile(
        lambda: person_disable(user=second),
        lambda: refusal(lambda: site_admin_take(user=User.objects.get(pk=first.pk))),
    )

    assert told == "first is the last site admin. Make somebody else one first."
    assert list(User.objects.filter(is_superuser=True, is_active=True)) == [first]


def test_of_two_people_with_the_same_invitation_one_gets_the_role() -> None:
    acme, sue = make_customer("Acme Logistics"), make_user(is_superuser=True)
    mara, nora = make_user(username="mara"), make_user(username="nora")
    offer = offered(customer=acme)
    invitation, _ = invitation_create(by=sue, **offer)

    def late() -> None:
        with pytest.raises(InvitationGone):
            invitation_accept(invitation=Invitation.objects.get(), user=nora)

    meanwhile(lambda: invitation_accept(invitation=invitation, user=mara), late)

    assert list(acme.memberships.values_list("user_id", flat=True)) == [mara.pk]


def test_invitations_sent_at_once_are_counted_one_after_the_other() -> None:
    sue = make_user(is_superuser=True)
    offer = offered(customer=None)

    told = meanwhile(
        lambda: invitation_create(by=sue, **offer), lambda: refusal(lambda: invitation_create(by=sue, **offer))
    )

    assert told == "This address has such an invitation. Send that one again, under Invitations."
    assert Invitation.objects.count() == 1


def test_a_file_that_two_clicks_import_at_once_is_imported_once():
    user = make_user("manager", make_customer("Acme Logistics"))
    content = b"customer,name,host,username,password\nAcme Logistics,ACME-HQ,127.0.0.1,api,secret\n"
    kept = import_store(user, content)
    first, second = (import_plan(content, user) for _ in range(2))
    done = []

    late = meanwhile(
        lambda: done.append(import_apply(first, source=content, stored=kept)),
        lambda: import_apply(second, source=content, stored=kept),
    )

    assert (done, late) == ([True], False)
    assert Pbx.objects.count() == 1
    assert Event.objects.filter(action="pbxs.imported").count() == 1
