"""Many PBX records at once from a file: read, checked row by row, shown, and then saved all or none.

Each row passes the form of a PBX record, so there is one table of rules. Between the preview and the import the file is
kept sealed for half an hour, for the person who brought it.
"""

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from pbxadmin.access.models import AnyUser, Customer, User
from pbxadmin.access.names import fold, tidy
from pbxadmin.access.permissions import can, customers_of
from pbxadmin.access.roles import Action
from pbxadmin.access.services import customer_create
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.sealed import SealBroken, seal

from .forms import RowForm
from .inputs import clean_allowed_host
from .models import Pbx, PbxImport
from .services import pbx_create, pbx_edit, was_rejected
from .sheet import MOST_FAULTS, BadSheet, Fault, Row, sheet_read

LIFE = timedelta(minutes=30)
LOOK_UPS = 8
LOOK_UP_S = 5.0


@dataclass(frozen=True)
class Line:
    """One row that passed: a new PBX, or one that is there. changes: field, before and after, in words."""

    line: int
    customer: Customer
    pbx: Pbx | None
    values: dict[str, Any]
    password: str = field(repr=False)
    changes: list[tuple[str, str, str]]

    @property
    def name(self) -> str:
        return str(self.values["name"])

    @property
    def differs(self) -> bool:
        return bool(self.changes or self.password)


@dataclass
class ImportPlan:
    """What an import would do. With faults, nothing is imported."""

    lines: list[Line] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @cached_property
    def added(self) -> list[Line]:
        return [line for line in self.lines if line.pbx is None]

    @cached_property
    def changed(self) -> list[Line]:
        return [line for line in self.lines if line.pbx is not None and line.differs]

    @cached_property
    def todo(self) -> list[Line]:
        return [line for line in self.lines if line.pbx is None or line.differs]

    @property
    def same(self) -> int:
        return len(self.lines) - len(self.todo)

    @cached_property
    def customers(self) -> list[Customer]:
        """Those of whom something is added or changed."""
        return list({line.customer.folded: line.customer for line in self.todo}.values())

    @cached_property
    def new_customers(self) -> list[Customer]:
        return [customer for customer in self.customers if customer.pk is None]

    @cached_property
    def digest(self) -> str:
        """Of what the preview shows: another one means that somebody changed a PBX since."""
        facts = [
            [
                line.line,
                line.customer.name,
                line.pbx and line.pbx.pk,
                line.changes,
                bool(line.password),
            ]
            for line in self.lines
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def shown_faults(self) -> list[Fault]:
        return self.faults[:MOST_FAULTS]

    @property
    def more_faults(self) -> int:
        return max(0, len(self.faults) - MOST_FAULTS)

    @property
    def target(self) -> str:
        """Whose PBXs these are, for the button."""
        return self.customers[0].name if len(self.customers) == 1 else f"{len(self.customers)} customers"


def import_plan(data: bytes, user: AnyUser) -> ImportPlan:
    """Read a CSV file and check each row for this person. It writes nothing, and looks names up for 5 s at most."""
    try:
        rows, faults = sheet_read(data)
    except BadSheet as error:
        return ImportPlan(faults=[error.fault])
    plan = ImportPlan(faults=faults)
    check = RowCheck(rows, user)
    for row in rows:
        check.one(row, plan)
    plan.faults.sort(key=lambda fault: fault.line)
    return plan


class RowCheck:
    """Checks the rows of one file; what all of them need is read once."""

    def __init__(self, rows: Collection[Row], user: AnyUser) -> None:
        self.user = user
        self.hosts = hosts_checked({row.cells.get("host", "").strip() for row in rows} - {""})
        names = {fold(row.cells["customer"]) for row in rows}
        mine = customers_of(user, Action.MANAGE_PBXS)
        self.customers = {customer.folded: customer for customer in mine if customer.folded in names}
        self.may_add_customers = can(user, Action.MANAGE_CUSTOMERS, None)
        self.pbxs: dict[tuple[str, str], Pbx] = {}
        known = Pbx.objects.filter(customer__in=[customer.pk for customer in self.customers.values()])
        for pbx in known.select_related("customer").with_tags():
            self.pbxs[pbx.customer.folded, fold(pbx.name)] = pbx
        self.seen: dict[tuple[str, str], int] = {}

    def one(self, row: Row, plan: ImportPlan) -> None:
        """Add a row to the plan, or what stands against it to the faults."""
        try:
            customer = self.customer(row.cells["customer"])
        except ValidationError as error:
            plan.faults.extend(Fault(row.line, "customer", text) for text in error.messages)
            return
        place = customer.folded, fold(row.cells["name"])
        if place in self.seen:
            plan.faults.append(Fault(row.line, "name", f"This PBX stands on line {self.seen[place]} already."))
            return
        self.seen[place] = row.line
        pbx = self.pbxs.get(place)
        form = RowForm(row.cells, user=self.user, pbx=pbx, check_host=self.host)
        if not form.is_valid():
            plan.faults.extend(faults_of(row.line, form))
            return
        values, password = form.values_and_password()
        if pbx and was_rejected(pbx, password):
            password = ""  # a file that is imported every night must not try it again until the PBX locks us out
        plan.lines.append(Line(row.line, customer, pbx, values, password, changes_of(pbx, values)))

    def customer(self, name: str) -> Customer:
        """Raises ValidationError, with one sentence for a customer that is another's and one that does not exist."""
        if not tidy(name):
            raise ValidationError("Fill this in.")
        folded = fold(name)
        if folded not in self.customers:
            if not self.may_add_customers:
                raise ValidationError("You manage no PBXs of such a customer. Site admins add customers.")
            customer = Customer(name=name, folded=folded)
            if Customer.objects.filter(folded=folded).exists():
                raise ValidationError("This customer is archived.")
            customer.clean_fields()
            self.customers[folded] = customer
        return self.customers[folded]

    def host(self, text: str) -> str:
        if text not in self.hosts:  # the cell is empty: it stays what it is
            return clean_allowed_host(text, may_look_up=False)
        host = self.hosts[text]
        if isinstance(host, ValidationError):
            raise host
        return host


def hosts_checked(hosts: Collection[str]) -> dict[str, str | ValidationError]:
    """Each host as the form keeps it, or what is wrong with it.

    Names are looked up a few at a time. Those whose turn does not come within 5 s are only read: calls check again.
    """
    until = time.monotonic() + LOOK_UP_S

    def checked(host: str) -> str | ValidationError:
        try:
            return clean_allowed_host(host, may_look_up=time.monotonic() < until)
        except ValidationError as error:
            return error

    with ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="import") as pool:
        return dict(zip(hosts, pool.map(checked, hosts), strict=True))


def faults_of(line: int, form: RowForm) -> Iterator[Fault]:
    for name, errors in form.errors.items():
        column = "" if name == "__all__" else str(name)
        yield from (Fault(line, column, str(text)) for text in errors)


def changes_of(pbx: Pbx | None, values: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    before = {name: "" if pbx is None else getattr(pbx, name) for name in values}
    return [(name, str(before[name]), str(value)) for name, value in values.items() if before[name] != value]


def import_apply(plan: ImportPlan, *, source: bytes, kept: PbxImport | None = None) -> bool:
    """Save all of it, or nothing. False when this import was applied or forgotten meanwhile.

    source: the file, whose hash the event keeps. kept: where it was kept; it goes with the import.
    Raises ValidationError when something stands against it that was not there when it was planned.
    """
    if plan.faults:
        raise ValueError("an import with faults is never applied")
    with transaction.atomic():
        if kept is not None and not PbxImport.objects.filter(pk=kept.pk).delete()[0]:
            return False
        rows_hold(plan)
        new = sorted(plan.new_customers, key=lambda customer: customer.folded)
        saved = {customer.folded: customer_create(name=customer.name) for customer in new}
        for line in sorted(plan.todo, key=lambda line: line.customer.pk or 0):
            if line.pbx is None:
                customer = saved.get(line.customer.folded, line.customer)
                pbx_create(customer=customer, values=line.values, password=line.password)
            else:
                pbx_edit(pbx=line.pbx, values=line.values, password=line.password)
    # Each row has its event by now. This one would keep everybody from signing in while the rows are saved.
    counts = {"added": len(plan.added), "changed": len(plan.changed), "same": plan.same}
    detail = counts | {"new_customers": len(saved), "file_sha256": hashlib.sha256(source).hexdigest()}
    record(EventAction.PBXS_IMPORTED, detail=detail)
    return True


def rows_hold(plan: ImportPlan) -> None:
    """Hold all PBXs before the first event, and take the chains in the order of customers, as everybody does.

    Whoever edits one of them meanwhile waits, and so does not wait for us while we wait for them.
    """
    ids = [line.pbx.pk for line in plan.changed if line.pbx]
    list(Pbx.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))


def import_keep(user: User, data: bytes) -> PbxImport:
    """Keep a file until this person has seen what it would do. It replaces one that they brought before."""
    with transaction.atomic():
        PbxImport.objects.filter(user=user).delete()
        kept = PbxImport.objects.create(user=user)
        seal(kept, "content", data.decode())
        kept.save(update_fields=["content"])
    return kept


def import_kept(user: User, pk: int) -> tuple[PbxImport, bytes] | None:
    """What this person brought in the last half hour; None when it is not there, or its key is gone."""
    kept = PbxImport.objects.filter(user=user, kept_at__gt=timezone.now() - LIFE, pk=pk).first()
    try:
        return (kept, kept.content.open().encode()) if kept else None
    except SealBroken:
        return None


def imports_forget() -> int:
    """Delete what was kept for half an hour."""
    return PbxImport.objects.filter(kept_at__lte=timezone.now() - LIFE).delete()[0]
