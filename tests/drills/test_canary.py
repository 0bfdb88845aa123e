"""A canary in every place where a secret could get out: one password, its MD5 and the tokens, in all their spellings.

The password and the digest belong to a PBX; the tokens are those that it gave out. Everything that people, logs, files
and the database hold of an edit that went wrong is searched for them.
"""

import base64
import html
import logging
import traceback
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import structlog
from django.apps import apps
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils.log import AdminEmailHandler

from ivr.changes.reconcile import replay_spool
from ivr.models import Change
from pbxadmin.access.models import User
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.settings import LOGGING
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.s_series.driver import password_digest
from pbxadmin.yeastar.simulator import NOTHING, Fault, SimulatedPbx
from pbxadmin.yeastar.simulator.faults import ON_ACCEPT
from tests.api.conftest import Script
from tests.drills.edits import let_the_token_age, planned, record_of
from tests.drills.test_table import PHASES
from tests.factories import make_user
from tests.simulated import client_for

pytestmark = [
    pytest.mark.tls,
    pytest.mark.django_db,
    pytest.mark.usefixtures("short_deadlines"),
]

PASSWORD = "Kanarie/1+Vogel=?"
ERRNOS = ("20002", "20003", "20006", "10012", "30001")
Corpus = dict[str, str]


def spellings(secret: str) -> set[str]:
    """A secret as it is, as URLs and HTML write it, and in base64, wherever in a longer text it begins."""
    found = {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
        secret.upper(),
        repr(secret)[1:-1],
    }
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + secret.encode()).decode().rstrip("=")
        core = encoded[4:-4] if shift else encoded[:-4]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return found


def leaks(corpus: Corpus, secrets: dict[str, str]) -> list[str]:
    """Where which secret stands."""
    return [
        f"{name} in {place}"
        for name, secret in secrets.items()
        for spelling in spellings(secret)
        for place, text in corpus.items()
        if spelling in text
    ]


class Ear(logging.Handler):
    """Hears every logger at DEBUG, and writes down each record as text and as the product's JSON line."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        formatters: Any = LOGGING["formatters"]
        known = {key: value for key, value in formatters["json"].items() if key != "()"}
        self.formatters = (logging.Formatter("%(name)s %(message)s"), structlog.stdlib.ProcessorFormatter(**known))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [formatter.format(record) for formatter in self.formatters]


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear, root = Ear(), logging.getLogger()
    names = [name for name, logger in logging.root.manager.loggerDict.items() if isinstance(logger, logging.Logger)]
    loggers = [root, *(logging.getLogger(name) for name in names)]
    levels = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.propagate = True
    root.addHandler(ear)
    yield ear
    root.removeHandler(ear)
    for logger, level, propagates in levels:
        logger.setLevel(level)
        logger.propagate = propagates


@pytest.fixture
def pbx(simulated_pbx: SimulatedPbx) -> Pbx:
    simulated_pbx.password = PASSWORD
    return record_of(simulated_pbx)


@pytest.fixture
def admin(client: Client, pbx: Pbx) -> Client:
    client.force_login(make_user(username="root", is_superuser=True))
    client.raise_request_exception = False
    return client


def secrets_of(pbx: SimulatedPbx) -> dict[str, str]:
    tokens = {f"token {place}": token for place, token in enumerate(pbx.tokens)}
    return {"password": PASSWORD, "digest": password_digest(PASSWORD)} | tokens


def pages(client: Client, pbx: Pbx) -> Corpus:
    """What people see and take away of it."""
    changes = [address for change in Change.objects.all() for address in addresses_of(change)]
    of_pbx = [f"/pbxs/{pbx.pk}/{page}" for page in ("", "edit/", "ivrs/", "ivrs/6500/", "delete/")]
    lists = ["/", "/pbxs/", "/pbxs/?format=csv", "/ivrs/", "/ivrs/?format=csv", "/changes/", "/people/", "/customers/"]
    log = ["/audit/", "/audit/export/?format=csv", "/audit/export/?format=jsonl"]
    return {address: body(client.get(address)) for address in [*changes, *of_pbx, *lists, *log]}


def operations(pbx: Pbx) -> Corpus:
    """What scripts of the site admin get of it."""
    script = Script(User.objects.get(username="root"))
    changes = [f"/changes/{pk}" for pk in Change.objects.values_list("pk", flat=True)]
    receipts = [f"{path}/receipt" for path in changes]
    others = ["/pbxs", f"/pbxs/{pbx.pk}", "/ivrs", f"/pbxs/{pbx.pk}/ivrs/6500", "/changes", "/events", "/events.jsonl"]
    return {f"API {path}": body(script.get(path)) for path in [*changes, *receipts, *others]}


def addresses_of(change: Change) -> list[str]:
    event = [f"/audit/{change.event_id}/"] if change.event_id else []
    return [change.get_absolute_url(), f"{change.get_absolute_url()}receipt.txt", *event]


def body(answer: Any) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return f"{dict(answer.headers)} {content.decode(errors='replace')}"


def rows() -> Corpus:
    """Every model as Python shows it, and every column of every table."""
    found = {}
    for model in apps.get_models():
        shown = [f"{row!r} {row} {vars(row)}" for row in model._default_manager.all()]
        found[f"repr of {model.__name__}"] = "\n".join(shown)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608  (names of our own tables)
            found[f"table {table}"] = "\n".join(str(row) for row in cursor.fetchall())
    return found


def everything(client: Client, pbx: Pbx, ear: Ear) -> Corpus:
    return pages(client, pbx) | rows() | {"log": "\n".join(ear.lines)}


def as_good_as_new(pbx: Pbx) -> None:
    """What the last fault left behind is over."""
    Pbx.objects.filter(pk=pbx.pk).update(
        state=PbxState.REACHABLE, failures=0, paused_until=None, locked_until=None, other_serial=""
    )


def go_wrong(client: Client, pbx: Pbx, simulated: SimulatedPbx, fault: Fault, phase: str, **more: Any) -> Corpus:
    """One edit with one fault; its page, and that of a connection test whose calls meet the same fault."""
    as_good_as_new(pbx)
    simulated.behave()
    value = "6" if simulated.ivrs["6500"]["responsetimeout"] != "6" else "7"
    change = planned(client, pbx, response_timeout=value)
    if phase == "login":
        let_the_token_age(pbx)
    call, calls_before, connections_before = PHASES[phase]
    after = connections_before if fault in ON_ACCEPT else calls_before
    simulated.misbehave(fault, call=call, after=after, **more)
    applied = body(client.post(f"{change.get_absolute_url()}apply/", follow=True))
    simulated.behave()
    if phase not in ("login", "pre-read"):
        return {f"{phase}: page of the change": applied}
    simulated.misbehave(fault, call=call, **more)
    tested = body(client.post(f"/pbxs/{pbx.pk}/test/", {"detect": "on"}))
    simulated.behave()
    return {f"{phase}: page of the change": applied, f"{phase}: page of the test": tested}


ALL = [*((fault, {}) for fault in Fault if fault is not Fault.ERRNO), *((Fault.ERRNO, {"errno": e}) for e in ERRNOS)]


@pytest.mark.parametrize(("fault", "more"), ALL, ids=[f"{fault} {more.get('errno', '')}" for fault, more in ALL])
def test_no_misbehaviour_lets_a_secret_out(
    admin: Client, pbx: Pbx, simulated_pbx: SimulatedPbx, ear: Ear, settings: Any, fault: Fault, more: dict[str, Any]
) -> None:
    shown: Corpus = {}
    for phase in PHASES:
        shown |= go_wrong(admin, pbx, simulated_pbx, fault, phase, **more)

    corpus = shown | operations(pbx) | everything(admin, pbx, ear)

    assert simulated_pbx.tokens
    assert "/api/v1.0.0/" in corpus["log"]  # it does hear of each request
    assert leaks(corpus, secrets_of(simulated_pbx)) == []


# Where a defect of ours may strike while a secret is at hand.
DEFECTS = {
    "deciding the outcome": "ivr.changes.readings.judge",
    "reading a list": "pbxadmin.yeastar.s_series.driver.read_ivrs",
    "writing an update": "pbxadmin.yeastar.s_series.driver.write_update",
    "keeping the token": "pbxadmin.fleet.pbx_sessions.token_columns",
    "recording the state": "pbxadmin.fleet.pbx_sessions.learned",
    "the adapter below requests": "requests.adapters.HTTPAdapter.send",
    "opening the connection": "pbxadmin.yeastar.transport.connect_checked",
}


def defect(*args: Any, **more: Any) -> Any:
    raise RuntimeError("a defect of ours")


@pytest.fixture
def mails(settings: Any) -> Iterator[Callable[[], str]]:
    """What administrators get by mail of an error, with the whole report."""
    settings.ADMINS = [("Root", "root@example.com")]
    handler, logger = AdminEmailHandler(include_html=True), logging.getLogger("django.request")
    logger.addHandler(handler)
    yield lambda: "\n".join(f"{sent.body} {getattr(sent, 'alternatives', '')}" for sent in mail.outbox)
    logger.removeHandler(handler)


@pytest.mark.parametrize("debug", [True, False], ids=["debug page", "error mail"])
@pytest.mark.parametrize("place", DEFECTS.values(), ids=DEFECTS)
def test_no_defect_lets_a_secret_out(
    admin: Client,
    pbx: Pbx,
    simulated_pbx: SimulatedPbx,
    ear: Ear,
    mails: Callable[[], str],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    debug: bool,
) -> None:
    change = planned(admin, pbx, response_timeout="6")
    let_the_token_age(pbx)
    monkeypatch.setattr(place, defect)
    settings.DEBUG = debug

    page = body(admin.post(f"{change.get_absolute_url()}apply/", follow=True))
    settings.DEBUG = False
    monkeypatch.undo()

    corpus = {"page": page, "mail": mails()} | everything(admin, pbx, ear)
    assert ("a defect of ours" in page + corpus["mail"]) == (
        place.split(".")[0] != "requests" and "connect_" not in place
    )
    assert leaks(corpus, secrets_of(simulated_pbx)) == []


@pytest.mark.parametrize("debug", [True, False], ids=["debug page", "error mail"])
@pytest.mark.parametrize("place", ["pbxadmin.fleet.services.pbx_event", "pbxadmin.sealed.os.urandom"])
def test_a_form_that_fails_does_not_show_the_password_that_was_typed(
    admin: Client,
    pbx: Pbx,
    ear: Ear,
    mails: Callable[[], str],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    debug: bool,
) -> None:
    form = {"name": "ACME-HQ", "host": "127.0.0.1", "port": pbx.port, "username": "api", "password": PASSWORD}
    monkeypatch.setattr(place, defect)
    settings.DEBUG = debug

    page = body(admin.post(f"/pbxs/{pbx.pk}/edit/", form | {"customer": pbx.customer_id}))
    settings.DEBUG = False
    monkeypatch.undo()

    corpus = {"page": page, "mail": mails()} | everything(admin, pbx, ear)
    assert "a defect of ours" in page + corpus["mail"]
    assert leaks(corpus, {"password": PASSWORD, "digest": password_digest(PASSWORD)}) == []


def dump(error: BaseException | None) -> str:
    """An exception as an error collector sends it: its chain, and the variables of every frame."""
    parts: list[str] = []
    while error is not None:
        parts += [repr(error), str(error.__dict__), *traceback.format_exception(error)]
        parts += [
            f"{name}={value!r}" for frame in frames(error.__traceback__) for name, value in frame.f_locals.items()
        ]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        if "/tests/" not in trace.tb_frame.f_code.co_filename:
            yield trace.tb_frame
        trace = trace.tb_next


@pytest.mark.parametrize(("fault", "more"), ALL, ids=[f"{fault} {more.get('errno', '')}" for fault, more in ALL])
def test_no_exception_carries_a_secret(simulated_pbx: SimulatedPbx, fault: Fault, more: dict[str, Any]) -> None:
    simulated_pbx.password = PASSWORD
    dumps = {}
    for call in ("login", "ivr/query", "ivr/update"):
        client = client_for(simulated_pbx)
        try:
            if call != "login":
                client.login()
            simulated_pbx.misbehave(fault, call=call, stores=NOTHING, **more)
            live = client.query_ivr("6500")
            client.update_ivr(live, {"response_timeout": "6"})
        except PbxError as error:
            dumps[call] = dump(error)
        dumps[f"{call}: client"] = f"{client!r} {client.calls!r}"
        simulated_pbx.behave()

    assert any(call in dumps for call in PHASES) or fault in (Fault.NONE, Fault.PAYLOAD) or more.get("errno") == "20006"
    assert leaks(dumps, secrets_of(simulated_pbx)) == []


def test_a_spooled_outcome_holds_no_secret(
    admin: Client, pbx: Pbx, simulated_pbx: SimulatedPbx, ear: Ear, settings: Any, tmp_path: Any
) -> None:
    settings.DATA_DIR = tmp_path
    change = planned(admin, pbx, response_timeout="6")
    with connection.execute_wrapper(no_log_after_sending(simulated_pbx)):
        admin.post(f"{change.get_absolute_url()}apply/")

    files = {str(path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}

    assert len(files) == 1
    assert leaks(files | {"log": "\n".join(ear.lines)}, secrets_of(simulated_pbx)) == []
    assert replay_spool() == 1


def no_log_after_sending(simulated: SimulatedPbx) -> Callable[..., Any]:
    from django.db import OperationalError

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if simulated.count("ivr/update") and sql.replace('"', "").startswith("INSERT INTO audit_event"):
            raise OperationalError("the disk is full")
        return run(sql, params, many, context)

    return execute


# The canary itself: let out on purpose in every place, it is found.

PLACES: dict[str, Callable[[str, Pbx], object]] = {
    "log": lambda secret, pbx: logging.getLogger("anything").debug("sent to %s", quote(secret, safe="")),
    "table fleet_pbx": lambda secret, pbx: Pbx.objects.update(notes=base64.b64encode(f"a {secret}".encode()).decode()),
    "repr of Pbx": lambda secret, pbx: Pbx.objects.update(name=secret),
    "/pbxs/": lambda secret, pbx: Pbx.objects.update(name=secret),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_let_out_on_purpose_is_found(
    admin: Client, pbx: Pbx, simulated_pbx: SimulatedPbx, ear: Ear, place: str
) -> None:
    planned(admin, pbx, response_timeout="6")
    secrets = secrets_of(simulated_pbx)

    for name, secret in secrets.items():
        PLACES[place](secret, pbx)

        assert f"{name} in {place}" in leaks(everything(admin, pbx, ear), {name: secret})


def test_a_secret_in_a_frame_is_found(simulated_pbx: SimulatedPbx) -> None:
    error = RuntimeError("chained")
    error.__cause__ = ValueError(f"https://pbx.invalid/?token={quote_plus(PASSWORD)}")

    assert leaks({"chain": dump(error)}, {"password": PASSWORD}) == ["password in chain"]
