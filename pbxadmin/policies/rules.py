"""What a policy asks of a value, as pure functions. A value that is not reported breaks no policy."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import TextChoices

from pbxadmin.yeastar.fields import BY_NAME, FieldError, IvrField, Kind

COMMA = ", "  # between the values of one that is one of several


class PolicyComparison(TextChoices):
    IS = "is", "is"
    AT_LEAST = "at-least", "is at least"
    AT_MOST = "at-most", "is at most"
    ONE_OF = "one-of", "is one of"


OF_NUMBERS = (PolicyComparison.AT_LEAST, PolicyComparison.AT_MOST)


@dataclass(frozen=True)
class Demand:
    """What one policy asks, and of which PBXs. customer_id: None for all. tag: "" for PBXs with any tags or none."""

    policy_id: int
    customer_id: int | None
    tag: str
    field: str
    comparison: str
    value: str

    def asks(self, scope: "PbxScope") -> bool:
        """Tell whether it asks anything of this PBX."""
        return self.customer_id in (None, scope.customer_id) and (not self.tag or self.tag in scope.tags)


@dataclass(frozen=True)
class PbxScope:
    """What decides which policies hold for a PBX."""

    customer_id: int
    tags: frozenset[str]


class Breach(NamedTuple):
    """One value that breaks one policy, on the IVR with this number."""

    policy_id: int
    pbx_id: int
    number: str
    value: str

    @property
    def key(self) -> tuple[int, int, str]:
        return self.policy_id, self.pbx_id, self.number


def breaks(comparison: str, wanted: str, held: str | None) -> bool:
    """Tell whether a value breaks a policy. A text that is no number is neither at least nor at most anything."""
    if held is None:
        return False
    if comparison == PolicyComparison.ONE_OF:
        return held not in wanted.split(COMMA)
    if comparison == PolicyComparison.IS:
        return held != wanted
    if not held.isdecimal():
        return True
    return int(held) < int(wanted) if comparison == PolicyComparison.AT_LEAST else int(held) > int(wanted)


def usual_values(field: IvrField, comparison: str, wanted: str) -> tuple[str, ...]:
    """Return values in canonical text that keep a policy. A PBX may report others that keep it too."""
    if comparison in OF_NUMBERS:
        texts = map(str, range(field.minimum, field.maximum + 1))
        return tuple(text for text in texts if not breaks(comparison, wanted, text))
    return tuple(wanted.split(COMMA)) if comparison == PolicyComparison.ONE_OF else (wanted,)


def breaches_of(
    demands: Sequence[Demand], scopes: Mapping[int, PbxScope], rows: Iterable[Sequence[Any]], names: Sequence[str]
) -> Iterator[Breach]:
    """Yield each breach of these policies. Few values differ, so each combination is looked at once.

    rows: id of the PBX, number, then a value for each of these names of fields. PBXs without a scope are left out.
    """
    by_scope = {scope: Combinations(demands, scope, names) for scope in set(scopes.values())}
    by_pbx = {pk: by_scope[scope] for pk, scope in scopes.items() if by_scope[scope].asked}
    for row in rows:
        known = by_pbx.get(row[0])
        if known is None:
            continue
        for policy_id, held in known[row[2:]]:
            yield Breach(policy_id, row[0], row[1], held)


class Combinations(dict[Any, list[tuple[int, str]]]):
    """The policies that a combination of values breaks on PBXs of one scope, each with the value."""

    def __init__(self, demands: Iterable[Demand], scope: PbxScope, names: Sequence[str]) -> None:
        places = {name: place for place, name in enumerate(names)}
        self.asked = [(each, places[each.field]) for each in demands if each.asks(scope)]

    def __missing__(self, values: Sequence[Any]) -> list[tuple[int, str]]:
        broken = [
            (each.policy_id, values[place])
            for each, place in self.asked
            if breaks(each.comparison, each.value, values[place])
        ]
        self[values] = broken
        return broken


def clean_value(field: IvrField, comparison: str, typed: str) -> str:
    """Return what a policy asks for in canonical text. Raises FieldError."""
    if comparison in OF_NUMBERS and field.kind is not Kind.COUNT:
        raise FieldError(f"{field.label} is no number, so it is neither at least nor at most anything.")
    if comparison != PolicyComparison.ONE_OF:
        return clean_one(field, typed)
    values = list(dict.fromkeys(clean_one(field, each) for each in typed.split(",") if each.strip()))
    if not values:
        raise FieldError("Enter values with commas between them.")
    return COMMA.join(values)


def clean_one(field: IvrField, typed: str) -> str:
    """Return one value in canonical text: of a field that no API writes as the PBX has it. Raises FieldError."""
    if field.kind is Kind.TEXT:
        return typed.strip()
    return field.check(typed.strip().lower() if field.kind is Kind.SWITCH else typed)


def demand_in_words(field: str, comparison: str, value: str) -> str:
    """Say what a policy asks for: "Dial outbound is Off"."""
    of = BY_NAME[field]
    values = value.split(COMMA) if comparison == PolicyComparison.ONE_OF else [value]
    return f"{of.label} {PolicyComparison(comparison).label} {COMMA.join(of.in_words(each) for each in values)}"
