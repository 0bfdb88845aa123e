"""The form of a batch: each writable field with "leave as is", the pace, and what the customers want for the record."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.utils import timezone

from ivr.field_rules import explained
from pbxadmin.access.customer_rules import check_record
from pbxadmin.access.models import Customer
from pbxadmin.access.rules import Rule
from pbxadmin.yeastar.drivers import writable_fields
from pbxadmin.yeastar.fields import FieldError, IvrField, Kind

from .services import MOST_TARGETS, Pace

NEVER_IN_A_BATCH = ("number", "name")
LONGEST_PATIENCE = timedelta(days=7)
SWITCH_CHOICES = (("", "Leave as is"), ("on", "On"), ("off", "Off"))


class ValueField(forms.CharField):
    """A value for all targets; empty leaves each as it is."""

    def __init__(self, setting: IvrField) -> None:
        attrs = {"class": "num", "inputmode": "numeric", "autocomplete": "off", "placeholder": "as is"}
        help_text = f"{explained(setting)} Empty: leave as is."
        widget = forms.TextInput(attrs=attrs)
        super().__init__(required=False, label=setting.label, help_text=help_text, widget=widget)
        self.setting, self.unit = setting, setting.unit

    def clean(self, value: Any) -> str:
        typed = str(value or "").strip()
        try:
            return self.setting.check(typed) if typed else ""
        except FieldError as error:
            raise ValidationError(str(error)) from None


def switch_field(setting: IvrField) -> forms.ChoiceField:
    return forms.ChoiceField(choices=SWITCH_CHOICES, required=False, label=setting.label, help_text=explained(setting))


def batch_fields(api_versions: Iterable[str]) -> list[IvrField]:
    """Return the fields that a batch can set on PBXs of these API versions: what one of them can change."""
    found = {each.name: each for version in sorted(set(api_versions)) for each in writable_fields(version)}
    return [each for name, each in found.items() if name not in NEVER_IN_A_BATCH]


class BatchForm(forms.Form):
    """`wanted` holds the values to set, in canonical text by own field name."""

    needs_values = True
    ticket = forms.CharField(required=False, max_length=100, help_text="Kept with each change.")
    reason = forms.CharField(required=False, max_length=500, help_text="Kept with each change.")
    canary = forms.IntegerField(
        min_value=1,
        max_value=MOST_TARGETS,
        initial=3,
        label="Change first",
        help_text="After these it pauses by itself.",
    )
    pbxs_at_once = forms.IntegerField(min_value=1, initial=8, label="PBXs at once")
    halt_after = forms.IntegerField(
        min_value=1,
        max_value=1000,
        initial=3,
        label="Halt after",
        help_text="IVRs that are not verified. Among the first ones, one is enough.",
    )
    keep_trying_until = forms.DateTimeField(
        required=False,
        label="Keep trying until",
        help_text="Your time, at most 7 days ahead. A PBX that is off waits until then. Empty: it is not tried again.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    only_in_hours = forms.BooleanField(required=False, label="Only in the customer's working hours")

    def __init__(
        self,
        settings_: Iterable[IvrField],
        customers: Iterable[Customer],
        data: Mapping[str, Any] | None = None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        self.settings, self.customers = tuple(settings_), list(customers)
        self.fields["pbxs_at_once"].validators.append(MaxValueValidator(settings.REFRESH_THREADS))
        for name in ("canary", "pbxs_at_once", "halt_after"):
            self.fields[name].widget = forms.TextInput(attrs={"class": "num", "inputmode": "numeric"})
        self.fields["ticket"].widget.attrs["class"] = "id"
        self.fields["reason"].widget.attrs["class"] = "name"
        for name, rule in (("ticket", "ticket_rule"), ("reason", "reason_rule")):
            whose = [each.name for each in self.customers if getattr(each, rule) == Rule.REQUIRED]
            if whose:
                self.fields[name].help_text = f"Required by {', '.join(whose[:3])}. Kept with each change."
        for setting in self.settings:
            self.fields[setting.name] = switch_field(setting) if setting.kind is Kind.SWITCH else ValueField(setting)

    def clean_keep_trying_until(self) -> Any:
        until = self.cleaned_data["keep_trying_until"]
        if until is None:
            return None
        if not timezone.now() < until <= timezone.now() + LONGEST_PATIENCE:
            raise ValidationError("Give a time from now to seven days from now.")
        return until

    def clean(self) -> dict[str, Any]:
        """Check that something is set, and the rules of every customer: the strictest applies."""
        if self.needs_values and not self.errors and not self.wanted:
            raise ValidationError("Set at least one field. All of them are left as they are.")
        for customer in self.customers:
            try:
                check_record(customer, self.cleaned_data.get("reason", ""), self.cleaned_data.get("ticket", ""))
            except ValidationError as error:
                self.add_error(None, error)
        return self.cleaned_data

    @property
    def wanted(self) -> dict[str, str]:
        values = {setting.name: self.cleaned_data.get(setting.name) or "" for setting in self.settings}
        return {name: text for name, text in values.items() if text}

    @property
    def pace(self) -> Pace:
        names = ("canary", "pbxs_at_once", "halt_after", "keep_trying_until", "only_in_hours")
        return Pace(**{name: self.cleaned_data[name] for name in names})

    @property
    def reason_typed(self) -> str:
        return " ".join(self.cleaned_data["reason"].split())

    @property
    def ticket_typed(self) -> str:
        return str(self.cleaned_data["ticket"]).strip()

    def sections(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Return the headings of the form, each with its fields."""
        values: dict[str, list[forms.BoundField]] = {}
        for setting in self.settings:
            values.setdefault(setting.group, []).append(self[setting.name])
        pace = [self[name] for name in ("canary", "pbxs_at_once", "halt_after", "keep_trying_until", "only_in_hours")]
        return [*values.items(), ("How", pace), ("For the record", [self["ticket"], self["reason"]])]


class RestoreForm(BatchForm):
    """The form of a batch that gives each target its own old values: how to go about it, and the record."""

    needs_values = False

    def __init__(self, customers: Iterable[Customer], data: Mapping[str, Any] | None = None) -> None:
        super().__init__((), customers, data)
