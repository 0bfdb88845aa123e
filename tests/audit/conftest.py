from collections.abc import Iterator

import pytest
from django.db import connection

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_remove

ACME = (1, "Acme Logistics")
BELL = (2, "Bellweather Clinics")


@pytest.fixture
def three_events(db: None) -> list[Event]:
    for number in range(3):
        record(EventAction.PBX_EDITED, customer=ACME, pbx=(5, "ACME-HQ"), detail={"number": number})
    return list(Event.objects.order_by("sequence"))


@pytest.fixture
def without_triggers(db: None) -> Iterator[None]:
    """What an owner of the database could do."""
    triggers_remove(connection)
    yield
    triggers_install(connection)
