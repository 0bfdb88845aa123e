"""Updates of many rows at once save what they are asked to, on both databases."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from pbxadmin.fleet.models import ContactHour
from pbxadmin.fleet.row_updates import rows_update
from tests.factories import make_pbx

pytestmark = pytest.mark.django_db
HOUR = timezone.now().replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def hours() -> list[ContactHour]:
    pbx = make_pbx()
    return [ContactHour.objects.create(pbx=pbx, hour=HOUR - timedelta(hours=n), answered=n) for n in range(3)]


def test_each_row_gets_its_own_values_and_keeps_what_was_not_named(hours):
    first, second, _ = hours
    first.hour, first.failures, first.answered = HOUR + timedelta(hours=1), {"ü%s": 3}, 99
    second.failures = {"busy": 1}
    with transaction.atomic():
        rows_update([first, second], ["hour", "failures"])
    found = ContactHour.objects.order_by("pk").values_list("hour", "failures", "answered")
    assert list(found) == [
        (HOUR + timedelta(hours=1), {"ü%s": 3}, 0),
        (HOUR - timedelta(hours=1), {"busy": 1}, 1),
        (HOUR - timedelta(hours=2), {}, 2),
    ]


def test_it_takes_one_statement_and_none_without_rows(hours, django_assert_num_queries):
    with django_assert_num_queries(1):
        rows_update(hours, ["answered"])
    with django_assert_num_queries(0):
        rows_update([], ["answered"])
