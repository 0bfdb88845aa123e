"""One exchange over real TLS, under every fault: how long it takes, what is known afterwards, and what never shows."""

import base64
import gzip
import json
import logging
import pickle
import socket
import ssl
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from functools import partial
from types import TracebackType
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pbxadmin.yeastar import transport as transport_module
from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.driver import CallKind, PbxRequest
from pbxadmin.yeastar.errors import (
    PbxBadAnswer,
    PbxBusy,
    PbxError,
    PbxHeldBack,
    PbxNotSent,
    PbxOutcomeUnknown,
    PbxUnreachable,
    PbxUntrusted,
)
from pbxadmin.yeastar.readings import IvrSettings
from pbxadmin.yeastar.s_series.driver import password_digest
from pbxadmin.yeastar.secret import Secret
from pbxadmin.yeastar.simulator import ALWAYS, NOTHING, Fault, Fleet, SimulatedPbx, faults
from pbxadmin.yeastar.transport import (
    BODY_LIMIT,
    Endpoint,
    TlsProfile,
    Transport,
    Trust,
    TrustMode,
    connect,
    connect_any,
    exchanging,
    look_at_certificate,
    tls_context,
)
from tests.deadlines import ENDED_BY_A_DEADLINE
from tests.simulated import EXCHANGE_S, LOOPBACK, client_for

from .s_series import s_series_request
from .servers import SUCCESS, RawServer, Signer, calls_in_threads, http, show

pytestmark = pytest.mark.tls

ANY = Trust(TrustMode.NONE)
SHORT_S = 0.3  # for what ends with the deadline in the same error however far the exchange came
DEADLINE_S = 2.5  # time enough for a handshake, also on a busy machine
LONG_S = EXCHANGE_S
SPARE_S = 20.0  # a busy machine; without the deadline each of these lasts LONG_S or more
LIVE = IvrSettings("6500", "Main_Menu")
MakeFleet = Callable[..., Fleet]


@pytest.fixture
def post() -> Iterator[Callable[..., bytes]]:
    """One exchange with a port of loopback; by default over plain HTTP."""
    made: list[Transport] = []

    def post(
        port: int,
        *,
        scheme: str = "http",
        trust: Trust = ANY,
        token: Secret | None = None,
        exchange_s: float = LONG_S,
        host: str = "127.0.0.1",
        until_s: float = 60,
    ) -> bytes:
        made.append(Transport(Endpoint(scheme, host, port), trust, networks=LOOPBACK, exchange_s=exchange_s))
        return made[-1].exchange(s_series_request("apply", token=token), time.monotonic() + until_s)

    yield post
    for transport in made:
        transport.close()


Post = Callable[..., bytes]


def outcome(work: Callable[[], Any]) -> PbxError:
    with pytest.raises(PbxError) as caught:
        work()
    return caught.value


# Every fault

# What each fault ends in, and whether it can only end with the deadline.
NOTHING_LEFT_US: dict[Fault, tuple[type[PbxError], bool]] = {
    Fault.CLOSE_ON_ACCEPT: (PbxUnreachable, False),
    Fault.SILENT_ON_ACCEPT: (PbxUnreachable, True),
    Fault.HANDSHAKE_DRIP: (PbxUnreachable, True),
    Fault.OTHER_CERTIFICATE: (PbxUntrusted, False),
}
SENT: dict[Fault, tuple[type[PbxError], bool]] = {
    Fault.CLOSE: (PbxOutcomeUnknown, False),
    Fault.CUT: (PbxBadAnswer, False),  # without a length, a cut answer is broken JSON
    Fault.CUT_HEADERS: (PbxBadAnswer, False),
    Fault.SHORT: (PbxOutcomeUnknown, False),
    Fault.SILENT: (PbxOutcomeUnknown, True),
    Fault.ERRNO: (PbxBusy, False),
    Fault.PAYLOAD: (PbxBadAnswer, False),
    Fault.HTTP_500: (PbxBadAnswer, False),
    Fault.HTML: (PbxBadAnswer, False),
    Fault.EMPTY: (PbxBadAnswer, False),
    Fault.TRAILING: (PbxBadAnswer, False),
    Fault.KEEPS_OPEN: (PbxOutcomeUnknown, True),
    Fault.DRIP_BODY: (PbxOutcomeUnknown, True),
    Fault.DRIP_HEADERS: (PbxOutcomeUnknown, True),
    Fault.ENDLESS_HEADERS: (PbxOutcomeUnknown, False),
    Fault.ENDLESS_CONTINUE: (PbxOutcomeUnknown, True),
    Fault.HUGE: (PbxBadAnswer, False),
    Fault.GZIP_BOMB: (PbxBadAnswer, False),
    Fault.REDIRECT_302: (PbxBadAnswer, False),
    Fault.REDIRECT_307: (PbxBadAnswer, False),
    Fault.DOUBLED_KEYS: (PbxBadAnswer, False),
    Fault.NAN: (PbxBadAnswer, False),
    Fault.DEEP: (PbxBadAnswer, False),
}
FAULTS = NOTHING_LEFT_US | SENT
TIMED = [fault for fault, (_, is_timed) in FAULTS.items() if is_timed]
CALLS: dict[str, Callable[[PbxClient], Any]] = {
    "login": lambda client: client.login(),
    "ivr/query": lambda client: client.query_ivrs(),
    "ivr/update": lambda client: client.update_ivr(LIVE, {"response_timeout": "7"}),
}


def test_the_table_knows_every_fault_of_the_simulator() -> None:
    assert set(FAULTS) == set(Fault) - {Fault.NONE}
    assert set(TIMED) == ENDED_BY_A_DEADLINE


@pytest.mark.usefixtures("short_deadlines")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_ends_in_time_in_what_is_known_and_shows_no_secret(
    fault: Fault, call: str, simulated_pbx: SimulatedPbx, caplog: pytest.LogCaptureFixture
) -> None:
    expected, _ = FAULTS[fault]
    token = held_token(simulated_pbx)
    client = client_for(simulated_pbx, token=token, exchange_s=LONG_S)
    simulated_pbx.misbehave(fault, times=ALWAYS)
    everything_is_logged(caplog)
    began = time.monotonic()

    error = outcome(lambda: CALLS[call](client))

    assert time.monotonic() - began < SPARE_S < LONG_S
    assert type(error) is expected
    assert isinstance(error, PbxNotSent) is (fault in NOTHING_LEFT_US)
    assert simulated_pbx.calls() == ([] if fault in NOTHING_LEFT_US else [call])
    assert simulated_pbx.connections == 1
    if fault in NOTHING_LEFT_US:
        assert simulated_pbx.bytes_received == 0
    assert shown_secrets(error, client, caplog, [simulated_pbx.password, client.digest.reveal(), token.reveal()]) == []
    client.transport.close()


@pytest.mark.usefixtures("short_deadlines")
@pytest.mark.parametrize("fault", TIMED)
def test_the_deadline_holds_over_plain_http_too(fault: Fault, simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.scheme = "http"
    client = client_for(simulated_pbx, token=held_token(simulated_pbx), trust=ANY, exchange_s=LONG_S)
    simulated_pbx.misbehave(fault, times=ALWAYS)
    began = time.monotonic()

    error = outcome(client.query_ivrs)

    assert time.monotonic() - began < SPARE_S < LONG_S
    assert isinstance(error, PbxOutcomeUnknown), "without a handshake, the request is sent at once"
    assert simulated_pbx.connections == 1
    client.transport.close()


def held_token(pbx: SimulatedPbx) -> Secret:
    """A token that the PBX knows already."""
    pbx.tokens["c0ffee" * 5] = time.monotonic() + 60
    return Secret("c0ffee" * 5)


def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever levels the product sets."""
    for name in ("", *logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)


def shown_secrets(
    error: BaseException, client: PbxClient, caplog: pytest.LogCaptureFixture, secrets: list[str]
) -> list[str]:
    """Where a secret, or the query string that holds one, can be seen after this error."""
    logged = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "urllib3" in logged or isinstance(error, PbxNotSent), "the canary heard nothing: is the level right?"
    places = {
        "message": f"{error} {error!r} {error.args}",
        "traceback": "".join(traceback.format_exception(error)),
        "log": logged,
        "client": f"{client!r} {client.calls}",
        "chain": repr(list(chain(error))[1:]),
        "frames": " ".join(frames(error)),
    }
    needles = [spelling for secret in secrets for spelling in spellings(secret)]
    return [f"{needle} in {place}" for place, text in places.items() for needle in needles if needle in text]


def spellings(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    if error:
        yield error
        yield from chain(error.__cause__)
        yield from chain(error.__context__)


def frames(error: BaseException) -> Iterator[str]:
    """The local variables of every frame but those of this file, as an error collector would send them."""
    for each in chain(error):
        trace: TracebackType | None = each.__traceback__
        while trace:
            if trace.tb_frame.f_code.co_filename != __file__:
                yield from (repr(value) for value in trace.tb_frame.f_locals.values())
            trace = trace.tb_next


def test_the_canary_sees_a_secret_in_each_place(caplog: pytest.LogCaptureFixture, simulated_pbx: SimulatedPbx) -> None:
    everything_is_logged(caplog)
    client = client_for(simulated_pbx)
    logging.getLogger("urllib3").debug("POST /?token=%s", "canary")
    error: BaseException | None = None
    try:
        try:
            json.loads("canary")
        except ValueError:
            raise RuntimeError("canary") from None
    except RuntimeError as found:
        error = found
    assert error

    found_in = " ".join(shown_secrets(error, client, caplog, ["canary"]))

    assert "canary in chain" not in found_in, "the library's own message does not hold it"
    assert all(place in found_in for place in ("message", "traceback", "log", "frames"))
    client.transport.close()


@pytest.mark.parametrize("log", [(logging.DEBUG, "%s POST %s"), (logging.WARNING, "Retrying %s after %s")])
def test_urllib3_never_logs_a_token_whatever_its_level(log: tuple[int, str], caplog: pytest.LogCaptureFixture) -> None:
    everything_is_logged(caplog)

    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).log(*log, "x", "/api/v1.0.0/ivr/query?token=canary&x=1")

    assert caplog.messages == [log[1] % ("x", "/api/v1.0.0/ivr/query?token=***&x=1")] * 2


def test_urllib3_logs_no_secret_under_whatever_name_a_driver_sends_it(
    caplog: pytest.LogCaptureFixture, simulated_pbx: SimulatedPbx
) -> None:
    everything_is_logged(caplog)
    query: dict[str, str | Secret] = {"only": "6500", "session": Secret("canary")}

    client_for(simulated_pbx).transport.exchange(
        PbxRequest(CallKind.READ, "menus", "/api/v1.0.0/menus", method="GET", query=query), time.monotonic() + 8
    )

    assert "only=6500&session=*** " in caplog.text
    assert "canary" not in caplog.text


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret("canary")

    assert secret.reveal() == "canary"
    assert {repr(secret), str(secret)} == {"Secret(***)"}
    assert f"{secret}{secret:>20}" == "******"
    assert "canary" not in repr([secret]) + repr({"a": secret}) + "%s %r" % (secret, secret)  # noqa: UP031
    for spread in (pickle.dumps, copy):
        with pytest.raises(TypeError, match="does not pickle"):
            spread(secret)
    assert not hasattr(secret, "__dict__")


# Deadlines


@pytest.mark.parametrize("limit", ["exchange_s", "until_s"])
def test_an_exchange_ends_with_its_own_time_or_the_budget_of_the_caller(
    post: Post, simulated_pbx: SimulatedPbx, limit: str
) -> None:
    simulated_pbx.misbehave(Fault.SILENT)
    began = time.monotonic()

    error = outcome(lambda: post(simulated_pbx.port, scheme="https", **{limit: DEADLINE_S}))

    assert DEADLINE_S <= time.monotonic() - began < SPARE_S < LONG_S
    assert type(error) is PbxOutcomeUnknown


def test_nothing_is_connected_to_when_no_time_is_left(post: Post, simulated_pbx: SimulatedPbx) -> None:
    error = outcome(lambda: post(simulated_pbx.port, scheme="https", until_s=-1))

    assert isinstance(error, PbxNotSent)
    assert simulated_pbx.connections == 0


def test_the_deadline_of_one_thread_is_not_that_of_another(
    post: Post, make_fleet: MakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, drips = make_fleet(2).pbxs
    hangs.misbehave(Fault.SILENT)
    drips.misbehave(Fault.DRIP_BODY)  # 20 bytes, 150 ms each: longer than the other's deadline
    monkeypatch.setattr(faults, "DRIP_S", 0.15)

    late, answered = calls_in_threads(
        lambda: outcome(lambda: post(hangs.port, scheme="https", exchange_s=DEADLINE_S)),
        lambda: post(drips.port, scheme="https", exchange_s=LONG_S),
    )

    assert type(late) is PbxOutcomeUnknown
    assert answered.startswith(b'{"status":')


def test_a_name_server_that_is_silent_does_not_hold_us_up(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: done.wait(LONG_S) and [])
    began = time.monotonic()

    error = outcome(lambda: post(9, host="pbx.test", exchange_s=DEADLINE_S))

    done.set()
    assert time.monotonic() - began < SPARE_S < LONG_S
    assert type(error) is PbxUnreachable
    assert str(error) == "No name server answered for pbx.test. Try again."


def test_names_that_no_name_server_answers_for_keep_nobody_from_another(
    post: Post, simulated_pbx: SimulatedPbx, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    names["here.test"] = ["127.0.0.1"]
    done, answers = threading.Event(), socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: answers(host, *rest, **more) if host in names else done.wait(LONG_S),
    )

    def silent(number: int) -> PbxError:
        return outcome(lambda: post(9, host=f"pbx{number}.test", exchange_s=SHORT_S))

    errors = calls_in_threads(*(partial(silent, number) for number in range(64)))
    answered = post(simulated_pbx.port, scheme="https", host="here.test")

    done.set()
    assert {type(error) for error in errors} == {PbxUnreachable}
    assert answered.startswith(b'{"status":')


@contextmanager
def taking_no_connection(host: str, port: int = 0) -> Iterator[int]:
    """The port of a listener that has more callers than it has room for."""
    with socket.socket() as full, ExitStack() as waiting:
        full.bind((host, port))
        full.listen(0)
        for _ in range(3):
            link = waiting.enter_context(socket.socket())
            link.setblocking(False)
            link.connect_ex(full.getsockname())
        yield full.getsockname()[1]


def test_a_port_that_takes_no_connection_is_given_up_after_the_connect_time(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "CONNECT_S", SHORT_S)
    with taking_no_connection("127.0.0.1") as port:
        began = time.monotonic()

        error = outcome(lambda: post(port))

        assert time.monotonic() - began < SPARE_S < LONG_S
        assert type(error) is PbxUnreachable
        assert "No answer within" in str(error)


def test_an_address_that_is_silent_leaves_half_of_the_connect_time_to_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport_module, "CONNECT_S", 6.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        free.listen(1)
        with taking_no_connection("127.0.0.2", free.getsockname()[1]) as port:
            began = time.monotonic()

            with connect_any(["127.0.0.2", "127.0.0.1"], port, LOOPBACK) as link:
                assert link.getpeername()[0] == "127.0.0.1"

            assert 2.5 < time.monotonic() - began < 5.5


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_closed_port_refuses(post: Post, fleet: Fleet, scheme: str) -> None:
    pbx = fleet.pbxs[0]
    fleet.switch_off(pbx)

    error = outcome(lambda: post(pbx.port, scheme=scheme))

    assert type(error) is PbxUnreachable
    assert str(error) == f"Port {pbx.port} refused the connection. Check that the API is on and that the port is right."


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_is_out_of_sockets_sent_nothing(post: Post, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    def out_of_sockets(*args: Any) -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(transport_module, "DeadlineSocket", out_of_sockets)

    assert isinstance(outcome(lambda: post(9, scheme=scheme)), PbxNotSent)


# Trust


def test_the_pinned_certificate_is_talked_to(simulated_pbx: SimulatedPbx) -> None:
    client = client_for(simulated_pbx, exchange_s=LONG_S)

    assert client.query_ivrs()
    assert simulated_pbx.calls() == ["login", "ivr/query"]
    client.transport.close()


def test_another_certificate_gets_no_byte_of_http_and_is_shown(make_fleet: MakeFleet) -> None:
    pinned, found = make_fleet().pbxs[0], make_fleet().pbxs[0]
    client = client_for(found, trust=Trust(TrustMode.PIN, pinned.fingerprint), exchange_s=LONG_S)

    error = outcome(client.login)

    assert isinstance(error, PbxUntrusted)
    assert error.found == found.fingerprint != pinned.fingerprint
    assert (found.connections, found.bytes_received, found.calls()) == (1, 0, [])
    client.transport.close()


def test_a_certificate_that_changes_between_two_calls_stops_the_second(simulated_pbx: SimulatedPbx) -> None:
    client = client_for(simulated_pbx, exchange_s=LONG_S)
    client.login()
    sent = simulated_pbx.bytes_received
    simulated_pbx.misbehave(Fault.OTHER_CERTIFICATE)

    error = outcome(lambda: client.update_ivr(LIVE, {"response_timeout": "7"}))

    assert type(error) is PbxUntrusted
    assert simulated_pbx.bytes_received == sent
    assert simulated_pbx.calls() == ["login"]
    client.transport.close()


@pytest.mark.parametrize(
    "pin",
    [
        "",
        " ",
        "0",
        "0" * 63,
        "0" * 65,
        "A" * 64,
        "g" * 64,
        "0" * 63 + "\n",
        ":".join(["00"] * 32),
        "sha256:" + "0" * 64,
        "٠" * 64,
    ],
)
def test_a_pin_of_another_shape_refuses_to_call(pin: str) -> None:
    """Whoever stores a pin normalises it; an empty one must never switch the check off."""
    with pytest.raises(PbxUntrusted, match="No certificate is pinned"):
        Trust(TrustMode.PIN, pin)


def test_an_expired_certificate_can_be_pinned(make_fleet: MakeFleet, post: Post) -> None:
    signer = Signer()
    pbx = show(make_fleet(), signer.context(expired=True))
    pin = look(pbx, ANY).fingerprint

    assert post(pbx.port, scheme="https", trust=Trust(TrustMode.PIN, pin)).startswith(b"{")


def look(pbx: SimulatedPbx, trust: Trust) -> Any:
    with exchanging(time.monotonic() + LONG_S), connect("127.0.0.1", pbx.port, LOOPBACK) as link:
        return look_at_certificate(link, "127.0.0.1", trust)


def test_an_own_ca_is_trusted_for_what_it_signed(make_fleet: MakeFleet, post: Post) -> None:
    signer, other = Signer(), Signer()
    pbx = show(make_fleet(), signer.context())

    assert post(pbx.port, scheme="https", trust=Trust(TrustMode.CA, ca_certificate=signer.pem)).startswith(b"{")
    error = outcome(lambda: post(pbx.port, scheme="https", trust=Trust(TrustMode.CA, ca_certificate=other.pem)))
    assert type(error) is PbxUntrusted
    assert pbx.calls() == ["apply"]


@pytest.mark.parametrize(("more", "why"), [({"expired": True}, "expired"), ({"names": ["pbx.test"]}, "127.0.0.1")])
def test_an_own_ca_is_not_enough_for_a_certificate_that_is_expired_or_of_another_name(
    make_fleet: MakeFleet, post: Post, more: dict[str, Any], why: str
) -> None:
    signer = Signer()
    pbx = show(make_fleet(), signer.context(**more))

    error = outcome(lambda: post(pbx.port, scheme="https", trust=Trust(TrustMode.CA, ca_certificate=signer.pem)))

    assert type(error) is PbxUntrusted
    assert why in str(error)
    assert pbx.bytes_received == 0


def test_a_ca_certificate_may_stand_among_words(make_fleet: MakeFleet, post: Post) -> None:
    signer = Signer("Zürich CA")
    pbx = show(make_fleet(), signer.context())
    text = f"Certificate:\n    Issuer: O=Bäckerei, CN=Zürich CA\n{signer.pem}\n(geprüft)"

    assert post(pbx.port, scheme="https", trust=Trust(TrustMode.CA, ca_certificate=text))


@pytest.mark.parametrize(
    "text",
    [
        "no certificate",
        "ü",
        "\x00",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_ca_certificate_refuses_to_call(post: Post, simulated_pbx: SimulatedPbx, text: str) -> None:
    trust = Trust(TrustMode.CA, ca_certificate=text)

    for work in (lambda: post(simulated_pbx.port, scheme="https", trust=trust), lambda: look(simulated_pbx, trust)):
        error = outcome(work)
        assert type(error) is PbxHeldBack
        assert "not a certificate in PEM form" in str(error)
        assert (error.__context__, error.__cause__) == (None, None)
    assert simulated_pbx.bytes_received == 0


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_missing_ca_certificate_refuses_to_call(text: str) -> None:
    with pytest.raises(PbxUntrusted, match="is missing"):
        Trust(TrustMode.CA, ca_certificate=text)


def test_the_systems_cas_do_not_trust_a_self_signed_certificate(post: Post, simulated_pbx: SimulatedPbx) -> None:
    error = outcome(lambda: post(simulated_pbx.port, scheme="https", trust=Trust(TrustMode.SYSTEM)))

    assert type(error) is PbxUntrusted
    assert "could not be verified" in str(error)
    assert simulated_pbx.bytes_received == 0


def test_the_systems_cas_are_those_of_openssl(
    make_fleet: MakeFleet, post: Post, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = Signer()
    (tmp_path / "cas.pem").write_text(signer.pem)
    pbx = show(make_fleet(), signer.context())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cas.pem"))
    tls_context.cache_clear()

    try:
        assert post(pbx.port, scheme="https", trust=Trust(TrustMode.SYSTEM))
    finally:
        tls_context.cache_clear()


def test_no_verification_is_only_by_choice_and_takes_any_certificate(make_fleet: MakeFleet, post: Post) -> None:
    pbx = show(make_fleet(), Signer().context(expired=True))

    assert post(pbx.port, scheme="https", trust=ANY)


def test_a_host_name_too_long_for_a_sentence_does_not_spill_over(
    make_fleet: MakeFleet, post: Post, names: dict[str, list[str]]
) -> None:
    host = ".".join(["a" * 60] * 4)
    names[host] = ["127.0.0.1"]
    signer = Signer()
    pbx = show(make_fleet(), signer.context())

    error = outcome(
        lambda: post(pbx.port, scheme="https", host=host, trust=Trust(TrustMode.CA, ca_certificate=signer.pem))
    )

    assert type(error) is PbxUntrusted
    assert len(str(error)) <= 300


def test_https_to_a_plain_port_sends_nothing(post: Post, simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.scheme = "http"

    error = outcome(lambda: post(simulated_pbx.port, scheme="https", exchange_s=SHORT_S))

    assert type(error) is PbxUnreachable
    assert simulated_pbx.calls() == []


def test_plain_http_to_a_tls_port_gets_no_answer_of_this_api(post: Post, simulated_pbx: SimulatedPbx) -> None:
    assert isinstance(outcome(lambda: post(simulated_pbx.port)), PbxOutcomeUnknown)
    assert simulated_pbx.calls() == []


def test_plain_http_works_by_explicit_choice(simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.scheme = "http"
    client = client_for(simulated_pbx, exchange_s=LONG_S)

    assert client.query_ivrs()
    client.transport.close()


# TLS profiles


def old_server(signer: Signer, *, ciphers: str, low: ssl.TLSVersion, high: ssl.TLSVersion) -> ssl.SSLContext:
    context = signer.context(kind="rsa")
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = low, high
    return context


def rsa_key_exchange(signer: Signer) -> ssl.SSLContext:
    """The S50 that refused every modern client."""
    only = ssl.TLSVersion.TLSv1_2
    return old_server(signer, ciphers="AES256-GCM-SHA384", low=only, high=only)


def tls_1_0(signer: Signer) -> ssl.SSLContext:
    return old_server(
        signer, ciphers="DEFAULT:@SECLEVEL=0", low=ssl.TLSVersion.MINIMUM_SUPPORTED, high=ssl.TLSVersion.TLSv1_1
    )


def usual(signer: Signer) -> ssl.SSLContext:
    return signer.context()


@pytest.mark.parametrize(
    ("server", "profiles"),
    [
        (usual, {TlsProfile.MODERN, TlsProfile.LEGACY, TlsProfile.ANCIENT}),
        (rsa_key_exchange, {TlsProfile.LEGACY, TlsProfile.ANCIENT}),
        (tls_1_0, {TlsProfile.ANCIENT}),
    ],
)
@pytest.mark.parametrize("profile", TlsProfile)
@pytest.mark.parametrize("mode", [TrustMode.PIN, TrustMode.CA])
def test_each_tls_profile_reaches_the_servers_it_is_for_and_never_falls_back(
    make_fleet: MakeFleet,
    post: Post,
    server: Callable[[Signer], ssl.SSLContext],
    profiles: set[TlsProfile],
    profile: TlsProfile,
    mode: TrustMode,
) -> None:
    signer = Signer()
    pbx = show(make_fleet(), server(signer))
    pin = look(pbx, Trust(TrustMode.NONE, profile=TlsProfile.ANCIENT)).fingerprint
    trust = Trust(mode, fingerprint=pin, ca_certificate=signer.pem, profile=profile)
    looked = pbx.connections

    if profile in profiles:
        assert post(pbx.port, scheme="https", trust=trust).startswith(b"{")
    else:
        error = outcome(lambda: post(pbx.port, scheme="https", trust=trust))
        assert type(error) is PbxUnreachable
        assert "TLS profile" in str(error)  # which one: test_hints.py
    assert pbx.connections - looked == 1
    assert pbx.calls() == (["apply"] if profile in profiles else [])


def test_what_was_agreed_on_is_shown_with_the_certificate(make_fleet: MakeFleet) -> None:
    pbx = show(make_fleet(), rsa_key_exchange(Signer()))

    found = look(pbx, Trust(TrustMode.NONE, profile=TlsProfile.LEGACY))

    assert (found.tls_version, found.cipher) == ("TLSv1.2", "AES256-GCM-SHA384")
    assert len(found.fingerprint) == 64
    assert pbx.bytes_received == 0


def test_a_certificate_that_is_looked_at_is_judged_by_the_trust_setting(make_fleet: MakeFleet) -> None:
    signer = Signer()
    pbx = show(make_fleet(), signer.context())

    assert look(pbx, Trust(TrustMode.CA, ca_certificate=signer.pem))
    assert type(outcome(lambda: look(pbx, Trust(TrustMode.CA, ca_certificate=Signer().pem)))) is PbxUntrusted
    assert type(outcome(lambda: look(pbx, Trust(TrustMode.SYSTEM)))) is PbxUntrusted
    assert pbx.bytes_received == 0


@pytest.mark.parametrize("fault", [Fault.SILENT_ON_ACCEPT, Fault.HANDSHAKE_DRIP, Fault.CLOSE_ON_ACCEPT])
def test_looking_at_a_certificate_ends_with_the_deadline(simulated_pbx: SimulatedPbx, fault: Fault) -> None:
    simulated_pbx.misbehave(fault)
    began = time.monotonic()

    def look_shortly() -> Any:
        with exchanging(time.monotonic() + SHORT_S), connect("127.0.0.1", simulated_pbx.port, LOOPBACK) as link:
            return look_at_certificate(link, "127.0.0.1", ANY)

    assert type(outcome(look_shortly)) is PbxUnreachable
    assert time.monotonic() - began < SPARE_S < LONG_S


# One context for each trust setting


def test_trust_settings_do_not_share_a_context_and_calls_leave_it_as_it_is(make_fleet: MakeFleet, post: Post) -> None:
    signer = Signer()
    pbx = show(make_fleet(), signer.context())
    trusts = [Trust(TrustMode.CA, ca_certificate=signer.pem, profile=p) for p in TlsProfile] + [
        Trust(TrustMode.PIN, look(pbx, ANY).fingerprint),
        Trust(TrustMode.PIN, "0" * 64, profile=TlsProfile.ANCIENT),
        Trust(TrustMode.SYSTEM),
    ]
    contexts = [tls_context(each.mode, each.profile, each.ca_certificate) for each in trusts]
    before = [settings_of(context) for context in contexts]

    for each in trusts:
        try:
            post(pbx.port, scheme="https", trust=each)
        except PbxUntrusted:
            continue

    assert len(set(map(id, contexts))) == len(contexts)
    assert [settings_of(context) for context in contexts] == before
    verified = [context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname for context in contexts]
    assert verified == [each.mode is not TrustMode.PIN for each in trusts]


def settings_of(context: ssl.SSLContext) -> tuple[Any, ...]:
    names = ("verify_mode", "check_hostname", "minimum_version", "maximum_version", "options", "verify_flags")
    return (*(getattr(context, name) for name in names), context.cert_store_stats(), len(context.get_ciphers()))


@pytest.mark.parametrize("mode", [TrustMode.PIN, TrustMode.CA, TrustMode.NONE])
def test_no_context_is_made_and_no_ca_store_is_loaded_for_a_call(
    make_fleet: MakeFleet, post: Post, monkeypatch: pytest.MonkeyPatch, mode: TrustMode
) -> None:
    signer = Signer()
    pbx = show(make_fleet(), signer.context())
    trust = Trust(mode, look(pbx, ANY).fingerprint, signer.pem)
    post(pbx.port, scheme="https", trust=trust)
    done = count_of_stores(monkeypatch)

    for _ in range(3):
        post(pbx.port, scheme="https", trust=trust)

    assert done == []
    assert pbx.count("apply") == 4


def count_of_stores(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done from now on that costs more than an exchange."""
    done: list[str] = []

    def noted(name: str) -> None:
        system = getattr(ssl.SSLContext, name)

        def instead(*args: Any, **more: Any) -> Any:
            done.append(name)
            return system(*args, **more)

        monkeypatch.setattr(ssl.SSLContext, name, staticmethod(instead) if name == "__new__" else instead)

    for name in ("__new__", "load_verify_locations", "load_default_certs", "set_default_verify_paths"):
        noted(name)
    return done


def test_the_count_of_stores_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    done = count_of_stores(monkeypatch)

    ssl.create_default_context()

    assert {"__new__", "load_default_certs"} <= set(done)


# What is never done


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_never_followed(post: Post, status: str) -> None:
    with RawServer(http()) as elsewhere:
        place = f"Location: http://127.0.0.1:{elsewhere.port}/api/v1.0.0/apply"
        with RawServer(http(b"moved", status=status, headers=[place])) as server:
            error = outcome(lambda: post(server.port, token=Secret("canary")))

            assert type(error) is PbxBadAnswer
            assert "redirect" in str(error)
            assert (server.connections, elsewhere.connections) == (1, 0)


@pytest.mark.parametrize("location", ["", "//evil.test/", "::::", "http://[", "\x00", "http://127.0.0.1:99999999/"])
def test_a_redirect_to_nowhere_is_no_other_error(post: Post, location: str) -> None:
    with RawServer(http(b"", status="302 Found", headers=[f"Location: {location}"])) as server:
        assert type(outcome(lambda: post(server.port))) is PbxBadAnswer


def test_each_exchange_is_a_connection_of_its_own_though_the_pbx_would_keep_one() -> None:
    with RawServer(http(), keeps=True) as server:
        transport = Transport(Endpoint("http", "127.0.0.1", server.port), ANY, networks=LOOPBACK)

        for _ in range(3):
            transport.exchange(s_series_request("apply"), time.monotonic() + LONG_S)

        assert server.connections == 3


def test_no_cookie_is_kept_or_sent_back(simulated_pbx: SimulatedPbx) -> None:
    cookies = ["Set-Cookie: session=canary; Path=/", "Set-Cookie: other=canary; Domain=127.0.0.1; Max-Age=9999"]
    with RawServer(http(headers=cookies)) as server:
        transport = Transport(Endpoint("http", "127.0.0.1", server.port), ANY, networks=LOOPBACK)

        for _ in range(2):
            transport.exchange(s_series_request("apply"), time.monotonic() + LONG_S)

        assert len(server.requests) == 2
        assert not any(b"canary" in request or b"cookie" in request.lower() for request in server.requests)
        transport.close()


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "compress", "GZIP"])
def test_a_compressed_answer_is_refused_before_anything_unpacks_it(post: Post, coding: str) -> None:
    with RawServer(http(gzip.compress(SUCCESS), headers=[f"Content-Encoding: {coding}"])) as server:
        error = outcome(lambda: post(server.port))

    assert type(error) is PbxBadAnswer
    assert "compressed" in str(error)
    assert b"\r\nAccept-Encoding: identity\r\n" in server.requests[0]


@pytest.mark.parametrize("coding", ["identity", "Identity"])
def test_an_answer_that_says_it_is_not_compressed_is_read(post: Post, coding: str) -> None:
    with RawServer(http(headers=[f"Content-Encoding: {coding}"])) as server:
        assert post(server.port) == SUCCESS


def test_an_answer_of_2_mib_is_read_and_one_byte_more_is_not(post: Post) -> None:
    with RawServer(http(b" " * BODY_LIMIT), http(b" " * (BODY_LIMIT + 1))) as server:
        assert len(post(server.port)) == BODY_LIMIT
        assert "more than 2 MiB" in str(outcome(lambda: post(server.port)))


# Answers as small servers give them


@pytest.mark.parametrize(
    "answer",
    [
        http(),
        http(length=False),
        http(length=False, headers=["Connection: close", "Server: Boa/0.94.14rc21"]),
        b"HTTP/1.0 200 OK\r\n\r\n" + SUCCESS,
        b"HTTP/1.1 200\r\n\r\n" + SUCCESS,
        b"HTTP/1.1 200 OK\n\n" + SUCCESS,
        http(b'5\r\n{"sta\r\nf\r\ntus":"Success"}\r\n0\r\n\r\n', length=False, headers=["Transfer-Encoding: chunked"]),
        b"HTTP/1.1 100 Continue\r\n\r\n" + http(),
        http(headers=["Content-Type: text/plain; charset=x-nonsense"]),
        http(headers=["Content-Type: \xff\x00"]),
        http(headers=["Set-Cookie: \xff=;;;=;Expires=never"]),
        http(headers=["X-Odd: " + "x" * 60_000]),
    ],
    ids=lambda answer: repr(answer[:70]),
)
def test_an_answer_is_read_however_a_small_server_frames_it(post: Post, answer: bytes) -> None:
    with RawServer(answer) as server:
        assert post(server.port) == SUCCESS


@pytest.mark.parametrize("tls", [False, True])
def test_an_answer_that_ends_with_the_connection_is_read_over_tls_too(post: Post, tls: bool) -> None:
    """Without a length, and without the goodbye of TLS."""
    with RawServer(http(length=False), tls=Signer().context() if tls else None) as server:
        assert post(server.port, scheme="https" if tls else "http") == SUCCESS


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00" * 100,
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 \xff\xff OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
        b"HTTP/1.1 200 " + b"y" * 70_000,
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=lambda answer: repr(answer[:70]),
)
def test_what_is_no_answer_leaves_the_outcome_unknown_and_is_not_asked_for_again(post: Post, answer: bytes) -> None:
    with RawServer(answer) as server:
        error = outcome(lambda: post(server.port))

        assert isinstance(error, PbxOutcomeUnknown)
        assert server.connections == 1


def test_a_connection_that_is_reset_leaves_the_outcome_unknown(post: Post) -> None:
    with RawServer(b"HTTP/1.1 200 OK\r\n", reset=True) as server:
        assert isinstance(outcome(lambda: post(server.port)), PbxOutcomeUnknown)
        assert server.connections == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_a_real_answer_with_any_bytes_changed_is_bytes_or_an_error_of_ours(data: st.DataObject, post: Post) -> None:
    answer = bytearray(http(headers=["Server: Boa", "Connection: close", "Set-Cookie: a=b", "Content-Type: a/b"]))
    for _ in range(data.draw(st.integers(1, 5))):
        place, length = data.draw(st.integers(0, len(answer))), data.draw(st.integers(0, 10))
        answer[place : place + length] = data.draw(
            st.binary(max_size=10) | st.sampled_from([b"\r\n", b": ", b"chunked"])
        )

    with RawServer(bytes(answer)) as server:
        try:
            assert isinstance(post(server.port), bytes)
        except PbxError as error:
            assert isinstance(error, PbxOutcomeUnknown), error  # noqa: PT017


def test_nothing_is_left_open_after_an_exchange(simulated_pbx: SimulatedPbx, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []  # what nobody refers to is closed anyway
    client = client_for(simulated_pbx, exchange_s=LONG_S)
    send = Transport.send

    def keeping(*args: Any) -> Any:
        kept.append(send(*args))
        return kept[-1]

    monkeypatch.setattr(Transport, "send", keeping)
    client.login()
    for fault in (Fault.CLOSE, Fault.HTML, Fault.HUGE, Fault.REDIRECT_302, Fault.GZIP_BOMB, Fault.ERRNO):
        simulated_pbx.misbehave(fault)
        outcome(client.query_ivrs)

    assert len(kept) == 6, "one answer each, and none where the connection was closed"
    assert [response for response in kept if not response.raw.closed or response.raw.connection] == []
    client.transport.close()


def test_a_fault_that_stores_nothing_and_one_that_stores_look_the_same_from_here(simulated_pbx: SimulatedPbx) -> None:
    client = client_for(simulated_pbx, token=held_token(simulated_pbx), exchange_s=LONG_S)
    simulated_pbx.misbehave(Fault.CLOSE, call="ivr/update")
    simulated_pbx.misbehave(Fault.CLOSE, call="ivr/update", stores=NOTHING)

    first = outcome(lambda: client.update_ivr(LIVE, {"response_timeout": "7"}))
    stored = simulated_pbx.ivrs["6500"]["responsetimeout"]
    second = outcome(lambda: client.update_ivr(LIVE, {"response_timeout": "8"}))

    assert (type(first), str(first)) == (type(second), str(second))
    assert stored == simulated_pbx.ivrs["6500"]["responsetimeout"] == "7"
    assert simulated_pbx.count("ivr/update") == 2
    client.transport.close()


def test_the_digest_goes_over_the_wire_as_it_is(simulated_pbx: SimulatedPbx) -> None:
    client = client_for(simulated_pbx, exchange_s=LONG_S)

    client.login()

    assert simulated_pbx.received[0].body["password"] == password_digest(simulated_pbx.password)
    client.transport.close()
