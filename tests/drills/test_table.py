"""What comes of an edit when something goes wrong, as a table: which fault, in which phase, and what must be true then.

Each row is one whole edit, "Response timeout 6 s, prompt played 2 times", through the real pages against a simulated
PBX over TLS; and once more, with one of its faults, over the API, which is told the same.

`calls` are the calls of login, ivr/query and ivr/update that the PBX could read, from Apply on. `events`
are the outcomes that the log says of the change. `words` stand on the page and in the receipt.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import chain
from typing import Any, NamedTuple

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from ivr.changes.reconcile import reconcile
from ivr.models import Change
from pbxadmin.audit.chain import verify
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Lease, Pbx, PbxState
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from pbxadmin.yeastar.simulator import NOTHING, Fault, SimulatedPbx, instead, only
from pbxadmin.yeastar.simulator.faults import ON_ACCEPT
from tests.drills.edits import let_the_token_age, planned, text_of
from tests.drills.hands import Hand

pytestmark = [
    pytest.mark.tls,
    pytest.mark.django_db,
    pytest.mark.usefixtures("short_deadlines"),
]

WANTED = {"response_timeout": "6", "prompt_repeat": "2"}

# The faults, by what is known after them.
OTHER_CERT = (Fault.OTHER_CERTIFICATE,)
NO_CONNECTION = (Fault.CLOSE_ON_ACCEPT, Fault.SILENT_ON_ACCEPT, Fault.HANDSHAKE_DRIP)
NO_ANSWER = tuple(fault for fault in Fault if fault not in {*ON_ACCEPT, Fault.NONE, Fault.ERRNO, Fault.PAYLOAD})
GOOD, CUT_OFF, ERRNO, PAYLOAD = ((fault,) for fault in (Fault.NONE, Fault.CLOSE, Fault.ERRNO, Fault.PAYLOAD))

# Where a fault waits: the call, and how many good ones come before it; and how many good connections.
PHASES = {
    "login": ("login", 0, 0),
    "pre-read": ("ivr/query", 0, 0),
    "update": ("ivr/update", 0, 1),
    "read-back": ("ivr/query", 1, 2),
}


class Row(NamedTuple):
    phase: str
    faults: Iterable[Fault]
    order: dict[str, Any]  # what else the PBX is told
    outcome: str
    events: str
    calls: tuple[int, int, int]
    state: str
    words: str
    also: dict[str, Any] | None = None  # a second order


class Edit(dict[str, str]):
    """Somebody changes the IVR on the PBX's own pages."""

    def on(self, pbx: SimulatedPbx) -> Callable[[], None]:
        return lambda: pbx.edit("6500", **self)


WRONG_PASSWORD = {"fault": Fault.ERRNO, "call": "login", "errno": "20003"}
IVR = {"ivrnumber": "6500", "ivrname": "Main_Menu"}
OTHER = {"status": "Success", "ivr": [IVR | {"ivrnumber": "6501"}]}
TWICE = {"status": "Success", "ivr": [IVR, IVR | {"ivrname": "Night"}]}
NAMELESS = {"status": "Success", "ivr": [{"ivrname": "Main_Menu"}]}
EMPTY = {"status": "Success", "ivr": []}
WORDS = {"status": "Success", "ivr": "none"}
SUCCESS, FAILURE = {"status": "Success"}, {"status": "Failure"}
HALF = only("responsetimeout")
CLAMPED = instead(responsetimeout="10")

UP, DOWN, BAD_CERT, REJECTED, LOCKED = "reachable", "unreachable", "untrusted", "credentials-rejected", "locked"
REFUSING = "refusing"
NOT_SENT, VERIFIED, DIFFERS, REFUSED, UNKNOWN = "not-sent", "verified", "not-as-asked", "refused", "unknown"

# What the page and the receipt say.
NOW = "ACME-HQ now has prompt played 2 times, response timeout 6 s."
UNREAD = "ACME-HQ could not be read first: The"
PIN = "The certificate is not the pinned one. Nothing was sent."
GONE = "IVR 6500 is not on ACME-HQ any more."
NO_SUCH = "ACME-HQ has no IVR of that number any more."
HALF_WAY = "Not as asked. Prompt played: asked 2 times, found 1 time."
MEANWHILE = "Meanwhile somebody else changed on ACME-HQ: Digit timeout 9 s."
SUCCESS_OF_NOTHING = "ACME-HQ said Success but nothing changed."
SILENCE_OF_NOTHING = "ACME-HQ gave no usable answer but nothing changed."
ALTHOUGH_SILENT = "Verified, although ACME-HQ gave no usable answer."
ALTHOUGH_REFUSED = "Verified, although ACME-HQ refused it (30001)."
UNREADABLE = "ACME-HQ cannot be read back: "


def row(phase: str, faults: Iterable[Fault], *expected: Any, also: dict[str, Any] | None = None, **order: Any) -> Row:
    outcome, events, calls, state, words = expected
    return Row(phase, faults, order, outcome, events, calls, state, words, also)


# fmt: off
TABLE = [
    #   phase        what goes wrong  outcome   what the log says       calls      PBX       words
    # Nothing does.
    row("update",    GOOD,            VERIFIED, "sending verified",     (0, 2, 1), UP,       NOW),
    row("login",     GOOD,            VERIFIED, "sending verified",     (1, 2, 1), UP,       NOW),

    # The token is too old, and the login goes wrong: nothing was sent.
    row("login",     NO_CONNECTION,   NOT_SENT, "not-sent",             (0, 0, 0), DOWN,     UNREAD),
    row("login",     OTHER_CERT,      NOT_SENT, "not-sent",             (0, 0, 0), BAD_CERT, PIN),
    row("login",     NO_ANSWER,       NOT_SENT, "not-sent",             (1, 0, 0), DOWN,     UNREAD),
    row("login",     PAYLOAD,         NOT_SENT, "not-sent",             (1, 0, 0), DOWN,     "gave no token",
        payload=SUCCESS),
    # Whatever may have been a wrong password is not tried again.
    row("login",     ERRNO,           NOT_SENT, "not-sent",             (1, 0, 0), REJECTED, "(20003)", errno="20003"),
    row("login",     ERRNO,           NOT_SENT, "not-sent",             (1, 0, 0), REJECTED, "(99999)", errno="99999"),
    row("login",     PAYLOAD,         NOT_SENT, "not-sent",             (1, 0, 0), REJECTED, "(no code)",
        payload=FAILURE),
    row("login",     ERRNO,           NOT_SENT, "not-sent",             (1, 0, 0), LOCKED,   "(20002)", errno="20002"),
    row("login",     ERRNO,           NOT_SENT, "not-sent",             (1, 0, 0), REFUSING, "(10003)", errno="10003"),
    row("login",     ERRNO,           NOT_SENT, "not-sent",             (1, 0, 0), REFUSING, "(20010)", errno="20010"),

    # It cannot be read first, or not as a whole: nothing was sent.
    row("pre-read",  NO_CONNECTION,   NOT_SENT, "not-sent",             (0, 0, 0), DOWN,     UNREAD),
    row("pre-read",  OTHER_CERT,      NOT_SENT, "not-sent",             (0, 0, 0), BAD_CERT, PIN),
    row("pre-read",  NO_ANSWER,       NOT_SENT, "not-sent",             (0, 1, 0), DOWN,     UNREAD),
    row("pre-read",  PAYLOAD,         NOT_SENT, "not-sent",             (0, 1, 0), UP,       "another", payload=OTHER),
    row("pre-read",  PAYLOAD,         NOT_SENT, "not-sent",             (0, 1, 0), UP,       "more than once",
        payload=TWICE),
    row("pre-read",  PAYLOAD,         NOT_SENT, "not-sent",             (0, 1, 0), DOWN,     "not a list",
        payload=WORDS),
    row("pre-read",  PAYLOAD,         NOT_SENT, "not-sent",             (0, 1, 0), UP,       "without a number",
        payload=NAMELESS),
    row("pre-read",  PAYLOAD,         NOT_SENT, "not-sent",             (0, 1, 0), UP,       GONE, payload=EMPTY),
    row("pre-read",  ERRNO,           NOT_SENT, "not-sent",             (0, 1, 0), UP,       GONE, errno="10012"),
    row("pre-read",  ERRNO,           NOT_SENT, "not-sent",             (0, 1, 0), REFUSING, "(30001)", errno="30001"),
    row("pre-read",  ERRNO,           NOT_SENT, "not-sent",             (0, 1, 0), REFUSING, "(20010)", errno="20010"),
    row("pre-read",  ERRNO,           NOT_SENT, "not-sent",             (0, 1, 0), REFUSING, "(99999)", errno="99999"),
    # A refused token: one login, and the same call once more.
    row("pre-read",  ERRNO,           VERIFIED, "sending verified",     (1, 3, 1), UP,       NOW, errno="20004"),
    row("pre-read",  ERRNO,           VERIFIED, "sending verified",     (1, 3, 1), UP,       NOW, errno="20006"),
    row("pre-read",  ERRNO,           NOT_SENT, "not-sent",             (1, 2, 0), REFUSING, "(20006)",
        errno="20006", times=2),
    row("pre-read",  ERRNO,           NOT_SENT, "not-sent",             (1, 1, 0), REJECTED, "(20003)",
        errno="20006", also=WRONG_PASSWORD),
    # Somebody was faster.
    row("pre-read",  GOOD,            "conflict", "conflict",           (0, 1, 0), UP,
        "Changed since you opened it.",
        before=Edit(responsetimeout="9")),
    row("pre-read",  GOOD,            VERIFIED, "sending verified",     (0, 2, 1), UP,       NOW,
        before=Edit(digittimeout="9")),
    row("pre-read",  GOOD,            VERIFIED, "sending verified",     (0, 2, 1), UP,       NOW,
        before=Edit(responsetimeout="6")),
    row("pre-read",  GOOD,            NOT_SENT, "not-sent",             (0, 1, 0), UP,
        "already holds these values.",
        before=Edit(responsetimeout="6", promptrepeat="2")),
    row("pre-read",  GOOD,            NOT_SENT, "not-sent",             (0, 1, 0), UP,       GONE,
        before=Edit(ivrnumber="6599")),

    # The update does not leave us, so there is nothing to read back.
    row("update",    NO_CONNECTION,   NOT_SENT, "sending not-sent",     (0, 1, 0), DOWN,     "Nothing was sent."),
    row("update",    OTHER_CERT,      NOT_SENT, "sending not-sent",     (0, 1, 0), BAD_CERT, PIN),
    # It leaves us, and no usable answer comes: what is read back decides.
    row("update",    NO_ANSWER,       VERIFIED, "sending verified",     (0, 2, 1), UP,       ALTHOUGH_SILENT),
    row("update",    NO_ANSWER,       DIFFERS,  "sending not-as-asked", (0, 2, 1), UP,       SILENCE_OF_NOTHING,
        stores=NOTHING),
    row("update",    CUT_OFF,         DIFFERS,  "sending not-as-asked", (0, 2, 1), UP,       HALF_WAY, stores=HALF),
    # It says Success.
    row("update",    GOOD,            DIFFERS,  "sending not-as-asked", (0, 2, 1), UP,       SUCCESS_OF_NOTHING,
        stores=NOTHING),
    row("update",    GOOD,            DIFFERS,  "sending not-as-asked", (0, 2, 1), UP,       HALF_WAY, stores=HALF),
    row("update",    GOOD,            DIFFERS,  "sending not-as-asked", (0, 2, 1), UP,       "asked 6 s, found 10 s.",
        stores=CLAMPED),
    # It says no.
    row("update",    ERRNO,           REFUSED,  "sending refused",      (0, 2, 1), UP,       "Nothing changed.",
        errno="10018", stores=NOTHING),
    row("update",    ERRNO,           REFUSED,  "sending refused",      (0, 2, 1), UP,       "(10004)",
        errno="10004", stores=NOTHING),
    row("update",    ERRNO,           REFUSED,  "sending refused",      (0, 2, 1), UP,       "(20010)",
        errno="20010", stores=NOTHING),
    row("update",    ERRNO,           REFUSED,  "sending refused",      (0, 2, 1), UP,       "(99999)",
        errno="99999", stores=NOTHING),
    row("update",    PAYLOAD,         REFUSED,  "sending refused",      (0, 2, 1), UP,       "(no code)",
        payload=FAILURE, stores=NOTHING),
    row("update",    ERRNO,           DIFFERS,  "sending not-as-asked", (0, 2, 1), UP,       HALF_WAY,
        errno="10018", stores=HALF),
    row("update",    ERRNO,           VERIFIED, "sending verified",     (0, 2, 1), UP,       ALTHOUGH_REFUSED,
        errno="30001"),
    # A refused token proves that nothing was done: one login, and the same request once more.
    row("update",    ERRNO,           VERIFIED, "sending verified",     (1, 2, 2), UP,       NOW,
        errno="20006", stores=NOTHING),
    row("update",    ERRNO,           REFUSED,  "sending refused",      (1, 2, 2), UP,       "(20005)",
        errno="20005", stores=NOTHING, times=2),
    row("update",    ERRNO,           NOT_SENT, "sending not-sent",     (1, 1, 1), REJECTED, "(20003)",
        errno="20006", stores=NOTHING, also=WRONG_PASSWORD),
    # Somebody edits between our re-read and our read-back.
    row("update",    GOOD,            VERIFIED, "sending verified",     (0, 2, 1), UP,       MEANWHILE,
        then=Edit(digittimeout="9")),
    row("update",    GOOD,            DIFFERS,  "sending not-as-asked", (0, 2, 1), UP,       "asked 6 s, found 9 s.",
        then=Edit(responsetimeout="9")),
    row("update",    ERRNO,           REFUSED,  "sending refused",      (0, 2, 1), UP,       MEANWHILE,
        errno="10018", stores=NOTHING, then=Edit(digittimeout="9")),
    row("update",    GOOD,            DIFFERS,  "sending not-as-asked", (0, 2, 1), UP,       NO_SUCH,
        then=Edit(ivrnumber="6599")),
    row("update",    GOOD,            DIFFERS,  "sending not-as-asked", (0, 2, 1), UP,       NO_SUCH,
        before=Edit(ivrnumber="6599")),
    row("read-back", GOOD,            VERIFIED, "sending verified",     (0, 2, 1), UP,       MEANWHILE,
        before=Edit(digittimeout="9")),

    # It was sent and cannot be read back: unknown, until it can.
    row("read-back", NO_CONNECTION,   UNKNOWN,  "sending unknown",      (0, 1, 1), DOWN,     UNREADABLE),
    row("read-back", OTHER_CERT,      UNKNOWN,  "sending unknown",      (0, 1, 1), BAD_CERT, UNREADABLE),
    row("read-back", NO_ANSWER,       UNKNOWN,  "sending unknown",      (0, 2, 1), DOWN,     UNREADABLE),
    row("read-back", PAYLOAD,         UNKNOWN,  "sending unknown",      (0, 2, 1), UP,       UNREADABLE, payload=OTHER),
    row("read-back", ERRNO,           UNKNOWN,  "sending unknown",      (0, 2, 1), REFUSING, "(30001)", errno="30001"),
    row("read-back", ERRNO,           UNKNOWN,  "sending unknown",      (1, 2, 1), REJECTED, "(20003)",
        errno="20006", also=WRONG_PASSWORD),
    row("read-back", ERRNO,           VERIFIED, "sending verified",     (1, 3, 1), UP,       NOW, errno="20006"),
    row("read-back", ERRNO,           DIFFERS,  "sending not-as-asked", (0, 2, 1), UP,       NO_SUCH, errno="10012"),
]
# fmt: on


def name(row: Row, fault: Fault) -> str:
    told = {key: getattr(value, "__name__", value) for key, value in row.order.items()}
    return f"{row.phase}, {fault} {told or ''}{' and login 20003' if row.also else ''}"


DRILLS = list(chain.from_iterable(((row, fault) for fault in row.faults) for row in TABLE))


def order(pbx: SimulatedPbx, row: Row, fault: Fault) -> None:
    call, calls_before, connections_before = PHASES[row.phase]
    bound = {key: value.on(pbx) if isinstance(value, Edit) else value for key, value in row.order.items()}
    after = connections_before if fault in ON_ACCEPT else calls_before
    asked: dict[str, Any] = {"call": call, "after": after} | bound
    pbx.misbehave(fault, **asked)
    if row.also:
        pbx.misbehave(**row.also)


def events_of(change: Change) -> str:
    return " ".join(Event.objects.filter(change_id=change.pk).order_by("id").values_list("outcome", flat=True))


def holds(pbx: SimulatedPbx) -> dict[str, str | None] | None:
    ivr = pbx.ivrs.get("6500")
    return read_ivr(ivr, ApiVersion.V1_0).values() if ivr else None


# A row means the same with each of its faults, so over the API one of them is enough; the rows take different ones.
API_DRILLS = [(row, tuple(row.faults)[place % len(tuple(row.faults))]) for place, row in enumerate(TABLE)]
BY_HAND = [*(("page", *drill) for drill in DRILLS), *(("api", *drill) for drill in API_DRILLS)]


@pytest.mark.parametrize(
    ("hand", "row", "fault"),
    BY_HAND,
    ids=[f"{by}: {name(row, fault)}" for by, row, fault in BY_HAND],
    indirect=["hand"],
)
def test_drill(hand: Hand, manager: Client, pbx: Pbx, simulated_pbx: SimulatedPbx, row: Row, fault: Fault) -> None:
    change = hand.plan(pbx, **WANTED)
    if row.phase == "login":
        let_the_token_age(pbx)
    order(simulated_pbx, row, fault)
    simulated_pbx.received.clear()
    bytes_before = simulated_pbx.bytes_received

    answer = hand.apply(change, confirms=False)

    calls = tuple(simulated_pbx.count(call) for call in ("login", "ivr/query", "ivr/update"))
    assert calls == row.calls, simulated_pbx.received
    assert (answer.status, answer.outcome) == (409 if row.outcome == "conflict" else 200, row.outcome)
    change.refresh_from_db()
    assert row.words in answer.text, change.sentence
    assert row.words in hand.receipt(change)
    assert change.account in text_of(manager.get(change.get_absolute_url()).content.decode())
    assert (change.status, events_of(change)) == (row.outcome, row.events)
    assert Pbx.objects.get().state == row.state
    if fault is Fault.OTHER_CERTIFICATE and calls == (0, 0, 0):
        assert simulated_pbx.bytes_received == bytes_before
    if row.outcome in ("verified", "not-as-asked", "refused") and row.phase != "read-back":
        assert change.found == holds(simulated_pbx)
    may_become_true = "nothing changed" in change.sentence or NO_SUCH in change.sentence
    assert (change.check_at is not None) == (row.outcome == "unknown" or may_become_true)
    assert Lease.objects.get().holder == ""
    assert verify().faults == []


IN_DOUBT = [(row, fault) for row, fault in DRILLS if row.outcome == "unknown"]


@pytest.mark.parametrize(("row", "fault"), IN_DOUBT, ids=[name(row, fault) for row, fault in IN_DOUBT])
def test_an_unknown_outcome_becomes_true_by_itself_and_nothing_is_sent_again(
    manager: Client, pbx: Pbx, simulated_pbx: SimulatedPbx, row: Row, fault: Fault
) -> None:
    change = planned(manager, pbx, **WANTED)
    order(simulated_pbx, row, fault)
    manager.post(f"{change.get_absolute_url()}apply/")
    simulated_pbx.behave()
    logins = simulated_pbx.count("login")

    with time_machine.travel(timezone.now() + timedelta(seconds=11)):
        reconcile()
        if row.state == PbxState.CREDENTIALS_REJECTED:
            assert simulated_pbx.count("login") == logins
            edit = manager.get(f"/pbxs/{pbx.pk}/edit/").content.decode()
            assert "Credentials rejected" in manager.get(f"/pbxs/{pbx.pk}/").content.decode()
            assert 'name="password"' in edit
            Pbx.objects.update(state=PbxState.NEVER_CHECKED)
    with time_machine.travel(timezone.now() + timedelta(seconds=50)):
        reconcile()

    change.refresh_from_db()
    assert (change.status, events_of(change)) == ("verified", "sending unknown verified")
    assert change.found == holds(simulated_pbx)
    assert simulated_pbx.count("ivr/update") == 1
