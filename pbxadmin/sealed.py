"""A column that stores a secret, encrypted with AES-256-GCM and bound to its row.

The text is "v1.<key id>.<nonce and ciphertext, URL-safe base64>". The table, column and primary key of the row are
associated data, so a sealed value that was moved to another row or column does not open. The keys are in
settings.PBX_KEYS, newest first; the key id names the one that sealed a value.
"""

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

VERSION = "v1"
NONCE_BYTES = 12
FORM = re.compile(rf"{VERSION}\.(?P<key_id>[0-9a-f]{{8}})\.(?P<payload>[\w-]+=*)", re.ASCII)


class SealBroken(Exception):
    """A sealed value that does not open: its key is not in PBX_KEYS, or it was altered or moved from another row."""


class Sealed:
    """The value of a SealedField. It shows itself as *** everywhere; only `open` returns the secret."""

    __slots__ = ("_bound_to", "text")

    def __init__(self, text: str, bound_to: str) -> None:
        self.text = text
        self._bound_to = bound_to

    def __bool__(self) -> bool:
        return bool(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return "Sealed(***)" if self.text else "Sealed()"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Sealed value does not pickle")

    def open(self) -> str:
        """Return the secret. Raises SealBroken."""
        return opened_text(self.text, self._bound_to)


def newest_key() -> bytes:
    """Return the key that seals new values. Raises ImproperlyConfigured when there is none."""
    if not settings.PBX_KEYS:
        raise ImproperlyConfigured("PBX_KEYS is not set.")
    return settings.PBX_KEYS[0]


def sealed_text(secret: str, place: str) -> str:
    """Return the secret sealed with the newest key, so that it opens for this place only."""
    key, nonce = newest_key(), os.urandom(NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, secret.encode(), place.encode())
    return f"{VERSION}.{key_id_of(key)}.{base64.urlsafe_b64encode(sealed).decode()}"


def opened_text(text: str, place: str) -> str:
    """Return the secret that was sealed for this place. Raises SealBroken."""
    form = FORM.fullmatch(text)
    if form is None:
        raise SealBroken("A sealed value is not in its form.")
    key = next((key for key in settings.PBX_KEYS if key_id_of(key) == form["key_id"]), None)
    if key is None:
        raise SealBroken(f"A secret was sealed with key {form['key_id']}, which is not in PBX_KEYS.")
    try:
        sealed = base64.urlsafe_b64decode(form["payload"])
        plain = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError):  # ValueError: cut short
        raise SealBroken("A sealed value was altered, or moved from another row.") from None
    return plain.decode()


def key_id_of(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


def bound_to(row: models.Model, column: str) -> str:
    return column_place(type(row), column, row.pk)


def column_place(model: type[models.Model], column: str, key: Any) -> str:
    return f"{model._meta.label_lower}.{column}:{key}"


def seal(row: models.Model, column: str, secret: str) -> None:
    """Put a secret into a SealedField of a row, which the caller saves. Raises ValueError for a row without a key."""
    if row.pk is None:
        raise ValueError("a row is saved before a secret is sealed to it")
    place = bound_to(row, column)
    setattr(row, column, Sealed(sealed_text(secret, place), place))


class SealedAttribute:
    """The attribute of a SealedField: reads as Sealed, bound to its row; accepts Sealed, or "" for no secret."""

    def __init__(self, column: str) -> None:
        self.column = column

    def __get__(self, row: models.Model | None, owner: type[models.Model]) -> Any:
        if row is None:
            return self
        if self.column not in row.__dict__:
            row.refresh_from_db(fields=[self.column])
        return Sealed(row.__dict__[self.column], bound_to(row, self.column))

    def __set__(self, row: models.Model, value: Any) -> None:
        row.__dict__[self.column] = text_of(value)


def text_of(value: Any) -> str:
    text = str(value.text if isinstance(value, Sealed) else value or "")
    if text and not FORM.fullmatch(text):
        raise ValueError("a secret goes into a SealedField by seal(), never in clear")
    return text


class SealedField(models.TextField[Any, Any]):
    """The ciphertext of one secret, "" for none. Set it with `seal`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        fixed: dict[str, Any] = {"blank": True, "default": "", "editable": False}
        super().__init__(*args, **fixed | kwargs)

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        setattr(cls, name, SealedAttribute(name))

    def get_prep_value(self, value: Any) -> str:
        return text_of(value)


@dataclass(frozen=True)
class StoredSecret:
    """One sealed value and the place where it is stored.

    place: the table, column and key that it is bound to. replace: stores another text there, unless somebody changed it
    meanwhile; then it returns False.
    """

    place: str
    text: str
    replace: Callable[[str], bool] = field(repr=False)

    @property
    def key_id(self) -> str:
        form = FORM.fullmatch(self.text)
        return form["key_id"] if form else ""

    def open(self) -> str:
        """Return the secret. Raises SealBroken."""
        return opened_text(self.text, self.place)


Source = Callable[[], Iterator[StoredSecret]]
SOURCES: list[Source] = []  # of secrets outside SealedFields, such as in the JSON of another package
ROWS_AT_ONCE = 200


def secrets_source(source: Source) -> Source:
    """Register a source of secrets outside SealedFields, for `rotate_keys` and the check of the keys."""
    SOURCES.append(source)
    return source


def stored_secrets() -> Iterator[StoredSecret]:
    """Yield every sealed value of this installation. Reads a few rows at a time."""
    for model in apps.get_models():
        for column in model._meta.concrete_fields:
            if isinstance(column, SealedField):
                yield from secrets_in_column(model, column.name)
    for source in SOURCES:
        yield from source()


def secrets_in_column(model: type[models.Model], column: str) -> Iterator[StoredSecret]:
    rows = model._base_manager.exclude(**{column: ""}).order_by("pk").values_list("pk", column)
    last = None
    while found := list((rows if last is None else rows.filter(pk__gt=last))[:ROWS_AT_ONCE]):
        for pk, text in found:
            last = pk
            yield StoredSecret(column_place(model, column, pk), text, column_replacing(model, column, pk, text))


def column_replacing(model: type[models.Model], column: str, pk: Any, old: Any) -> Callable[[str], bool]:
    def replace(new: str) -> bool:
        return bool(model._base_manager.filter(pk=pk, **{column: old}).update(**{column: new}))

    return replace
