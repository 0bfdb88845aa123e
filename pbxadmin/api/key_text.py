"""The text of an API key: `pbxa_`, 32 random characters, and a checksum of six.

Scanners for secrets find it by its prefix, and tell by the checksum that it is none that somebody made up.
"""

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "pbxa_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH, CHECKSUM_LENGTH = 32, 6
KEY_SHOWN_LENGTH = len(PREFIX) + 6  # what a list shows to tell keys apart
KEY_FORM = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{RANDOM_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})")


def new_key_text() -> str:
    """Return a new key: 190 bits of chance."""
    random = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return f"{PREFIX}{random}{checksum_of(random)}"


def checksum_of(random: str) -> str:
    """Return the CRC-32 of the random part in base 62, six characters."""
    number, digits = zlib.crc32(random.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def is_key_text(text: str) -> bool:
    """Tell whether a text has the form and the checksum of a key, which costs no look at the database."""
    found = KEY_FORM.fullmatch(text)
    return found is not None and checksum_of(found[1]) == found[2]


def key_digest(text: str) -> str:
    """Return what is stored of a key. A plain hash is enough: nobody guesses 190 bits."""
    return hashlib.sha256(text.encode()).hexdigest()
