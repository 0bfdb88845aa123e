"""What we last read of each IVR, the changes that people asked for, and runs of reading many PBXs."""

import uuid
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.fields.json import KT
from django.urls import reverse
from django.utils import timezone

from pbxadmin.access.models import AnyUser
from pbxadmin.access.permissions import CustomerRows, customer_ids
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import ACTION_LABELS
from pbxadmin.fleet.models import Pbx
from pbxadmin.search import SearchedField
from pbxadmin.yeastar.driver import CallKind
from pbxadmin.yeastar.fields import BY_NAME, FIELDS
from pbxadmin.yeastar.readings import IvrSettings

# What a person reads of a call. Stored with each change, beside the vendor's own name of the call.
CALL_WORDS = {
    CallKind.LOGIN: "Signed in",
    CallKind.IDENTITY: "Asked who it is",
    CallKind.READ: "Read",
    CallKind.UPDATE: "Sent once",
    CallKind.APPLY: "Applied",
    CallKind.LOGOUT: "Signed out",
    CallKind.ROUTES: "Read inbound routes",
    CallKind.QUEUES: "Read queues",
    CallKind.EXTENSIONS: "Read extensions",
    CallKind.RING: "Rang",
}
PLAN_LIFE = timedelta(hours=24)
LEFT_BEHIND = (
    "It was being sent, and what came of it is not recorded yet. It is checked by itself; nothing is ever sent twice."
)


class IvrQuerySet(CustomerRows["Ivr"]):
    of_customer = "pbx__customer_id"


class Ivr(models.Model):
    """The snapshot of one IVR: canonical text as in yeastar.fields, None for "not reported"."""

    pbx = models.ForeignKey(Pbx, on_delete=models.CASCADE, related_name="ivrs")
    number = models.CharField(max_length=200)
    name = models.TextField(null=True)  # noqa: DJ001  (None is "not reported", "" is an empty name)
    prompt = models.TextField(null=True)  # noqa: DJ001
    prompt_repeat = models.TextField(null=True)  # noqa: DJ001
    response_timeout = models.TextField(null=True)  # noqa: DJ001
    digit_timeout = models.TextField(null=True)  # noqa: DJ001
    dial_extension = models.TextField(null=True)  # noqa: DJ001
    dial_outbound = models.TextField(null=True)  # noqa: DJ001
    outbound_routes = models.TextField(null=True)  # noqa: DJ001
    check_voicemail = models.TextField(null=True)  # noqa: DJ001
    response_timeout_s = models.PositiveIntegerField(null=True, help_text="the same as a number, to filter and sort by")
    raw = models.JSONField(default=dict)
    flaw = models.CharField(max_length=100, blank=True, help_text="why the PBX is not clear about it, as a sentence")
    read_at = models.DateTimeField(help_text="of the last clear reading")
    words = SearchedField()

    objects = IvrQuerySet.as_manager()

    class Meta:
        ordering = ["pbx__name", "number", "id"]
        constraints = [models.UniqueConstraint(fields=["pbx", "number"], name="ivr_number_unique_per_pbx")]
        indexes = [
            models.Index(fields=["number", "id"], name="ivr_by_number"),
            models.Index(fields=["response_timeout_s", "id"], name="ivr_by_response_timeout"),
            models.Index(fields=["pbx"], condition=Q(dial_outbound="on"), name="ivr_dials_out"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.name or ''}".strip()

    def searched_texts(self) -> tuple[str | None, ...]:
        return self.number, self.name

    @property
    def settings(self) -> IvrSettings:
        return IvrSettings(**{field.name: getattr(self, field.name) for field in FIELDS}, raw=self.raw, flaw=self.flaw)


class WayKind(models.TextChoices):
    """The lists that say what leads to IVRs, under the names of CallKind."""

    ROUTES = CallKind.ROUTES.value, "Inbound routes"
    QUEUES = CallKind.QUEUES.value, "Queues"


class WaysReading(models.Model):
    """How one list of what leads to IVRs was read last, of one PBX.

    read_at: of the last reading that worked, whose rows are kept, None for none. tried_at: of the last one at all.
    problem: why that one failed, as a sentence, "" when it worked. unclear: how many entries were not understood.
    """

    pbx = models.ForeignKey(Pbx, on_delete=models.CASCADE, related_name="ways_readings", db_index=False)
    kind = models.CharField(max_length=10, choices=WayKind.choices)
    read_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField()
    next_at = models.DateTimeField(help_text="when it is due again with a scheduled reading")
    problem = models.CharField(max_length=300, blank=True)
    unclear = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pbx", "kind"], name="ways_reading_once_per_list")]

    def __str__(self) -> str:
        return f"{self.pbx_id} {self.kind}: {self.problem or self.read_at}"


class WayIn(models.Model):
    """An inbound route or a queue that leads to an IVR, as last read.

    number: of the queue. did: the outside number of the route. when: as in yeastar.readings.LeadIn.
    ivr_number: "" when the PBX does not say to which IVR.
    """

    pbx = models.ForeignKey(Pbx, on_delete=models.CASCADE, related_name="ways_in", db_index=False)
    kind = models.CharField(max_length=10, choices=WayKind.choices)
    number = models.CharField(max_length=32, blank=True)
    name = models.CharField(max_length=200, blank=True)
    did = models.CharField(max_length=200, blank=True)
    when = models.CharField(max_length=40, blank=True)
    ivr_number = models.CharField(max_length=32, blank=True)

    class Meta:
        ordering = ["kind", "id"]
        indexes = [models.Index(fields=["pbx", "ivr_number"], name="way_in_by_ivr")]

    def __str__(self) -> str:
        return f"{self.title} {self.when}".strip()

    @property
    def title(self) -> str:
        """Return what people call it: "Queue 6701 Sales", "Inbound route Main (03069990000)"."""
        if self.kind == WayKind.QUEUES:
            return f"Queue {self.number}" + (f" {self.name}" if self.name not in ("", self.number) else "")
        return f"Inbound route {self.name or 'without a name'}" + (f" ({self.did})" if self.did else "")


class RingCall(models.Model):
    """An attempt of somebody to have a phone rung. The newest that rang remembers their extension of that PBX.

    rang_at: when the PBX was asked to ring, None when it was not or refused.
    """

    person_id = models.BigIntegerField()
    pbx = models.ForeignKey(Pbx, on_delete=models.CASCADE, related_name="+")
    extension = models.CharField(max_length=7)
    asked_at = models.DateTimeField()
    rang_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["person_id", "pbx", "-id"], name="ring_call_by_person")]

    def __str__(self) -> str:
        return f"{self.person_id}: {self.extension} of {self.pbx_id}"


class ChangeQuerySet(CustomerRows["Change"]):
    def of_ivr(self, pbx_id: int, number: str) -> Self:
        """Filter to changes of the IVR that has this number now, also from the time when it had others."""
        found = Q(pk__in=())
        for way in ways_to_ivr(pbx_id, number):
            found |= way
        return self.filter(found, pbx_id=pbx_id)

    def newest_of_ivr(self, pbx_id: int, number: str, at_most: int) -> "list[Change]":
        """Return the newest of `of_ivr`. However many there are, no others are read."""
        of_pbx = self.filter(pbx_id=pbx_id).order_by("-pk")
        ways = ways_to_ivr(pbx_id, number)
        ids = {pk for way in ways for pk in of_pbx.filter(way).values_list("pk", flat=True)[:at_most]}
        return list(self.filter(pk__in=sorted(ids)[-at_most:]).order_by("-pk"))

    def showing(self, *outcomes: str) -> Self:
        """Filter to changes that have one of these outcomes, as `Change.outcome` tells it."""
        planned, sending, unknown = Change.Status.PLANNED, Change.Status.SENDING, Change.Status.UNKNOWN
        in_hand = Q(claimed_until__gt=timezone.now()) & (Q(status=planned) | Q(status=sending, checks=0))
        told = {planned: Q(status=planned) & ~in_hand, sending: in_hand}
        told[unknown] = Q(status=unknown) | Q(status=sending) & ~in_hand
        found = Q(status__in=[outcome for outcome in outcomes if outcome not in told])
        for outcome in told.keys() & outcomes:
            found |= told[outcome]
        return self.filter(found)

    def in_motion(self) -> Self:
        """Filter to changes that were sent and are not settled yet, or may still become another outcome."""
        return self.filter(Q(status__in=(Change.Status.SENDING, Change.Status.UNKNOWN)) | Q(check_at__isnull=False))

    def unsettled(self, pbx_id: int, number: str) -> "Change | None":
        """Return the newest change of this IVR of which nobody knows yet what it came to, or None."""
        open_ones = (Change.Status.UNKNOWN, Change.Status.SENDING)
        ids = list(self.filter(pbx_id=pbx_id, status__in=open_ones).order_by().values_list("pk", flat=True))
        return self.of_ivr(pbx_id, number).filter(pk__in=ids).order_by("-pk").first() if ids else None


def ways_to_ivr(pbx_id: int, number: str) -> list[Q]:
    """Return what finds the changes of the IVR that has this number now, each by an index: by each number it had."""
    ways = [Q(number=number), Q(new_number=number)]
    renumbered = Change.objects.filter(pbx_id=pbx_id, status=Change.Status.VERIFIED).order_by("-pk")
    moved = renumbered.filter(new_number=number).values_list("pk", "number").first()
    while moved:
        pk, old = moved
        ways += [Q(number=old, pk__lte=pk), Q(new_number=old, pk__lte=pk)]
        moved = renumbered.filter(new_number=old, pk__lt=pk).values_list("pk", "number").first()
    return ways


class Change(models.Model):
    """One asked-for edit of one IVR, from plan to receipt. Ids and names are kept as they were: things get deleted.

    base: every field when the form was opened. wanted: canonical text of the fields to change. live: every field just
    before sending. found: every field at the last read-back, None when the IVR was gone.
    """

    class Status(models.TextChoices):
        PLANNED = "planned"
        SENDING = "sending"
        VERIFIED = "verified"
        NOT_AS_ASKED = "not-as-asked"
        REFUSED = "refused"
        NOT_SENT = "not-sent"
        UNKNOWN = "unknown"
        CONFLICT = "conflict"

    batch_id = models.BigIntegerField(null=True, db_index=True)
    form_key = models.CharField(
        max_length=64, unique=True, help_text="the same form with the same values is one change"
    )
    customer_id = models.BigIntegerField(db_index=True)
    customer_name = models.CharField(max_length=200)
    pbx_id = models.BigIntegerField()
    pbx_name = models.CharField(max_length=200)
    api_version = models.CharField(max_length=8)
    address = models.CharField(
        max_length=300, blank=True, help_text="of the PBX when the form was opened; the change goes to no other"
    )
    serial = models.CharField(max_length=100, blank=True, help_text="of the device that answered then")
    number = models.CharField(max_length=200)
    name = models.TextField(blank=True)
    base = models.JSONField()
    wanted = models.JSONField()
    new_number = models.GeneratedField(
        expression=KT("wanted__number"), output_field=models.CharField(max_length=200, null=True), db_persist=True
    )
    live = models.JSONField(null=True)
    found = models.JSONField(null=True)
    reason = models.CharField(max_length=500, blank=True)
    ticket = models.CharField(max_length=100, blank=True)

    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PLANNED)
    sentence = models.TextField(blank=True, help_text="what happened, for the person")
    confirmed = models.JSONField(default=list, help_text="the risks that the person who applied it confirmed")
    answer = models.JSONField(default=dict, help_text="what the PBX said, as PbxAnswer; empty before that")
    calls = models.JSONField(default=list, help_text="what was exchanged: call, seconds, error")
    event_id = models.BigIntegerField(null=True, help_text="the event of the outcome")
    planned_by_id = models.BigIntegerField()
    planned_by_name = models.CharField(max_length=200)
    planned_at = models.DateTimeField(default=timezone.now)
    applied_by_id = models.BigIntegerField(null=True)
    applied_by_name = models.CharField(max_length=200, blank=True)
    sent_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True, help_text="somebody is applying or settling it until then")
    check_at = models.DateTimeField(null=True, help_text="when it is read again by itself")
    checks = models.PositiveIntegerField(default=0)
    words = SearchedField()

    objects = ChangeQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["customer_id", "-id"], name="change_by_customer"),
            models.Index(fields=["pbx_id", "number", "-id"], name="change_by_ivr"),
            models.Index(fields=["pbx_id", "new_number", "-id"], name="change_by_new_number"),
            models.Index(fields=["pbx_id", "status"], name="change_by_pbx_status"),
            models.Index(fields=["pbx_id", "check_at"], name="change_by_pbx_check"),
            models.Index(fields=["pbx_id", "finished_at"], name="change_by_pbx_finish"),
            models.Index(fields=["check_at"], name="change_by_check"),
            models.Index(fields=["status", "-id"], name="change_by_status"),
            models.Index(fields=["pbx_name", "number", "id"], name="change_by_names"),
        ]

    def __str__(self) -> str:
        return f"{self.pbx_name} {self.number}: {self.status}"

    def get_absolute_url(self) -> str:
        return reverse("ivr:change-page", args=[self.pk])

    def searched_texts(self) -> tuple[str, ...]:
        people = self.planned_by_name, self.applied_by_name
        return self.number, self.name, self.pbx_name, self.customer_name, *people, self.ticket

    @property
    def version(self) -> str:
        return self.api_version

    @property
    def expires_at(self) -> datetime:
        return self.planned_at + PLAN_LIFE

    @property
    def is_expired(self) -> bool:
        return self.status == self.Status.PLANNED and self.expires_at <= timezone.now()

    @property
    def is_being_applied(self) -> bool:
        """Tell whether a sender has claimed it and that claim still runs. Whether anything was sent is not known here.

        A check of a change that is *sending* claims it too, and counts the check: its sender is gone.
        """
        is_claimed = self.claimed_until is not None and self.claimed_until > timezone.now()
        is_unchecked = self.status == self.Status.SENDING and self.checks == 0
        return is_claimed and (self.status == self.Status.PLANNED or is_unchecked)

    @property
    def outcome(self) -> str:
        """Return the status as pages show it.

        A change that a dead sender left is unknown until it is settled by reading.
        """
        if self.is_being_applied:
            return self.Status.SENDING.value
        return self.Status.UNKNOWN.value if self.status == self.Status.SENDING else self.status

    @property
    def account(self) -> str:
        """Say what happened, for the person; also of a change that a dead sender left."""
        is_left = self.status == self.Status.SENDING and not self.is_being_applied
        return LEFT_BEHIND if is_left else self.sentence

    @property
    def later(self) -> "Change | None":
        """Return the newest change of the same IVR that ended well after this one: what this one says is of then."""
        if self.finished_at is None:
            return None
        same = Change.objects.filter(pbx_id=self.pbx_id, number=self.number_now, status=self.Status.VERIFIED)
        return same.filter(finished_at__gt=self.finished_at).order_by("-pk").first()

    @property
    def is_renumbering(self) -> bool:
        return "number" in self.wanted

    @property
    def number_now(self) -> str:
        """Return the number that the IVR answers to, as far as we know."""
        found = self.found or {}
        return str(found.get("number") or self.number)

    @property
    def draft(self) -> dict[str, str]:
        """Return what the form of another attempt opens with."""
        return {**self.wanted, "reason": self.reason, "ticket": self.ticket}

    @property
    def is_settling(self) -> bool:
        """Tell whether its outcome is still to come, or is looked for again."""
        return self.status == self.Status.SENDING or self.check_at is not None

    @property
    def progress(self) -> str:
        """Return a mark that differs whenever the page of the change would."""
        next_look = f"{self.check_at:%H%M%S}" if self.check_at else ""
        return f"{self.outcome}.{self.checks}.{len(self.calls)}.{next_look}"

    @property
    def steps(self) -> Iterator[dict[str, Any]]:
        """Yield the calls in their order. A reading after the sending is called a read-back."""
        was_sent = False
        for call in self.calls:
            reads_back = was_sent and call["words"] == CALL_WORDS[CallKind.READ]
            yield call | {"words": "Read back"} if reads_back else call
            was_sent = was_sent or call["words"] == CALL_WORDS[CallKind.UPDATE]

    @property
    def wanted_in_order(self) -> list[tuple[str, str]]:
        """Return what is asked for in the order of the table of fields: PostgreSQL keeps none in JSON."""
        return [(name, self.wanted[name]) for name in BY_NAME if name in self.wanted]

    def lines(self) -> list["ChangeLine"]:
        """Return each field of the change in words."""
        before, found = self.live or self.base, self.found or {}
        return [ChangeLine(name, before.get(name), text, found.get(name)) for name, text in self.wanted_in_order]


class ChangeLine:
    """One field of a change in words."""

    def __init__(self, name: str, before: str | None, asked: str, found: str | None) -> None:
        self.field = BY_NAME[name]
        self.label = self.field.label
        self.before, self.asked, self.found = (self.field.in_words(value) for value in (before, asked, found))
        self.is_as_asked = found == asked
        self.is_as_before = found == before

    def __str__(self) -> str:
        return f"{self.label} {self.before} → {self.asked}"


class Refresh(models.Model):
    """One run of reading many PBXs in the background."""

    key = models.UUIDField(default=uuid.uuid4, unique=True)
    asked_by_id = models.BigIntegerField()
    asked_by_name = models.CharField(max_length=200)
    is_scheduled = models.BooleanField(default=False, help_text="by itself: gone when it is over")
    asked_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.asked_by_name}, {self.asked_at:%Y-%m-%d %H:%M}"


class RefreshItem(models.Model):
    """One PBX of a run; claimed by a conditional update with an expiry, so that a dead worker loses nothing."""

    class State(models.TextChoices):
        WAITING = "waiting"
        READING = "reading"
        DONE = "done"
        FAILED = "failed"

    refresh = models.ForeignKey(Refresh, on_delete=models.CASCADE, related_name="items")
    pbx = models.ForeignKey(Pbx, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    sentence = models.CharField(max_length=300, blank=True)
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["refresh", "pbx"], name="refresh_reads_a_pbx_once")]
        indexes = [
            models.Index(fields=["refresh", "state"], name="refresh_item_by_state"),
            models.Index(fields=["state"], name="refresh_item_in_work", condition=Q(state__in=("waiting", "reading"))),
        ]

    def __str__(self) -> str:
        return f"{self.pbx_id}: {self.state}"


# Outcomes that may have left other values on the PBX.
LEFT_SOMETHING = (Change.Status.VERIFIED, Change.Status.NOT_AS_ASKED)


def may_act_on(user: AnyUser) -> Collection[int] | None:
    """Return ids of customers whose outside changes this person may restore or accept; None means all."""
    edits, reviews = customer_ids(user, Action.EDIT_IVR), customer_ids(user, Action.REVIEW_LOG)
    return None if edits is None or reviews is None else edits | reviews


class OutsideState(models.TextChoices):
    """What became of an outside change. All but open are decided."""

    OPEN = "open", "Open"
    ACCEPTED = "accepted", "Accepted"
    RESTORED = "restored", "Restored"
    OVERRIDDEN = "overridden", "Overridden"


class OutsideChangeQuerySet(CustomerRows["OutsideChange"]):
    def still_open(self) -> Self:
        """Filter to what is open on PBXs in use. The PBX is looked up for each, as few of all are open."""
        return self.filter(Exists(Pbx.objects.in_use().filter(pk=OuterRef("pbx_id"))), state=OutsideState.OPEN)

    def waiting_for(self, user: AnyUser) -> Self:
        """Filter to what is open and this person may decide."""
        ids = may_act_on(user)
        found = self.still_open()
        return found if ids is None else found.filter(customer_id__in=ids)

    def of_keys(self, keys: Collection[tuple[int, str]]) -> list["OutsideChange"]:
        """Return those of these IVRs, by PBX and number, that no event has closed."""
        pbx_ids, numbers = {pbx_id for pbx_id, _ in keys}, {number for _, number in keys}
        rows = self.filter(decided_by_id=None, pbx_id__in=pbx_ids, number__in=numbers)
        return [row for row in rows if (row.pbx_id, row.number) in keys]


class OutsideChange(models.Model):
    """What became of one outside change, beside its event, so that a list costs the same however long the log is.

    The log is the truth; `open_outside_changes.py` keeps this as the log and the snapshots say.
    field_names: as in its event, with a blank before, between and after them.
    decided_by_id: the event that closed it. None while it is open, and of one that the IVR does not hold just now: it
    opens again when the IVR does.
    """

    event_id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    customer_id = models.BigIntegerField()
    pbx_id = models.BigIntegerField()
    number = models.CharField(max_length=200)
    action = models.CharField(max_length=40)
    field_names = models.CharField(max_length=400, blank=True)
    state = models.CharField(max_length=10, choices=OutsideState.choices, default=OutsideState.OPEN)
    decided_by_id = models.BigIntegerField(null=True)
    decided_at = models.DateTimeField(null=True)

    objects = OutsideChangeQuerySet.as_manager()

    class Meta:
        ordering = ["-event_id"]
        indexes = [
            models.Index(fields=["customer_id", "-event_id"], name="outside_by_customer"),
            models.Index(fields=["pbx_id", "number", "-event_id"], name="outside_by_ivr"),
            models.Index(fields=["pbx_id", "-event_id"], name="outside_by_pbx"),
            # Holds all that a count of open ones needs.
            models.Index(fields=["state", "-event_id", "customer_id", "pbx_id"], name="outside_by_state"),
        ]

    def __str__(self) -> str:
        return f"event {self.event_id}: {self.state}"

    @property
    def is_open(self) -> bool:
        return self.state == OutsideState.OPEN

    @property
    def label(self) -> str:
        return ACTION_LABELS[self.action]


class OutsideVisit(models.Model):
    """When a person looked at the outside changes: last of all, and at the end of the visit before this one."""

    person_id = models.BigIntegerField(primary_key=True)
    last_at = models.DateTimeField()
    before_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.person_id}, {self.last_at:%Y-%m-%d %H:%M}"


def as_values(settings: IvrSettings | None) -> dict[str, Any] | None:
    """Return every field by its own name, None for an IVR that is not there."""
    return settings.values() if settings else None
