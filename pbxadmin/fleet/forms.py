"""The forms of the PBX pages."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils import timezone

from pbxadmin.access.models import AnyUser, Customer, CustomerQuerySet
from pbxadmin.access.names import fold, refuse_unseen, tidy
from pbxadmin.access.permissions import customers_of
from pbxadmin.access.roles import Action
from pbxadmin.web.filters import FilterForm, SortedList, saved_list
from pbxadmin.web.words import PBX_STATES
from pbxadmin.yeastar.transport import TrustMode

from .freshness import FRESHNESS, read_within
from .inputs import clean_fingerprint, parts_sentence, web_address_parts
from .models import Pbx, PbxQuerySet, PbxState, SavedFilter
from .record_fields import (
    EXPORT_COLUMNS,
    RECORD_FIELD_BY_NAME,
    RECORD_FIELDS,
    FormPart,
    InputKind,
    RecordField,
)

Saved = TypeVar("Saved")
WIDGETS: Mapping[InputKind, type[forms.Widget]] = {
    InputKind.TEXT: forms.TextInput,
    InputKind.LONG_TEXT: forms.Textarea,
    InputKind.SECRET: forms.PasswordInput,
}


class InputField(forms.CharField):
    """Text that a function converts into the value to store."""

    def __init__(self, *, cleaned_by: Callable[[str], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cleaned_by = cleaned_by

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return self.cleaned_by(text) if text else text


def form_field(field: RecordField) -> forms.Field:
    """Return the form field by which a field of the record is entered."""
    common: dict[str, Any] = {"label": field.label or None, "help_text": field.hint, "required": field.is_required}
    if field.kind is InputKind.CUSTOMER:
        return forms.ModelChoiceField(Customer.objects.none(), empty_label="Choose a customer", **common)
    if field.kind is InputKind.CHOICE:
        return forms.ChoiceField(choices=field.choices, initial=field.default, **common)
    common |= {"max_length": field.max_length, "widget": WIDGETS[field.kind](attrs=dict(field.attrs))}
    if field.kind is InputKind.SECRET:
        return forms.CharField(strip=False, **common)
    initial = None if field.default == "" else field.default
    return InputField(cleaned_by=field.clean, validators=field.validators, initial=initial, **common)


if TYPE_CHECKING:
    RecordFieldsForm = forms.Form
else:
    RecordFieldsForm = type(forms.Form)(
        "RecordFieldsForm", (forms.Form,), {field.name: form_field(field) for field in RECORD_FIELDS}
    )


class PbxForm(RecordFieldsForm):
    """The form of a PBX record, with the fields of RECORD_FIELDS.

    The customer is fixed once the PBX has answered under it.
    """

    def __init__(
        self, data: Mapping[str, Any] | None, *, user: AnyUser, pbx: Pbx | None = None, customer: str = ""
    ) -> None:
        initial = {name: getattr(pbx, name) for name in EXPORT_COLUMNS} if pbx else {"customer": customer}
        self.host_note = ""
        super().__init__(data and self.taken_apart(data), initial=initial)
        self.pbx = pbx
        for field in self.fields.values():
            field.error_messages["required"] = "Fill this in."
        self.fields["host"].required = not self.host_note  # which says more
        customers = customers_of(user, Action.MANAGE_PBXS)
        self.fields["customer"].queryset = customers  # type: ignore[attr-defined]
        if not pbx and not customer and len(only := customers[:2]) == 1:
            self.initial["customer"] = only[0].pk
        if pbx and pbx.last_contact_at:
            del self.fields["customer"]
        if pbx and pbx.password_digest:
            self.fields["password"].required = False
            self.fields["password"].help_text = f"Set on {pbx.password_set_at:%Y-%m-%d}. Leave it empty to keep it."

    def taken_apart(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what was entered, with a pasted web address in parts. The form then asks the person to confirm them.

        An address that may hold a password is taken out, so that no page repeats it.
        """
        try:
            parts = web_address_parts(str(data.get("host", "")))
            self.host_note = parts_sentence(parts)
        except ValidationError as error:
            parts, self.host_note = {"host": ""}, error.messages[0]
        changed = cast(dict[str, Any], copy(data))
        for name, part in parts.items():
            changed[name] = part
        return changed

    def full_clean(self) -> None:
        super().full_clean()
        if self.errors and self.data.get("password"):
            self["password"].help_text = "Type it again: no page repeats a password."

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if self.host_note:
            self.add_error("host", self.host_note)
        for field in RECORD_FIELDS:
            if field.default and values.get(field.name) == "":  # not sent: keep the stored value or the default
                values[field.name] = self.get_initial_for_field(self.fields[field.name], field.name)
        if values.get("trust") == TrustMode.CA and values.get("ca_certificate") == "":
            self.add_error("ca_certificate", "Paste the certificate of the authority that this PBX is trusted by.")
        if self.needs_password_again(values):
            self.add_error("password", f"Enter it again: {values['api_version']} needs it in another form.")
        customer = values.get("customer", self.pbx.customer if self.pbx else None)
        if self.is_taken(customer, values.get("name", "")):
            self.add_error("name", f"{customer} has a PBX with this name already.")
        return values

    def needs_password_again(self, values: Mapping[str, Any]) -> bool:
        """Return whether the stored digest is of no use, because the driver of another vendor made it."""
        if self.pbx is None or not self.pbx.password_digest or values.get("password"):
            return False
        return values.get("api_version", self.pbx.api_version) not in self.pbx.driver.newest_first

    def is_taken(self, customer: Customer | None, name: str) -> bool:
        others = Pbx.objects.exclude(pk=self.pbx.pk) if self.pbx else Pbx.objects.all()
        return others.filter(customer=customer, name__iexact=name).exists()

    def sections(self) -> list[tuple[str, list[BoundField]]]:
        """Return the headings of the form, each with its fields."""
        shown = [field for field in RECORD_FIELDS if field.name in self.fields]
        return [(part.value, [self[field.name] for field in shown if field.part is part]) for part in FormPart]

    def saved(self, use_case: Callable[..., Saved]) -> Saved | None:
        """Call a use case with what was entered. Return None, with errors in the form, when it is refused."""
        if not self.is_valid():
            return None
        try:
            return use_case(**self.entered())
        except ValidationError as error:
            self.add_error(None, error)
            return None

    def entered(self) -> dict[str, Any]:
        values = dict(self.cleaned_data)
        entered = {"values": values, "password": values.pop("password")}
        return entered if self.pbx else entered | {"customer": values.pop("customer")}


class RowForm(PbxForm):
    """The form of a PBX record for one row of a file. An empty cell keeps the stored value, or takes the default."""

    def __init__(
        self, cells: Mapping[str, str], *, user: AnyUser, pbx: Pbx | None, check_host: Callable[[str], str]
    ) -> None:
        there = {
            name: getattr(pbx, name) if pbx else RECORD_FIELD_BY_NAME[name].default
            for name in EXPORT_COLUMNS
            if name != "customer"
        }
        data = {name: value for name, value in there.items() if value} | {n: cell for n, cell in cells.items() if cell}
        super().__init__(data, user=user, pbx=pbx)
        self.fields.pop("customer", None)
        self.fields["host"].cleaned_by = check_host  # type: ignore[attr-defined]
        for field in self.fields.values():
            if isinstance(field, forms.ChoiceField):  # without the value: a cell in the wrong column may be a password
                known = ", ".join(str(value) for value, _ in field.choices)  # type: ignore[misc, union-attr]
                field.error_messages["invalid_choice"] = f"Not one of {known}."

    def is_taken(self, customer: Customer | None, name: str) -> bool:
        return False  # the name says which PBX the row is about

    def values_and_password(self) -> tuple[dict[str, Any], str]:
        values = dict(self.cleaned_data)
        return values, values.pop("password")


class ImportForm(forms.Form):
    file = forms.FileField(
        label="CSV file", help_text="Up to 5,000 rows and 2 MiB.", error_messages={"required": "Choose a file."}
    )


class SavedFilterForm(forms.Form):
    list = forms.ChoiceField(choices=SavedFilter.List.choices)
    name = InputField(cleaned_by=tidy, max_length=40, validators=[refuse_unseen], label="Name")
    query = forms.CharField(max_length=4000, required=False)
    customer = forms.ModelChoiceField(Customer.objects.none(), required=False)

    def __init__(self, data: Mapping[str, Any], *, customers: CustomerQuerySet) -> None:
        super().__init__(data)
        self.fields["customer"].queryset = customers  # type: ignore[attr-defined]

    @property
    def list_(self) -> str:
        return str(self.cleaned_data.get("list", SavedFilter.List.IVRS))

    @property
    def sentence(self) -> str:
        """Return the first error, in a sentence."""
        name, errors = next(iter(self.errors.items()))
        return f"{self.fields[name].label or str(name).capitalize()}: {errors[0]}"


NEEDS_ATTENTION = "needs-attention"  # one choice for every state that a person has to look at

STATE_CHOICES = [
    ("", "Any state"),
    (NEEDS_ATTENTION, "Needs attention"),
    *((state.value, PBX_STATES[state].label) for state in PbxState),
]
READ_CHOICES = [("", "Read at any time"), *((age, f"Read {look.label.lower()}") for age, look in FRESHNESS.items())]


@saved_list(SavedFilter.List.PBXS.value)
class PbxFilter(SortedList, FilterForm):
    """The filter and the order of the list of PBXs, from the query of its address."""

    SORTS = {
        "name": ("name", "id"),
        "state": ("urgency", "name", "id"),
        "customer": ("customer__name", "name", "id"),
        "ivrs": ("-ivr_count", "name", "id"),
        "contact": ("-last_contact_at", "name", "id"),
    }

    q = forms.CharField(max_length=200, required=False)
    customer = forms.ModelChoiceField(Customer.objects.none(), required=False, empty_label="All customers")
    state = forms.ChoiceField(choices=STATE_CHOICES, required=False)
    read = forms.ChoiceField(choices=READ_CHOICES, required=False)
    tag = forms.CharField(max_length=200, required=False)
    sort = forms.CharField(required=False)

    def asked_sort(self) -> str:
        return str(self.data.get("sort", ""))

    def __init__(self, data: Mapping[str, Any], *, user: AnyUser) -> None:
        super().__init__(data, customers=Customer.objects.visible_to(user))

    def narrow(self, pbxs: PbxQuerySet) -> PbxQuerySet:
        """Return the PBXs that the filter lets through: none for a customer or state that does not exist."""
        if not self.is_valid():
            return pbxs.none()
        pbxs = pbxs.matching(self.cleaned_data["q"])
        if customer := self.cleaned_data["customer"]:
            pbxs = pbxs.filter(customer=customer)
        if state := self.cleaned_data["state"]:
            pbxs = pbxs.needing_a_person() if state == NEEDS_ATTENTION else pbxs.filter(state=state)
        if age := self.cleaned_data["read"]:
            pbxs = pbxs.in_use().filter(read_within(age, timezone.now()))
        if tag := fold(self.cleaned_data["tag"]):
            pbxs = pbxs.tagged(tag)
        return pbxs

    def shown_chips(self) -> list[tuple[str, str]]:
        """Return what narrows the list in words, each with the query without it."""
        given = {name: str(self.data.get(name, "")) for name in self.parameters()}
        customer = self.chosen_customer
        return self.chips(
            {
                "q": f"“{given['q']}”",
                "customer": customer.name if customer else "A customer you do not see",
                "state": dict(STATE_CHOICES).get(given["state"], given["state"]),
                "read": dict(READ_CHOICES).get(given["read"], given["read"]),
                "tag": f"Tag {given['tag']}",
            }
        )


class PinForm(forms.Form):
    """The form that pins a certificate. Replacing a pin needs a reason."""

    fingerprint = InputField(cleaned_by=clean_fingerprint, max_length=200)
    reason = forms.CharField(max_length=500, required=False)

    def __init__(self, data: Mapping[str, Any], *, pbx: Pbx) -> None:
        super().__init__(data)
        self.fields["reason"].required = bool(pbx.fingerprint)


class ReplacementForm(forms.Form):
    serial = forms.CharField(max_length=100)
    reason = forms.CharField(max_length=500)


class DeleteForm(forms.Form):
    name = forms.CharField(
        max_length=200, label="Name of the PBX", widget=forms.TextInput({"class": "name", "autocomplete": "off"})
    )

    def __init__(self, data: Mapping[str, Any] | None, *, pbx: Pbx) -> None:
        super().__init__(data)
        self.pbx = pbx

    def clean_name(self) -> str:
        if tidy(self.cleaned_data["name"]) != self.pbx.name:
            raise ValidationError(f"Type {self.pbx.name} to delete it. Nothing was deleted.")
        return self.pbx.name
