"""What to tell a person about a failure: pure functions of what was chosen and what the error shows.

A profile is the value of a TlsProfile. No hint shows the path or query of an address, or the user in it.
"""

import errno
import os
import re
import ssl
from http.client import BadStatusLine
from urllib.parse import urlsplit

from .errors import PbxBadAnswer, PbxError, PbxUnreachable, PbxUntrusted

NEXT_PROFILE = {"modern": "legacy", "legacy": "ancient"}
# Reasons of OpenSSL after which only the ancient profile can help: old TLS, small keys, no secure renegotiation.
ONLY_ANCIENT = frozenset(
    {
        "UNSUPPORTED_PROTOCOL",
        "WRONG_SSL_VERSION",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "DH_KEY_TOO_SMALL",
        "EE_KEY_TOO_SMALL",
        "CA_KEY_TOO_SMALL",
        "CA_MD_TOO_WEAK",
        "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    }
)
# Reasons of OpenSSL when something answered that is not TLS.
NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})
# X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL, X509_V_ERR_CA_MD_TOO_WEAK
WEAK_CERTIFICATE = frozenset({66, 67, 68})
NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})

USUAL_PORTS = {"https": 443, "http": 80}
SHOWN_HOST = re.compile(r"[0-9a-z._-]{1,100}|[0-9a-f:.]{2,45}")  # a longer name makes a sentence too long to store
TLS_ALERT = "\x15\x03"


def handshake_problem(profile: str, error: OSError) -> PbxError:
    """Return the error for a TLS handshake that failed like this with this profile."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return PbxUntrusted(certificate_sentence(profile, error))
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        reason = error.reason or "NO_REASON_GIVEN"
        return PbxUnreachable(
            f"The TLS handshake failed ({reason.replace('_', ' ').lower()}). {profile_hint(profile, reason)}"
        )
    if isinstance(error, TimeoutError):
        return PbxUnreachable(
            "The PBX accepted the connection and did not finish the TLS handshake in time. A plain HTTP port does the"
            " same: check scheme and port."
        )
    return PbxUnreachable(f"The PBX closed the connection during the TLS handshake. {profile_hint(profile, '')}")


def certificate_sentence(profile: str, error: ssl.SSLCertVerificationError) -> str:
    told = f"The certificate of the PBX could not be verified: {error.verify_message[:200].rstrip('.')}."
    if error.verify_code in WEAK_CERTIFICATE and profile in NEXT_PROFILE:
        told += " Pin this certificate, or choose the ancient TLS profile, which takes weaker keys."
    return told


def profile_hint(profile: str, reason: str) -> str:
    """Return what to try after a handshake with this profile that failed for this reason of OpenSSL, "" for none."""
    if reason in NOT_TLS:
        return "This port does not speak TLS. Enter the HTTPS port (8088 by default), or choose plain HTTP."
    if reason == "TLSV1_UNRECOGNIZED_NAME":
        return "It does not answer to this name: enter the name in its certificate, or its IP address."
    if profile not in NEXT_PROFILE:
        return "Check that this is an HTTPS port. No older TLS profile is left: the PBX may need newer firmware."
    if reason in ONLY_ANCIENT:
        return "Choose the ancient TLS profile, which old firmware needs."
    return f"Check that this is an HTTPS port. An old PBX may need the {NEXT_PROFILE[profile]} TLS profile."


def connect_problem(error: OSError, address: str, port: int) -> str:
    """Return in a sentence why no connection could be opened."""
    if isinstance(error, ConnectionRefusedError):
        return f"Port {port} refused the connection. Check that the API is on and that the port is right."
    if isinstance(error, PermissionError):
        return "A rule of this server, such as its firewall, forbids the connection."
    if error.errno in NO_ROUTE:
        return f"This server has no route to {address}."
    return f"This server could not open a connection ({os.strerror(error.errno or 0)})."


def scheme_hint(scheme: str, error: Exception) -> str:
    """Return what to try when a request was sent and no answer began, "" for nothing."""
    cause = innermost(error)
    if scheme == "http" and isinstance(cause, BadStatusLine) and str(cause).startswith(TLS_ALERT):
        return " It is an HTTPS port: choose HTTPS."
    if scheme == "http" and isinstance(cause, ConnectionError):
        return " An HTTPS port does so to plain HTTP: if it is one, choose HTTPS."
    return ""


def innermost(error: BaseException) -> BaseException:
    """Return the error at the core of those that libraries wrapped around each other."""
    inner = next((each for each in error.args if isinstance(each, BaseException)), None)
    return innermost(inner) if inner else error


def status_problem(scheme: str, status: int) -> PbxBadAnswer:
    told = f"The PBX answered with HTTP {status}, which is not an answer of this API."
    if status == 404:
        told += ' It may not have this API version: "Detect API version" in the connection test finds out.'
    if status == 400 and scheme == "http":
        told += " An HTTPS port does so to plain HTTP: if it is one, choose HTTPS."
    return PbxBadAnswer(told)


def redirect_problem(scheme: str, location: str) -> PbxBadAnswer:
    """Return the error for a redirect, with scheme, host and port of where it pointed and nothing else of it."""
    place = place_of(scheme, location)
    advice = "Check scheme and port."
    if scheme == "http" and place.startswith("https:"):
        advice = "By default, port 80 of a PBX leads to HTTPS on port 8088: enter that scheme and port."
    return PbxBadAnswer(f"The PBX answered with a redirect to {place}, which PBX Admin never follows. {advice}")


def place_of(scheme: str, location: str) -> str:
    unreadable = "an address that cannot be read"
    try:
        parts = urlsplit(location)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return unreadable
    if location and not parts.scheme and not parts.netloc:
        return "another page of the same address"
    scheme = parts.scheme or scheme
    if scheme not in USUAL_PORTS or not SHOWN_HOST.fullmatch(host):
        return unreadable
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port or USUAL_PORTS[scheme]}"
