"""Kinds of rules, and the ticket patterns and links that a rule contains. Independent of the models."""

import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db.models import TextChoices

TICKET = "{ticket}"
MOST_DIGITS = 20
MOST_RUNS = 4  # runs of digits in a pattern; keeps matching fast
PATTERN = re.compile(r"[0-9A-Za-z#_./ :-]{1,40}")


class Rule(TextChoices):
    OFF = "off", "Not asked for"
    OPTIONAL = "optional", "Optional"
    REQUIRED = "required", "Required"


def example(pattern: str) -> str:
    """Return an example of a ticket: INC-# gives INC-4711, INC-###### gives INC-471108."""
    return re.sub("#+", lambda run: "471108" * 7 if len(run[0]) > 6 else "471108"[: max(len(run[0]), 4)], pattern)


def matches(pattern: str, ticket: str) -> bool:
    """Return whether a ticket fits: `#` matches digits, `##` at least two; other characters match themselves."""
    parts = (
        f"[0-9]{{{len(part)},{MOST_DIGITS}}}" if part.startswith("#") else re.escape(part)
        for part in re.findall("#+|[^#]+", pattern)
    )
    return re.fullmatch("".join(parts), ticket, re.IGNORECASE) is not None


def check_pattern(pattern: str) -> None:
    """Raise ValidationError for a pattern that could be slow or ambiguous to match."""
    if not pattern:
        return
    runs = re.findall("#+", pattern)
    if not PATTERN.fullmatch(pattern) or any(len(run) > MOST_DIGITS for run in runs):
        raise ValidationError("Letters, digits and - _ . / : stand for themselves, # for digits: INC-# takes INC-4711.")
    if not 1 <= len(runs) <= MOST_RUNS:
        raise ValidationError(f"Use # for the digits, in 1 to {MOST_RUNS} places: INC-# takes INC-4711.")


def check_link(link: str) -> None:
    """Raise ValidationError unless this is a web address with one placeholder for the ticket, behind the host."""
    if not link:
        return
    try:
        parts = urlsplit(link)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    is_web = (
        bool(host) and link.isascii() and link.isprintable() and " " not in link and parts.scheme in ("https", "http")
    )
    if not is_web or "{" in parts.netloc or "@" in parts.netloc or link.count(TICKET) != 1:
        raise ValidationError(
            f"Enter an address with {TICKET} in it once, such as https://tickets.example.com/{TICKET}"
        )
