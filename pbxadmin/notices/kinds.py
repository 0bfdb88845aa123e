"""The kinds of notices: the one table of which events are told, to whom, and how.

To add a kind, add a row to NOTICE_KINDS; whoever records its events needs no second call.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from ivr.models import Change, OutsideChange
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.models import Event, EventSink
from pbxadmin.audit.sink.ways import sink_address
from pbxadmin.batches.models import NOT_VERIFIED_OUTCOMES, Batch, BatchState
from pbxadmin.fleet.models import NEEDS_A_PERSON, Pbx
from pbxadmin.policies.models import PolicyException, Violation
from pbxadmin.review.kinds import Facts
from pbxadmin.web.words import OUTCOMES, PBX_STATES, Look, number_of

from .models import NoticeSeverity

HELD_FLAP = timedelta(minutes=5)  # a PBX that is back by then was never away
HELD_CHANGE = timedelta(minutes=2)  # an unknown outcome is looked at again after 10 s, 30 s and so on
HELD_POLICY = timedelta(minutes=1)  # a sweep finds what breaks one policy on many PBXs
POLICY_BROKEN = "broken"
UNSETTLED_FOR = timedelta(days=7)  # as long as Home shows it
OPEN_OUTCOMES = frozenset({Change.Status.UNKNOWN.value, Change.Status.NOT_AS_ASKED.value})


class NoticeEffect(Enum):
    """What an event does to a condition: it begins, or ends; or there is none, and the event is told by itself."""

    BEGINS = "begins"
    ENDS = "ends"
    TELLS = "tells"


class Telling(NamedTuple):
    """What an event tells. condition: what it is about. was, now: its state before and after.

    is_silent: the end of a condition is not told; else it is told when the condition was open.
    """

    condition: str
    subject: str
    path: str
    severity: NoticeSeverity
    effect: NoticeEffect
    text: str = ""
    was: str = ""
    now: str = ""
    is_silent: bool = False


@dataclass(frozen=True)
class NoticeKind:
    """One kind. tells: what an event tells, given the state before it; None for nothing.

    held: how long a notice waits for another event about the same, which may make it needless. right: what a person
    must have been granted for the customer. still_open: of these conditions, those that are still so.
    bad_states: of what it is about; from one that is not to another that is not, there is nothing to tell.
    """

    look: Look
    actions: frozenset[EventAction]
    tells: Callable[[Event, str | None], Telling | None]
    still_open: Callable[[Collection[str]], Collection[str]]
    held: timedelta = timedelta(0)
    bad_states: frozenset[str] = frozenset()
    right: Action = Action.SEE


def by_id(open_ids: Callable[[Collection[int]], Collection[int]]) -> Callable[[Collection[str]], Collection[str]]:
    """Return the check of conditions that have one id in their key, from the check of such ids."""

    def still_open(keys: Collection[str]) -> Collection[str]:
        found = open_ids({id_in(key) for key in keys})
        return {key for key in keys if id_in(key) in found}

    return still_open


def id_in(condition: str) -> int:
    """Return the id in the key of a condition: of the event, PBX, change, batch or customer that it is about."""
    return int(condition.split("/")[1])


def detail_of(event: Event) -> Mapping[str, Any]:
    detail: Mapping[str, Any] = event.data["detail"]
    return detail


def text_in(detail: Mapping[str, Any], name: str) -> str:
    """Return a text of an event, "" when it is none: an event may have been altered."""
    said = detail.get(name)
    return said if isinstance(said, str) else ""


def place_in_event(event: Event) -> str:
    """Name the PBX and the IVR of an event in one line."""
    ivr = " ".join(f"{event.ivr_number} {event.data['ivr_name']}".split())
    return f"{event.pbx_name}, IVR {ivr}" if ivr else event.pbx_name


# --- outside changes ---


def outside_telling(event: Event, was: str | None) -> Telling:
    facts = Facts(event.data)
    opened = [
        words
        for name, words in (("dial_outbound", "dial-out"), ("dial_extension", "extensions"))
        if facts.turned_on(name)
    ]
    what = {EventAction.IVR_APPEARED.value: "appeared", EventAction.IVR_VANISHED.value: "vanished"}
    moved = f"{' and '.join(opened)} opened to callers" if opened else what.get(event.action, "changed")
    return Telling(
        condition=f"outside/{event.pk}",
        subject=f"{place_in_event(event)}: {moved}, outside PBX Admin",
        text=text_in(detail_of(event), "sentence"),
        path=f"{reverse('ivr:outside-list')}?{urlencode({'pbx': event.pbx_id or 0, 'ivr': event.ivr_number})}",
        severity=NoticeSeverity.CRITICAL if opened else NoticeSeverity.WARNING,
        effect=NoticeEffect.BEGINS,
    )


def outside_open(ids: Collection[int]) -> Collection[int]:
    return set(OutsideChange.objects.still_open().filter(pk__in=ids).values_list("pk", flat=True))


# --- states of PBXs ---


def pbx_telling(event: Event, was: str | None) -> Telling | None:
    detail = detail_of(event)
    before, now = text_in(detail, "was") if was is None else was, text_in(detail, "state")
    if now not in PBX_STATES or event.pbx_id is None:
        return None
    is_bad = now in NEEDS_A_PERSON
    critical = is_bad and PBX_STATES[now].tone == "bad"
    moved = f"{PBX_STATES[before].label} → {PBX_STATES[now].label}" if before in PBX_STATES else PBX_STATES[now].label
    return Telling(
        condition=f"pbx/{event.pbx_id}",
        subject=f"{event.pbx_name}: {moved}",
        text=text_in(detail, "why"),
        path=reverse("fleet:pbx-page", args=[event.pbx_id]),
        severity=(NoticeSeverity.CRITICAL if critical else NoticeSeverity.WARNING)
        if is_bad
        else NoticeSeverity.INFORMATION,
        effect=NoticeEffect.BEGINS if is_bad else NoticeEffect.ENDS,
        was=before,
        now=now,
    )


def pbx_open(ids: Collection[int]) -> Collection[int]:
    return set(Pbx.objects.in_use().filter(pk__in=ids, state__in=NEEDS_A_PERSON).values_list("pk", flat=True))


# --- changes of ours ---


def change_telling(event: Event, was: str | None) -> Telling | None:
    if event.change_id is None or event.outcome not in OUTCOMES:
        return None
    is_bad = event.outcome in OPEN_OUTCOMES
    return Telling(
        condition=f"change/{event.change_id}",
        subject=f"{place_in_event(event)}: a change is {OUTCOMES[event.outcome].label.lower()}",
        text=text_in(detail_of(event), "sentence"),
        path=reverse("ivr:change-page", args=[event.change_id]),
        severity=NoticeSeverity.WARNING if is_bad else NoticeSeverity.INFORMATION,
        effect=NoticeEffect.BEGINS if is_bad else NoticeEffect.ENDS,
        was=was if was is not None else "" if is_bad else Change.Status.UNKNOWN.value,
        now=event.outcome,
    )


def change_open(ids: Collection[int]) -> Collection[int]:
    recent = Change.objects.filter(pk__in=ids, planned_at__gte=timezone.now() - UNSETTLED_FOR)
    return set(recent.showing(*OPEN_OUTCOMES).values_list("pk", flat=True))


# --- batches ---

BATCH_WORDS = {
    EventAction.BATCH_HALTED.value: "halted",
    EventAction.BATCH_CONTINUED.value: "went on",
    EventAction.BATCH_STOPPED.value: "was stopped",
    EventAction.BATCH_FINISHED.value: "finished",
}


def batch_telling(event: Event, was: str | None) -> Telling | None:
    """Tell of a batch, with the counts of the customer alone, as its event has them."""
    targets = detail_of(event).get("targets")
    counts = targets if isinstance(targets, dict) else {}
    if event.batch_id is None:
        return None
    is_halt, is_end = event.action == EventAction.BATCH_HALTED, event.action == EventAction.BATCH_FINISHED
    is_bad = is_halt or not counts.keys().isdisjoint(NOT_VERIFIED_OUTCOMES)
    return Telling(
        condition=f"batch/{event.batch_id}/{event.customer_id}",
        subject=f"Batch {event.batch_id} {BATCH_WORDS[event.action]}",
        text=", ".join(f"{count} {words.replace('-', ' ')}" for words, count in sorted(counts.items())),
        path=reverse("batches:batch-page", args=[event.batch_id]),
        severity=NoticeSeverity.WARNING if is_bad else NoticeSeverity.INFORMATION,
        effect=NoticeEffect.BEGINS if is_halt else NoticeEffect.TELLS if is_end else NoticeEffect.ENDS,
        is_silent=not is_halt and not is_end,
    )


def batch_open(ids: Collection[int]) -> Collection[int]:
    return set(Batch.objects.filter(pk__in=ids, state=BatchState.HALTED).values_list("pk", flat=True))


# --- the log ---


def log_telling(event: Event, was: str | None) -> Telling:
    """Tell that the log is not as its checkpoints say. What one finds is told until somebody accepts it."""
    lost = detail_of(event).get("lost")
    is_bad = event.action != EventAction.LOG_ACCEPTED
    return Telling(
        condition=f"log/{event.customer_id or 0}",
        subject="The log is not as it was recorded" if is_bad else "The log was accepted as it is",
        text=number_of(len(lost), "difference") if isinstance(lost, list) else text_in(detail_of(event), "sentence"),
        path=reverse("review:event-page", args=[event.pk]),
        severity=NoticeSeverity.CRITICAL if is_bad else NoticeSeverity.INFORMATION,
        effect=NoticeEffect.BEGINS if is_bad else NoticeEffect.ENDS,
    )


def as_told(keys: Collection[str]) -> Collection[str]:
    """Leave conditions of a kind open until an event ends them."""
    return keys


# --- policies ---


def reopened_telling(event: Event, was: str | None) -> Telling | None:
    """Tell that an exception is over and its value still breaks the policy. Its condition `violations.py` opens."""
    detail = detail_of(event)
    policy_id, title = detail.get("policy"), text_in(detail, "title")
    if not isinstance(policy_id, int) or isinstance(policy_id, bool):
        return None
    return Telling(
        condition=policy_key(policy_id, event.customer_id),
        subject=f"{place_in_event(event)}: “{title}” is broken again",
        text=text_in(detail, "sentence"),
        path=policy_path(policy_id, event.customer_id),
        severity=NoticeSeverity.WARNING,
        effect=NoticeEffect.TELLS,
    )


def policy_key(policy_id: int, customer_id: int | None) -> str:
    return f"policy/{policy_id}/{customer_id}"


def policy_path(policy_id: int, customer_id: int | None) -> str:
    query = urlencode({"customer": customer_id or "", "state": "open"})
    return f"{reverse('policies:policy-page', args=[policy_id])}?{query}"


def policies_open(keys: Collection[str]) -> Collection[str]:
    """Return the policies, each with a customer, that an IVR breaks and nobody has accepted."""
    broken = Violation.objects.still_open().filter(policy_id__in={id_in(key) for key in keys}).order_by()
    found = broken.values_list("policy_id", "pbx__customer_id").distinct()
    return {policy_key(*pair) for pair in found} & set(keys)


def exceptions_open(ids: Collection[int]) -> Collection[int]:
    return set(PolicyException.objects.current().filter(pk__in=ids).values_list("pk", flat=True))


# --- webhooks ---


def webhook_telling(event: Event, was: str | None) -> Telling | None:
    """Tell that an endpoint was switched off because it failed, or that a message to it was given up.

    That somebody put it right is no news to them.
    """
    detail = detail_of(event)
    webhook_id, is_message = detail.get("webhook"), event.action == EventAction.WEBHOOK_MESSAGE_GIVEN_UP
    is_bad = is_message or event.action == EventAction.WEBHOOK_GIVEN_UP
    if not isinstance(webhook_id, int) or isinstance(webhook_id, bool):
        return None
    why = text_in(detail, "why") or "it failed for three days"
    happened = "did not take a message for a day, and it was given up" if is_message else f"was switched off: {why}"
    return Telling(
        condition=given_up_key(webhook_id) if is_message else switched_off_key(webhook_id),
        subject=f"Webhook “{text_in(detail, 'name')}” {happened}",
        text=text_in(detail, "sentence"),
        path=reverse("webhooks:webhook-page", args=[webhook_id]),
        severity=NoticeSeverity.WARNING,
        effect=NoticeEffect.BEGINS if is_bad else NoticeEffect.ENDS,
        is_silent=not is_bad,
    )


def switched_off_key(webhook_id: int) -> str:
    """Return the condition that an endpoint was switched off. It is over when it is on again, or deleted."""
    return f"webhook/{webhook_id}"


def given_up_key(webhook_id: int | str) -> str:
    """Return the condition that messages to an endpoint were given up. It is over when none is any more."""
    return f"webhook-given-up/{webhook_id}"


# --- the event sink ---


def sink_telling(event: Event, was: str | None) -> Telling:
    """Tell that the sink of the log takes no events, and that it takes them again."""
    is_bad = event.action == EventAction.EVENT_SINK_FAILED
    return Telling(
        condition="sink/0",
        subject="The event sink takes no events" if is_bad else "The event sink takes events again",
        text=text_in(detail_of(event), "sentence"),
        path=reverse("fleet:health"),
        severity=NoticeSeverity.WARNING if is_bad else NoticeSeverity.INFORMATION,
        effect=NoticeEffect.BEGINS if is_bad else NoticeEffect.ENDS,
    )


def sink_open(keys: Collection[str]) -> Collection[str]:
    """Return the condition of the sink while the one of the settings fails: another one may have been named since."""
    address = sink_address()
    is_told = address is not None and EventSink.objects.filter(name=address.name).exclude(told_at=None).exists()
    return set(keys) if is_told else set()


NOTICE_KINDS: dict[str, NoticeKind] = {
    "outside": NoticeKind(
        Look("Changed outside", "outside", "arrow-top-right-on-square"),
        EventGroup.OUTSIDE.actions,
        outside_telling,
        by_id(outside_open),
    ),
    "pbx": NoticeKind(
        Look("PBX needs attention", "bad", "server-stack"),
        frozenset({EventAction.PBX_STATE_CHANGED}),
        pbx_telling,
        by_id(pbx_open),
        held=HELD_FLAP,
        bad_states=frozenset(state.value for state in NEEDS_A_PERSON),
    ),
    "change": NoticeKind(
        Look("Change not verified", "unknown", "question-mark-circle"),
        EventGroup.CHANGE_OUTCOME.actions,
        change_telling,
        by_id(change_open),
        held=HELD_CHANGE,
        bad_states=OPEN_OUTCOMES,
    ),
    "batch": NoticeKind(
        Look("Batch halted or finished", "accent", "rectangle-stack"),
        frozenset(action for action in EventGroup.BATCH.actions if action.value in BATCH_WORDS),
        batch_telling,
        by_id(batch_open),
    ),
    "policy": NoticeKind(
        Look("Policy broken", "warn", "scale"),
        frozenset({EventAction.VIOLATION_REOPENED}),
        reopened_telling,
        policies_open,
        held=HELD_POLICY,
        bad_states=frozenset({POLICY_BROKEN}),
    ),
    "exception": NoticeKind(
        Look("Exception ends soon", "calm", "calendar-days"),
        frozenset(),  # told by the day: addressing.py
        lambda event, was: None,
        by_id(exceptions_open),
    ),
    "log": NoticeKind(
        Look("Log not as recorded", "bad", "shield-exclamation"),
        EventGroup.LOG_INTEGRITY.actions,
        log_telling,
        as_told,
        right=Action.REVIEW_LOG,
    ),
    "webhook": NoticeKind(
        Look("Webhook fails", "bad", "bolt-slash"),
        frozenset(
            {
                EventAction.WEBHOOK_GIVEN_UP,
                EventAction.WEBHOOK_MESSAGE_GIVEN_UP,
                EventAction.WEBHOOK_ON,
                EventAction.WEBHOOK_DELETED,
            }
        ),
        webhook_telling,
        as_told,
        right=Action.MANAGE_PEOPLE,
    ),
    "sink": NoticeKind(
        Look("Event sink fails", "bad", "server-stack"),
        frozenset({EventAction.EVENT_SINK_FAILED, EventAction.EVENT_SINK_WORKS}),
        sink_telling,
        sink_open,
        right=Action.REVIEW_LOG,
    ),
}
KIND_OF: Mapping[str, str] = {action.value: name for name, kind in NOTICE_KINDS.items() for action in kind.actions}
# Nothing else comes as often as news of PBXs that go away together.
STORMY = "pbx"


def kind_choices() -> Sequence[tuple[str, str]]:
    return [(name, kind.look.label) for name, kind in NOTICE_KINDS.items()]
