from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from pbxadmin.access.permissions import can
from pbxadmin.access.roles import Action
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db


def grant(*words: str) -> str:
    out = StringIO()
    call_command("grant", *words, stdout=out)
    return out.getvalue().strip()


def test_a_role_is_given_for_one_customer() -> None:
    acme, mara = make_customer("Acme Logistics"), make_user(username="mara")

    assert grant("mara", "helpdesk", "--customer", "acme logistics") == "mara is now helpdesk of Acme Logistics."

    assert can(mara, Action.EDIT_IVR, acme)
    assert not can(mara, Action.EDIT_IVR, None)


def test_without_a_customer_the_role_is_for_all() -> None:
    ada = make_user(username="ada")

    assert grant("ada", "auditor") == "ada is now auditor of all customers."

    assert can(ada, Action.REVIEW_LOG, None)


def test_the_same_role_twice_is_one_membership() -> None:
    ada = make_user(username="ada")
    grant("ada", "auditor")

    assert grant("ada", "auditor") == "ada already is auditor of all customers."

    assert ada.memberships.count() == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nora", "viewer"], "There is no user 'nora'"),
        (["mara", "boss"], "There is no role 'boss'. The roles are viewer, helpdesk, auditor, manager."),
        (["mara", "viewer", "--customer", "Nobody Ltd"], "There is no customer 'Nobody Ltd'"),
        (["mara", "viewer", "--customer", ""], "There is no customer ''"),
    ],
)
def test_what_does_not_exist_is_named(words: list[str], sentence: str) -> None:
    mara = make_user(username="mara")

    with pytest.raises(CommandError, match=sentence):
        grant(*words)

    assert not mara.memberships.exists()
