"""What people type about a PBX, brought into the form in which it is kept. Raises ValidationError otherwise."""

import re
import time
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
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
MINUTES_HELP = "Enter a whole number from 5 to 1440, or 0 to read it only when somebody asks."
LOOK_UP_S = 1.0
ANY_PORT = 443
MOST_TAGS, LONGEST_TAG = 12, 30
TAG_COMMA = ", "  # between tags, where they stand in one line
PORT_HELP = "Enter a whole number from 1 to 65535."


def clean_host(text: str) -> str:
    """A name of letters, digits and hyphens in lower case, or an address as `ipaddress` writes it.

    A name that ends in a number is neither: resolvers read 2852039166, 0xa9fea9fe and 0251.0376.1 as addresses.
    """
    host = text.strip().lower() if text.isascii() else ""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") and ":" in host else host
    if is_address(bare) and "%" not in bare:
        return str(ip_address(bare))
    if len(host) > 253 or not NAME.fullmatch(host) or NUMBER.fullmatch(host.rpartition(".")[2]):
        raise ValidationError(HOST_HELP)
    return host


def clean_allowed_host(text: str, *, may_look_up: bool = True) -> str:
    """The same, unless PBX_NETWORKS forbids it: one sentence here and at connect, where it is checked at each call.

    A name is looked up for a moment only. One that has no address, or none in time, is kept: a PBX need not be on.
    """
    host = clean_host(text)
    if not may_look_up and not is_address(host):
        return host
    try:
        with exchanging(time.monotonic() + LOOK_UP_S), suppress(PbxUnreachable):
            resolve(host, ANY_PORT, allowed(settings.PBX_NETWORKS))
    except PbxForbidden as error:
        raise ValidationError(str(error)) from None
    return host


def clean_port(text: str) -> int:
    """One that PBX_PORTS allows, as at each connect."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValidationError(PORT_HELP)
    try:
        check_port(int(text), settings.PBX_PORTS)
    except PbxForbidden as error:
        raise ValidationError(str(error)) from None
    return int(text)


def clean_minutes(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not (int(text) == 0 or 5 <= int(text) <= 1440):
        raise ValidationError(MINUTES_HELP)
    return int(text)


def clean_fingerprint(text: str) -> str:
    """64 lower-case hex digits, from the usual ways to write them: with colons, blanks or capitals."""
    digits = re.sub(r"[:\s]", "", text).lower()
    if digits and not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValidationError("A SHA-256 fingerprint has 64 hex digits, with or without colons between them.")
    return digits


def clean_ca(text: str) -> str:
    """The certificates in a PEM text, and nothing of what stands between them."""
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
    """Each tag folded and once, in order: "VIP, leeds" and "Leeds,vip" are the same tags."""
    tags = sorted({tag for tag in map(fold, text.split(",")) if tag})
    if len(tags) > MOST_TAGS:
        raise ValidationError(f"At most {MOST_TAGS} tags. These are {len(tags)}.")
    for tag in tags:
        refuse_unseen(tag)
        if len(tag) > LONGEST_TAG:
            raise ValidationError(f"A tag has at most {LONGEST_TAG} characters. One of these has {len(tag)}.")
    return TAG_COMMA.join(tags)
