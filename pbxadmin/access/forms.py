"""Forms of customers and roles. permissions.py decides what a role may do, as everywhere."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.renderers import BaseRenderer
from django.forms.utils import flatatt
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pbxadmin.web.templatetags.pbxadmin import options
from pbxadmin.web.times import TIME_ZONES, utc_today

from .models import Customer, User
from .names import tidy
from .permissions import customers_of, last_day_to_give, outlasts, roles_to_give
from .roles import Action, Role
from .rules import Rule, check_link, check_pattern

Data = Mapping[str, Any] | None
EVERY_CUSTOMER = "all"  # instead of a customer's id
OWN_LAST_DAY = "Your own role there ends on {}. What you give ends by then."
DAYS = [(str(number), name) for number, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), 1)]
SECTIONS = {
    "What changes need": ("reason_rule", "ticket_rule", "ticket_pattern", "ticket_link"),
    "Working hours": ("time_zone", "hours_from", "hours_to", "working_days"),
}


class CustomerForm(forms.Form):
    name = forms.CharField(max_length=100, label="Name", widget=forms.TextInput({"class": "name"}))

    def saved(self, use_case: Callable[..., Customer]) -> Customer | None:
        """Call a use case with the name. Returns None if the name is refused; the form then shows why."""
        if not self.is_valid():
            return None
        try:
            return use_case(name=self.cleaned_data["name"])
        except ValidationError as error:
            self.add_error("name", error.messages)
            return None


class ArchiveForm(forms.Form):
    name = forms.CharField(
        max_length=200, label="Name of the customer", widget=forms.TextInput({"class": "name", "autocomplete": "off"})
    )

    def __init__(self, data: Data, *, customer: Customer) -> None:
        super().__init__(data)
        self.customer = customer

    def clean_name(self) -> str:
        if tidy(self.cleaned_data["name"]) != self.customer.name:
            raise ValidationError(f"Type {self.customer.name} to archive it. Nothing was archived.")
        return self.customer.name


class LongSelect(forms.Select):
    """A choice of hundreds, written in one call: a template for each option takes most of the time of a page."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: BaseRenderer | None = None
    ) -> SafeString:
        written = flatatt(self.build_attrs(self.attrs, {"name": name, **(attrs or {})}))
        return format_html("<select{}>{}</select>", written, options(self.choices, value))  # type: ignore[arg-type]  # no groups


class TimeZoneField(forms.ChoiceField):
    """A time zone by its name, such as Europe/Berlin. One that is not known is refused."""

    widget = LongSelect

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[(zone, zone) for zone in sorted(TIME_ZONES)], label="Time zone", **kwargs)


class LastDayField(forms.DateField):
    widget = forms.DateInput({"type": "date", "class": "day"}, format="%Y-%m-%d")
    input_formats = ["%Y-%m-%d"]

    def clean(self, value: Any) -> date | None:
        day: date | None = super().clean(value)
        if day and day < utc_today():
            raise ValidationError("This day is over. To take a role away, end it.")
        return day


class RoleForm(forms.Form):
    """A role for a customer, or for all, with a last day; limited to what the user who gives it has."""

    customer = forms.ChoiceField()
    role = forms.ChoiceField()
    ends_on = LastDayField(
        required=False, label="Last day", help_text="The role counts through this day. Leave it empty for no end."
    )

    def __init__(self, data: Data, *, user: User, customer: str = "") -> None:
        super().__init__(data, initial={"customer": customer})
        self.user = user
        customers = dict(customers_of(user, Action.MANAGE_PEOPLE).values_list("pk", "name"))
        roles = {role for pk in (None, *customers) for role in roles_to_give(user, pk)}
        for_all = [(EVERY_CUSTOMER, "All customers")] if roles_to_give(user, None) else []
        self.choose("customer", [("", "Choose a customer"), *for_all, *customers.items()])
        self.choose("role", [("", "Choose a role"), *(choice for choice in Role.choices if choice[0] in roles)])

    def choose(self, name: str, choices: list[Any]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]
        self.fields[name].error_messages |= {"required": choices[0][1] + ".", "invalid_choice": choices[0][1] + "."}

    def clean_customer(self) -> Customer | None:
        """Return the customer, or None for all customers."""
        chosen = self.cleaned_data["customer"]
        return None if chosen == EVERY_CUSTOMER else Customer.objects.get(pk=chosen)

    def clean_role(self) -> Role:
        return Role(self.cleaned_data["role"])

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if not {"customer", "role", "ends_on"} <= values.keys():
            return values
        customer, role = values["customer"], values["role"]
        customer_id = customer.pk if customer else None
        if role not in roles_to_give(self.user, customer_id):
            self.add_error("role", f"You cannot make somebody {role.label.lower()} of {customer or 'all customers'}.")
        if outlasts(values["ends_on"], last_day_to_give(self.user, customer_id)):
            self.add_error("ends_on", OWN_LAST_DAY.format(last_day_to_give(self.user, customer_id)))
        return values


class LastDayForm(forms.Form):
    """A new last day for an existing role."""

    ends_on = LastDayField(required=False)

    def __init__(self, data: Data, *, user: User, customer_id: int | None) -> None:
        super().__init__(data)
        self.latest = last_day_to_give(user, customer_id)

    def clean_ends_on(self) -> date | None:
        day: date | None = self.cleaned_data["ends_on"]
        if outlasts(day, self.latest):
            raise ValidationError(OWN_LAST_DAY.format(self.latest))
        return day


def clock_field(label: str) -> forms.TimeField:
    return forms.TimeField(
        required=False, label=label, widget=forms.TimeInput({"type": "time", "class": "num"}, format="%H:%M")
    )


class RulesForm(forms.Form):
    """What a customer asks of changes, and its working hours."""

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
    time_zone = TimeZoneField()
    hours_from = clock_field("From")
    hours_to = clock_field("To")
    working_days = forms.MultipleChoiceField(
        choices=DAYS,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Changes outside these hours are shown to the auditor. Without hours, none is.",
    )

    def __init__(self, data: Data, *, customer: Customer) -> None:
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
