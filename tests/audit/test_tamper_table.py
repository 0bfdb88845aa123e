"""What may be done to a log with a checkpoint, by whoever owns the database and by the product's own connection.

Every way of the owner is found, with the number of the event. The product's are refused, all but an event that it makes
up, which is found. What the working role of PostgreSQL is refused besides is in test_role.py.
"""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import checkpoint_make
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_remove

from .conftest import ACME, BELL

pytestmark = pytest.mark.django_db
COLUMNS = [field.attname for field in Event._meta.concrete_fields]


def copied(**changed):
    """An event made from the third one."""
    values = ", ".join(changed.get(name, name) for name in COLUMNS)
    names = ", ".join(COLUMNS)
    return f"INSERT INTO audit_event ({names}) SELECT {values} FROM audit_event WHERE MINE AND sequence = 3"  # noqa: S608


# what was done: the statements, and at which numbers of the chain something is found
WAYS = {
    "a text is changed": (
        ["UPDATE audit_event SET text = replace(text, 'HQ', 'XX') WHERE MINE AND sequence = 2"],
        [2],
    ),
    "a column is changed": (["UPDATE audit_event SET actor_name = 'evil' WHERE MINE AND sequence = 4"], [4]),
    "the first is deleted": (["DELETE FROM audit_event WHERE MINE AND sequence = 1"], [1]),
    "one between is deleted": (["DELETE FROM audit_event WHERE MINE AND sequence = 3"], [3]),
    "two change places": (
        [
            "UPDATE audit_event SET sequence = 99 WHERE MINE AND sequence = 2",
            "UPDATE audit_event SET sequence = 2 WHERE MINE AND sequence = 3",
            "UPDATE audit_event SET sequence = 3 WHERE MINE AND sequence = 99",
        ],
        [2, 3, 4],
    ),
    "one is inserted between": (
        [
            "UPDATE audit_event SET sequence = 7 WHERE MINE AND sequence = 5",
            "UPDATE audit_event SET sequence = 6 WHERE MINE AND sequence = 4",
            "UPDATE audit_event SET sequence = 5 WHERE MINE AND sequence = 7",
            copied(id="900", sequence="4"),
        ],
        [4, 5, 6],
    ),
    "the last is cut": (["DELETE FROM audit_event WHERE MINE AND sequence = 5"], [5]),
    "the last two are cut": (["DELETE FROM audit_event WHERE MINE AND sequence > 3"], [4]),
    "a whole chain is cut": (["DELETE FROM audit_event WHERE MINE"], [1]),
    "everything is cut": (["DELETE FROM audit_event"], [1]),
}
MADE_UP = ([copied(id="900", sequence="6")], [6])


@pytest.fixture
def log():
    """Five events of ACME and one of BELL, and a checkpoint."""
    for _ in range(5):
        record(EventAction.PBX_EDITED, customer=ACME, pbx=(5, "ACME-HQ"))
    record(EventAction.PBX_EDITED, customer=BELL)
    checkpoint_make("daily")


def do(statements):
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.replace("MINE", "chain = 'customer:1'"))


def do_as_owner(statements):
    triggers_remove(connection)
    do(statements)
    triggers_install(connection)


def found():
    """The numbers of the chain that audit_verify names, which fails."""
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("audit_verify", stdout=out)
    return sorted({int(number) for number in re.findall(r"^BAD customer:1 (\d+) ", out.getvalue(), re.MULTILINE)})


@pytest.mark.parametrize("way", [*WAYS, "one is made up"])
def test_whatever_the_owner_of_the_database_does_is_found(log, way):
    statements, places = WAYS.get(way, MADE_UP)

    do_as_owner(statements)

    assert found() == places


@pytest.mark.parametrize("way", WAYS)
def test_whatever_the_product_itself_would_do_is_refused(log, way):
    before = list(Event.objects.order_by("id").values_list())

    with pytest.raises(IntegrityError, match="never altered"):
        do(WAYS[way][0])

    assert list(Event.objects.order_by("id").values_list()) == before


def test_an_event_that_the_product_makes_up_is_found(log):
    do(MADE_UP[0])

    assert found() == [6]


def test_a_database_of_yesterday_that_went_on_is_found(log):
    record(EventAction.PBX_EDITED, customer=ACME)
    do_as_owner(["DELETE FROM audit_event WHERE MINE AND sequence > 3"])
    for _ in range(4):
        record(EventAction.PBX_EDITED, customer=ACME)

    assert found() == [5]


def test_triggers_that_were_dropped_are_found(log):
    triggers_remove(connection)
    try:
        with pytest.raises(CommandError, match="First: trigger audit_event_no_"):
            call_command("audit_verify", stdout=StringIO())
    finally:
        triggers_install(connection)
