"""The edit form, derived from yeastar.fields for the API version of the PBX and the rights of the person."""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError

from pbxadmin.access.customer_rules import check_record
from pbxadmin.access.models import Customer
from pbxadmin.access.rules import Rule
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.fields import BY_NAME, FieldError, IvrField, Kind
from pbxadmin.yeastar.readings import IvrSettings

from .changes.plan import Opened
from .field_rules import explained
from .models import Ivr

Draft = Mapping[str, str]
SALT = "ivr.opened.2"
FORM_LIFE_S = 24 * 3600


def opened_now(pbx: Pbx, live: IvrSettings, read_at: datetime) -> Opened:
    """Return the facts of a form that is opened now.

    pbx: the record by which it was read. live: the IVR as read.
    """
    address, serial = pbx.endpoint.base, pbx.answering_serial
    return Opened(pbx.pk, address, serial, live.number, live.values(), read_at, str(uuid.uuid4()))


def sealed_in_form(opened: Opened) -> str:
    """Return the facts of an opened form as signed text, which the form itself carries."""
    facts = asdict(opened) | {"read_at": opened.read_at.isoformat()}
    return signing.dumps(facts, salt=SALT, compress=True)


def opened_from(text: str, pbx_id: int, number: str) -> Opened | None:
    """Return the facts that `sealed_in_form` signed, or None for another IVR, a forged text or one that is too old."""
    try:
        facts = signing.loads(text, salt=SALT, max_age=FORM_LIFE_S)
    except signing.BadSignature:
        return None
    opened = Opened(**facts | {"read_at": datetime.fromisoformat(facts["read_at"])})
    return opened if (opened.pbx_id, opened.number) == (pbx_id, number) else None


def in_one_line(text: str) -> str:
    """Return a text as an input of one line gives it back: browsers take line breaks out of its value."""
    return re.sub("[\r\n]", "", text).strip()


class SettingField(forms.CharField):
    """Text or a number of an IVR. What was not touched passes, also when the PBX holds what we would not write."""

    def __init__(self, setting: IvrField, base: str | None) -> None:
        is_number = setting.kind in (Kind.COUNT, Kind.NUMBER)
        size = {Kind.COUNT: "num", Kind.NUMBER: "id"}.get(setting.kind, "name")
        attrs = {"class": size, "autocomplete": "off"} | ({"inputmode": "numeric"} if is_number else {})
        super().__init__(
            required=False,
            strip=False,
            label=setting.label,
            help_text=explained(setting),
            initial=base or "",
            widget=forms.TextInput(attrs=attrs),
        )
        self.setting, self.base, self.unit = setting, base, setting.unit

    def clean(self, value: Any) -> str | None:
        typed = str(value or "").strip()
        if in_one_line(typed) == in_one_line(self.base or ""):
            return self.base
        try:
            return self.setting.check(typed)
        except FieldError as error:
            raise ValidationError(str(error)) from None


class SwitchField(forms.BooleanField):
    """A switch of an IVR. Left off where the PBX reported nothing, or nothing we know, it stays as it is."""

    def __init__(self, setting: IvrField, base: str | None) -> None:
        super().__init__(required=False, label=setting.label, help_text=explained(setting), initial=base == "on")
        self.setting, self.base = setting, base

    def clean(self, value: Any) -> str | None:
        if super().clean(value):
            return "on"
        return "off" if self.base == "on" else self.base


# A kind that is not here cannot be edited.
FORM_FIELDS: dict[Kind, type[SettingField] | type[SwitchField]] = {
    Kind.NUMBER: SettingField,
    Kind.NAME: SettingField,
    Kind.COUNT: SettingField,
    Kind.SWITCH: SwitchField,
}


class RecordForm(forms.Form):
    """Ticket and reason, as far as the customer asks for them. What is typed into a field that is off is not stored.

    draft: values to open with instead of those of the PBX.
    """

    ticket = forms.CharField(required=False, max_length=100, help_text="Kept with the change.")
    reason = forms.CharField(required=False, max_length=500, help_text="Kept with the change.")

    def __init__(self, data: Mapping[str, Any] | None, *, customer: Customer, draft: Draft | None = None) -> None:
        super().__init__(data, initial={name: draft[name] for name in ("ticket", "reason") if draft and name in draft})
        self.customer = customer
        self.fields["ticket"].widget.attrs["class"] = "id"
        self.fields["reason"].widget.attrs["class"] = "name"
        for name, rule in (("ticket", customer.ticket_rule), ("reason", customer.reason_rule)):
            if rule == Rule.REQUIRED:
                self.fields[name].help_text = "Required. Kept with the change."
            if rule == Rule.OFF:
                del self.fields[name]
        if "ticket" in self.fields and customer.ticket_pattern:
            self.fields["ticket"].help_text += f" Such as {customer.ticket_example}."

    def clean(self) -> dict[str, Any]:
        """Check the rules of the customer, as `change_plan` does, to show what is wrong beside the field."""
        try:
            check_record(self.customer, *self.reason_and_ticket)
        except ValidationError as error:
            self.add_error(None, error)
        return self.cleaned_data

    @property
    def reason_and_ticket(self) -> tuple[str, str]:
        """Return what was typed for the record."""
        return self.cleaned_data.get("reason", ""), self.cleaned_data.get("ticket", "")

    def sections(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Return the headings of the form, each with its fields."""
        shown = [self[name] for name in ("ticket", "reason") if name in self.fields]
        return [("For the record", shown)] if shown else []


class IvrForm(RecordForm):
    """`wanted` holds what differs from the form as it was opened, in canonical text by own field name."""

    def __init__(
        self,
        opened: Opened,
        settings: Iterable[IvrField],
        data: Mapping[str, Any] | None = None,
        *,
        customer: Customer,
        draft: Draft | None = None,
    ) -> None:
        super().__init__(data, customer=customer, draft=draft)
        self.opened = opened
        self.settings = tuple(settings)
        for setting in self.settings:
            base = opened.values.get(setting.name)
            self.fields[setting.name] = FORM_FIELDS[setting.kind](setting, base)
            if draft and draft.get(setting.name, base) != base:
                asked = draft[setting.name]
                self.initial[setting.name] = asked == "on" if setting.kind is Kind.SWITCH else asked
                self.fields[setting.name].help_text += f" On the PBX now: {setting.in_words(base)}."

    @property
    def has_unsaved(self) -> bool:
        """Whether it holds something that is stored nowhere yet: typed and sent back, or taken from a plan."""
        return self.is_bound or bool(self.initial)

    @property
    def sealed(self) -> str:
        return sealed_in_form(self.opened)

    @property
    def wanted(self) -> dict[str, str]:
        values = {setting.name: self.cleaned_data.get(setting.name) for setting in self.settings}
        return {
            name: text for name, text in values.items() if text is not None and text != self.opened.values.get(name)
        }

    def clean_number(self) -> str | None:
        number: str | None = self.cleaned_data["number"]
        if number != self.opened.number:
            used_by = Ivr.objects.filter(pbx_id=self.opened.pbx_id, number=number).first()
            if used_by:
                raise ValidationError(
                    f"{number} is already used on this PBX, by {used_by.name or 'an IVR without a name'}."
                )
        return number

    def sections(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Return the fields under the headings of the page, in the order of the table; reason and ticket last."""
        found: dict[str, list[forms.BoundField]] = {}
        for setting in self.settings:
            found.setdefault(BY_NAME[setting.name].group, []).append(self[setting.name])
        return [*found.items(), *super().sections()]
