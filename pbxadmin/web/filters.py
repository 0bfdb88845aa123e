"""What the address of a list narrows it to: one base, and two ways to declare the parameters of a list.

`FilterForm` is for a list whose choices depend on the person, `FilterValues` for plain values. Filters that people save
ask the list itself which parameters it has; `saved_list` makes it known by its name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlencode

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict

LONGEST_TEXT = 200
PARAMETER = "parameter"  # key in the metadata of a dataclass field
_saved_lists: dict[str, type["ListFilter"]] = {}

Value = TypeVar("Value")
Filter = TypeVar("Filter", bound="ListFilter")


def typed_text(value: str | None) -> str:
    """Return the text without outer blanks and NUL, which PostgreSQL does not accept."""
    return (value or "").replace("\0", "").strip()[:LONGEST_TEXT]


def whole(value: str | None) -> int | None:
    """Return the text as a whole number, or None if it is none or too large for a database."""
    return int(value) if value and value.isascii() and value.isdecimal() and len(value) < 10 else None


class ListFilter:
    """The filter of a list, as it stands in the query of an address."""

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Return the names of its parameters in the address, in their order."""
        raise NotImplementedError

    def values(self) -> Mapping[str, Any]:
        """Return what it narrows the list to: values by parameter, and an empty one for what it leaves open."""
        raise NotImplementedError

    @property
    def query(self) -> str:
        """Return the query of an address that narrows the list in the same way, or "" if nothing is narrowed."""
        return urlencode({name: value for name, value in self.values().items() if value}, doseq=True)

    @property
    def is_narrow(self) -> bool:
        """Return whether it leaves anything out of the list."""
        return bool(self.query)

    @classmethod
    def own_query(cls, query: str) -> str:
        """Return a query with only the parameters of this list, each once and in their order."""
        given = {name: value.replace("\0", "") for name, value in parse_qsl(query)}
        return urlencode({name: given[name][:LONGEST_TEXT] for name in cls.parameters() if given.get(name)})


class FilterForm(ListFilter, forms.Form):
    """A filter with choices that are shown as a form. Each field is a parameter.

    customers: the choices of a field `customer`.
    """

    def __init__(self, data: Mapping[str, Any], *, customers: "QuerySet[Any] | None" = None) -> None:
        super().__init__(data)
        if customers is not None:
            self.fields["customer"].queryset = customers  # type: ignore[attr-defined]
        for each in self.fields.values():
            if isinstance(each, forms.ChoiceField):
                each.widget.attrs["class"] = "input"

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        return tuple(cls.base_fields)

    def values(self) -> Mapping[str, Any]:
        return {name: self.data.get(name) for name in self.parameters()}


@dataclass(frozen=True)
class Parameter:
    """The place of a field in an address. read: takes the values that the address has for it, none or more."""

    name: str
    read: Callable[[Sequence[str]], Any]


def parameter(default: Value, read: Callable[[Sequence[str]], Value], name: str = "") -> Value:
    """Declare a field of a filter. name: of the parameter, when it is not that of the field."""
    declared: Value = field(default=default, metadata={PARAMETER: Parameter(name, read)})
    return declared


def text_parameter() -> str:
    return parameter("", lambda given: typed_text(last(given)))


def number_parameter() -> int | None:
    return parameter(None, lambda given: whole(last(given)))


def switch_parameter() -> bool:
    return parameter(False, lambda given: last(given) == "on")


def last(given: Sequence[str]) -> str:
    """Return the value that counts when an address has a parameter several times, "" when it has none."""
    return given[-1] if given else ""


@dataclass(frozen=True)
class FilterValues(ListFilter):
    """A filter of plain values: a frozen dataclass whose fields are declared by `parameter` and its like.

    Values that make no sense count as absent.
    """

    @classmethod
    def declared(cls) -> dict[str, "Field[Any]"]:
        """Return the fields by the name of their parameter."""
        return {each.metadata[PARAMETER].name or each.name: each for each in fields(cls)}

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        return tuple(cls.declared())

    @classmethod
    def from_query(cls, query: Mapping[str, str], **fixed: Any) -> Self:
        """Read the query of an address. fixed: fields that the address does not decide."""
        several = query if isinstance(query, QueryDict) else QueryDict(urlencode(query))
        read = {
            each.name: each.metadata[PARAMETER].read(several.getlist(name)) for name, each in cls.declared().items()
        }
        return cls(**read | fixed)

    def values(self) -> Mapping[str, Any]:
        return {name: self.written(each) for name, each in self.declared().items()}

    def written(self, declared: "Field[Any]") -> str | list[str]:
        """Return the value of a field as it stands in an address; "" for the default."""
        value = getattr(self, declared.name)
        if value == declared.default:
            return ""
        if isinstance(value, tuple):
            return [str(one) for one in value]
        return "on" if value is True else str(value)


def saved_list(name: str) -> Callable[[type[Filter]], type[Filter]]:
    """Decorate the filter of a list whose filters people can save. name: of the list, as it is stored."""

    def known(cls: type[Filter]) -> type[Filter]:
        _saved_lists[name] = cls
        return cls

    return known


def filter_of(name: str) -> type[ListFilter]:
    """Return the filter of a list by its stored name. Raises KeyError for a list that saves none."""
    return _saved_lists[name]
