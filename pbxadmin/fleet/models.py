"""PBX records: how to reach each PBX, and what we last learned about it."""

from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Aggregate, Case, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.db.models.sql.compiler import SQLCompiler
from django.urls import reverse
from django.utils import timezone

from pbxadmin.access.models import AnyUser, Customer, User
from pbxadmin.access.names import FoldedField, NameField
from pbxadmin.access.permissions import CustomerRows, customer_ids
from pbxadmin.access.roles import Action
from pbxadmin.folding import Term
from pbxadmin.sealed import SealedField
from pbxadmin.search import SearchedField, found_by, holding
from pbxadmin.yeastar.driver import Driver
from pbxadmin.yeastar.drivers import api_versions, driver_of
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.transport import Endpoint, TlsProfile, Trust, TrustMode

from .inputs import LONGEST_TAG, TAG_COMMA
from .record_fields import SEARCHED_FIELDS


class PbxState(models.TextChoices):
    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    REFUSING = "refusing"  # it answers, and refuses every login or reading
    CREDENTIALS_REJECTED = "credentials-rejected"
    LOCKED = "locked"
    UNTRUSTED = "untrusted"
    NEVER_CHECKED = "never-checked"


class ContactFailure(models.TextChoices):
    """What failed in a contact with a PBX."""

    NO_CONNECTION = "no-connection", "No connection"
    UNTRUSTED = "untrusted", "Certificate not trusted"
    NO_ANSWER = "no-answer", "No usable answer"
    OTHER_ANSWER = "other-answer", "Answer not understood"
    LOGIN_REFUSED = "login-refused", "Login refused"
    LOCKED = "locked", "Locked out"
    BUSY = "busy", "Busy"
    REFUSED = "refused", "Refused"


NAME_TAKEN = "There is a saved filter with this name already."
NEEDS_A_PERSON = (
    PbxState.UNREACHABLE,
    PbxState.REFUSING,
    PbxState.CREDENTIALS_REJECTED,
    PbxState.LOCKED,
    PbxState.UNTRUSTED,
)
BY_URGENCY = (
    PbxState.CREDENTIALS_REJECTED,
    PbxState.UNTRUSTED,
    PbxState.LOCKED,
    PbxState.REFUSING,
    PbxState.UNREACHABLE,
    PbxState.NEVER_CHECKED,
    PbxState.REACHABLE,
)
HELD_BACK = (
    PbxState.CREDENTIALS_REJECTED,
    PbxState.UNTRUSTED,
)  # not read by the schedule until a person has looked at it


IS_IN_USE = Q(is_enabled=True, customer__archived_at=None)
IS_URGENT = IS_IN_USE & Q(state__in=NEEDS_A_PERSON)


class InOneLine(Aggregate):
    """Texts of many rows in one, with a separator between them."""

    function = "GROUP_CONCAT"
    output_field = models.CharField()

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **more: Any) -> Any:
        return self.as_sql(compiler, connection, function="STRING_AGG", **more)


class PbxQuerySet(CustomerRows["Pbx"]):
    def in_use(self) -> Self:
        """Filter to enabled PBXs of customers that are not archived."""
        return self.filter(IS_IN_USE)

    def due(self, now: datetime) -> Self:
        """Filter to PBXs that the schedule reads now: not paused or locked, and in no state that needs a person."""
        may_be = self.in_use().filter(refresh_minutes__gt=0)
        may_be = may_be.exclude(state__in=HELD_BACK).exclude(other_serial__gt="")
        is_time = [
            Q(**{column: None}) | Q(**{f"{column}__lte": now})
            for column in ("locked_until", "paused_until", "next_refresh_at")
        ]
        return may_be.exclude(password_digest="").filter(*is_time)

    def needing_a_person(self) -> Self:
        """Filter to PBXs in use that are in a state which somebody has to look at."""
        return self.filter(IS_URGENT)

    def matching(self, typed: str) -> Self:
        """Filter to PBXs in which each typed word stands, in a searched field or in the name of the customer."""
        return found_by(self, typed, pbx_holds)

    def with_urgency(self) -> Self:
        """Give each PBX its place by state, as `urgency`: first what needs attention most, last what is disabled."""
        states = [When(state=state, then=place) for place, state in enumerate(BY_URGENCY)]
        return self.annotate(urgency=Case(When(is_enabled=False, then=len(states)), *states))

    def same_device_as(self, pbx: "Pbx") -> Self:
        """Filter to other records of what seems to be the same device: with its host and port, or its serial number."""
        same = Q(host__iexact=pbx.host, port=pbx.port)
        if serial := pbx.answering_serial:
            same |= Q(serial=serial) | Q(other_serial=serial)
        return self.filter(same).exclude(pk=pbx.pk)

    def tagged(self, tag: str) -> Self:
        """Filter to PBXs that have this tag. tag: folded, as it is stored."""
        return self.filter(has_tag(tag))

    def with_tags(self) -> Self:
        """Read the tags of each PBX with its row, so that they cost no query of their own."""
        of_pbx = PbxTag.objects.filter(pbx=OuterRef("pk")).values("pbx")
        in_line = of_pbx.annotate(line=InOneLine(F("name"), Value(TAG_COMMA))).values("line")
        return self.annotate(tags_read=Coalesce(Subquery(in_line), Value("")))

    def tags_in_use(self) -> list[str]:
        """Return the names of all tags of these PBXs, in order."""
        tags = PbxTag.objects.all()
        if self.query.has_filters():  # else all PBXs would be looked at for what is true of each
            tags = tags.filter(pbx__in=self.order_by().values("pk"))
        return sorted(tags.values_list("name", flat=True).distinct())


def pbx_holds(term: Term, lookup: str) -> Q:
    """Return the condition that a PBX, or the name of its customer, holds a term of a search."""
    customers = Customer.objects.filter(holding(term, lookup)).order_by().values("pk")
    return holding(term, lookup) | Q(customer_id__in=customers)


def has_tag(tag: str, prefix: str = "") -> Q:
    """Return the condition that a PBX has this tag. prefix: of rows that point at a PBX, such as "pbx__"."""
    return Q(**{f"{prefix}tag_rows__name": tag})


def why_stale(read_at: datetime | None, minutes: int, state: str, reason: str, *, is_enabled: bool) -> str:
    """Return why the last reading of a PBX is stale, in words, or "" while it is not.

    minutes: the interval of its readings; 0 for a PBX that is read by hand only, which is stale only when disabled.
    reason: of the state. It is given where the state alone does not say what to do.
    """
    if not is_enabled:
        return "disabled"
    if read_at is None or not minutes or timezone.now() - read_at <= timedelta(minutes=2 * minutes):
        return ""
    if state == PbxState.REACHABLE:
        return "not read in time"
    label = PbxState(state).label.lower()
    return f"{label}: {reason}" if state == PbxState.REFUSING and reason else label


class Pbx(models.Model):
    """One phone system. record_fields.py lists the columns that people enter and those that are learned.

    ivr_count, read_at and next_refresh_at are written by the `ivr` app, which stores the snapshots.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="pbxs")
    name = models.CharField(max_length=60)
    scheme = models.CharField(
        max_length=5, choices=[("https", "HTTPS"), ("http", "HTTP, not encrypted")], default="https"
    )
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField(default=8088)
    api_version = models.CharField(max_length=8, choices=api_versions, default=ApiVersion.V1_0)
    username = models.CharField(max_length=100)
    password_digest = SealedField()
    password_set_at = models.DateTimeField(null=True)
    trust = models.CharField(max_length=6, choices=[(m.value, m.value) for m in TrustMode], default=TrustMode.PIN)
    fingerprint = models.CharField(max_length=64, blank=True)
    ca_certificate = models.TextField(blank=True)
    tls_profile = models.CharField(
        max_length=7, choices=[(p.value, p.value) for p in TlsProfile], default=TlsProfile.MODERN
    )
    site = models.CharField(max_length=200, blank=True)
    main_numbers = models.CharField(max_length=200, blank=True)
    notes = models.TextField(max_length=2000, blank=True)
    refresh_minutes = models.PositiveSmallIntegerField(
        default=15, help_text="read by itself as often; 0 is only when somebody asks"
    )
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    # Counts edits of the connection, so that an answer over the old connection is not recorded for the new one.
    revision = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=20, choices=PbxState.choices, default=PbxState.NEVER_CHECKED)
    state_reason = models.CharField(max_length=300, blank=True)
    state_at = models.DateTimeField(null=True)
    locked_until = models.DateTimeField(null=True)
    last_contact_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0, help_text="in a row, of connecting or of getting an answer")
    paused_until = models.DateTimeField(null=True, help_text="nothing is sent before, unless a person asks for a test")
    serial = models.CharField(max_length=100, blank=True)
    other_serial = models.CharField(max_length=100, blank=True, help_text="another device answers at this address")
    model = models.CharField(max_length=100, blank=True)
    firmware = models.CharField(max_length=100, blank=True)
    clock = models.CharField(max_length=100, blank=True, db_default="", help_text="its time and zone, at identity_at")
    identity_at = models.DateTimeField(null=True)
    capability = models.CharField(max_length=8, blank=True, help_text="the newest API version that answered when asked")
    capability_at = models.DateTimeField(null=True)
    token = SealedField()
    token_at = models.DateTimeField(null=True)
    ivr_count = models.PositiveIntegerField(null=True)
    read_at = models.DateTimeField(null=True)
    next_refresh_at = models.DateTimeField(null=True, help_text="none yet: as soon as it can be")

    words = SearchedField()

    tags_read: str | None = None  # in one line, when the query read them

    objects = PbxQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["customer", "name"], name="pbx_name_unique_per_customer"),
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="pbx_port_in_range"),
            models.CheckConstraint(
                condition=~Q(trust="pin") | Q(fingerprint="") | Q(fingerprint__regex=r"^[0-9a-f]{64}$"),
                name="pbx_pin_is_a_sha256",
            ),
        ]
        indexes = [
            models.Index(fields=["name", "id"], name="pbx_by_name"),
            models.Index(fields=["next_refresh_at"], name="pbx_by_next_refresh"),
            # All that Home, the health of the fleet and the line above a list of IVRs count.
            models.Index(fields=["customer", "is_enabled", "state", "read_at", "ivr_count"], name="pbx_counted"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("fleet:pbx-page", args=[self.pk])

    def searched_texts(self) -> list[str]:
        """Return the texts that a search looks through. The tags of a record that is not saved yet come later."""
        return [getattr(self, name) for name in SEARCHED_FIELDS if name != "tags" or self.pk]

    @property
    def version(self) -> str:
        return self.api_version

    @property
    def driver(self) -> Driver:
        """Return what speaks the API of this PBX."""
        return driver_of(self.api_version)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.scheme, self.host, self.port)

    @property
    def answering_serial(self) -> str:
        """Serial number of the device that answered last, "" when it reports none."""
        return self.other_serial or self.serial

    @property
    def tag_list(self) -> list[str]:
        """Return the tags in order. They cost a query, unless `with_tags` read them."""
        if self.tags_read is None:
            names = list(self.tag_rows.values_list("name", flat=True))
        else:
            names = self.tags_read.split(TAG_COMMA) if self.tags_read else []
        return sorted(names)  # in Python: each database has an order of its own

    @property
    def tags(self) -> str:
        """Return the tags in one line, as they are entered, exported and recorded."""
        return TAG_COMMA.join(self.tag_list)

    @property
    def address(self) -> str:
        """Address of the PBX's own Web pages."""
        return f"{self.endpoint.base}/"

    def trusted(self) -> Trust:
        """Return whom the connection trusts. Over plain HTTP there is no certificate to verify.

        Raises PbxUntrusted when the pin or the CA is missing.
        """
        if self.scheme == "http":
            return Trust(TrustMode.NONE)
        return Trust(TrustMode(self.trust), self.fingerprint, self.ca_certificate, TlsProfile(self.tls_profile))

    @property
    def is_paused(self) -> bool:
        return self.paused_until is not None and self.paused_until > timezone.now()

    @property
    def is_locked(self) -> bool:
        """Whether this PBX has locked out our address."""
        return self.locked_until is not None and self.locked_until > timezone.now()

    @property
    def stale(self) -> str:
        """Reason why the last reading is stale, "" when it is not."""
        return self.why_stale(self.read_at)

    def why_stale(self, read_at: datetime | None) -> str:
        """Return why a reading of that time is stale, "" when it is not."""
        return why_stale(read_at, self.refresh_minutes, self.state, self.state_reason, is_enabled=self.is_enabled)

    @property
    def why_not_by_itself(self) -> str:
        """Reason why the schedule does not read it until a person acts, "" for none. Agrees with `due`."""
        if not self.is_enabled:
            return "disabled"
        if self.customer.archived_at:
            return "its customer is archived"
        if self.other_serial:
            return "another device answers"
        if self.state in HELD_BACK:
            return PbxState(self.state).label.lower()
        return "" if self.password_digest else "no password"

    @property
    def next_by_itself_at(self) -> datetime | None:
        """Time of the next scheduled reading: not before a lock or a pause ends."""
        times = (self.next_refresh_at, self.locked_until, self.paused_until)
        return max((at for at in times if at), default=None)

    @property
    def is_unprotected(self) -> bool:
        """Whether it uses plain HTTP or TLS without verification, which somebody chose and a warning recalls."""
        return self.scheme == "http" or self.trust == TrustMode.NONE


class PbxTag(models.Model):
    """One tag of a PBX. name: folded, so that there is one way to write it."""

    pbx = models.ForeignKey(Pbx, on_delete=models.CASCADE, related_name="tag_rows", db_index=False)
    name = models.CharField(max_length=LONGEST_TAG)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pbx", "name"], name="pbx_tag_once")]
        indexes = [models.Index(fields=["name", "pbx"], name="pbx_tag_by_name")]

    def __str__(self) -> str:
        return self.name


class Lease(models.Model):
    """The right to talk to a PBX, for one caller across all processes. It expires, so a dead process frees it."""

    pbx = models.OneToOneField(Pbx, on_delete=models.CASCADE, primary_key=True)
    holder = models.CharField(max_length=36, blank=True)
    held_by = models.CharField(max_length=200, blank=True)
    until = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["holder"], name="lease_by_holder")]

    def __str__(self) -> str:
        return f"{self.pbx_id}: {self.held_by or 'free'}"


class ContactSample(models.Model):
    """How one contact with a PBX went. It is kept until its hour is over and counted in a ContactHour.

    ms: what the PBX took for the call that told how it is. is_turn: with this contact it began, or ceased, to need
    a person. No foreign key is checked, so that a PBX that is deleted meanwhile fails no sweep.
    """

    pbx = models.ForeignKey(Pbx, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    at = models.DateTimeField()
    ms = models.PositiveIntegerField()
    failure = models.CharField(max_length=16, blank=True, choices=ContactFailure.choices, help_text="empty: answered")
    is_turn = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["pbx", "at"], name="contact_sample_by_pbx")]

    def __str__(self) -> str:
        return f"{self.pbx_id}, {self.at:%Y-%m-%d %H:%M:%S}: {self.failure or 'answered'}"


class ContactCounts(models.Model):
    """What contacts with a PBX came to. failures: counts by ContactFailure. times: of answers, by step of time."""

    answered = models.PositiveIntegerField(default=0)
    turns = models.PositiveIntegerField(default=0)
    failures = models.JSONField(default=dict)
    times = models.JSONField(default=dict)

    class Meta:
        abstract = True


class ContactHour(ContactCounts):
    """The contacts with a PBX in one hour."""

    pbx = models.ForeignKey(Pbx, on_delete=models.CASCADE, related_name="contact_hours", db_index=False)
    hour = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pbx", "hour"], name="contact_hour_once")]

    def __str__(self) -> str:
        return f"{self.pbx_id}, {self.hour:%Y-%m-%d %H} h"


class PbxHealthQuerySet(CustomerRows["PbxHealth"]):
    of_customer = "pbx__customer_id"

    def in_use(self) -> Self:
        """Filter to the figures of enabled PBXs of customers that are not archived."""
        return self.filter(pbx__is_enabled=True, pbx__customer__archived_at=None)


class PbxHealth(models.Model):
    """The contacts with a PBX in the 24 hours before `until`, for lists that compare many. Times are None for none."""

    pbx = models.OneToOneField(Pbx, on_delete=models.CASCADE, primary_key=True, related_name="health")
    until = models.DateTimeField()
    answered = models.PositiveIntegerField()
    failed = models.PositiveIntegerField()
    turns = models.PositiveIntegerField()
    p50_ms = models.PositiveIntegerField(null=True)
    p95_ms = models.PositiveIntegerField(null=True)

    objects = PbxHealthQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["-p95_ms", "pbx"], name="pbx_health_slowest"),
            models.Index(fields=["-turns", "pbx"], name="pbx_health_flapping"),
        ]

    def __str__(self) -> str:
        return f"{self.pbx_id}, until {self.until:%Y-%m-%d %H:%M}"


WORKER_GONE = timedelta(minutes=1)  # after its last word


class WorkerProcessQuerySet(models.QuerySet["WorkerProcess"]):
    def alive(self) -> Self:
        """Filter to those that said so within a minute."""
        return self.filter(seen_at__gte=timezone.now() - WORKER_GONE)


class WorkerProcess(models.Model):
    """A process with worker threads, as it says itself every few seconds: who reads PBXs, and how many at a time.

    name: its host and a word of its own. refresh_threads: PBXs that one thread reads at a time.
    """

    name = models.CharField(max_length=80, primary_key=True)
    threads = models.PositiveIntegerField()
    refresh_threads = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)

    objects = WorkerProcessQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name}, {self.threads} threads"


class PbxImport(models.Model):
    """A file with PBX records between its preview and its import: sealed, for one person, for half an hour."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    kept_at = models.DateTimeField(default=timezone.now, db_index=True)
    encoding = models.CharField(max_length=20, default="utf-8")  # of the file; the content is its text
    content = SealedField()

    def __str__(self) -> str:
        return f"{self.user_id}, {self.kept_at:%Y-%m-%d %H:%M}"


class SavedFilterQuerySet(models.QuerySet["SavedFilter"]):
    def visible_to(self, user: AnyUser) -> Self:
        """Filter to the person's own filters and those shared within customers that they see."""
        ids = customer_ids(user, Action.SEE)
        shared = Q(customer__isnull=False) if ids is None else Q(customer_id__in=ids)
        return self.filter(Q(customer=None, owner_id=user.pk) | shared)


class SavedFilter(models.Model):
    """A named filter of a list: shared within `customer`, or for its owner alone when there is none."""

    class List(models.TextChoices):
        PBXS = "pbxs"
        IVRS = "ivrs"

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    list = models.CharField(max_length=4, choices=List.choices)
    name = NameField(max_length=40)
    folded = FoldedField(unique=False)
    query = models.CharField(max_length=2000)
    saved_at = models.DateTimeField(default=timezone.now)

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["list", "owner", "folded"],
                condition=Q(customer=None),
                name="saved_filter_unique_for_owner",
                violation_error_message=NAME_TAKEN,
            ),
            models.UniqueConstraint(
                fields=["list", "customer", "folded"],
                condition=Q(customer__isnull=False),
                name="saved_filter_unique_for_customer",
                violation_error_message=NAME_TAKEN,
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def list_address(self) -> str:
        return list_address(self.list)

    @property
    def address(self) -> str:
        return f"{self.list_address}?{self.query}"


LIST_PAGES = {SavedFilter.List.PBXS: "fleet:pbx-list", SavedFilter.List.IVRS: "ivr:ivr-list-all"}


def list_address(list_: str) -> str:
    """Return the address of the list that saved filters of this name narrow."""
    return reverse(LIST_PAGES[SavedFilter.List(list_)])
