"""Folded text: what a search compares, so that it finds a name in any spelling and a telephone number in any form.

Both sides are folded: the text that a service stores, and the words that a person types.
"""

import re
import unicodedata
from collections.abc import Iterable

# Letters that Unicode does not take apart into a base letter and a mark, and signs that word processors put in.
LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n"}
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
)
NOT_SEEN = ("Mn", "Cf")  # marks on letters; soft hyphens and the like
BETWEEN_DIGITS = r"[ ()./\-]"
# A number as people write it: +49 (0)89 1234-56, 0113 496 0100. Without + or 0, blanks separate two numbers.
DIALLED = re.compile(rf"(?<![\w.])(?:\+|\(?0)(?:{BETWEEN_DIGITS}{{0,3}}\d){{5,}}(?!\w)")
GROUPED = re.compile(r"(?<![\w.])\d(?:[./\-]?\d){3,}(?!\w)")
NATIONAL_ZERO = re.compile(r"\(0\)")
INTERNATIONAL, NATIONAL = "+", "="
FEWEST_DIGITS = 6
# Country calling codes of one and of two digits; all others have three (ITU-T E.164).
SHORT_CODE = re.compile("1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]")
LONG_CODE = 3
MOST_TERMS = 8

# What has to stand in a text: one of these spellings.
Term = tuple[str, ...]


def fold_text(text: str) -> str:
    """Return a text without case, accents and compatibility forms: "MÜNCHEN Büro" becomes "munchen buro"."""
    plain = text.lower() if text.isascii() else plain_letters(text)
    return " ".join(plain.replace("\0", "").split())


def plain_letters(text: str) -> str:
    taken_apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    seen = "".join(letter for letter in taken_apart if unicodedata.category(letter) not in NOT_SEEN)
    return seen.translate(LETTERS)


def searched_text(texts: Iterable[str | None]) -> str:
    """Return what is stored of a row for searches: its texts folded, then the digits of the numbers in them."""
    folded = [fold_text(text) for text in texts if text]
    numbers = dict.fromkeys(number for text in folded for number in numbers_in(text))
    return " ".join([*folded, *numbers])


def numbers_in(text: str) -> list[str]:
    """Return the digits of the numbers in a text: +4989123456, =89123456 for 089 1234-56, 123456 for 1234-56."""
    dialled = [prefix_of(found) + significant_digits(found) for found in DIALLED.findall(text)]
    return [*dialled, *(digits for found in GROUPED.findall(DIALLED.sub(" ", text)) for digits in ungrouped(found))]


def prefix_of(number: str) -> str:
    """Return the sign that keeps international numbers apart from national ones."""
    return INTERNATIONAL if number.startswith(("+", "00")) else NATIONAL


def significant_digits(number: str) -> str:
    """Return the digits of a number without its prefix: +49 (0)89 12 gives 498912, and so does 0049 89 12."""
    return re.sub(r"\D", "", NATIONAL_ZERO.sub("", number)).lstrip("0")


def terms_of(typed: str) -> list[Term]:
    """Return what a typed search asks for. A row is found when it holds one spelling of each term."""
    folded = fold_text(typed)
    dialled = [number for number in DIALLED.findall(folded) if len(significant_digits(number)) >= FEWEST_DIGITS - 1]
    for number in dialled:
        folded = folded.replace(number, " ", 1)
    words = filter(None, (word.strip(",") for word in folded.split()))
    terms = [*map(dialled_term, dialled), *((word, *ungrouped(word)) for word in words)]
    return list(dict.fromkeys(terms))[:MOST_TERMS]


def dialled_term(number: str) -> Term:
    """Return the spellings that find a typed telephone number, whichever way it is stored."""
    digits = significant_digits(number)
    if prefix_of(number) == NATIONAL:
        return (digits,)
    return INTERNATIONAL + digits, NATIONAL + without_country(digits)


def without_country(digits: str) -> str:
    """Return the national part of an international number."""
    short = SHORT_CODE.match(digits)
    return digits[short.end() if short else LONG_CODE :]


def ungrouped(word: str) -> Term:
    """Return the digits of a word that is a grouped number, such as 1234-56; otherwise nothing."""
    return (re.sub(r"\D", "", word),) if GROUPED.fullmatch(word) and not word.isdecimal() else ()
