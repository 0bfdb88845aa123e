"""Names that people give in PBX Admin: normalised, visible, and unique whatever their case or width."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

# Fillers, joiners and variation selectors that Unicode counts as letters or marks, and that show nothing.
BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for code in range(0xFE00, 0xFE10)
}


def tidy(text: str) -> str:
    """Return a name as it is stored: in NFKC, without outer blanks, with single inner blanks."""
    return re.sub(" +", " ", unicodedata.normalize("NFKC", text)).strip()


def fold(text: str) -> str:
    """Return the form in which names are compared: "Acme" and "ＡＣＭＥ" are the same name."""
    return unicodedata.normalize("NFKC", tidy(text).casefold())


def refuse_unseen(text: str) -> None:
    """Raise ValidationError for the first character that is invisible or changes the direction of the text."""
    for position, character in enumerate(text, 1):
        if is_unseen(character):
            code = f"U+{ord(character):04X}"
            raise ValidationError(f"Character {position} ({code}) cannot be seen. Remove it.", code="unseen")


@contextmanager
def saving_a_name(check: Callable[[], None]) -> Iterator[None]:
    """Open a transaction that checks and saves a name. If somebody takes it meanwhile, call `check` to raise why."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        check()
        raise


def is_unseen(character: str) -> bool:
    category = unicodedata.category(character)
    return category.startswith("C") or category in ("Zl", "Zp") or character in BLANK_LETTERS


if TYPE_CHECKING:
    CharField = models.CharField[str, str]  # generic for the type checker only
else:
    CharField = models.CharField


class NameField(CharField):
    """A name, tidied when it is cleaned."""

    default_validators = [refuse_unseen]

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return tidy(value) if isinstance(value, str) else value


class FoldedField(CharField):
    """The folded form of the field `source`. It is set on each save, and the database keeps it unique."""

    def __init__(self, *args: Any, source: str = "name", **kwargs: Any) -> None:
        self.source = source
        super().__init__(*args, **({"max_length": 400, "unique": True, "editable": False} | kwargs))

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, kwargs | {"source": self.source} | ({} if self.unique else {"unique": False})

    def clean(self, value: Any, model_instance: models.Model | None) -> str:
        # The name itself refuses a NUL; here it must go because PostgreSQL accepts none in the query for duplicates.
        return fold(getattr(model_instance, self.source)).replace("\0", "")

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        folded = fold(getattr(model_instance, self.source))
        setattr(model_instance, self.attname, folded)
        return folded
