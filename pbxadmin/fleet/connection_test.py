"""The connection test: step by step from the name to the list of IVRs, stopping at the first failure.

The test sends one login at most, and none while credentials are rejected or our address is locked out. When it also
looks for the API version, it sends one login for each further version, as long as no password is refused.
"""

import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from cryptography import x509
from django.conf import settings
from django.utils import timezone

from pbxadmin.audit.actions import EventAction
from pbxadmin.web.words import number_of
from pbxadmin.yeastar.client import PAGE_S, PbxClient
from pbxadmin.yeastar.drivers import driver_of, is_writable, writable_fields
from pbxadmin.yeastar.errors import (
    PbxBadAnswer,
    PbxError,
    PbxForbidden,
    PbxHeldBack,
    PbxLocked,
    PbxLoginRefused,
    PbxOtherApi,
    PbxRefused,
    PbxUntrusted,
)
from pbxadmin.yeastar.guard import allowed, check_port
from pbxadmin.yeastar.transport import (
    Certificate,
    TlsProfile,
    Trust,
    TrustMode,
    connect_any,
    exchanging,
    look_at_certificate,
    resolve,
)

from .lease import PbxInUse, leased
from .models import Pbx, PbxState
from .pbx_sessions import check_allowed, client_for, client_or_state, learn, learned, pbx_state_record, state_after
from .services import pbx_event

TEST_STEPS = {
    "address": "Name to address",
    "tcp": "Connection",
    "tls": "Certificate",
    "login": "Login",
    "device": "Device",
    "ivrs": "IVR list",
}
DETECT = ("version", "Newest API version")
HANDSHAKE_S = 8.0


@dataclass
class Step:
    """One step of the test. `passed` is None for a step that was not reached."""

    name: str
    label: str
    passed: bool | None = None
    sentence: str = ""
    seconds: float = 0.0


@dataclass
class Shown:
    """The certificate that the PBX presented, in words. may_be_pinned: whether a person may pin it now."""

    fingerprint: str
    subject: str
    issuer: str
    until: str
    agreed: str
    may_be_pinned: bool = False


class ConnectionTest:
    """One run of the test. `certificate` is set once the PBX presented one; `steps` say how far the test came.

    detects: also look for the newest API version that answers, and put it into `found_version`.
    """

    def __init__(self, pbx: Pbx, *, detects: bool = False) -> None:
        self.pbx = pbx
        self.detects = detects
        self.found_version = ""
        self.networks = allowed(settings.PBX_NETWORKS)
        self.steps = [Step(name, label) for name, label in (*TEST_STEPS.items(), *([DETECT] if detects else []))]
        self.certificate: Shown | None = None
        self.until = time.monotonic() + PAGE_S
        self.found_at: list[str] = []
        self.links: list[socket.socket] = []
        self.client: PbxClient | None = None

    @property
    def passed(self) -> bool:
        return all(step.passed for step in self.steps)

    @property
    def failed(self) -> Step | None:
        return next((step for step in self.steps if step.passed is False), None)

    def run(self) -> None:
        """Take the steps in order, then record state, token and identity on the PBX. The caller holds the lease."""
        error: PbxError | None = None
        with exchanging(time.monotonic() + HANDSHAKE_S):
            for step in self.steps[:3]:
                error = error or self.take(step)
        for link in self.links:  # before the login: some PBXs serve one connection at a time
            link.close()
        for step in self.steps[3 : len(TEST_STEPS)]:
            error = error or self.take(step)
        if self.client and self.client.calls:
            self.client.transport.close()
            pbx_state_record(self.pbx, self.client)
        elif error and self.is_news(error):
            learn(self.pbx, learned(self.pbx, error, timezone.now()))
        if self.detects and self.client and self.client.calls:
            self.take(self.steps[-1])

    def is_news(self, error: PbxError) -> bool:
        """Tell whether to record an error before any login. Rejected credentials stay so until they are edited."""
        is_ours = isinstance(error, PbxHeldBack) and not isinstance(error, PbxForbidden)
        return not is_ours and self.pbx.state != PbxState.CREDENTIALS_REJECTED

    def take(self, step: Step) -> PbxError | None:
        """Run one step and time it. Return the error that ended it, or None."""
        started = time.monotonic()
        failure: PbxError | None = None
        try:
            step.sentence = getattr(self, step.name)()
        except PbxError as error:
            step.sentence, failure = told(step.name, error), error
        step.passed = failure is None
        step.seconds = time.monotonic() - started
        return failure

    def address(self) -> str:
        if not self.pbx.is_enabled:
            raise PbxHeldBack(f"{self.pbx.name} is disabled. Enable it to talk to it again.")
        check_port(self.pbx.port, settings.PBX_PORTS)
        addresses = resolve(self.pbx.host, self.pbx.port, self.networks)
        self.found_at = addresses
        return ", ".join(addresses[:4])

    def connect(self) -> socket.socket:
        link = connect_any(self.found_at, self.pbx.port, self.networks)
        self.links.append(link)
        self.found_at = [link.getpeername()[0]]
        return link

    def tcp(self) -> str:
        self.connect()
        return f"Port {self.pbx.port} is open."

    def tls(self) -> str:
        """Read the certificate first, whatever it is, so that a person can compare and pin it; then verify it."""
        if self.pbx.scheme == "http":
            return "Plain HTTP, as chosen. Anyone between us and the PBX can read the password digest."
        anything = Trust(TrustMode.NONE, profile=TlsProfile(self.pbx.tls_profile))
        shown = look_at_certificate(self.links[0], self.pbx.host, anything)
        self.certificate = certificate_in_words(shown)
        if self.pbx.trust == TrustMode.NONE:
            self.certificate.may_be_pinned = True
            return "Not verified, as chosen. Pin this certificate to be sure that it is this PBX."
        try:
            return self.judge(shown)
        except PbxUntrusted:
            self.certificate.may_be_pinned = True
            raise

    def judge(self, shown: Certificate) -> str:
        if self.pbx.trust != TrustMode.PIN:
            look_at_certificate(self.connect(), self.pbx.host, self.pbx.trusted())
            return "Verified by its certificate authority."
        if shown.fingerprint == self.pbx.fingerprint:
            return "It is the pinned one."
        if not self.pbx.fingerprint:
            raise PbxUntrusted("Nothing is pinned yet. Compare this fingerprint with the PBX's own, then pin it.")
        raise PbxUntrusted("It is not the pinned one. Nothing was sent. Find out why before you pin the new one.")

    def login(self) -> str:
        check_allowed(self.pbx, insist=True)  # a person asked for it, so a pause does not count
        self.client = client_or_state(self.pbx, self.until)
        self.client.known_serial = None  # the next step reads the identity and shows it
        self.client.login()
        return f"Signed in as {self.pbx.username}."

    def device(self) -> str:
        try:
            info = self.signed_in.device = self.signed_in.device_info()
        except (PbxBadAnswer, PbxRefused) as error:
            if isinstance(error, PbxLoginRefused):
                raise
            return "It does not report what it is."  # as in all other work, it counts as the known device
        if self.pbx.serial and info.serial not in ("", self.pbx.serial):
            raise PbxHeldBack(
                f"Another device answers: serial {info.serial}, known is {self.pbx.serial}."
                " Nothing is written to it until somebody accepts it on the page of this PBX."
            )
        serial, firmware = info.serial or "not reported", info.firmware or "not reported"
        return f"{info.model or 'Model not reported'}, serial {serial}, firmware {firmware}."

    def ivrs(self) -> str:
        count = len(self.signed_in.query_ivrs())
        return f"{number_of(count, 'IVR')}."

    def version(self) -> str:
        """Find the newest version that answers.

        Raises any PbxError that is not the answer to an unknown version, and PbxBadAnswer when no version answers.
        """
        said = self.signed_in.calls[0].error
        if isinstance(said, PbxOtherApi):
            raise said
        if said and not self.is_other_version(said):
            raise PbxHeldBack("Not tried: the login failed.")
        for version in self.pbx.driver.newest_first:
            if self.answers(version, is_in_use=said is None):
                self.found_version = version
                learn(self.pbx, {"capability": version, "capability_at": timezone.now()})
                return f"{version} answers. {self.pbx.api_version} is in use."
        raise PbxBadAnswer("No version of the API answers here. Is it switched on, are address and port right?")

    def answers(self, version: str, *, is_in_use: bool) -> bool:
        """Tell whether a login with this version succeeds; one attempt. is_in_use: the login of the test succeeded."""
        if version == self.pbx.api_version:
            return is_in_use
        client = client_for(self.pbx, self.until)
        client.driver, client.token, client.known_serial = driver_of(version), None, None
        try:
            client.login()
            with suppress(PbxError):
                client.logout()
        except PbxError as error:
            if self.is_other_version(error):
                return False
            if isinstance(error, PbxLocked) or not is_in_use:
                pbx_state_record(self.pbx, client)
            raise
        finally:
            client.transport.close()
        return True

    def is_other_version(self, error: PbxError) -> bool:
        """Return whether this is how a PBX answers to a version of the API that it does not have."""
        if isinstance(error, PbxRefused):
            return self.pbx.driver.is_other_version(error)
        return isinstance(error, PbxBadAnswer) and not isinstance(error, PbxOtherApi)

    @property
    def version_difference(self) -> str:
        """Return in a sentence what using the found version instead of the one in use would change."""
        return version_difference(self.pbx.api_version, self.found_version)

    @property
    def signed_in(self) -> PbxClient:
        if self.client is None:
            raise PbxHeldBack("There was no login.")
        return self.client


def connection_test(pbx: Pbx, held_by: str, *, detects: bool = False) -> ConnectionTest:
    """Test the connection of a PBX record and record that it was tested.

    held_by: shown to other callers, who have to wait. Raises no PbxError: the steps say what happened.
    """
    test = ConnectionTest(pbx, detects=detects)
    try:
        with leased(pbx.pk, held_by):
            pbx.refresh_from_db()
            test.run()
    except PbxInUse as error:
        test.steps[0].passed, test.steps[0].sentence = False, str(error)
    failed = test.failed
    pbx_event(
        EventAction.PBX_TESTED,
        pbx,
        outcome="passed" if test.passed else "failed",
        detail=({"step": failed.name, "why": failed.sentence} if failed else {})
        | ({"capability": test.found_version} if test.found_version else {}),
    )
    return test


def version_difference(in_use: str, found: str) -> str:
    """Return in a sentence which fields only one of these two API versions can change."""
    gained = [field.label.lower() for field in writable_fields(found) if not is_writable(field.name, in_use)]
    lost = [field.label.lower() for field in writable_fields(in_use) if not is_writable(field.name, found)]
    if not gained and not lost:
        return f"{found} can change the same fields as {in_use}."
    can = [f"{' and '.join(gained)} can be changed"] if gained else []
    cannot = [f"{' and '.join(lost)} cannot" + ("" if gained else " be changed")] if lost else []
    return f"With {found}, {', '.join(can + cannot)}."


def certificate_in_words(shown: Certificate) -> Shown:
    agreed = f"{shown.tls_version}, {shown.cipher}"
    try:
        certificate = x509.load_der_x509_certificate(shown.der)
        subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
        until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    except ValueError:
        subject = issuer = until = "cannot be read"
    return Shown(shown.fingerprint, subject, "itself" if subject == issuer else issuer, until, agreed)


def told(step: str, error: PbxError) -> str:
    """Return an error in one sentence; for a rejected password the one that the page of the PBX shows from now on."""
    state, reason = state_after(error)
    return reason if step == "login" and state == PbxState.CREDENTIALS_REJECTED else str(error)
