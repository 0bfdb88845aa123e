"""Batches: one set of values for many IVRs. Each target becomes a change of its own; nothing here is sent.

States are columns, so that a query finds them; `services.py` alone moves them.
"""

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from ivr.models import Change
from pbxadmin.access.models import AnyUser
from pbxadmin.access.permissions import CustomerRows, customer_ids
from pbxadmin.access.roles import Action
from pbxadmin.yeastar.fields import BY_NAME

PREVIEW_LIFE = timedelta(minutes=30)
UNSTARTED_LIFE = timedelta(hours=24)


class BatchState(models.TextChoices):
    PREVIEWING = "previewing"
    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    STOPPED = "stopped"
    FINISHED = "finished"
    EXPIRED = "expired"


# From which states each state is reached. No other step exists.
REACHED_FROM: dict[BatchState, tuple[BatchState, ...]] = {
    BatchState.PREVIEWING: (BatchState.READY,),
    BatchState.READY: (BatchState.PREVIEWING,),
    BatchState.RUNNING: (BatchState.READY, BatchState.PAUSED, BatchState.HALTED),
    BatchState.PAUSED: (BatchState.RUNNING,),
    BatchState.HALTED: (BatchState.RUNNING,),
    BatchState.STOPPED: (
        BatchState.PREVIEWING,
        BatchState.READY,
        BatchState.RUNNING,
        BatchState.PAUSED,
        BatchState.HALTED,
    ),
    BatchState.FINISHED: (BatchState.RUNNING,),
    BatchState.EXPIRED: (BatchState.PREVIEWING, BatchState.READY),
}
AT_WORK = (BatchState.PREVIEWING, BatchState.RUNNING)
OVER = (BatchState.STOPPED, BatchState.FINISHED, BatchState.EXPIRED)


class TargetClass(models.TextChoices):
    """What the preview found of a target."""

    WOULD_CHANGE = "would-change", "Would change"
    ALREADY_SO = "already-so", "Already so"
    GONE = "gone", "Gone"
    NOT_REACHABLE = "not-reachable", "Not reachable"
    NOT_ALLOWED = "not-allowed", "Not allowed"
    BREAKS_RULES = "breaks-rules", "Value on the PBX breaks the rules"


NOT_BEGUN = "not-begun"  # how a form names targets that would change and were not begun
WAITING = "waiting"  # a target whose PBX is off, until it is tried again
NOT_VERIFIED_OUTCOMES = tuple(
    status.value
    for status in (
        Change.Status.NOT_AS_ASKED,
        Change.Status.REFUSED,
        Change.Status.NOT_SENT,
        Change.Status.UNKNOWN,
        Change.Status.CONFLICT,
    )
)


class Origin(models.TextChoices):
    """What made a batch: a person who chose values, or another batch."""

    VALUES = "values"
    RETRY = "retry"
    RESTORE = "restore"


class BatchQuerySet(models.QuerySet["Batch"]):
    def visible_to(self, user: AnyUser) -> Self:
        """Filter to batches with a target of a customer that this user sees."""
        ids = customer_ids(user, Action.SEE)
        if ids is None:
            return self
        return self.filter(Exists(BatchTarget.objects.filter(batch=OuterRef("pk"), customer_id__in=ids)))


class Batch(models.Model):
    """One set of values asked for on a frozen set of IVRs.

    digest: SHA-256 of the targets, "<pbx id>/<number>" in order, one a line. size: how many.
    canary: how many are changed before it pauses by itself. halt_after: not-verified targets that halt it after that.
    is_canary_done: whether the canary stage is over. keep_trying_until: patient targets wait for their PBX until then.
    """

    state = models.CharField(max_length=10, choices=BatchState.choices, default=BatchState.PREVIEWING)
    origin = models.CharField(max_length=7, choices=Origin.choices, default=Origin.VALUES)
    made_from_id = models.BigIntegerField(null=True)
    query = models.CharField(max_length=2000, blank=True)
    digest = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    wanted = models.JSONField(default=dict)
    reason = models.CharField(max_length=500, blank=True)
    ticket = models.CharField(max_length=100, blank=True)
    canary = models.PositiveIntegerField(default=3)
    pbxs_at_once = models.PositiveIntegerField(default=8)
    halt_after = models.PositiveIntegerField(default=3)
    keep_trying_until = models.DateTimeField(null=True)
    only_in_hours = models.BooleanField(default=False)
    is_canary_done = models.BooleanField(default=False)
    confirmed = models.JSONField(default=list)
    planned_by_id = models.BigIntegerField()
    planned_by_name = models.CharField(max_length=200)
    planned_at = models.DateTimeField(default=timezone.now)
    previewed_at = models.DateTimeField(null=True)
    started_by_id = models.BigIntegerField(null=True)
    started_by_name = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(null=True)
    resumed_at = models.DateTimeField(null=True, help_text="when it started or went on, from which its speed is told")
    why = models.CharField(max_length=500, blank=True, help_text="why it halted or stopped, as a sentence")
    finished_at = models.DateTimeField(null=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["state"], name="batch_by_state", condition=~Q(state__in=OVER))]

    def __str__(self) -> str:
        return f"batch {self.pk}: {self.state}"

    def get_absolute_url(self) -> str:
        return reverse("batches:batch-page", args=[self.pk])

    @property
    def in_words(self) -> str:
        """Say what it sets: "Digit timeout 3 s"."""
        said = ", ".join(f"{BY_NAME[name].label} {BY_NAME[name].in_words(text)}" for name, text in self.wanted.items())
        return said or f"Values {self.before_what}"

    @property
    def before_what(self) -> str:
        """Say from before what a restore takes its values: "from before batch 3". A retry of it takes the same ones."""
        batch: Batch | None = self
        while batch is not None and batch.origin == Origin.RETRY and batch.made_from_id:
            batch = Batch.objects.filter(pk=batch.made_from_id).only("origin", "made_from_id").first()
        made_from = batch.made_from_id if batch else None
        return f"from before batch {made_from}" if made_from else "from before the outside changes"

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def is_preview_old(self) -> bool:
        return self.previewed_at is None or self.previewed_at < timezone.now() - PREVIEW_LIFE

    @property
    def is_patient(self) -> bool:
        return self.keep_trying_until is not None and self.keep_trying_until > timezone.now()


class BatchTargetQuerySet(CustomerRows["BatchTarget"]):
    def to_change(self) -> Self:
        return self.filter(klass=TargetClass.WOULD_CHANGE)

    def left(self) -> Self:
        """Filter to targets that are still to be changed, now or when their PBX is there again."""
        return self.to_change().filter(outcome__in=("", WAITING))

    def in_stage(self, batch: Batch) -> Self:
        """Filter to the targets of the stage that the batch is in."""
        return self if batch.is_canary_done else self.filter(is_canary=True)


class BatchTarget(models.Model):
    """One IVR of a batch. Ids and names are kept as they were.

    asked: what the batch wants of it, by field. left: for a restore, what it must still hold. base: every field as the
    preview read it. wanted: what differs from that. outcome: of its change; "" before, "waiting" while its PBX is off.
    is_past: somebody went on since it ended, so that it does not count towards a halt any more.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="targets")
    place = models.PositiveIntegerField()
    customer_id = models.BigIntegerField()
    customer_name = models.CharField(max_length=200)
    pbx_id = models.BigIntegerField()
    pbx_name = models.CharField(max_length=200)
    number = models.CharField(max_length=200)
    name = models.TextField(blank=True)
    asked = models.JSONField(default=dict)
    left = models.JSONField(default=dict)
    klass = models.CharField(max_length=13, choices=TargetClass.choices, blank=True)
    why = models.CharField(max_length=300, blank=True)
    address = models.CharField(max_length=300, blank=True)
    serial = models.CharField(max_length=100, blank=True)
    base = models.JSONField(default=dict)
    wanted = models.JSONField(default=dict)
    read_at = models.DateTimeField(null=True)
    is_canary = models.BooleanField(default=False)
    outcome = models.CharField(max_length=12, blank=True)
    sentence = models.TextField(blank=True)
    change_id = models.BigIntegerField(null=True, db_index=True)
    tries = models.PositiveIntegerField(default=0)
    is_past = models.BooleanField(default=False)
    finished_at = models.DateTimeField(null=True)

    objects = BatchTargetQuerySet.as_manager()

    class Meta:
        ordering = ["place"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "pbx_id", "number"], name="batch_target_once"),
        ]
        indexes = [
            models.Index(fields=["batch", "place"], name="batch_target_by_place"),
            models.Index(fields=["batch", "klass", "place"], name="batch_target_by_class"),
            models.Index(fields=["batch", "outcome", "place"], name="batch_target_by_outcome"),
            models.Index(fields=["batch", "customer_id"], name="batch_target_by_customer"),
            # Holds all that the counts of a live page need.
            models.Index(
                fields=["batch", "klass", "outcome", "customer_id", "finished_at"], name="batch_target_counts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pbx_name} {self.number}: {self.outcome or self.klass or 'new'}"


class BatchUnit(models.Model):
    """One PBX of one batch, claimed by one worker at a time. is_open: there is something to do for it.

    not_before: of the next try, after a failure. pace_s: the pause between two sends.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="units")
    pbx_id = models.BigIntegerField()
    is_open = models.BooleanField(default=True)
    not_before = models.DateTimeField(null=True)
    pace_s = models.FloatField(default=1.0)
    tries = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "pbx_id"], name="batch_unit_once")]

    def __str__(self) -> str:
        return f"batch {self.batch_id}, PBX {self.pbx_id}"


def customers_in(batch: Batch) -> frozenset[int]:
    """Return the ids of the customers of a batch."""
    return frozenset(batch.targets.order_by().values_list("customer_id", flat=True).distinct())
