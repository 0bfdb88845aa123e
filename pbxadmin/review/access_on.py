"""Who had which role for which customer on a day, rebuilt from the events of the log alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from operator import attrgetter
from typing import Any, NamedTuple

from pbxadmin.access.roles import IN_WORDS, ROLES, SITE_ADMIN, Role
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.models import Event

GIVEN = (EventAction.MEMBERSHIP_GRANTED, EventAction.MEMBERSHIP_EDITED)
ABOUT_ACCESS = (
    *GIVEN,
    EventAction.MEMBERSHIP_ENDED,
    EventAction.PERSON_ADMIN_GIVEN,
    EventAction.PERSON_ADMIN_TAKEN,
    EventAction.PERSON_DISABLED,
    EventAction.PERSON_ENABLED,
)
LABELS = {**dict(Role.choices), SITE_ADMIN: "Site admin"}


class Access(NamedTuple):
    """A role of a person for a customer; None stands for all customers."""

    user_id: int
    role: str
    customer_id: int | None

    @property
    def label(self) -> str:
        return LABELS.get(self.role, self.role)

    @property
    def may(self) -> list[str]:
        """Return in words what the role allows, by the table of today."""
        return [words for action, words in IN_WORDS.items() if self.role == SITE_ADMIN or action in ROLES[self.role]]


@dataclass
class Held:
    """A role that somebody had on a day. since, until: when it began and ended, None for before and after that day."""

    access: Access
    user: str
    customer: str
    last_day: str
    since: datetime | None
    until: datetime | None = None


@dataclass
class AccessState:
    """What the events up to one of them add up to: roles with their last days, names, and who may not sign in."""

    last_days: dict[Access, str] = field(default_factory=dict)
    users: dict[int, str] = field(default_factory=dict)
    customers: dict[int | None, str] = field(default_factory=lambda: {None: "All customers"})
    disabled: set[int] = field(default_factory=set)

    def take(self, event: Event) -> None:
        """Apply an event. One that names no person, as an altered one may, changes nothing."""
        detail, person = event.data["detail"], event.data["detail"].get("user_id")
        if not isinstance(person, int):
            return
        self.users[person] = str(detail.get("user", ""))
        if event.action in (EventAction.PERSON_DISABLED, EventAction.PERSON_ENABLED):
            (self.disabled.add if event.action == EventAction.PERSON_DISABLED else self.disabled.discard)(person)
        elif event.action in (EventAction.PERSON_ADMIN_GIVEN, EventAction.PERSON_ADMIN_TAKEN):
            self.set_role(Access(person, SITE_ADMIN, None), event.action == EventAction.PERSON_ADMIN_GIVEN, "")
        elif (role := detail.get("role")) in ROLES:
            self.customers.setdefault(event.customer_id, event.data["customer_name"])
            access = Access(person, role, event.customer_id)
            self.set_role(access, event.action in GIVEN, str(detail.get("ends_on", "")))

    def set_role(self, access: Access, is_held: bool, last_day: str) -> None:
        if is_held:
            self.last_days[access] = last_day
        else:
            self.last_days.pop(access, None)

    def held_on(self, day: date) -> set[Access]:
        """Return the roles that count on a day, of those who may sign in."""
        lasting = ((access, last) for access, last in self.last_days.items() if not last or last >= day.isoformat())
        return {access for access, _ in lasting if access.user_id not in self.disabled}

    def as_held(self, access: Access, since: datetime | None) -> Held:
        customer = self.customers.get(access.customer_id, "")
        return Held(access, self.users[access.user_id], customer, self.last_days[access], since)


def access_events(day: date) -> list[Event]:
    """Return the events up to the end of a day that give, change or take access, by their times, in one query.

    Sorted here: SQLite would read the whole log to have them in order.
    """
    end = datetime.combine(day, time.max, UTC)
    return sorted(Event.objects.filter(action__in=ABOUT_ACCESS, at__lte=end).order_by(), key=attrgetter("at", "pk"))


def access_on(day: date, events: Iterable[Event]) -> list[Held]:
    """Return every role that somebody had at some time of a day, UTC, by person, customer and role."""
    start, state = datetime.combine(day, time.min, UTC), AccessState()
    found: dict[Access, Held] = {}
    is_today = False
    for event in events:
        if event.at >= start and not is_today:
            is_today, found = True, beginning(state, day)
        state.take(event)
        if is_today:
            follow(found, state, day, event.at)
    found = found if is_today else beginning(state, day)
    return sorted(found.values(), key=by_person)


def beginning(state: AccessState, day: date) -> dict[Access, Held]:
    return {access: state.as_held(access, None) for access in state.held_on(day)}


def follow(found: dict[Access, Held], state: AccessState, day: date, at: datetime) -> None:
    """Note what an event of the day began and ended."""
    now = state.held_on(day)
    for access in now:
        held = found.setdefault(access, state.as_held(access, at))
        held.until, held.last_day = None, state.last_days[access]
    for access in found.keys() - now:
        found[access].until = found[access].until or at


def by_person(held: Held) -> tuple[Any, ...]:
    return held.user.casefold(), held.access.user_id, held.customer.casefold(), list(LABELS).index(held.access.role)


def concerning(found: Iterable[Held], customers: frozenset[int] | None) -> Iterator[Held]:
    """Yield what concerns these customers: roles for one of them, and those for all. None: everything."""
    return (each for each in found if customers is None or each.access.customer_id in {*customers, None})
