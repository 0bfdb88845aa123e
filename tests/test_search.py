"""The search of lists: kept by the services that write, by an index, the same on both databases."""

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client

from ivr.models import Change, Ivr
from ivr.refresh import pbx_refresh
from ivr.selectors import FEW_PBXS
from pbxadmin.access.models import Customer, User
from pbxadmin.access.services import customer_create, customer_rename
from pbxadmin.audit.context import SYSTEM
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_edit
from pbxadmin.folding import searched_text
from pbxadmin.search import Holds, indexes_install, searched_models
from tests.factories import make_pbx, make_user
from tests.pbx_http import PbxDouble
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(make_user(is_superuser=True, username="admin"))
    return client


@pytest.fixture
def munich(admin: Client, pbx_http: PbxDouble) -> Pbx:
    pbx = make_pbx(
        customer_create(name="Łódź Logistyka"),
        name="MÜNCHEN Büro",
        site="Straße 4",
        main_numbers="+49 89 1234-56",
        tags="évènement",
        notes="Schlüssel bei Jørgen",
    )
    pbx_http.ivrs["6500"]["ivrname"] = "École Ærø"
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    return pbx


def check_texts() -> None:
    """Each row that can be found holds the text that saving it would give it."""
    for model in (Customer, User, Pbx, Ivr, Change):
        for row in model._default_manager.all():
            assert row.words == searched_text(row.searched_texts()) != "", row


def found(client: Client, path: str, typed: str) -> bool:
    page = client.get(path, {"q": typed})
    assert page.status_code == 200
    return bool(re.search(r"<tbody>\s*<tr", page.content.decode()))


@pytest.mark.parametrize(
    ("typed", "paths"),
    [
        ("münchen", ["/ivrs/", "/pbxs/"]),
        ("munchen buro", ["/ivrs/", "/pbxs/"]),
        ("strasse", ["/ivrs/", "/pbxs/"]),
        ("evenement", ["/ivrs/", "/pbxs/"]),
        ("jorgen", ["/ivrs/", "/pbxs/"]),
        ("lodz", ["/ivrs/", "/pbxs/", "/customers/"]),
        ("ŁÓDŹ", ["/ivrs/", "/pbxs/", "/customers/"]),
        ("ecole", ["/ivrs/"]),
        ("aero 6500 lodz strasse", ["/ivrs/"]),
        ("+4989123456", ["/ivrs/", "/pbxs/"]),
        ("089 1234-56", ["/ivrs/", "/pbxs/"]),
        ("0891234", ["/ivrs/", "/pbxs/"]),
        ("ü", ["/ivrs/", "/pbxs/"]),
    ],
)
def test_any_spelling_finds_it_on_every_list(admin: Client, munich: Pbx, typed: str, paths: list[str]) -> None:
    for path in ("/ivrs/", "/pbxs/", "/customers/"):
        assert found(admin, path, typed) == (path in paths), path


@pytest.mark.parametrize("typed", ["%", "_", '"', "*", "m*", "lodz OR nothing", "NOT lodz", "^lodz", "a\\b", "'; --"])
def test_signs_of_a_query_language_are_plain_text(admin: Client, munich: Pbx, typed: str) -> None:
    for path in ("/ivrs/", "/pbxs/", "/customers/", "/people/", "/changes/"):
        assert not found(admin, path, typed), path


def test_what_is_not_yours_is_not_found(client: Client, munich: Pbx) -> None:
    client.force_login(make_user("helpdesk", customer_create(name="Bellweather")))

    assert not any(found(client, path, "lodz") for path in ("/ivrs/", "/pbxs/", "/customers/"))


def test_services_keep_the_text(admin: Client, munich: Pbx, pbx_http: PbxDouble) -> None:
    customer_rename(customer=munich.customer, name="Ålesund Havn")
    pbx_edit(pbx=munich, values={"name": "Göteborg", "tags": "hiver", "main_numbers": ""})
    pbx_http.ivrs["6500"]["ivrname"] = "Größe"
    pbx_refresh(pbx=munich, actor=SYSTEM)

    check_texts()
    for typed in ("alesund", "goteborg", "hiver", "grosse"):
        assert found(admin, "/ivrs/", typed), typed
    for typed in ("lodz", "munchen", "evenement", "ecole", "0891234"):
        assert not found(admin, "/ivrs/", typed), typed
        assert not found(admin, "/pbxs/", typed), typed


def test_a_word_of_many_pbxs_does_not_name_each_of_them(admin: Client, munich: Pbx) -> None:
    columns = {"customer": munich.customer, "host": "pbx.invalid", "username": "api"}
    Pbx.objects.bulk_create(Pbx(name=f"Site {number}", **columns) for number in range(FEW_PBXS + 1))

    most = 0

    def counting(run: Callable[..., Any], sql: str, parameters: Any, *more: Any) -> Any:
        nonlocal most
        most = max(most, len(parameters or ()))
        return run(sql, parameters, *more)

    with connection.execute_wrapper(counting):
        assert found(admin, "/ivrs/", "lodz ecole")
    assert 0 < most < FEW_PBXS


def test_people_and_changes(admin: Client, munich: Pbx) -> None:
    make_user("helpdesk", munich.customer, username="zoe", first_name="Zoë", last_name="Müller", email="zm@example.com")
    Change.objects.create(
        form_key="1", customer_id=1, pbx_id=1, number="6500", pbx_name="MÜNCHEN", base={}, wanted={}, planned_by_id=1
    )

    assert found(admin, "/people/", "zoe muller")
    assert found(admin, "/people/", "zm@example")
    assert found(admin, "/changes/", "munchen")


def test_two_edits_of_one_pbx_at_a_time_keep_both_texts(munich: Pbx) -> None:
    opened_earlier = Pbx.objects.get(pk=munich.pk)
    pbx_edit(pbx=munich, values={"notes": "Hausmeister", "main_numbers": ""})
    pbx_edit(pbx=opened_earlier, values={"name": "Göteborg"})

    check_texts()
    assert "hausmeister" in Pbx.objects.get().words


def test_the_texts_can_be_taken_back_step_by_step(munich: Pbx) -> None:
    back = ("access 0008", "access 0007", "fleet 0014", "fleet 0013", "ivr 0007", "ivr 0006")
    try:
        for step in back:
            call_command("migrate", *step.split(), verbosity=0)
    finally:
        call_command("migrate", verbosity=0)

    check_texts()
    test_the_index_is_used(munich)


def plan_of(sql: str, words: list[str]) -> str:
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{explain} {sql}", words)
        return " ".join(str(part) for row in cursor.fetchall() for part in row)


def test_the_index_is_used(munich: Pbx) -> None:
    sql, words = Ivr.objects.filter(words__holds="ecole").order_by().values("pk").query.sql_with_params()

    # PostgreSQL leaves a new index alone until the transactions that were open before it are over, of any database.
    until(lambda: re.search("ivr_ivr_trgm|ivr_ivr_fts", plan_of(sql, list(words))), 60)


@pytest.fixture
def lost() -> Iterator[None]:
    """The index of IVRs is gone, as after a migration that remade the table."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP INDEX ivr_ivr_trgm")
        else:
            cursor.execute("DROP TRIGGER ivr_ivr_fts_insert")
    yield
    indexes_install(connection.alias)


def test_a_migration_puts_back_what_is_missing(admin: Client, lost: None, munich: Pbx) -> None:
    indexes_install(connection.alias)

    assert found(admin, "/ivrs/", "ecole")
    test_the_index_is_used(munich)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite always has its trigrams")
def test_without_the_extension_the_search_goes_on_and_says_so(
    admin: Client, munich: Pbx, caplog: pytest.LogCaptureFixture
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION pg_trgm CASCADE")
        cursor.execute("CREATE ROLE reader")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    try:
        with caplog.at_level(logging.WARNING), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE reader")
            indexes_install(connection.alias, list(searched_models())[:1])
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP OWNED BY reader")
            cursor.execute("DROP ROLE reader")
        assert found(admin, "/ivrs/", "ecole")
        indexes_install(connection.alias)

    (said,) = (record.getMessage() for record in caplog.records)
    assert "has no index" in said
    assert 'to create extension "pg_trgm"' in said


def test_the_lookup_is_the_only_way_to_search_a_folded_text() -> None:
    assert Ivr._meta.get_field("words").get_lookup("holds") is Holds
