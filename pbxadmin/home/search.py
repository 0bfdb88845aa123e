"""The search over everything: IVRs, PBXs, customers, changes by their ticket, and people.

Each part holds what this person may see, in one query, however many rows there are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from django.db.models import Case, Model, Q, QuerySet, When
from django.urls import reverse

from ivr.addresses import ivr_address
from ivr.models import Change, Ivr
from ivr.selectors import IvrFilter, ivrs_found
from pbxadmin.access.models import Customer, User
from pbxadmin.access.names import fold
from pbxadmin.fleet.models import Pbx
from pbxadmin.folding import fold_text
from pbxadmin.search import found_by
from pbxadmin.web.words import OUTCOMES, PBX_STATES

FEWEST_LETTERS = 2
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Hit:
    """Something that was found: where it is, what it is called, and what tells it from others of that name.

    is_exact: one of its names is what was typed, and not only holds it.
    """

    address: str
    title: str
    more: str
    is_exact: bool


@dataclass(frozen=True)
class Part:
    """What was found of one kind. is_cut: there is more, in the list at `address`."""

    label: str
    icon: str
    hits: Sequence[Hit]
    is_cut: bool
    address: str


@dataclass(frozen=True)
class Found:
    """What a search found, part by part; parts without a hit are left out."""

    parts: Sequence[Part]

    @property
    def hits(self) -> list[Hit]:
        return [hit for part in self.parts for hit in part.hits]

    @property
    def is_cut(self) -> bool:
        return any(part.is_cut for part in self.parts)

    @property
    def meant(self) -> Hit | None:
        """Return the hit that was certainly meant: the only one, or the only exact one. None when there is none."""
        exact = [hit for hit in self.hits if hit.is_exact]
        candidates = exact or ([] if self.is_cut else self.hits)
        return candidates[0] if len(candidates) == 1 else None


def search_everything(user: User, typed: str, at_most: int) -> Found:
    """Return what holds each typed word, with at most so many hits of a kind; nothing for a single letter."""
    if len(typed) < FEWEST_LETTERS:
        return Found([])
    parts = [part(user, typed, at_most) for part in PARTS]
    return Found([part for part in parts if part.hits])


def part_of(
    label: str, icon: str, rows: "QuerySet[Row]", hit: Callable[[Row], Hit], at_most: int, address: str
) -> Part:
    """Return a part. rows: those first that are called as was typed."""
    found = list(rows[: at_most + 1])
    return Part(label, icon, [hit(row) for row in found[:at_most]], len(found) > at_most, address)


def exact_first(exact: Q) -> Case:
    return Case(When(exact, then=0), default=1)


def is_called(typed: str, *names: str | None) -> bool:
    return fold_text(typed) in [fold_text(name) for name in names if name]


def listed(page: str, typed: str) -> str:
    """Return the address of a list that is narrowed to what was typed."""
    return f"{reverse(page)}?{urlencode({'q': typed})}"


def ivrs_part(user: User, typed: str, at_most: int) -> Part:
    first = exact_first(Q(number=typed) | Q(name__iexact=typed))
    rows = ivrs_found(user, IvrFilter(q=typed)).order_by(first, "pbx__name", "number", "id")
    columns = ("pbx_id", "number", "name", "pbx__name", "pbx__customer__name")

    def hit(ivr: Ivr) -> Hit:
        more = f"{ivr.pbx.name} · {ivr.pbx.customer.name}"
        return Hit(
            ivr_address(ivr.pbx_id, ivr.number), str(ivr), more, is_called(typed, ivr.number, ivr.name, str(ivr))
        )

    shown = rows.select_related("pbx__customer").only(*columns)
    return part_of("IVRs", "share", shown, hit, at_most, listed("ivr:ivr-list-all", typed))


def pbxs_part(user: User, typed: str, at_most: int) -> Part:
    rows = Pbx.objects.visible_to(user).matching(typed).order_by(exact_first(Q(name__iexact=typed)), "name", "id")

    def hit(pbx: Pbx) -> Hit:
        more = f"{pbx.customer.name} · {PBX_STATES[pbx.state].label.lower()}"
        return Hit(reverse("fleet:pbx-page", args=[pbx.pk]), pbx.name, more, is_called(typed, pbx.name))

    shown = rows.select_related("customer").only("name", "state", "customer__name")
    return part_of("PBXs", "server-stack", shown, hit, at_most, listed("fleet:pbx-list", typed))


def customers_part(user: User, typed: str, at_most: int) -> Part:
    rows = Customer.objects.visible_to(user).matching(typed).order_by(exact_first(Q(folded=fold(typed))), "folded")

    def hit(customer: Customer) -> Hit:
        more = "archived" if customer.archived_at else ""
        return Hit(customer.get_absolute_url(), customer.name, more, is_called(typed, customer.name))

    return part_of("Customers", "building-office-2", rows, hit, at_most, listed("home:customer-list", typed))


def changes_part(user: User, typed: str, at_most: int) -> Part:
    """Find changes by their ticket only: by the words of an IVR, the IVR itself is found."""
    of_ticket = found_by(Change.objects.visible_to(user), typed).filter(ticket__icontains=typed)
    rows = of_ticket.order_by(exact_first(Q(ticket__iexact=typed)), "-pk")

    def hit(change: Change) -> Hit:
        more = f"{change.number} {change.name} on {change.pbx_name} · {OUTCOMES[change.outcome].label.lower()}"
        return Hit(change.get_absolute_url(), change.ticket, more, is_called(typed, change.ticket))

    return part_of("Changes", "arrows-right-left", rows, hit, at_most, listed("ivr:change-list", typed))


def people_part(user: User, typed: str, at_most: int) -> Part:
    meant = Q(folded=fold(typed)) | Q(email__iexact=typed)
    rows = User.objects.visible_to(user).matching(typed).order_by(exact_first(meant), "folded")

    def hit(person: User) -> Hit:
        names = (person.username, person.email, person.display_name)
        address = reverse("accounts:person-page", args=[person.pk])
        return Hit(address, person.display_name, person.username, is_called(typed, *names))

    return part_of("People", "users", rows, hit, at_most, listed("accounts:person-list", typed))


PARTS = (ivrs_part, pbxs_part, customers_part, changes_part, people_part)
