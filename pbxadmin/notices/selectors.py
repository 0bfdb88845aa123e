"""What a list of conditions shows of each."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pbxadmin.web.words import Look

from .kinds import NOTICE_KINDS
from .models import Condition


@dataclass(frozen=True)
class ConditionRow:
    """A condition as the list shows it."""

    condition: Condition
    look: Look
    may_acknowledge: bool


def condition_rows(conditions: Sequence[Condition], customers: Collection[int] | None) -> list[ConditionRow]:
    """Return those of these conditions that are still so, in few queries.

    customers: of which the person may acknowledge conditions, None for all.
    """
    about: dict[str, set[str]] = defaultdict(set)
    for one in conditions:
        about[one.kind].add(one.key)
    still = {name: NOTICE_KINDS[name].still_open(keys) for name, keys in about.items() if name in NOTICE_KINDS}
    return [
        ConditionRow(one, NOTICE_KINDS[one.kind].look, customers is None or one.customer_id in customers)
        for one in conditions
        if one.key in still.get(one.kind, ())
    ]
