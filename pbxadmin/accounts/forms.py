"""Forms of sign-in (those of django-allauth with our labels), of people and of invitations."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from allauth.account import forms as allauth
from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as mfa
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY
from allauth.mfa.webauthn import forms as webauthn
from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest

from pbxadmin.access.forms import Data, RoleForm, TimeZoneField
from pbxadmin.access.models import AnyUser, Customer, Membership, PeopleQuerySet, User
from pbxadmin.access.names import refuse_unseen, tidy
from pbxadmin.access.permissions import customers_of
from pbxadmin.access.roles import Action, Role
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.sealed import opened_text, sealed_text
from pbxadmin.web.filters import FilterForm
from pbxadmin.web.site import site_address

from .tasks import mail_reset_link

CHOOSING = "At least 10 characters; not a common password, not like your name, not only digits."


class Worded(forms.Form):
    labels: ClassVar[dict[str, str]] = {}
    hints: ClassVar[dict[str, str]] = {}
    attrs: ClassVar[dict[str, str]] = {}  # of every field

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.label = self.labels.get(name, field.label)
            field.help_text = self.hints.get(name, field.help_text)
            field.widget.attrs.pop("placeholder", None)
            field.widget.attrs |= self.attrs


class SignInForm(Worded, allauth.LoginForm):
    pass


class PasswordChangeForm(Worded, allauth.ChangePasswordForm):
    labels = {"oldpassword": "Current password", "password1": "New password", "password2": "New password once more"}
    hints = {"password1": CHOOSING}
    attrs = {"class": "name"}


class NewPasswordForm(Worded, allauth.ResetPasswordKeyForm):
    labels = {"password1": "New password", "password2": "New password once more"}
    hints = {"password1": CHOOSING}


class PasswordReauthenticateForm(Worded, allauth.ReauthenticateForm):
    attrs = {"autofocus": "autofocus"}


class ResetForm(forms.Form):
    email = forms.EmailField(
        label="E-mail address", widget=forms.EmailInput({"autocomplete": "email", "autofocus": True})
    )

    def save(self, request: HttpRequest) -> None:
        """Queue the e-mail. A worker looks the address up, so that known and unknown ones take the same time here."""
        email = self.cleaned_data["email"]
        record(EventAction.PASSWORD_RESET_ASKED, detail={"email": email})
        mail_reset_link.enqueue(email, site_address(request))


def is_first_use(user_id: int, code: str) -> bool:
    """Return whether a correct code is used for the first time, and mark it as used.

    allauth remembers a code for one time step, and only at sign-in; with our tolerance a code is valid for longer.
    """
    good_for = app_settings.TOTP_PERIOD * (2 * app_settings.TOTP_TOLERANCE + 1)
    return cache.add(f"second-factor.used:{user_id}:{normalize_user_code(code)}", True, good_for)


class UsedOnce(Worded):
    hints = {"code": "Six digits from the app on your telephone, or a recovery code."}
    attrs = {"inputmode": "numeric", "autofocus": "autofocus"}

    def clean_code(self) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        if not is_first_use(self.user.pk, code):  # type: ignore[attr-defined]
            self._emit_authentication_failed(self.authenticator)  # type: ignore[attr-defined]
            raise get_adapter().validation_error("incorrect_code")
        return code


class CodeForm(UsedOnce, mfa.AuthenticateForm):
    pass


class CodeReauthenticateForm(UsedOnce, mfa.ReauthenticateForm):
    pass


class AppForm(Worded, ActivateTOTPForm):
    """Form that adds an app. Its secret stays sealed in the session until a code proves that the app has it."""

    labels = {"code": "Code from the app"}
    attrs = {"inputmode": "numeric", "class": "id"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        place = f"session.{SECRET_SESSION_KEY}:{self.user.pk}"
        if self.is_bound and self.secret.startswith("v1."):
            self.secret = opened_text(self.secret, place)
        else:
            context.request.session[SECRET_SESSION_KEY] = sealed_text(self.secret, place)

    def clean_code(self) -> str:
        code: str = super().clean_code()
        if not is_first_use(self.user.pk, code):
            raise get_adapter().validation_error("incorrect_code")
        return code


class KeyForm(Worded, webauthn.AddWebAuthnForm):
    name = forms.CharField(
        label="Name",
        max_length=60,
        required=False,
        validators=[refuse_unseen],
        widget=forms.TextInput({"class": "name"}),
    )
    hints = {"name": "To tell it from your other keys."}

    def clean(self) -> dict[str, Any]:
        try:
            return super().clean()
        except (KeyError, TypeError, ValueError, AttributeError):  # not sent by any browser
            raise ValidationError("The key gave no usable answer. Try once more.") from None


class KeyAuthenticateForm(webauthn.AuthenticateWebAuthnForm):
    def clean_credential(self) -> Any:
        try:
            return super().clean_credential()
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValidationError("The key gave no usable answer. Try once more.") from None


class KeyReauthenticateForm(KeyAuthenticateForm):
    reauthenticated = True


class PersonNameField(forms.CharField):
    """The full name of a person, in the order in which they write it."""

    default_validators = [refuse_unseen]
    widget = forms.TextInput({"class": "name", "autocomplete": "off"})

    def to_python(self, value: Any) -> str:
        return tidy(super().to_python(value) or "")


class EmailField(forms.EmailField):
    """An e-mail address in lower case, because people type either case and mail servers treat both alike."""

    widget = forms.EmailInput({"class": "name", "autocomplete": "off"})

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").lower()


class PeopleFilter(FilterForm):
    """Filters of the list of people, read from the query string."""

    q = forms.CharField(max_length=200, required=False)
    customer = forms.ModelChoiceField(Customer.objects.none(), required=False, empty_label="All customers")
    role = forms.ChoiceField(choices=[("", "Any role"), *Role.choices], required=False)

    def __init__(self, data: Mapping[str, Any], *, user: AnyUser) -> None:
        super().__init__(data, customers=customers_of(user, Action.SEE_PEOPLE))
        self.user = user

    def narrow(self, people: PeopleQuerySet) -> PeopleQuerySet:
        """Return the people that match. Roles that the user may not see are not searched."""
        if not self.is_valid():
            return people.none()
        people = people.matching(self.cleaned_data["q"])
        customer, role = self.cleaned_data["customer"], self.cleaned_data["role"]
        if not customer and not role:
            return people
        memberships = Membership.objects.shown_to(self.user)
        if customer:
            memberships = memberships.filter(Q(customer=customer) | Q(customer=None))
        if role:
            memberships = memberships.filter(role=role)
        return people.having(memberships)

    def shown_chips(self) -> list[tuple[str, str]]:
        """Return what narrows the list in words, each with the query without it."""
        given = {name: str(self.data.get(name, "")) for name in self.parameters()}
        customer = self.chosen_customer
        return self.chips(
            {
                "q": f"“{given['q']}”",
                "customer": customer.name if customer else "A customer you do not see",
                "role": dict(Role.choices).get(given["role"], given["role"]),
            }
        )


class PersonForm(forms.Form):
    """Name and e-mail address of a person. Only site admins may set the address, since it can reset the password."""

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
    """A role for a person without an account, or with one that the user cannot see."""

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
    """User name and password of a new account."""

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
        """Call a use case with the entered values. Returns None if it refuses them; the form then shows why."""
        if not self.is_valid():
            return None
        try:
            return use_case(username=self.cleaned_data["username"], password=self.cleaned_data["password"])
        except ValidationError as error:
            by_field = error.message_dict
            name = by_field.get("folded") or by_field.get("username")
            self.add_error("username" if name else None, (name or error.messages)[0])
            return None


class OwnZoneForm(forms.Form):
    """The time zone in which a person sees times."""

    time_zone = TimeZoneField(help_text="On every page. Exports keep UTC and add this one.")
