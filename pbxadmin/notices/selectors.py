"""What a list of conditions shows of each."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ivr.models import may_act_on
from pbxadmin.access.models import User, customer_ids
from pbxadmin.web.words import Look

from .kinds import NOTICE_KINDS
from .models import Condition


@dataclass(frozen=True)
class ConditionRow:
    """A condition as the list shows it. may_open: whether the person may see the page that it is about."""

    condition: Condition
    look: Look
    may_acknowledge: bool
    may_open: bool


def condition_rows(user: User, conditions: Sequence[Condition]) -> list[ConditionRow]:
    """Return those of these conditions that are still so, with what this person may do about each, in few queries."""
    mine = may_act_on(user)
    about: dict[str, set[str]] = defaultdict(set)
    for one in conditions:
        about[one.kind].add(one.key)
    still = {name: NOTICE_KINDS[name].still_open(keys) for name, keys in about.items() if name in NOTICE_KINDS}
    open_to = {name: customer_ids(user, NOTICE_KINDS[name].right) for name in still}
    return [
        ConditionRow(one, NOTICE_KINDS[one.kind].look, is_among(one, mine), is_among(one, open_to[one.kind]))
        for one in conditions
        if one.key in still.get(one.kind, ())
    ]


def is_among(condition: Condition, customers: Collection[int] | None) -> bool:
    """Tell whether a condition is of one of these customers. None is all."""
    return customers is None or condition.customer_id in customers
