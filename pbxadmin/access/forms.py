"""Forms of customers, people and roles. What a role may do is asked of permissions.py, as everywhere."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone

from pbxadmin.web.filters import FilterForm

from .account_forms import CHOOSING
from .models import Customer, Membership, PeopleQuerySet, User
from .names import refuse_unseen, tidy
from .permissions import customers_of, last_day_to_give, roles_to_give, too_late
from .roles import Action, Role

if TYPE_CHECKING:
    from .grants import AnyUser

Data = Mapping[str, Any] | None
Saved = TypeVar("Saved")
ALL = "all"  # instead of a customer's id
OWN_LAST_DAY = "Your own role there ends on {}. What you give ends by then."


class CustomerForm(forms.Form):
    name = forms.CharField(max_length=100, label="Name", widget=forms.TextInput({"class": "name"}))

    def saved(self, use_case: Callable[..., Customer]) -> Customer | None:
        """Run a use case with the name that was typed; None when something stands against it, which the form shows."""
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


class PersonNameField(forms.CharField):
    """The whole name of a person, in the order in which they write it."""

    default_validators = [refuse_unseen]
    widget = forms.TextInput({"class": "name", "autocomplete": "off"})

    def to_python(self, value: Any) -> str:
        return tidy(super().to_python(value) or "")


class EmailField(forms.EmailField):
    """An e-mail address, in lower case: no mail server in use tells addresses apart by it, and people type both."""

    widget = forms.EmailInput({"class": "name", "autocomplete": "off"})

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").lower()


class LastDayField(forms.DateField):
    widget = forms.DateInput({"type": "date", "class": "day"}, format="%Y-%m-%d")
    input_formats = ["%Y-%m-%d"]

    def clean(self, value: Any) -> date | None:
        day: date | None = super().clean(value)
        if day and day < timezone.localdate():
            raise ValidationError("This day is over. To take a role away, end it.")
        return day


class PeopleFilter(FilterForm):
    """The filters of the list of people, from the query of its address."""

    q = forms.CharField(max_length=200, required=False)
    customer = forms.ModelChoiceField(Customer.objects.none(), required=False, empty_label="All customers")
    role = forms.ChoiceField(choices=[("", "Any role"), *Role.choices], required=False)

    def __init__(self, data: Mapping[str, Any], *, user: "AnyUser") -> None:
        super().__init__(data)
        self.user = user
        self.fields["customer"].queryset = customers_of(user, Action.MANAGE_PEOPLE)  # type: ignore[attr-defined]

    def found(self, people: PeopleQuerySet) -> PeopleQuerySet:
        """Those that pass. Roles that the user may not see let nobody pass."""
        if not self.is_valid():
            return people.none()
        people = people.matching(self.cleaned_data["q"].split())
        customer, role = self.cleaned_data["customer"], self.cleaned_data["role"]
        if not customer and not role:
            return people
        memberships = Membership.objects.shown_to(self.user)
        if customer:
            memberships = memberships.filter(Q(customer=customer) | Q(customer=None))
        if role:
            memberships = memberships.filter(role=role)
        return people.having(memberships)


class RoleForm(forms.Form):
    """A role for a customer, or for all, up to a last day: no more than the user who gives it has."""

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
        for_all = [(ALL, "All customers")] if roles_to_give(user, None) else []
        self.choose("customer", [("", "Choose a customer"), *for_all, *customers.items()])
        self.choose("role", [("", "Choose a role"), *(choice for choice in Role.choices if choice[0] in roles)])

    def choose(self, name: str, choices: list[Any]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]
        self.fields[name].error_messages |= {"required": choices[0][1] + ".", "invalid_choice": choices[0][1] + "."}

    def clean_customer(self) -> Customer | None:
        """None for all customers."""
        chosen = self.cleaned_data["customer"]
        return None if chosen == ALL else Customer.objects.get(pk=chosen)

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
        if too_late(values["ends_on"], last_day_to_give(self.user, customer_id)):
            self.add_error("ends_on", OWN_LAST_DAY.format(last_day_to_give(self.user, customer_id)))
        return values


class LastDayForm(forms.Form):
    """Another last day of a role that is there."""

    ends_on = LastDayField(required=False)

    def __init__(self, data: Data, *, user: User, customer_id: int | None) -> None:
        super().__init__(data)
        self.latest = last_day_to_give(user, customer_id)

    def clean_ends_on(self) -> date | None:
        day: date | None = self.cleaned_data["ends_on"]
        if too_late(day, self.latest):
            raise ValidationError(OWN_LAST_DAY.format(self.latest))
        return day


class PersonForm(forms.Form):
    """Name and address of somebody. The address is for site admins: whoever sets it can reset the password by it."""

    name = PersonNameField(max_length=150)
    email = EmailField(max_length=254, required=False, label="E-mail")

    def __init__(self, data: Data, *, user: User, person: User) -> None:
        super().__init__(data, initial={"name": person.get_full_name(), "email": person.email})
        self.person = person
        if not user.is_superuser:
            del self.fields["email"]

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if email and User.objects.filter(email__iexact=email).exclude(pk=self.person.pk).exists():
            raise ValidationError("Somebody else has this address already.")
        return email

    def entered(self) -> dict[str, str]:
        return {"email": self.person.email} | self.cleaned_data


class InvitationForm(RoleForm):
    """A role for somebody who has no account yet, or one that the user cannot see."""

    email = EmailField(max_length=254, label="E-mail")
    name = PersonNameField(max_length=150, help_text="As they write it. The e-mail greets them by it.")
    field_order = ["email", "name", "customer", "role", "ends_on"]

    def sections(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [
            ("Who", [self[name] for name in ("email", "name")]),
            ("May do what", [self[name] for name in ("customer", "role", "ends_on")]),
        ]

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if known := User.objects.visible_to(self.user).filter(email__iexact=email).first():
            raise ValidationError(f"This is {known.display_name}, who has an account. Give the role on their page.")
        return email


class AcceptForm(forms.Form):
    """What somebody chooses for their new account."""

    username = forms.CharField(
        max_length=150, label="User name", widget=forms.TextInput({"autocomplete": "username", "autofocus": True})
    )
    password = forms.CharField(
        max_length=128, strip=False, help_text=CHOOSING, widget=forms.PasswordInput({"autocomplete": "new-password"})
    )
    again = forms.CharField(
        max_length=128,
        strip=False,
        label="Password once more",
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )

    def __init__(self, data: Data, *, name: str, email: str) -> None:
        super().__init__(data)
        self.name, self.email = name, email

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if password := values.get("password"):
            user = User(username=values.get("username", ""), first_name=self.name, email=self.email)
            try:
                validate_password(password, user)
            except ValidationError as error:
                self.add_error("password", error)
            if values.get("again", password) != password:
                self.add_error("again", "This is not the same password.")
        return values

    def saved(self, use_case: Callable[..., User]) -> User | None:
        """Hand what was chosen to a use case; None when something stands against it, which the form then shows."""
        if not self.is_valid():
            return None
        try:
            return use_case(username=self.cleaned_data["username"], password=self.cleaned_data["password"])
        except ValidationError as error:
            by_field = error.message_dict
            name = by_field.get("folded") or by_field.get("username")
            self.add_error("username" if name else None, (name or error.messages)[0])
            return None
