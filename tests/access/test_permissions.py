import datetime as dt

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import can, can_anywhere, customer_ids, customers_of, require
from pbxadmin.access.roles import Action, Role
from pbxadmin.access.services import membership_end, membership_grant
from pbxadmin.audit.models import Event
from tests.factories import make_user

pytestmark = pytest.mark.django_db

# The same table as in roles.py, written down a second time on purpose: a change of a right must be made in both.
MATRIX = {
    #                      viewer helpdesk auditor manager
    Action.SEE: (True, True, True, True),
    Action.EDIT_IVR: (False, True, False, True),
    Action.RENUMBER: (False, False, False, True),
    Action.DIAL_OUTBOUND: (False, False, False, True),
    Action.MANAGE_PBXS: (False, False, False, True),
    Action.BATCH: (False, False, False, True),
    Action.SEE_PEOPLE: (False, False, True, True),
    Action.MANAGE_PEOPLE: (False, False, False, True),
    Action.MANAGE_RULES: (False, False, False, True),
    Action.REVIEW_LOG: (False, False, True, False),
    Action.MANAGE_CUSTOMERS: (False, False, False, False),
}
ROLES = (Role.VIEWER, Role.HELPDESK, Role.AUDITOR, Role.MANAGER)
CASES = [(role, action, row[column]) for action, row in MATRIX.items() for column, role in enumerate(ROLES)]


def archive(customer: Customer) -> None:
    customer.archived_at = timezone.now()
    customer.save(update_fields=["archived_at"])


def test_the_matrix_names_every_action_and_role() -> None:
    assert set(MATRIX) == set(Action)
    assert set(ROLES) == set(Role)


@pytest.mark.parametrize(("role", "action", "expected"), CASES)
def test_each_role_may_do_what_the_matrix_says(role: Role, action: Action, expected: bool, acme: Customer) -> None:
    user = make_user(role, acme)

    assert can(user, action, acme) is expected
    assert can(user, action, acme.pk) is expected
    assert can_anywhere(user, action) is expected


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", Action)
def test_a_role_for_one_customer_is_nothing_for_another(
    role: Role, action: Action, acme: Customer, bellweather: Customer
) -> None:
    user = make_user(role, acme)

    assert not can(user, action, bellweather)
    assert not can(user, action, None)
    assert list(Customer.objects.visible_to(user)) == [acme]


@pytest.mark.parametrize(("role", "action", "expected"), CASES)
def test_a_role_for_all_customers_counts_for_each_and_for_the_installation(
    role: Role, action: Action, expected: bool, acme: Customer
) -> None:
    user = make_user(role)

    assert can(user, action, acme) is expected
    assert can(user, action, None) is expected


@pytest.mark.parametrize("action", Action)
def test_a_site_admin_may_do_everything(action: Action, acme: Customer) -> None:
    admin = make_user(is_superuser=True)

    assert can(admin, action, acme)
    assert can(admin, action, None)
    assert customer_ids(admin, action) is None


def test_roles_for_two_customers_stay_apart(acme: Customer, bellweather: Customer) -> None:
    user = make_user("manager", acme)
    membership_grant(user=user, role=Role.VIEWER, customer=bellweather)

    assert customer_ids(user, Action.SEE) == {acme.pk, bellweather.pk}
    assert customer_ids(user, Action.MANAGE_PBXS) == {acme.pk}
    assert list(customers_of(user, Action.MANAGE_PBXS)) == [acme]


def test_a_membership_counts_on_its_last_day_and_not_after(acme: Customer) -> None:
    today = timezone.localdate()
    last_day = make_user("auditor", acme, ends_on=today)
    over = make_user("auditor", acme, ends_on=today - dt.timedelta(days=1))

    assert can(last_day, Action.SEE, acme)
    assert not can(over, Action.SEE, acme)
    assert not Customer.objects.visible_to(over).exists()


@pytest.mark.parametrize("fields", [{}, {"is_superuser": True}])
def test_a_disabled_user_may_do_nothing(fields: dict[str, bool], acme: Customer) -> None:
    user = make_user("manager", acme, is_active=False, **fields)

    assert not can(user, Action.SEE, acme)
    assert not customers_of(user).exists()
    assert not can_anywhere(user, Action.SEE)


def test_somebody_not_signed_in_may_do_nothing(acme: Customer) -> None:
    assert not can(AnonymousUser(), Action.SEE, acme)
    assert not customers_of(AnonymousUser()).exists()


def test_an_archived_customer_is_seen_and_reviewed_but_not_changed(acme: Customer) -> None:
    manager, auditor, admin = make_user("manager", acme), make_user("auditor", acme), make_user(is_superuser=True)
    archive(acme)

    assert list(Customer.objects.visible_to(manager)) == [acme]
    assert can(auditor, Action.REVIEW_LOG, acme)
    for user in (manager, admin):
        assert not can(user, Action.MANAGE_PBXS, acme)
        assert not can(user, Action.EDIT_IVR, acme.pk)
        assert not customers_of(user, Action.EDIT_IVR).exists()
    assert can(admin, Action.MANAGE_CUSTOMERS, acme)


def test_a_customer_that_does_not_exist_cannot_be_written_even_by_a_site_admin() -> None:
    assert not can(make_user(is_superuser=True), Action.EDIT_IVR, 4711)


def test_memberships_are_read_once_for_all_questions(
    acme: Customer, bellweather: Customer, django_assert_num_queries
) -> None:
    user = User.objects.get(pk=make_user("manager", acme).pk)

    with django_assert_num_queries(1):
        for action in Action:
            can(user, action, acme)
            can(user, action, bellweather)
            can_anywhere(user, action)
            customers_of(user, action)


def test_a_refusal_is_recorded_with_who_and_what(acme: Customer) -> None:
    user = make_user("viewer", acme)

    with pytest.raises(PermissionDenied):
        require(user, Action.EDIT_IVR, acme)

    event = Event.objects.get(action="access.denied")
    assert (event.customer_id, event.data["detail"]["action"]) == (acme.pk, "edit-ivr")


def test_granting_twice_changes_nothing_the_second_time(acme: Customer) -> None:
    user = make_user("viewer", acme)

    assert not membership_grant(user=user, role=Role.VIEWER, customer=acme)

    assert user.memberships.count() == 1
    assert Event.objects.filter(action="membership.granted").count() == 1


def test_granting_anew_changes_the_end(acme: Customer) -> None:
    user = make_user("auditor", acme, ends_on=dt.date(2020, 1, 1))
    assert not can(user, Action.SEE, acme)

    membership_grant(user=user, role=Role.AUDITOR, customer=acme)

    assert can(user, Action.SEE, acme)
    assert user.memberships.count() == 1


def test_a_membership_that_ended_is_gone_and_recorded(acme: Customer) -> None:
    user = make_user("manager", acme)

    membership_end(membership=user.memberships.get())

    assert not can(user, Action.SEE, acme)
    event = Event.objects.get(action="membership.ended")
    assert (event.data["detail"]["user"], event.data["detail"]["role"]) == (user.username, "manager")
