"""Many PBXs from a file: shown first, saved all or none, passwords taken once."""

import csv
import hashlib
import io
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.utils import timezone

from pbxadmin.access.models import Customer, User
from pbxadmin.audit.models import Event
from pbxadmin.fleet import imports
from pbxadmin.fleet.imports import import_apply, import_plan, import_stored, imports_forget
from pbxadmin.fleet.models import Lease, Pbx, PbxImport
from pbxadmin.fleet.record_fields import EXPORT_COLUMNS
from pbxadmin.fleet.services import pbx_create, pbx_edit
from pbxadmin.yeastar.s_series.driver import password_digest
from tests.drills.edits import text_of
from tests.factories import make_customer, make_pbx, make_user
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.django_db
PASSWORD = "canary-Passw0rd"
GOOD = {"customer": "Acme Logistics", "name": "ACME-HQ", "host": "127.0.0.1", "username": "api", "password": PASSWORD}


@pytest.fixture
def manager(client: Client, acme: Customer) -> User:
    user = make_user("manager", acme)
    client.force_login(user)
    return user


def sheet(*rows: dict[str, str], columns: Any = None, separator: str = ",") -> str:
    out = StringIO()
    writer = csv.DictWriter(out, columns or list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def bring(client: Client, content: str | bytes) -> Any:
    data = content.encode() if isinstance(content, str) else content
    return client.post("/pbxs/import/", {"file": SimpleUploadedFile("pbxs.csv", data)})


def faults(page: str) -> list[tuple[str, str]]:
    """Line and column of each fault that a page shows."""
    return re.findall(r'data-line="(\d+)".*?data-error-for="([a-z_]*)"', page)


def previewed(client: Client, content: str | bytes) -> tuple[str, str]:
    """The address of the preview of a good file, and the page."""
    answer = bring(client, content)
    assert answer.status_code == 302, answer.content.decode()
    return answer["Location"], client.get(answer["Location"]).content.decode()


def plan_in(page: str) -> str:
    found = re.search(r'name="plan" value="(\w+)"', page)
    assert found, page
    return found[1]


def test_a_manager_sees_what_would_be_added_and_then_adds_it(client: Client, manager: User, acme: Customer) -> None:
    url, page = previewed(client, sheet(GOOD | {"tags": "VIP, leeds", "site": "Dock 3"}))

    assert "Import 1 PBX of Acme Logistics" in page
    assert "leeds, vip" in page
    assert not Pbx.objects.exists()
    answer = client.post(url, {"plan": plan_in(page)})

    pbx = Pbx.objects.get()
    assert answer["Location"] == "/pbxs/"
    assert (pbx.customer, pbx.name, pbx.host, pbx.port, pbx.tags) == (acme, "ACME-HQ", "127.0.0.1", 8088, "leeds, vip")
    assert (pbx.scheme, pbx.trust, pbx.api_version) == ("https", "pin", "v1.0.0")
    assert pbx.password_digest.open() == password_digest(PASSWORD)
    assert Lease.objects.filter(pbx=pbx).exists()
    assert Event.objects.get(action="pbx.added").actor_id == manager.pk
    assert Event.objects.get(action="pbxs.imported").data["detail"]["added"] == 1


def test_a_row_of_a_pbx_that_is_there_shows_what_would_differ(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme, site="Dock 3", notes="Ask for Sam")

    url, page = previewed(client, sheet({"customer": "ACME logistics", "name": "ACME-HQ", "site": "Dock 4"}))

    assert "<del><bdi>Dock 3</bdi></del>" in page
    assert "<ins><bdi>Dock 4</bdi></ins>" in page
    client.post(url, {"plan": plan_in(page)})
    pbx.refresh_from_db()
    assert (pbx.site, pbx.notes, pbx.host) == ("Dock 4", "Ask for Sam", "pbx.invalid")
    assert Event.objects.get(action="pbx.edited").data["fields"] == {"site": {"before": "Dock 3", "asked": "Dock 4"}}


def test_an_empty_cell_leaves_what_is_there(manager: User, acme: Customer) -> None:
    make_pbx(acme, site="Dock 3", trust="pin", fingerprint="ab" * 32)
    row = dict.fromkeys(EXPORT_COLUMNS, "") | {"customer": "Acme Logistics", "name": "ACME-HQ"}

    plan = import_plan(sheet(row).encode(), manager)

    assert (plan.faults, plan.todo, plan.same) == ([], [], 1)


def test_importing_an_export_changes_nothing(client: Client, manager: User, acme: Customer) -> None:
    make_pbx(acme, name="=1+1", notes='\'=2\r\nsecond line;"quoted"', main_numbers="+44 20", tags="leeds, vip")
    make_pbx(acme, name="ACME-2", trust="system", tls_profile="legacy", host="127.0.0.9", port=443, refresh_minutes=0)
    export = client.get("/pbxs/?format=csv").getvalue()

    plan = import_plan(export, manager)

    assert (plan.faults, plan.todo, plan.same) == ([], [], 2)
    assert "Nothing differs" in previewed(client, export)[1]


def test_what_was_made_neutral_comes_back_as_it_was(client: Client, manager: User) -> None:
    url, page = previewed(client, sheet(GOOD | {"notes": "'=x", "site": "'tis here"}))
    client.post(url, {"plan": plan_in(page)})

    assert (Pbx.objects.get().notes, Pbx.objects.get().site) == ("=x", "'tis here")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_commas_semicolons_and_tabs_all_separate(manager: User, separator: str) -> None:
    plan = import_plan(sheet(GOOD | {"notes": "a,b;c\td"}, separator=separator).encode(), manager)

    assert plan.faults == []
    assert plan.lines[0].values["notes"] == "a,b;c\td"


def test_the_columns_may_stand_in_any_order_and_case(manager: User) -> None:
    text = sheet(GOOD, columns=list(reversed(GOOD)))

    assert import_plan(text.replace("host", " Host ").encode("utf-8-sig"), manager).faults == []


ROW = sheet(GOOD).splitlines()[1]
HEADER = ",".join(GOOD)
UNREADABLE: dict[str, tuple[str | bytes, int, str]] = {
    # what the file is: its content, the line and the column that are named
    "empty": (b"", 0, ""),
    "only blanks": (b" \r\n \n", 0, ""),
    "only a byte order mark": (b"\xef\xbb\xbf", 0, ""),
    "only a header": (HEADER, 0, ""),
    "only a header and blank lines": (f"{HEADER}\n\n\n", 0, ""),
    "no header": (f"{ROW}\n{ROW}", 1, "x"),
    "UTF-16 cut in a character": (sheet(GOOD).encode("utf-16")[:-1], 3, ""),
    "UTF-16 without a mark": (sheet(GOOD).encode("utf-16-le"), 1, ""),
    "UTF-32": (sheet(GOOD).encode("utf-32-be"), 1, ""),
    "neither UTF-8 nor Windows-1252": (sheet(GOOD, GOOD | {"name": "A"}).encode().replace(b"A,", b"\x81,"), 3, ""),
    "a surrogate": (f"{HEADER}\n".encode() + b"Acme\xed\xa0\x80", 2, ""),
    "a NUL": (f"{HEADER}\n{ROW}\0", 2, ""),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 3, ""),
    "a workbook": (b"PK\x03\x04\x14\x00\x06\x00", 1, ""),
    "an unknown column": (f"{HEADER},colour\n{ROW},red", 1, "colour"),
    "a doubled column": (f"{HEADER},host\n{ROW},x", 1, "host"),
    "a doubled column in another case": (f"{HEADER},HOST\n{ROW},x", 1, "host"),
    "a column without a name": (f"{HEADER},\n{ROW},", 1, "x"),
    "no column customer": ("name,host\na,b", 1, "customer"),
    "no column name": ("customer,host\na,b", 1, "name"),
    "a column of ours that nobody enters": (f"{HEADER},is_enabled\n{ROW},true", 1, "x"),
    "a column with a secret of ours": (f"{HEADER},password_digest\n{ROW},x", 1, "x"),
    "a formula as a column": (f"=cmd(),{HEADER}\nx,{ROW}", 1, "x"),
    "an unclosed quote": (f'{HEADER}\n"{ROW}\n{ROW}', 2, ""),
    "an unclosed quote in the last cell": (f'{HEADER}\n{ROW},"', 2, ""),
    "an unclosed quote in the header": (f'"{HEADER}\n{ROW}', 1, ""),
    "text after a quote": (f'{HEADER}\n"Acme" Logistics,a,b,c,d', 2, ""),
    "a huge cell": (f"{HEADER}\n{'x' * 200_000},a,b,c,d", 2, ""),
    "a row that is too short": (f"{HEADER}\n{ROW}\nAcme Logistics,A", 3, ""),
    "a row that is too long": (f"{HEADER}\n{ROW},more", 2, ""),
    "a separator of its own that nobody reads": (f"sep=|\n{HEADER}\n{ROW}".replace(",", "|"), 1, ""),
    "only a separator": ("sep=;", 1, "x"),
    "another separator": (HEADER.replace(",", "|") + "\n" + ROW, 1, "x"),
    "100,000 lines": (HEADER + f"\n{'a,b,c,d,e'}" * 100_000, 5002, ""),
    "5,001 rows": (HEADER + "\na,b,c,d,e" * 5001, 5002, ""),
    "too many bytes": (f"{HEADER}\n" + "x" * 2_100_000, 0, ""),
    "JSON": ('[{"customer": "Acme"}]', 1, "x"),
    "HTML": ("<!doctype html><title>no</title>", 1, "x"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_malformed_file_is_refused_with_the_place_of_its_first_fault(
    client: Client, manager: User, what: str
) -> None:
    content, line, column = UNREADABLE[what]

    answer = bring(client, content)

    assert answer.status_code == 422
    if answer.context["plan"]:
        fault = answer.context["plan"].faults[0]
        assert (fault.line, fault.column if column != "x" else column) == (line, column)
        assert bool(fault.column) == bool(column)
    assert not Pbx.objects.exists()
    assert not PbxImport.objects.exists()
    assert PASSWORD not in answer.content.decode()


# A file of a spreadsheet on Windows


UMLAUTS = GOOD | {"name": "Zürich–West", "site": "Straße 3", "password": "Pässwort"}
OF_WINDOWS = sheet(UMLAUTS, separator=";").encode("cp1252")
OF_EXCEL = sheet(UMLAUTS, separator="\t").encode("utf-16")  # "Unicode text"


@pytest.mark.parametrize(
    ("content", "encoding", "label"),
    [
        (OF_WINDOWS, "windows-1252", "Windows-1252"),
        (OF_EXCEL, "utf-16-le", "UTF-16"),
        (b"\xfe\xff" + sheet(UMLAUTS, separator="\t").encode("utf-16-be"), "utf-16-be", "UTF-16"),
    ],
)
def test_a_file_that_is_not_utf_8_is_read_otherwise_only_when_the_person_says_so(
    client: Client, manager: User, content: bytes, encoding: str, label: str
) -> None:
    url, page = previewed(client, content)

    assert f"This file is not UTF-8. Below it is read as {label}" in text_of(page)
    assert "Zürich–West" in page
    assert "Straße 3" in page
    assert "Pässwort" not in page
    assert f'name="read_as" value="{encoding}"' in page

    for said in ({}, {"read_as": "utf-8"}):
        answer = client.post(url, {"plan": plan_in(page)} | said)
        assert answer.status_code == 409
        assert f"Say first that it is right to read this file as {label}." in answer.content.decode()
        assert not Pbx.objects.exists()
    client.post(url, {"plan": plan_in(page), "read_as": encoding})

    pbx = Pbx.objects.get()
    assert (pbx.name, pbx.site, pbx.password_digest.open()) == (
        "Zürich–West",
        "Straße 3",
        password_digest("Pässwort"),
    )
    detail = Event.objects.get(action="pbxs.imported").data["detail"]
    assert (detail["read_as"], detail["file_sha256"]) == (label, hashlib.sha256(content).hexdigest())


def test_a_file_in_utf_8_asks_nothing(client: Client, manager: User) -> None:
    _, page = previewed(client, sheet(UMLAUTS).encode("utf-8-sig"))

    assert "Zürich–West" in page
    assert "not UTF-8" not in page
    assert "read_as" not in page


def test_a_file_that_changes_nothing_asks_nothing(client: Client, manager: User, acme: Customer) -> None:
    make_pbx(acme, site="Straße 3")

    row = {"customer": "Acme Logistics", "name": "ACME-HQ", "site": "Straße 3"}
    _, page = previewed(client, sheet(row).encode("cp1252"))

    assert "Nothing differs" in page
    assert "read_as" not in page


@pytest.mark.parametrize(
    "content", [sheet(GOOD | {"password": "Pässwort"}).encode("cp1252"), sheet(GOOD, separator="\t").encode("utf-16")]
)
def test_letters_that_only_a_password_has_are_not_shown(client: Client, manager: User, content: bytes) -> None:
    _, page = previewed(client, content)

    assert "Outside of passwords, it has no letters but plain ones." in text_of(page)
    assert "Pässwort" not in page


def test_what_is_wrong_with_such_a_file_is_told_with_how_it_was_read(client: Client, manager: User) -> None:
    answer = bring(client, sheet(UMLAUTS | {"port": "0"}, separator=";").encode("cp1252"))

    page = answer.content.decode()
    assert (answer.status_code, faults(page)) == (422, [("2", "port")])
    assert "The file is not UTF-8. To check it, it was read as Windows-1252." in text_of(page)


def test_bytes_that_windows_1252_lacks_are_named(client: Client, manager: User) -> None:
    page = bring(client, sheet(GOOD).encode() + b"\r\n\x81\x8d\x8f\x90\x9d\xe9").content.decode()

    assert "no character for the bytes 81, 8D, 8F, 90, 9D" in page
    assert "Save it as CSV UTF-8 and try again." in page


@pytest.mark.parametrize("first", ["sep={}", '"sep={}"', "SEP={}", "sep={} "])
@pytest.mark.parametrize("separator", [";", ",", "\t"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_a_first_line_that_names_the_separator_is_taken_as_that(
    manager: User, first: str, separator: str, end: str
) -> None:
    rows = sheet(GOOD | {"notes": "a,b;c\td", "port": "1"}, GOOD | {"name": "B", "port": "0"}, separator=separator)
    text = f"{first.format(separator)}\r\n{rows}".replace("\r\n", end)

    plan = import_plan(text.encode("utf-8-sig"), manager)

    assert [line.values["notes"] for line in plan.lines] == ["a,b;c\td"]
    assert [(fault.line, fault.column) for fault in plan.faults] == [(4, "port")]


def test_the_command_reads_another_encoding_only_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "pbxs.csv"
    path.write_bytes(OF_WINDOWS)

    with pytest.raises(CommandError, match=r"It seems to be Windows-1252: look at it with --encoding windows-1252 "):
        command(path)
    assert not Pbx.objects.exists()
    said = command(path, "--encoding", "windows-1252")

    assert "+ Acme Logistics / Zürich–West" in said
    assert Pbx.objects.get().site == "Straße 3"


def test_the_file_is_kept_byte_by_byte(client: Client, manager: User) -> None:
    for content in (OF_WINDOWS, OF_EXCEL, sheet(UMLAUTS).encode("utf-8-sig")):
        url, _ = previewed(client, content)

        found = import_stored(manager, int(url.split("/")[-2]))

        assert found
        assert found[1] == content


# A web address in place of a host


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        ({"host": "https://127.0.0.1:8443/api?x=y"}, ("https", "127.0.0.1", 8443)),
        ({"host": "http://127.0.0.1"}, ("http", "127.0.0.1", 80)),
        ({"host": "127.0.0.1:5000"}, ("https", "127.0.0.1", 5000)),
        ({"host": "https://127.0.0.1:8443", "scheme": "https", "port": "8443"}, ("https", "127.0.0.1", 8443)),
    ],
)
def test_a_web_address_in_a_cell_is_taken_apart_and_shown(
    client: Client, manager: User, cells: dict[str, str], kept: tuple[str, str, int]
) -> None:
    url, page = previewed(client, sheet(GOOD | cells))
    assert f"port <bdi>{kept[2]}</bdi>" in page

    client.post(url, {"plan": plan_in(page)})

    pbx = Pbx.objects.get()
    assert (pbx.scheme, pbx.host, pbx.port) == kept


@pytest.mark.parametrize("cells", [{"port": "8088"}, {"scheme": "http"}, {"port": "8443", "scheme": "http"}])
def test_a_web_address_that_contradicts_another_cell_is_refused(manager: User, cells: dict[str, str]) -> None:
    plan = import_plan(sheet(GOOD | {"host": "https://127.0.0.1:8443/"} | cells).encode(), manager)

    assert [(fault.line, fault.column) for fault in plan.faults] == [(2, "host")]
    assert "says otherwise" in plan.faults[0].text


def test_a_login_in_a_web_address_is_refused_and_not_repeated(client: Client, manager: User) -> None:
    answer = bring(client, sheet(GOOD | {"host": f"https://api:{PASSWORD}@127.0.0.1/"}))

    page = answer.content.decode()
    assert (answer.status_code, faults(page)) == (422, [("2", "host")])
    assert PASSWORD not in page


BAD_CELLS: dict[str, tuple[dict[str, str], str]] = {
    "no customer": ({"customer": ""}, "customer"),
    "no name": ({"name": " "}, "name"),
    "no host": ({"host": ""}, "host"),
    "no user": ({"username": ""}, "username"),
    "no password": ({"password": ""}, "password"),
    "a URL of another kind as host": ({"host": "ftp://127.0.0.1/"}, "host"),
    "a forbidden host": ({"host": "169.254.169.254"}, "host"),
    "a number as host": ({"host": "2852039166"}, "host"),
    "a port beyond": ({"port": "65536"}, "port"),
    "a port in words": ({"port": "https"}, "port"),
    "a scheme of elsewhere": ({"scheme": "ftp"}, "scheme"),
    "a version of the future": ({"api_version": "v9"}, "api_version"),
    "an unknown trust": ({"trust": "everyone"}, "trust"),
    "an unknown profile": ({"tls_profile": "best"}, "tls_profile"),
    "half a fingerprint": ({"fingerprint": "abcd"}, "fingerprint"),
    "no certificate": ({"ca_certificate": "none"}, "ca_certificate"),
    "trust in a CA without one": ({"trust": "ca"}, "ca_certificate"),
    "a long name": ({"name": "x" * 61}, "name"),
    "a name that turns": ({"name": "A\u202eB"}, "name"),
    "long notes": ({"notes": "x" * 2001}, "notes"),
    "too many tags": ({"tags": ",".join(map(str, range(13)))}, "tags"),
    "a long password": ({"password": "p" * 201}, "password"),
}


@pytest.mark.parametrize("what", BAD_CELLS)
def test_a_bad_cell_is_named_by_line_and_column_and_nothing_is_saved(client: Client, manager: User, what: str) -> None:
    cells, column = BAD_CELLS[what]
    good, bad = GOOD | dict.fromkeys(cells, "") | GOOD, GOOD | {"name": "ACME-2"} | cells

    answer = bring(client, sheet(good, bad))

    page = answer.content.decode()
    assert (answer.status_code, faults(page)) == (422, [("3", column)])
    assert not Pbx.objects.exists()
    assert PASSWORD not in page


def test_every_bad_row_is_shown_at_once(client: Client, manager: User) -> None:
    rows = [GOOD | {"name": f"PBX-{n}", "port": "0" if n % 2 else "8088", "notes": "two\nlines"} for n in range(6)]

    page = bring(client, sheet(*rows)).content.decode()

    assert faults(page) == [("4", "port"), ("8", "port"), ("12", "port")]


def test_a_pbx_stands_in_a_file_once(manager: User) -> None:
    plan = import_plan(sheet(GOOD, GOOD | {"name": "acme-hq"}).encode(), manager)

    assert [str(fault) for fault in plan.faults] == ["line 3, name: This PBX stands on line 2 already."]


def test_a_password_in_the_wrong_column_is_not_repeated(client: Client, manager: User) -> None:
    wrong = dict.fromkeys(("scheme", "api_version", "trust", "tls_profile", "port", "fingerprint"), PASSWORD)

    answer = bring(client, sheet(GOOD | wrong))

    assert answer.status_code == 422
    assert len(faults(answer.content.decode())) == len(wrong)
    assert PASSWORD not in answer.content.decode()


def test_a_late_error_leaves_nothing_behind(
    client: Client, manager: User, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [GOOD | {"name": f"ACME-{number}"} for number in range(5)]
    url, page = previewed(client, sheet(*rows))
    plan = plan_in(page)
    real = pbx_create

    def taken_at_the_fourth(**given: Any) -> Pbx:
        if given["values"]["name"] == "ACME-3":
            make_pbx(acme, name="ACME-3")
        return real(**given)

    monkeypatch.setattr(imports, "pbx_create", taken_at_the_fourth)
    answer = client.post(url, {"plan": plan})

    assert answer.status_code == 409
    assert "Nothing was imported." in answer.content.decode()
    assert not Pbx.objects.exists()
    assert not Event.objects.filter(action__in=["pbx.added", "pbxs.imported"]).exists()
    assert PbxImport.objects.exists()


def test_what_changed_since_the_preview_is_shown_again_first(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme, site="Dock 3")
    url, page = previewed(client, sheet({"customer": "Acme Logistics", "name": "ACME-HQ", "site": "Dock 4"}))
    pbx_edit(pbx=pbx, values={"site": "Dock 5"})

    answer = client.post(url, {"plan": plan_in(page)})

    assert answer.status_code == 409
    assert "Dock 5" in answer.content.decode()
    assert Pbx.objects.get().site == "Dock 5"


@pytest.mark.parametrize("plan", ["", "0" * 64, None])
def test_only_what_was_shown_is_imported(client: Client, manager: User, plan: str | None) -> None:
    url, _ = previewed(client, sheet(GOOD))

    assert client.post(url, {} if plan is None else {"plan": plan}).status_code == 409
    assert not Pbx.objects.exists()


def test_an_import_happens_once(client: Client, manager: User) -> None:
    url, page = previewed(client, sheet(GOOD))

    assert client.post(url, {"plan": plan_in(page)}).status_code == 302
    assert client.post(url, {"plan": plan_in(page)}).status_code == 404
    assert Pbx.objects.count() == 1


def test_the_password_is_in_no_page_event_column_or_log_line(
    client: Client, manager: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    url, page = previewed(client, sheet(GOOD))
    kept = PbxImport.objects.values_list("content", flat=True).get()
    answer = client.post(url, {"plan": plan_in(page)}, follow=True)

    events = "".join(Event.objects.values_list("text", flat=True))
    session = str(dict(client.session))
    for shown in (page, kept, answer.content.decode(), events, session, caplog.text):
        assert PASSWORD not in shown
        assert password_digest(PASSWORD) not in shown
    assert not PbxImport.objects.exists()


def test_a_file_is_kept_for_its_person_and_for_half_an_hour(client: Client, manager: User, acme: Customer) -> None:
    url, page = previewed(client, sheet(GOOD))
    client.force_login(make_user("manager", acme))
    assert client.get(url).status_code == client.post(url, {"plan": plan_in(page)}).status_code == 404

    client.force_login(manager)
    assert client.get(url).status_code == 200
    PbxImport.objects.update(kept_at=timezone.now() - timedelta(minutes=31))
    assert client.get(url).status_code == client.post(url, {"plan": plan_in(page)}).status_code == 404
    assert imports_forget() == 1
    assert not Pbx.objects.exists()


def test_a_file_whose_key_is_gone_is_gone(client: Client, manager: User, settings: Any) -> None:
    url, _ = previewed(client, sheet(GOOD))

    settings.PBX_KEYS = [b"n" * 32]

    assert client.get(url).status_code == 404


def test_a_file_can_be_forgotten(client: Client, manager: User) -> None:
    url, _ = previewed(client, sheet(GOOD))

    assert client.post(url, {"discard": "yes"})["Location"] == "/pbxs/import/"
    assert not PbxImport.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "auditor", None])
def test_only_managers_import(client: Client, acme: Customer, role: str | None) -> None:
    client.force_login(make_user(role, acme))

    assert client.get("/pbxs/import/").status_code == 403
    assert bring(client, sheet(GOOD)).status_code == 403
    assert not PbxImport.objects.exists()
    assert "/pbxs/import/" not in client.get("/pbxs/").content.decode()


def test_a_role_that_ended_after_the_preview_imports_nothing(client: Client, manager: User) -> None:
    url, page = previewed(client, sheet(GOOD))
    manager.memberships.update(role="helpdesk")

    assert client.post(url, {"plan": plan_in(page)}).status_code == 403
    assert not Pbx.objects.exists()


@pytest.mark.parametrize("customer", ["Bellweather Clinics", "Nobody Ltd"])
def test_another_s_customer_answers_like_one_that_does_not_exist(
    client: Client, manager: User, acme: Customer, customer: str
) -> None:
    make_pbx(make_customer("Bellweather Clinics"), name="BELL-HQ")

    answer = bring(client, sheet(GOOD | {"customer": customer, "name": "BELL-HQ"}))

    page = answer.content.decode()
    assert (answer.status_code, faults(page)) == (422, [("2", "customer")])
    assert "You manage no PBXs of a customer of this name." in page
    assert Customer.objects.count() == 2


def test_a_customer_that_the_person_only_sees_is_refused(client: Client, manager: User) -> None:
    bellweather = make_customer("Bellweather Clinics")
    manager.memberships.create(customer=bellweather, role="helpdesk")

    assert bring(client, sheet(GOOD | {"customer": "Bellweather Clinics"})).status_code == 422


def test_a_site_admin_adds_customers_with_their_pbxs(client: Client) -> None:
    client.force_login(make_user(is_superuser=True))
    rows = [GOOD, GOOD | {"name": "ACME-2"}, GOOD | {"customer": "Bellweather Clinics"}]

    url, page = previewed(client, sheet(*rows))
    assert "2 new customers" in page
    assert not Customer.objects.exists()
    client.post(url, {"plan": plan_in(page)})

    assert [(pbx.customer.name, pbx.name) for pbx in Pbx.objects.order_by("id")] == [
        ("Acme Logistics", "ACME-HQ"),
        ("Acme Logistics", "ACME-2"),
        ("Bellweather Clinics", "ACME-HQ"),
    ]
    assert Event.objects.filter(action="customer.added").count() == 2


@pytest.mark.parametrize("name", ["A\u202eB", "x" * 101])
def test_an_odd_name_of_a_new_customer_is_refused(client: Client, name: str) -> None:
    client.force_login(make_user(is_superuser=True))

    assert faults(bring(client, sheet(GOOD | {"customer": name})).content.decode()) == [("2", "customer")]


def test_an_archived_customer_gets_no_pbxs(client: Client, acme: Customer) -> None:
    Customer.objects.update(archived_at=timezone.now())
    client.force_login(make_user(is_superuser=True))

    assert "This customer is archived." in bring(client, sheet(GOOD)).content.decode()


def test_a_new_password_makes_a_rejected_pbx_try_again(client: Client, manager: User, acme: Customer) -> None:
    make_pbx(acme)
    Pbx.objects.update(state="credentials-rejected")

    url, page = previewed(client, sheet({"customer": "Acme Logistics", "name": "ACME-HQ", "password": PASSWORD}))
    assert "password set anew" in page
    client.post(url, {"plan": plan_in(page)})

    assert (Pbx.objects.get().state, Pbx.objects.get().password_digest.open()) == (
        "never-checked",
        password_digest(PASSWORD),
    )


def test_a_password_that_was_rejected_is_not_tried_again_by_the_next_import(manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme)
    row = {"customer": "Acme Logistics", "name": "ACME-HQ", "password": PASSWORD}
    import_apply(import_plan(sheet(row).encode(), manager), source=b"")
    again = import_plan(sheet(row).encode(), manager)
    assert [line.password for line in again.lines] == [PASSWORD]  # whether it is the kept one, nobody is told

    Pbx.objects.update(state="credentials-rejected")
    rejected = import_plan(sheet(row).encode(), manager)
    import_apply(rejected, source=b"")

    assert (rejected.same, Pbx.objects.get(pk=pbx.pk).state) == (1, "credentials-rejected")


def test_names_are_looked_up_for_a_bounded_time_only(manager: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "ALL_LOOK_UPS_S", 0.0)
    rows = [GOOD | {"name": f"PBX-{n}", "host": f"pbx-{n}.invalid"} for n in range(500)]

    began = timezone.now()
    plan = import_plan(sheet(*rows).encode(), manager)

    assert len(plan.lines) == 500
    assert timezone.now() - began < timedelta(seconds=20)


def test_a_name_that_leads_where_it_must_not_is_refused(manager: User, settings: Any) -> None:
    settings.PBX_NETWORKS = []

    plan = import_plan(sheet(GOOD | {"host": "localhost"}).encode(), manager)

    assert [(fault.line, fault.column) for fault in plan.faults] == [(2, "host")]


def test_an_upload_stays_in_memory_and_ends_at_its_limit(client: Client, manager: User) -> None:
    answer = bring(client, "x" * 5_000_000)

    assert answer.status_code == 422
    assert "larger than 2 MiB" in answer.content.decode()


def test_without_a_file_the_form_asks_for_one(client: Client, manager: User) -> None:
    answer = client.post("/pbxs/import/", {})

    assert answer.status_code == 422
    assert "Choose a file." in answer.content.decode()


def command(path: Path, *more: str) -> str:
    out = io.StringIO()
    call_command("import_pbxs", str(path), *more, stdout=out)
    return out.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pbxs.csv"
    path.write_text(sheet(GOOD | {"site": "Dock 4"}))
    return path


def test_the_command_says_what_it_adds_and_adds_it(file: Path) -> None:
    said = command(file)

    assert said.splitlines() == [
        "+ customer Acme Logistics",
        "+ Acme Logistics / ACME-HQ",
        "1 added, 0 changed, 0 as they were.",
    ]
    assert Pbx.objects.get().site == "Dock 4"
    assert Event.objects.get(action="pbxs.imported").actor_name == "PBX Admin"


def test_the_command_says_what_it_changes_and_a_dry_run_saves_nothing(file: Path, acme: Customer) -> None:
    make_pbx(acme, site="Dock 3", host="127.0.0.1", password="another")

    said = command(file, "--dry-run")

    assert "~ Acme Logistics / ACME-HQ: site 'Dock 3' → 'Dock 4', password set anew" in said
    assert PASSWORD not in said
    assert Pbx.objects.get().site == "Dock 3"


def test_the_command_fails_with_every_fault_named(file: Path) -> None:
    file.write_text(sheet(GOOD | {"port": "0"}, GOOD | {"name": "", "port": "1"}))
    out = io.StringIO()

    with pytest.raises(CommandError, match=r"2 to put right. Nothing was imported."):
        call_command("import_pbxs", str(file), stdout=out)

    assert [line.split(":")[0] for line in out.getvalue().splitlines()] == ["line 2, port", "line 3, name"]
    assert not Customer.objects.exists()


def test_the_command_says_when_it_cannot_read_the_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read: No such file or directory"):
        command(tmp_path / "nothing.csv")


@pytest.mark.django_db(transaction=True)
def test_an_edit_at_the_same_time_waits_and_neither_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    acme = make_customer("Acme Logistics")
    first, second = make_pbx(acme, name="ACME-1"), make_pbx(acme, name="ACME-2")
    rows = [{"customer": "Acme Logistics", "name": pbx.name, "notes": "imported"} for pbx in (first, second)]
    data = sheet(*rows).encode()
    plan, is_halfway = import_plan(data, make_user(is_superuser=True)), threading.Event()

    def slowly(**given: Any) -> bool:
        is_changed = pbx_edit(**given)
        is_halfway.set()
        time.sleep(0.5)
        return is_changed

    def edit() -> None:
        is_halfway.wait(LIMIT_S)
        pbx_edit(pbx=Pbx.objects.get(pk=second.pk), values={"site": "Dock 3"})
        connections.close_all()

    monkeypatch.setattr(imports, "pbx_edit", slowly)
    with ThreadPoolExecutor(1) as pool:
        editing = pool.submit(edit)
        assert import_apply(plan, source=data)
        editing.result(60)

    assert list(Pbx.objects.order_by("pk").values_list("notes", "site")) == [("imported", ""), ("imported", "Dock 3")]


def test_customers_are_imported_in_the_order_in_which_their_chains_are_locked(acme: Customer) -> None:
    other = make_customer("Bellweather Clinics")
    data = sheet(GOOD | {"customer": other.name}, GOOD).encode()

    import_apply(import_plan(data, make_user(is_superuser=True)), source=data)

    chains = list(Event.objects.filter(action__startswith="pbx").order_by("id").values_list("chain", flat=True))
    assert chains == [f"customer:{acme.pk}", f"customer:{other.pk}", "installation"]
