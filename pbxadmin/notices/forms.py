"""Forms of notices: the filter of the list, a person's choices, and the addresses of teams."""

from collections.abc import Mapping
from typing import Any

from django import forms

from pbxadmin.access.forms import TimeZoneField
from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import can, customers_of
from pbxadmin.web.filters import FilterForm

from .kinds import NOTICE_KINDS, kind_choices
from .models import ConditionQuerySet, NoticeClock, NoticePace, NoticeSeverity
from .pace import usual_pace

EVERY_KIND = "Every kind, but not of the log"
HOURS = [(hour, f"{hour:02}:00") for hour in range(24)]


class ConditionFilter(FilterForm):
    """The filter of what is open, from the query of its address."""

    customer = forms.ModelChoiceField(Customer.objects.none(), required=False, empty_label="All customers")
    kind = forms.ChoiceField(choices=[], required=False)
    state = forms.ChoiceField(choices=[("", "All that is open"), ("new", "Not acknowledged")], required=False)

    def __init__(self, data: Mapping[str, Any], *, user: User) -> None:
        super().__init__(data, customers=customers_of(user))
        self.fields["kind"].choices = [("", "Any kind"), *kind_choices()]  # type: ignore[attr-defined]

    def narrow(self, conditions: ConditionQuerySet, now: Any) -> ConditionQuerySet:
        if not self.is_valid():
            return conditions.none()
        given = self.cleaned_data
        if given["customer"]:
            conditions = conditions.filter(customer_id=given["customer"].pk)
        if given["kind"]:
            conditions = conditions.filter(kind=given["kind"])
        return conditions.unacknowledged(now) if given["state"] == "new" else conditions


class ChoicesForm(forms.Form):
    """When a person is told, and at which hour the mail of a day goes."""

    pace = forms.ChoiceField(required=False, label="Of all customers", help_text="Those below have their own.")
    hour = forms.TypedChoiceField(choices=HOURS, coerce=int, label="The mail of a day goes at")
    time_zone = TimeZoneField()

    def __init__(self, data: Mapping[str, Any] | None, *, chosen: str, roles: list[str], clock: NoticeClock) -> None:
        super().__init__(data, initial={"pace": chosen, "hour": clock.hour, "time_zone": clock.person.time_zone})
        usual = f"As usual for your roles: {usual_pace(roles).label.lower()}"
        self.fields["pace"].choices = [("", usual), *NoticePace.choices]  # type: ignore[attr-defined]

    def sections(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [("When", [self["pace"], self["hour"], self["time_zone"]])]


class CustomerChoiceForm(forms.Form):
    """When a person is told of one customer."""

    customer = forms.ModelChoiceField(Customer.objects.none(), empty_label="Choose a customer")
    pace = forms.ChoiceField(
        choices=[*NoticePace.choices, ("", "As for all others")], required=False, label="When", initial=NoticePace.DAILY
    )

    def __init__(self, data: Mapping[str, Any] | None, *, user: User) -> None:
        super().__init__(data)
        self.fields["customer"].queryset = customers_of(user)  # type: ignore[attr-defined]


class RouteForm(forms.Form):
    """The address of a team, and what goes there."""

    address = forms.EmailField(max_length=254, widget=forms.EmailInput({"class": "name"}), label="Address of the team")
    kind = forms.ChoiceField(choices=[], required=False, label="What")
    least = forms.TypedChoiceField(
        choices=NoticeSeverity.choices, coerce=int, initial=NoticeSeverity.WARNING, label="From which severity"
    )

    def __init__(self, data: Mapping[str, Any] | None, *, user: User, customer: Customer) -> None:
        """Offer the kinds that this person may know of themselves."""
        super().__init__(data)
        offered = [(name, label) for name, label in kind_choices() if can(user, NOTICE_KINDS[name].right, customer)]
        self.fields["kind"].choices = [("", EVERY_KIND), *offered]  # type: ignore[attr-defined]
