"""Forms of the desk and of periods."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from pbxadmin.access.models import AnyUser, Customer
from pbxadmin.access.permissions import customers_of
from pbxadmin.access.roles import Action
from pbxadmin.web.filters import FilterForm
from pbxadmin.web.times import utc_today

from .kinds import KINDS
from .models import DeskItem, DeskItemQuerySet, Period
from .periods import month, quarter, quarter_number, stretches

OWN = "own"
MONTHS, QUARTERS = 13, 6


def event_id(text: str) -> int:
    """Return the id. Raises ValueError, also for a number that no database accepts."""
    if not text.isascii() or len(text) > 18:
        raise ValueError("no id of an event")
    return int(text)


class NoteForm(forms.Form):
    """The note of what an auditor found."""

    note = forms.CharField(
        label="What you found",
        max_length=500,
        widget=forms.TextInput({"class": "name", "autocomplete": "off"}),
        error_messages={"required": "Say in a few words what you found."},
    )


class ReviewForm(NoteForm):
    """The form that marks exceptions reviewed, with a note of what was found."""

    event = forms.TypedMultipleChoiceField(coerce=event_id)

    def __init__(self, data: Mapping[str, Any] | None, *, items: DeskItemQuerySet) -> None:
        super().__init__(data)
        self.items = items
        asked = data.getlist("event") if data is not None and hasattr(data, "getlist") else []
        self.fields["event"].choices = [(pk, pk) for pk in asked]  # type: ignore[attr-defined]
        self.fields["event"].error_messages["required"] = "Choose what you have looked at."

    def clean_event(self) -> list[DeskItem]:
        """Return all items. An id that is not on this person's desk makes the whole request invalid."""
        wanted = set(self.cleaned_data["event"])
        found = list(self.items.filter(event_id__in=wanted))
        if len(found) != len(wanted):
            raise ValidationError("One of these is not on your desk.", code="foreign")
        return found


class DeskFilter(FilterForm):
    """The filter of the desk, from the query of its address."""

    customer = forms.ModelChoiceField(Customer.objects.none(), required=False, empty_label="All customers")
    kind = forms.ChoiceField(
        choices=[("", "Any kind"), *((name, kind.look.label) for name, kind in KINDS.items())], required=False
    )
    state = forms.ChoiceField(choices=[("", "Open"), ("reviewed", "Reviewed"), ("all", "All")], required=False)
    period = forms.ModelChoiceField(Period.objects.none(), required=False, widget=forms.HiddenInput)

    def __init__(self, data: Mapping[str, Any], *, user: AnyUser) -> None:
        super().__init__(data, customers=customers_of(user, Action.REVIEW_LOG))
        self.fields["period"].queryset = Period.objects.visible_to(user)  # type: ignore[attr-defined]

    @property
    def chosen_period(self) -> Period | None:
        return self.cleaned_data.get("period") if self.is_valid() else None

    def narrow(self, items: DeskItemQuerySet) -> DeskItemQuerySet:
        """Return the items that the filter lets through: none for a customer, kind or period that does not exist."""
        if not self.is_valid():
            return items.none()
        wanted = self.cleaned_data
        if wanted["customer"]:
            items = items.filter(customer_id=wanted["customer"].pk)
        if wanted["kind"]:
            items = items.filter(kinds__contains=f" {wanted['kind']} ")
        if period := wanted["period"]:
            items = items.filter(customer_id=period.customer_id).within(*period.bounds)
        return self.in_state(items)

    def in_state(self, items: DeskItemQuerySet) -> DeskItemQuerySet:
        """Return the items of the chosen state: the open ones, unless something else was chosen."""
        by_state = {"reviewed": items.exclude(reviewed_at=None), "all": items}
        return by_state.get(self.data.get("state", ""), items.still_open())

    @property
    def thing(self) -> str:
        """Return what the list holds, as it is counted."""
        return {"reviewed": "reviewed exception", "all": "exception"}.get(self.data.get("state", ""), "open exception")

    def shown_chips(self) -> list[tuple[str, str]]:
        """Return what narrows the list in words, each with the query without it."""
        customer, kind = self.chosen_customer, self.data.get("kind", "")
        return self.chips(
            {
                "customer": customer.name if customer else "A customer you do not review",
                "kind": KINDS[kind].look.label if kind in KINDS else kind,
                "state": {"reviewed": "Reviewed", "all": "Open and reviewed"}.get(self.data.get("state", ""), ""),
                "period": str(self.chosen_period or "A period you do not review"),
            }
        )


class AccessFilter(FilterForm):
    """The day on which one asks who had access, and for which customer."""

    on = forms.DateField(
        required=False, label="On the day", widget=forms.DateInput({"type": "date", "class": "input day"})
    )
    customer = forms.ModelChoiceField(Customer.objects.none(), required=False, empty_label="All customers")

    def clean_on(self) -> date | None:
        day: date | None = self.cleaned_data["on"]
        if day and day > utc_today():
            raise ValidationError("This day is yet to come.")
        return day

    def day(self) -> date:
        """Return the day that was asked for, today without one and for one that makes no sense."""
        return (self.cleaned_data.get("on") if self.is_valid() else None) or utc_today()

    def customer_id(self) -> int | None:
        chosen = self.cleaned_data.get("customer") if self.is_valid() else None
        return chosen.pk if chosen else None


class PeriodForm(forms.Form):
    """A month, a quarter, or days of one's own choice, of one customer."""

    customer = forms.ModelChoiceField(Customer.objects.none(), empty_label="Choose a customer")
    span = forms.ChoiceField(label="Period")
    starts_on = forms.DateField(
        required=False, label="First day", widget=forms.DateInput({"type": "date", "class": "day"})
    )
    ends_on = forms.DateField(
        required=False, label="Last day", widget=forms.DateInput({"type": "date", "class": "day"})
    )

    def __init__(self, data: Mapping[str, Any] | None, *, customers: "QuerySet[Customer]") -> None:
        super().__init__(data)
        self.fields["customer"].queryset = customers  # type: ignore[attr-defined]
        self.fields["span"].choices = spans(timezone.now().date())  # type: ignore[attr-defined]
        self.fields["span"].help_text = "Other days: enter the first and the last one."

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if values.get("span", OWN) != OWN:
            first, last = values["span"].split("/")
            return values | {"starts_on": date.fromisoformat(first), "ends_on": date.fromisoformat(last)}
        for name in ("starts_on", "ends_on"):
            if not values.get(name) and name not in self.errors:
                self.add_error(name, "Enter a day.")
        if values.get("starts_on") and values.get("ends_on") and values["ends_on"] < values["starts_on"]:
            self.add_error("ends_on", "The last day is before the first one.")
        return values


def spans(today: date) -> list[tuple[str, str]]:
    """Return the last months and quarters, including the current ones, newest first."""
    months = stretches(today, month, MONTHS)
    named = [(f"{first}/{last}", f"{first:%B %Y}") for first, last in months]
    quarters = stretches(today, quarter, QUARTERS)
    named += [(f"{first}/{last}", f"Q{quarter_number(first)} {first.year}") for first, last in quarters]
    return [*named, (OWN, "Other days")]
