"""Forms of API keys and service accounts."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from pbxadmin.access.forms import LastDayField, RoleForm
from pbxadmin.access.models import User

from .scopes import Scope

USUAL_LIFE = timedelta(days=90)


class ApiKeyForm(forms.Form):
    """A key to make. `api_key_make` decides what is right."""

    name = forms.CharField(
        max_length=60, required=False, help_text="A name to recognise it by, such as Nightly export. The log names it."
    )
    scope = forms.ChoiceField(
        choices=Scope.choices, help_text="The most that a script may do with it. Roles still decide, as on the pages."
    )
    last_day = forms.DateField(
        label="Last day",
        help_text="A year from now at most.",
        widget=forms.DateInput({"type": "date", "class": "day"}),
        error_messages={"required": "Give a day.", "invalid": "Give a day, such as 2026-12-31."},
    )
    networks = forms.CharField(
        required=False,
        help_text="Addresses it may be used from, with blanks between, such as 192.0.2.0/24. Empty: any.",
    )

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, initial={"last_day": usual_last_day(), "scope": Scope.READ})
        self.fields["name"].widget.attrs["class"] = "name"

    def clean_networks(self) -> list[str]:
        return str(self.cleaned_data["networks"]).replace(",", " ").split()

    def entered(self) -> dict[str, Any]:
        return self.cleaned_data | {"scope": Scope(self.cleaned_data["scope"])}


def usual_last_day() -> date:
    return timezone.localdate() + USUAL_LIFE


class ServiceAccountForm(RoleForm):
    """A service account to add, with its role; limited to the roles that the user may give."""

    name = forms.CharField(max_length=100, help_text="What works by it, such as Ticket system.")
    ends_on = LastDayField(required=False, label="Last day", help_text="Of its role. Empty: no end.")

    def __init__(self, data: Mapping[str, Any] | None, *, user: User) -> None:
        super().__init__(data, user=user)
        self.fields["name"].widget.attrs["class"] = "name"
        self.order_fields(["name", "customer", "role", "ends_on"])
