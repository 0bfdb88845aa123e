"""What the address of a list narrows it to."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django import forms

LONGEST_TEXT = 200


def typed(value: str | None) -> str:
    """As people meant it. PostgreSQL takes no NUL."""
    return (value or "").replace("\0", "").strip()[:LONGEST_TEXT]


def whole(value: str | None) -> int | None:
    """The whole number that stands there, if it is one that a database takes."""
    return int(value) if value and value.isascii() and value.isdecimal() and len(value) < 10 else None


class FilterForm(forms.Form):
    """The filters of a list, from the query of its address."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        for field in self.fields.values():
            if isinstance(field, forms.ChoiceField):
                field.widget.attrs["class"] = "input"

    @property
    def is_narrow(self) -> bool:
        return bool(self.query)

    @property
    def query(self) -> str:
        """For the links to other pages of the list."""
        return urlencode({name: self.data[name] for name in self.fields if self.data.get(name)})
