"""Checks of what people type about a PBX. Each function returns the value to store, or raises ValidationError."""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.core.exceptions import ValidationError

from pbxadmin.access.names import fold, refuse_unseen
from pbxadmin.yeastar.errors import PbxForbidden, PbxUnreachable
from pbxadmin.yeastar.guard import allowed, check_port
from pbxadmin.yeastar.transport import exchanging, is_address, resolve

HOST_HELP = "Enter a host name such as pbx.example.com, or an IP address: without https://, port or path."
LOGIN_IN_HOST = "Enter the address without a user name and password (no @). The API login has its own fields."
WEB_ADDRESS = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9a-f:.]+\]|[^\s/?#\\:\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<rest>[/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
USUAL_PORT = {"https": "443", "http": "80", "": ""}
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
MINUTES_HELP = "Enter a whole number from 5 to 1440, or 0 to read it only when somebody asks."
HOST_LOOK_UP_S = 1.0
ANY_PORT = 443
MOST_TAGS, LONGEST_TAG = 12, 30
TAG_COMMA = ", "  # between tags, where they stand in one line
PORT_HELP = "Enter a whole number from 1 to 65535."


def clean_host(text: str) -> str:
    """Return a host name in lower case, or an address as `ipaddress` writes it.

    A name that ends in a number is refused: resolvers read 2852039166, 0xa9fea9fe and 0251.0376.1 as addresses.
    """
    host = text.strip().lower() if text.isascii() else ""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") and ":" in host else host
    if is_address(bare) and "%" not in bare:
        return str(ip_address(bare))
    if len(host) > 253 or not NAME.fullmatch(host) or NUMBER.fullmatch(host.rpartition(".")[2]):
        raise ValidationError(HOST_HELP)
    return host


def web_address_parts(text: str) -> dict[str, str]:
    """Return scheme, host and port of a pasted web address, as far as it names them; {} for text that is none.

    The parts are as typed; `clean_host` and the others check them. Raises ValidationError, which does not repeat the
    text, for one that may hold a password.
    """
    if "@" in text:
        raise ValidationError(LOGIN_IN_HOST)
    found = WEB_ADDRESS.fullmatch(text.strip())
    if not found or not (found["scheme"] or found["port"] or found["rest"]):
        return {}
    scheme = (found["scheme"] or "").lower()
    parts = {"scheme": scheme, "host": found["host"].strip("[]"), "port": found["port"] or USUAL_PORT[scheme]}
    return {name: part for name, part in parts.items() if part}


def parts_sentence(parts: Mapping[str, str]) -> str:
    """Return what `web_address_parts` found, for a person to confirm, "" for nothing."""
    if not parts:
        return ""
    words = [parts["scheme"].upper()] if "scheme" in parts else []
    words += [parts["host"]]
    port = f" and port {parts['port']}" if "port" in parts else ""
    return f"Taken apart into {', '.join(words)}{port}. Check these fields and save again."


def clean_allowed_host(text: str, *, may_look_up: bool = True) -> str:
    """Return a host as `clean_host` does, unless PBX_NETWORKS forbids it. Each call checks it again, in the same words.

    A name is looked up for 1 s. A name without an address is accepted: the PBX may be switched off.
    """
    host = clean_host(text)
    if not may_look_up and not is_address(host):
        return host
    try:
        with exchanging(time.monotonic() + HOST_LOOK_UP_S), suppress(PbxUnreachable):
            resolve(host, ANY_PORT, allowed(settings.PBX_NETWORKS))
    except PbxForbidden as error:
        raise ValidationError(str(error)) from None
    return host


def clean_port(text: str) -> int:
    """Return a port that PBX_PORTS allows. Each call checks it again."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValidationError(PORT_HELP)
    try:
        check_port(int(text), settings.PBX_PORTS)
    except PbxForbidden as error:
        raise ValidationError(str(error)) from None
    return int(text)


def clean_minutes(text: str) -> int:
    """Return how often a PBX is read by itself, in minutes: 0 for never, or 5 to 1440."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or not (int(text) == 0 or 5 <= int(text) <= 1440):
        raise ValidationError(MINUTES_HELP)
    return int(text)


def clean_fingerprint(text: str) -> str:
    """Return 64 lower-case hex digits. Colons, blanks and capitals are accepted."""
    digits = re.sub(r"[:\s]", "", text).lower()
    if digits and not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValidationError("A SHA-256 fingerprint has 64 hex digits, with or without colons between them.")
    return digits


def clean_ca(text: str) -> str:
    """Return the certificates of a PEM text, without the text between them."""
    if not text.strip():
        return ""
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
        return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)
    except ValueError:
        raise ValidationError(
            "This is not a certificate. Paste it in PEM form, from BEGIN CERTIFICATE to END CERTIFICATE."
        ) from None


def clean_tags(text: str) -> str:
    """Return the tags in one line, each folded and once, in order: "VIP, leeds" and "Leeds,vip" give the same."""
    tags = sorted({tag for tag in map(fold, text.split(",")) if tag})
    if len(tags) > MOST_TAGS:
        raise ValidationError(f"At most {MOST_TAGS} tags. These are {len(tags)}.")
    for tag in tags:
        refuse_unseen(tag)
        if len(tag) > LONGEST_TAG:
            raise ValidationError(f"A tag has at most {LONGEST_TAG} characters. One of these has {len(tag)}.")
    return TAG_COMMA.join(tags)
