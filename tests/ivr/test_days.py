"""Days of the filters of changes and outside changes: those of the person, also where they have 23 or 25 hours."""

from datetime import UTC, datetime

import pytest

from ivr.models import Change
from pbxadmin.audit.models import Event
from tests.factories import make_change, make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db
# In Berlin 29 March 2026 has 23 hours and 25 October 25.
SPRING = {
    "before": datetime(2026, 3, 28, 22, 59, tzinfo=UTC),
    "first": datetime(2026, 3, 28, 23, 0, tzinfo=UTC),
    "last": datetime(2026, 3, 29, 21, 59, tzinfo=UTC),
    "after": datetime(2026, 3, 29, 22, 0, tzinfo=UTC),
}
AUTUMN = {
    "before": datetime(2026, 10, 24, 21, 59, tzinfo=UTC),
    "first": datetime(2026, 10, 24, 22, 0, tzinfo=UTC),
    "last": datetime(2026, 10, 25, 22, 59, tzinfo=UTC),
    "after": datetime(2026, 10, 25, 23, 0, tzinfo=UTC),
}


@pytest.fixture
def pbx():
    return make_pbx(make_customer())


@pytest.fixture
def berlin(client):
    client.force_login(make_user(is_superuser=True, time_zone="Europe/Berlin"))
    return client


def shown(client, address, names):
    page = client.get(address).content.decode()
    return [name for name in names if f"T-{name}" in page]


@pytest.mark.parametrize(("day", "times"), [("2026-03-29", SPRING), ("2026-10-25", AUTUMN)])
def test_a_day_is_one_of_the_person(berlin, pbx, day, times):
    for name, at in times.items():
        change = make_change(pbx, ticket=f"T-{name}")
        Change.objects.filter(pk=change.pk).update(planned_at=at)

    assert shown(berlin, f"/changes/?from={day}&to={day}", times) == ["first", "last"]
    assert shown(berlin, f"/changes/?from={day}&to={day}&times=utc", times) != ["first", "last"]


def test_in_utc_the_days_are_utc_and_the_page_says_so(berlin, pbx):
    change = make_change(pbx, ticket="T-late")
    Change.objects.filter(pk=change.pk).update(planned_at=datetime(2026, 3, 28, 23, 30, tzinfo=UTC))

    assert shown(berlin, "/changes/?to=2026-03-28", ["late"]) == []
    assert shown(berlin, "/changes/?to=2026-03-28&times=utc", ["late"]) == ["late"]
    assert "Days and times in UTC" in berlin.get("/changes/?times=utc").content.decode()


def test_an_export_says_in_which_zone_its_days_are(berlin, pbx):
    make_change(pbx)
    for query, zone in (("", "Europe/Berlin"), ("&times=utc", "UTC")):
        b"".join(berlin.get(f"/changes/?format=csv{query}"))
        assert Event.objects.latest("pk").data["detail"]["zone"] == zone


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("address", ["/changes/", "/outside/"])
def test_a_day_without_a_year_in_another_zone_is_no_error(berlin, address, day):
    assert berlin.get(f"{address}?from={day}&to={day}").status_code == 200


def test_a_script_is_asked_for_days_in_utc_whatever_the_zone_of_its_holder(client, pbx, settings):
    from pbxadmin.api.scopes import Scope
    from pbxadmin.api.services import api_key_make

    change = make_change(pbx)
    Change.objects.filter(pk=change.pk).update(planned_at=datetime(2026, 3, 28, 23, 30, tzinfo=UTC))
    holder = make_user("viewer", pbx.customer, time_zone="Europe/Berlin")
    _, key = api_key_make(holder=holder, name="k", scope=Scope.READ, last_day=datetime.now(UTC).date())

    answer = client.get("/api/v1/changes?to=2026-03-28", headers={"Authorization": f"Bearer {key}"})

    assert [one["id"] for one in answer.json()["items"]] == [change.pk]
