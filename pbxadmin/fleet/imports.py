"""Import of many PBX records from a file: read, check each row, preview, then save all rows or none.

Each row is checked by the form of a PBX record, so both have the same rules. Between preview and import the file is
stored sealed for half an hour, for the person who uploaded it.
"""

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from itertools import islice
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
from .inputs import clean_allowed_host, web_address_parts
from .models import Pbx, PbxImport
from .record_fields import RECORD_FIELD_BY_NAME
from .services import pbx_create, pbx_edit, was_rejected
from .sheet import ENCODINGS, MOST_FAULTS, UTF_8, BadSheet, SheetFault, SheetRow, sheet_read

LIFE = timedelta(minutes=30)
LOOK_UPS = 8
MOST_ODD_CELLS = 12
ALL_LOOK_UPS_S = 5.0


@dataclass(frozen=True)
class PlannedRow:
    """One row that passed the check: a new or an existing PBX. changes: field, value before, value after, as text."""

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
    """The result of checking a file: what an import would do, and what is wrong. With faults, nothing is imported.

    encoding: how the file was read. odd_cells: some cells with other letters than ASCII, to judge that by.
    """

    encoding: str = UTF_8
    lines: list[PlannedRow] = field(default_factory=list)
    faults: list[SheetFault] = field(default_factory=list)
    odd_cells: list[str] = field(default_factory=list)

    @property
    def read_as(self) -> str:
        """Name of the encoding that a person has to agree to, "" for UTF-8."""
        return "" if self.encoding == UTF_8 else ENCODINGS[self.encoding]

    @cached_property
    def added(self) -> list[PlannedRow]:
        return [line for line in self.lines if line.pbx is None]

    @cached_property
    def changed(self) -> list[PlannedRow]:
        return [line for line in self.lines if line.pbx is not None and line.differs]

    @cached_property
    def todo(self) -> list[PlannedRow]:
        return [line for line in self.lines if line.pbx is None or line.differs]

    @property
    def may_be_imported(self) -> bool:
        return bool(self.todo and not self.faults)

    @property
    def same(self) -> int:
        return len(self.lines) - len(self.todo)

    @cached_property
    def customers(self) -> list[Customer]:
        """Customers whose PBXs are added or changed."""
        return list({line.customer.folded: line.customer for line in self.todo}.values())

    @cached_property
    def new_customers(self) -> list[Customer]:
        return [customer for customer in self.customers if customer.pk is None]

    @cached_property
    def digest(self) -> str:
        """Digest of what the preview shows. It differs when somebody changed a PBX since."""
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
    def shown_faults(self) -> list[SheetFault]:
        return self.faults[:MOST_FAULTS]

    @property
    def more_faults(self) -> int:
        return max(0, len(self.faults) - MOST_FAULTS)

    @property
    def target(self) -> str:
        """Name of the only customer, or the number of customers, for the button."""
        return self.customers[0].name if len(self.customers) == 1 else f"{len(self.customers)} customers"


def import_plan(data: bytes, user: AnyUser, encoding: str = UTF_8) -> ImportPlan:
    """Read a CSV file and check each row for this person. Write nothing; spend at most 5 s on looking up host names."""
    try:
        rows, faults = sheet_read(data, encoding)
    except BadSheet as error:
        return ImportPlan(encoding, faults=[error.fault])
    plan = ImportPlan(encoding, faults=faults, odd_cells=odd_cells(rows))
    rows = list(rows_taken_apart(rows, plan))
    check = RowCheck(rows, user)
    for row in rows:
        check.one(row, plan)
    plan.faults.sort(key=lambda fault: fault.line)
    return plan


def rows_taken_apart(rows: Collection[SheetRow], plan: ImportPlan) -> Iterator[SheetRow]:
    """Yield rows with the web address of a host in parts. What is wrong with one goes to the faults of the plan."""
    for row in rows:
        try:
            yield replace(row, cells=cells_taken_apart(row.cells))
        except ValidationError as error:
            plan.faults.append(SheetFault(row.line, "host", error.messages[0]))


def cells_taken_apart(cells: dict[str, str]) -> dict[str, str]:
    """Return cells with a web address in parts. Raises ValidationError when another cell contradicts it."""
    parts = web_address_parts(cells.get("host", ""))
    for name in parts.keys() & {"scheme", "port"}:
        if cells.get(name, "").strip().lower() not in ("", parts[name]):
            raise ValidationError(f"The column {name} says otherwise than this web address.")
    return cells | parts


def odd_cells(rows: Collection[SheetRow]) -> list[str]:
    """Return cells that another encoding would change, each once, without those that are secret."""
    shown = (cell for row in rows for name, cell in row.cells.items() if not RECORD_FIELD_BY_NAME[name].is_secret)
    return list(islice(dict.fromkeys(cell for cell in shown if not cell.isascii()), MOST_ODD_CELLS))


class RowCheck:
    """The check of the rows of one file. What all rows need is read once."""

    def __init__(self, rows: Collection[SheetRow], user: AnyUser) -> None:
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

    def one(self, row: SheetRow, plan: ImportPlan) -> None:
        """Check a row, and add it to the plan or what is wrong with it to the faults."""
        try:
            customer = self.customer(row.cells["customer"])
        except ValidationError as error:
            plan.faults.extend(SheetFault(row.line, "customer", text) for text in error.messages)
            return
        place = customer.folded, fold(row.cells["name"])
        if place in self.seen:
            plan.faults.append(SheetFault(row.line, "name", f"This PBX stands on line {self.seen[place]} already."))
            return
        self.seen[place] = row.line
        pbx = self.pbxs.get(place)
        form = RowForm(row.cells, user=self.user, pbx=pbx, check_host=self.host)
        if not form.is_valid():
            plan.faults.extend(faults_of(row.line, form))
            return
        values, password = form.values_and_password()
        if pbx and was_rejected(pbx, password):
            password = ""  # a file imported every night must not repeat it until the PBX locks our address out
        plan.lines.append(PlannedRow(row.line, customer, pbx, values, password, values_changed(pbx, values)))

    def customer(self, name: str) -> Customer:
        """Return the customer with this name, an unsaved one if the person may add customers.

        Raises ValidationError, with the same sentence for a customer of others and one that does not exist.
        """
        if not tidy(name):
            raise ValidationError("Fill this in.")
        folded = fold(name)
        if folded not in self.customers:
            if not self.may_add_customers:
                raise ValidationError("You manage no PBXs of a customer of this name. Site admins add customers.")
            customer = Customer(name=name, folded=folded)
            if Customer.objects.filter(folded=folded).exists():
                raise ValidationError("This customer is archived.")
            customer.clean_fields()
            self.customers[folded] = customer
        return self.customers[folded]

    def host(self, text: str) -> str:
        if text not in self.hosts:  # the cell is empty: this is the stored value
            return clean_allowed_host(text, may_look_up=False)
        host = self.hosts[text]
        if isinstance(host, ValidationError):
            raise host
        return host


def hosts_checked(hosts: Collection[str]) -> dict[str, str | ValidationError]:
    """Return each host as the form stores it, or the error for it.

    Names are looked up a few at a time. A name that is not reached within 5 s is only parsed: each call checks again.
    """
    until = time.monotonic() + ALL_LOOK_UPS_S

    def checked(host: str) -> str | ValidationError:
        try:
            return clean_allowed_host(host, may_look_up=time.monotonic() < until)
        except ValidationError as error:
            return error

    with ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="import") as pool:
        return dict(zip(hosts, pool.map(checked, hosts), strict=True))


def faults_of(line: int, form: RowForm) -> Iterator[SheetFault]:
    for name, errors in form.errors.items():
        column = "" if name == "__all__" else str(name)
        yield from (SheetFault(line, column, str(text)) for text in errors)


def values_changed(pbx: Pbx | None, values: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    before = {name: "" if pbx is None else getattr(pbx, name) for name in values}
    return [(name, str(before[name]), str(value)) for name, value in values.items() if before[name] != value]


def import_apply(plan: ImportPlan, *, source: bytes, stored: PbxImport | None = None) -> bool:
    """Save all rows, or none. Return False when this import was applied or discarded meanwhile.

    source: the file; the event records its hash. stored: the stored file, which is deleted with the import.
    Raises ValidationError when something changed since the plan was made, such as a name that is taken now.
    """
    if plan.faults:
        raise ValueError("an import with faults is never applied")
    with transaction.atomic():
        if stored is not None and not PbxImport.objects.filter(pk=stored.pk).delete()[0]:
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
    # After the transaction: this event is in the chain of the installation, which sign-ins need too.
    counts: dict[str, int | str] = {"added": len(plan.added), "changed": len(plan.changed), "same": plan.same}
    counts |= {"read_as": plan.read_as} if plan.read_as else {}
    detail = counts | {"new_customers": len(saved), "file_sha256": hashlib.sha256(source).hexdigest()}
    record(EventAction.PBXS_IMPORTED, detail=detail)
    return True


def rows_hold(plan: ImportPlan) -> None:
    """Lock the rows of all PBXs to change, before the first event.

    Anybody who edits one of them meanwhile waits here, before taking the chain of its customer: no deadlock.
    """
    ids = [line.pbx.pk for line in plan.changed if line.pbx]
    list(Pbx.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))


def import_store(user: User, data: bytes, encoding: str = UTF_8) -> PbxImport:
    """Store a file, sealed, until this person has seen its preview. It replaces an earlier file of theirs."""
    with transaction.atomic():
        PbxImport.objects.filter(user=user).delete()
        stored = PbxImport.objects.create(user=user, encoding=encoding)
        seal(stored, "content", data.decode(encoding))
        stored.save(update_fields=["content"])
    return stored


def import_stored(user: User, pk: int) -> tuple[PbxImport, bytes] | None:
    """Return a file that this person uploaded in the last half hour, or None; also None when its key is gone."""
    stored = PbxImport.objects.filter(user=user, kept_at__gt=timezone.now() - LIFE, pk=pk).first()
    try:
        return (stored, stored.content.open().encode(stored.encoding)) if stored else None
    except SealBroken:
        return None


def imports_forget() -> int:
    """Delete files that are older than half an hour. Return how many."""
    return PbxImport.objects.filter(kept_at__lte=timezone.now() - LIFE).delete()[0]
