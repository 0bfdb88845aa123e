"""Forms of policies and of exceptions."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from pbxadmin.access.models import Customer, User
from pbxadmin.access.names import fold
from pbxadmin.access.permissions import can, customers_of
from pbxadmin.access.roles import Action
from pbxadmin.fleet.inputs import LONGEST_TAG
from pbxadmin.web.filters import FilterForm
from pbxadmin.web.times import utc_today
from pbxadmin.yeastar.fields import BY_NAME, FIELDS, FieldError, Kind

from .models import Policy, PolicyException, PolicyExceptionQuerySet, Severity, ViolationQuerySet
from .rules import PolicyComparison, clean_value

LONGEST_EXCEPTION = timedelta(days=365)
USUAL_EXCEPTION = timedelta(days=7)
POLICY_COLUMNS = ("title", "reason", "severity", "field", "comparison", "value", "tag")
POLICY_SECTIONS = {
    "What": ("field", "comparison", "value"),
    "Applies to": ("customer", "tag"),
    "Why": ("title", "reason", "severity"),
}


class PolicyForm(forms.Form):
    """A policy: of a customer whose rules the user sets, or of all for a site admin."""

    customer = forms.ModelChoiceField(Customer.objects.none(), required=False, empty_label="All customers")
    field = forms.ChoiceField(
        choices=[(field.name, field.label) for field in FIELDS if field.kind is not Kind.NUMBER], label="Field"
    )
    comparison = forms.ChoiceField(choices=PolicyComparison.choices, label="Should be")
    value = forms.CharField(
        max_length=500,
        widget=forms.TextInput({"class": "id", "autocomplete": "off"}),
        help_text="On or Off for switches. Several with commas between them for “is one of”.",
    )
    tag = forms.CharField(
        required=False,
        max_length=LONGEST_TAG,
        label="Only PBXs with the tag",
        widget=forms.TextInput({"class": "id", "autocomplete": "off"}),
        help_text="Empty: with any tag or none.",
    )
    title = forms.CharField(max_length=80, widget=forms.TextInput({"class": "name"}))
    reason = forms.CharField(
        max_length=500, widget=forms.TextInput({"class": "name"}), help_text="Shown beside what breaks it."
    )
    severity = forms.ChoiceField(choices=Severity.choices)

    def __init__(self, data: Mapping[str, Any] | None, *, user: User, policy: Policy | None = None) -> None:
        kept = {name: getattr(policy, name) for name in (*POLICY_COLUMNS, "customer")} if policy else {}
        super().__init__(data, initial={"severity": Severity.MEDIUM, **kept})
        customer: Any = self.fields["customer"]
        customer.queryset = customers_of(user, Action.MANAGE_RULES)
        if not can(user, Action.MANAGE_CUSTOMERS, None):
            customer.required, customer.empty_label = True, "Choose a customer"
        if policy is not None:
            for name in ("customer", "field"):
                self.fields[name].disabled = True
                self.fields[name].help_text = "Cannot be changed. Add another policy instead."
            customer.queryset = Customer.objects.filter(pk=policy.customer_id or 0)
            customer.required = False
            customer.empty_label = "All customers"

    def clean_tag(self) -> str:
        return fold(self.cleaned_data["tag"])

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if {"field", "comparison", "value"} <= values.keys():
            try:
                values["value"] = clean_value(BY_NAME[values["field"]], values["comparison"], values["value"])
            except FieldError as error:
                self.add_error("value", str(error))
        return values

    @property
    def columns(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in POLICY_COLUMNS}

    def sections(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [(heading, [self[name] for name in names]) for heading, names in POLICY_SECTIONS.items()]


class ExceptionForm(forms.Form):
    """Why a violation may stay, and through which day."""

    value = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)
    reason = forms.CharField(max_length=500, widget=forms.TextInput({"class": "name"}), label="Why it may stay")
    ends_on = forms.DateField(
        label="Last day",
        widget=forms.DateInput({"type": "date", "class": "day"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        help_text="At most a year from now. After it, or when the value moves, it is open again.",
    )

    def __init__(self, data: Mapping[str, Any] | None, *, value: str) -> None:
        super().__init__(data, initial={"value": value, "ends_on": utc_today() + USUAL_EXCEPTION})

    def clean_ends_on(self) -> date:
        day: date = self.cleaned_data["ends_on"]
        today = utc_today()
        if not today <= day <= today + LONGEST_EXCEPTION:
            raise ValidationError("Give a day from today to a year from now.")
        return day

    def sections(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [("For the record", [self["reason"], self["ends_on"]])]


class ViolationFilter(FilterForm):
    """The filter of what breaks a policy, from the query of its address."""

    customer = forms.ModelChoiceField(Customer.objects.none(), required=False, empty_label="All customers")
    state = forms.ChoiceField(
        choices=[("", "Open and accepted"), ("open", "Open"), ("accepted", "Accepted")], required=False
    )

    def __init__(self, data: Mapping[str, Any], *, user: User) -> None:
        super().__init__(data, customers=customers_of(user))

    def narrow(self, violations: ViolationQuerySet) -> ViolationQuerySet:
        if not self.is_valid():
            return violations.none()
        if self.cleaned_data["customer"]:
            violations = violations.filter(pbx__customer=self.cleaned_data["customer"])
        if self.cleaned_data["state"] == "accepted":
            return violations.exclude(exception=None)
        return violations.still_open() if self.cleaned_data["state"] == "open" else violations


class ExceptionFilter(FilterForm):
    """The filter of exceptions, from the query of its address."""

    customer = forms.ModelChoiceField(Customer.objects.none(), required=False, empty_label="All customers")
    state = forms.ChoiceField(choices=[("", "Current"), ("ended", "Ended"), ("all", "All")], required=False)

    def __init__(self, data: Mapping[str, Any], *, user: User) -> None:
        super().__init__(data, customers=customers_of(user))

    def narrow(self, exceptions: PolicyExceptionQuerySet) -> "QuerySet[PolicyException]":
        if not self.is_valid():
            return exceptions.none()
        if self.cleaned_data["customer"]:
            exceptions = exceptions.filter(customer_id=self.cleaned_data["customer"].pk)
        state = self.cleaned_data["state"]
        if state == "ended":
            return exceptions.exclude(ended_at=None)
        return exceptions if state == "all" else exceptions.current()
