"""Forms of webhooks. `services.py` decides what an address and a name may be."""

from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import can, can_anywhere, customer_ids, customers_of
from pbxadmin.access.roles import Action
from pbxadmin.notices.kinds import NOTICE_KINDS, kind_choices

from .models import PayloadForm, Webhook

Entered = Mapping[str, Any] | None
KINDS_WANTED = "Choose what it is told."


class WebhookForm(forms.Form):
    """What can be changed of an endpoint."""

    name = forms.CharField(
        max_length=60,
        required=False,
        widget=forms.TextInput({"class": "name"}),
        help_text="A name to recognise it by, such as Ticket system. The log names it.",
    )
    address = forms.CharField(
        required=False,
        widget=forms.TextInput({"class": "wide", "autocomplete": "off", "spellcheck": "false", "inputmode": "url"}),
        help_text="Starts with https://. It is stored encrypted; only its host is shown again.",
    )
    form = forms.ChoiceField(
        choices=PayloadForm.choices,
        label="Message",
        initial=PayloadForm.STANDARD,
        help_text="Slack's form is taken by Mattermost and Rocket.Chat too.",
    )
    kinds = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, label="Told of", error_messages={"required": KINDS_WANTED}
    )

    def __init__(self, data: Entered, *, kinds: Collection[str], initial: MutableMapping[str, Any]) -> None:
        """kinds: that this person may choose."""
        super().__init__(data, initial=initial)
        self.fields["kinds"].choices = [  # type: ignore[attr-defined]
            (name, label) for name, label in kind_choices() if name in kinds
        ]


class WebhookEditForm(WebhookForm):
    """An endpoint as it is. What was chosen stays to be chosen, whoever edits it."""

    def __init__(self, data: Entered, *, webhook: Webhook, user: User) -> None:
        may_know = {name for name, kind in NOTICE_KINDS.items() if can(user, kind.right, webhook.customer)}
        facts = {"name": webhook.name, "form": webhook.form, "kinds": webhook.kinds}
        super().__init__(data, kinds=may_know | set(webhook.kinds), initial=facts)
        self.fields["address"].widget.attrs["placeholder"] = f"{webhook.place}/…"
        self.fields["address"].help_text = "Empty: as it is. Starts with https://, and is shown to nobody again."


class WebhookAddForm(WebhookForm):
    """A new endpoint, of a customer or for whoever manages all of them of the installation."""

    customer = forms.ModelChoiceField(
        Customer.objects.none(),
        required=False,
        help_text="Only what concerns it is sent.",
        error_messages={"required": "Choose the customer that it is told of."},
    )
    field_order = ("name", "customer", "address", "form", "kinds")

    def __init__(self, data: Entered, *, user: User) -> None:
        may_know = {name for name, kind in NOTICE_KINDS.items() if can_anywhere(user, kind.right)}
        ids = customer_ids(user, Action.MANAGE_PEOPLE)
        only = next(iter(ids)) if ids is not None and len(ids) == 1 else None
        super().__init__(data, kinds=may_know, initial={"kinds": sorted(may_know), "customer": only})
        self.user = user
        field: Any = self.fields["customer"]
        field.queryset = customers_of(user, Action.MANAGE_PEOPLE).active()
        field.required = ids is not None
        field.empty_label = "All customers, and the installation" if ids is None else "Choose a customer"

    def clean(self) -> dict[str, Any]:
        """Refuse kinds that this person may not know of this customer."""
        given = super().clean() or self.cleaned_data
        if "customer" in given and "kinds" in given:
            hidden = [k for k in given["kinds"] if not can(self.user, NOTICE_KINDS[k].right, given["customer"])]
            if hidden:
                names = ", ".join(NOTICE_KINDS[kind].look.label for kind in hidden)
                self.add_error("kinds", ValidationError(f"You may not be told of this yourself: {names}."))
        return given
