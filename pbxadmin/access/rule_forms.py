"""The form of what a customer asks of changes, and of its working hours."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from .models import Customer
from .rules import TIME_ZONES, Rule, check_link, check_pattern

DAYS = [(str(number), name) for number, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), 1)]
SECTIONS = {
    "What changes need": ("reason_rule", "ticket_rule", "ticket_pattern", "ticket_link"),
    "Working hours": ("time_zone", "hours_from", "hours_to", "working_days"),
}


def clock_field(label: str) -> forms.TimeField:
    return forms.TimeField(
        required=False, label=label, widget=forms.TimeInput({"type": "time", "class": "num"}, format="%H:%M")
    )


class RulesForm(forms.Form):
    reason_rule = forms.ChoiceField(choices=Rule.choices, label="Reason")
    ticket_rule = forms.ChoiceField(choices=Rule.choices, label="Ticket")
    ticket_pattern = forms.CharField(
        required=False,
        max_length=40,
        label="Tickets look like",
        validators=[check_pattern],
        widget=forms.TextInput({"class": "id", "autocomplete": "off"}),
        help_text="# stands for digits: INC-# takes INC-4711. Empty takes any text.",
    )
    ticket_link = forms.CharField(
        required=False,
        max_length=300,
        label="Tickets are shown at",
        validators=[check_link],
        widget=forms.TextInput({"class": "name", "autocomplete": "off"}),
        help_text="Such as https://tickets.example.com/{ticket}. Empty makes no links.",
    )
    time_zone = forms.ChoiceField(choices=[(zone, zone) for zone in sorted(TIME_ZONES)], label="Time zone")
    hours_from = clock_field("From")
    hours_to = clock_field("To")
    working_days = forms.MultipleChoiceField(
        choices=DAYS,
        required=False,
        widget=forms.SelectMultiple({"size": 7}),
        help_text="Changes outside these hours are shown to the auditor. Without hours, none is.",
    )

    def __init__(self, data: Mapping[str, Any] | None, *, customer: Customer) -> None:
        names = [name for section in SECTIONS.values() for name in section]
        kept = {name: getattr(customer, name) for name in names}
        super().__init__(data, initial=kept | {"working_days": list(customer.working_days)})

    def clean_working_days(self) -> str:
        return "".join(sorted(self.cleaned_data["working_days"]))

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        start, end = values.get("hours_from"), values.get("hours_to")
        if (start is None) != (end is None) or (start is not None and start == end):
            self.add_error("hours_to", ValidationError("Enter both times, not the same, or none."))
        if start is not None and not values.get("working_days"):
            self.add_error("working_days", ValidationError("Choose a day at least, or leave the times empty."))
        return values

    def sections(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [(title, [self[name] for name in names]) for title, names in SECTIONS.items()]
