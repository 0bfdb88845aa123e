"""What the address of a list narrows it to and how it sorts it: one base, and two ways to declare the parameters.

`FilterForm` is for a list whose choices depend on the person, `FilterValues` for plain values. Filters that people save
ask the list itself which parameters it has; `saved_list` makes it known by its name.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import parse_qsl, urlencode

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict

from .times import AS_UTC

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
        return self.query_with()

    def query_with(self, **other: Any) -> str:
        """Return the query with other values of some parameters; an empty one leaves the parameter out."""
        values = {**self.values(), **other}
        return urlencode({name: value for name, value in values.items() if value}, doseq=True)

    def chips(self, words: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return what narrows the list in words, each with the query of the list without it.

        words: for the value of each parameter that is shown so.
        """
        values = self.values()
        return [(said, self.query_with(**{name: ""})) for name, said in words.items() if values.get(name) and said]

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

    @property
    def chosen_customer(self) -> Any:
        """Return the customer of the field `customer`, None without one and for one that is not among its choices."""
        return self.cleaned_data.get("customer") if self.is_valid() else None


class SortedList(ListFilter):
    """A filter whose list can be sorted by its columns, in the parameter `sort`; with "-" before it, turned round."""

    SORTS: ClassVar[Mapping[str, Sequence[str]]]  # columns as `keyset` takes them, by name; the first is the usual one

    def asked_sort(self) -> str:
        """Return the value of the parameter."""
        raise NotImplementedError

    @property
    def is_turned(self) -> bool:
        return self.asked_sort().startswith("-")

    @property
    def sorted_by(self) -> str:
        """Return the name of the order; that of the usual one when none, or none that there is, was asked for."""
        asked = self.asked_sort().removeprefix("-")
        return asked if asked in self.SORTS else next(iter(self.SORTS))

    @property
    def order(self) -> tuple[str, ...]:
        columns = self.SORTS[self.sorted_by]
        return tuple(map(turned, columns)) if self.is_turned else tuple(columns)

    @property
    def direction(self) -> str:
        """Return which way the list is sorted, as ARIA calls it."""
        return "descending" if self.order[0].startswith("-") else "ascending"

    def sort_query(self, sort: str) -> str:
        """Return the query that sorts by this name; the other way round when the list is sorted by it already."""
        is_again = sort == self.sorted_by and not self.is_turned
        usual = next(iter(self.SORTS))
        return self.query_with(sort=f"-{sort}" if is_again else sort if sort != usual else "")

    @property
    def is_narrow(self) -> bool:
        return bool(self.query_with(sort=""))


def turned(column: str) -> str:
    return column.removeprefix("-") if column.startswith("-") else f"-{column}"


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


def times_parameter() -> str:
    """Declare in which zone times are shown and days are meant: "utc", or "" for the person's own."""
    return parameter("", lambda given: AS_UTC if last(given) == AS_UTC else "", "times")


def sort_parameter(sorts: Collection[str]) -> str:
    """Declare the order of a `SortedList`. sorts: the names of its orders, the usual one first."""
    usual = next(iter(sorts))

    def read(given: Sequence[str]) -> str:
        asked = last(given)
        return asked if asked.removeprefix("-") in sorts else usual

    return parameter(usual, read, "sort")


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
