"""How the fields of an IVR moved, as steps: what we changed and what was changed outside, from the log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from ivr.models import LEFT_SOMETHING
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.words import number_of
from pbxadmin.yeastar.fields import BY_NAME, IvrField, Kind

EVENTS_READ = 60  # the newest, so that a page costs the same however long the log is
FIELDS_DRAWN = 3
DRAWN_KINDS = (Kind.COUNT, Kind.SWITCH)
HISTORY_WIDTH, HISTORY_HEIGHT, EDGE = 640, 72, 12  # units of the drawing
SHORTEST_SPAN = timedelta(minutes=1)
DIGITS_DRAWN = 9


@dataclass(frozen=True)
class Move:
    """A value that became another. by: who did it, or "outside"."""

    at: datetime
    before: str
    found: str
    is_outside: bool
    by: str
    address: str


@dataclass(frozen=True)
class Mark:
    """Where a move stands in the drawing."""

    x: float
    y: float
    move: Move


@dataclass(frozen=True)
class FieldHistory:
    """The moves of one field, oldest first, until now."""

    field: IvrField
    moves: Sequence[Move]
    until: datetime
    width, height = HISTORY_WIDTH, HISTORY_HEIGHT

    @property
    def since(self) -> datetime:
        return self.moves[0].at

    @property
    def levels(self) -> list[int]:
        """Return the values that it had, as numbers, without repeats and the lowest first."""
        texts = {text for move in self.moves for text in (move.before, move.found)}
        return sorted({level_of(text) for text in texts})

    @property
    def lowest(self) -> str:
        return self.in_words(self.levels[0])

    @property
    def highest(self) -> str:
        return self.in_words(self.levels[-1])

    def in_words(self, level: int) -> str:
        text = ("off", "on")[level] if self.field.kind is Kind.SWITCH else str(level)
        return self.field.in_words(text)

    @property
    def lines(self) -> list[tuple[Move, str, str]]:
        """Return each move, the newest first, with its values in words."""
        return [(move, self.field.in_words(move.before), self.field.in_words(move.found)) for move in self.moves[::-1]]

    @property
    def words(self) -> str:
        outside = sum(move.is_outside for move in self.moves)
        moved = f"{number_of(len(self.moves) - outside, 'time')} by PBX Admin, {outside} outside"
        return f"{self.field.label} moved {moved}, between {self.lowest} and {self.highest}"

    @property
    def marks(self) -> list[Mark]:
        span = max(self.until - self.since, SHORTEST_SPAN)
        inner = HISTORY_WIDTH - 4 * EDGE
        return [
            Mark(round(2 * EDGE + inner * ((move.at - self.since) / span), 1), self.height_of(move.found), move)
            for move in self.moves
        ]

    @property
    def path(self) -> str:
        """Return the steps as the path of an SVG: along a value until it moves, then up or down."""
        steps = "".join(f"H{mark.x}V{mark.y}" for mark in self.marks)
        return f"M0 {self.height_of(self.moves[0].before)}{steps}H{HISTORY_WIDTH}"

    def height_of(self, text: str) -> float:
        lowest, highest = self.levels[0], self.levels[-1]
        share = (level_of(text) - lowest) / (highest - lowest or 1)
        return round(HISTORY_HEIGHT - EDGE - share * (HISTORY_HEIGHT - 2 * EDGE), 1)


def level_of(text: str) -> int:
    return int(text) if text.isdecimal() else int(text == "on")


def field_histories(pbx: Pbx, number: str, now: datetime) -> list[FieldHistory]:
    """Return the histories of the fields that moved last, of those that can be drawn; one query."""
    found = Event.objects.filter(
        pbx_id=pbx.pk,
        ivr_number=number,
        action__in=(EventAction.CHANGE_OUTCOME, EventAction.IVR_CHANGED_OUTSIDE),
    )
    moves: dict[str, list[Move]] = {}
    for event in found.order_by("-pk")[:EVENTS_READ]:
        for name, move in moves_of(event):
            moves.setdefault(name, []).append(move)
    return [FieldHistory(BY_NAME[name], of_field[::-1], now) for name, of_field in list(moves.items())[:FIELDS_DRAWN]]


def moves_of(event: Event) -> Iterable[tuple[str, Move]]:
    """Yield the fields that an event moved, and how; none for an outcome that left nothing on the PBX."""
    is_outside = event.action == EventAction.IVR_CHANGED_OUTSIDE
    if not is_outside and event.outcome not in LEFT_SOMETHING:
        return
    by = "outside" if is_outside else event.actor_name
    address = reverse("ivr:change-page", args=[event.change_id]) if event.change_id else ""
    for name, said in event.data["fields"].items():
        before, found = said.get("before"), said.get("found")
        is_drawn = name in BY_NAME and BY_NAME[name].kind in DRAWN_KINDS and is_drawable(before) and is_drawable(found)
        if is_drawn and before != found:
            yield name, Move(event.at, before, found, is_outside, by, address)


def is_drawable(text: object) -> bool:
    """Tell whether a value of the log has a place in a drawing; an altered event may hold anything."""
    return isinstance(text, str) and (text in ("on", "off") or (text.isdecimal() and len(text) < DIGITS_DRAWN))
