"""Forms of django-allauth in our words: label above, hint below, nothing inside a field."""

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
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.sealed import opened_text, sealed_text

from .names import refuse_unseen
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
    labels = {"oldpassword": "Password now", "password1": "New password", "password2": "New password once more"}
    hints = {"password1": CHOOSING}
    attrs = {"class": "name"}


class NewPasswordForm(Worded, allauth.ResetPasswordKeyForm):
    labels = {"password1": "New password", "password2": "New password once more"}
    hints = {"password1": CHOOSING}


class ProveForm(Worded, allauth.ReauthenticateForm):
    pass


class ResetForm(forms.Form):
    email = forms.EmailField(
        label="E-mail address", widget=forms.EmailInput({"autocomplete": "email", "autofocus": True})
    )

    def save(self, request: HttpRequest) -> None:
        """The same for known and unknown addresses, in words and in time: a worker looks the address up."""
        email = self.cleaned_data["email"]
        record(EventAction.PASSWORD_RESET_ASKED, detail={"email": email})
        mail_reset_link.enqueue(email, f"{request.scheme}://{request.get_host()}")


def is_first_use(user_id: int, code: str) -> bool:
    """Whether a right code was not used before, for signing in or for adding the app.

    allauth remembers a code for one of its steps, and only where it signs in; the tolerance makes it right for more.
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


class CodeAgainForm(UsedOnce, mfa.ReauthenticateForm):
    pass


class AppForm(Worded, ActivateTOTPForm):
    """The secret waits sealed in the session until a code proves that the app has it."""

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
    hints = {"name": "So that you know it again among others."}

    def clean(self) -> dict[str, Any]:
        try:
            return super().clean()
        except (KeyError, TypeError, ValueError, AttributeError):  # what no browser sends
            raise ValidationError("The key gave no usable answer. Try once more.") from None


class KeyProofForm(webauthn.AuthenticateWebAuthnForm):
    def clean_credential(self) -> Any:
        try:
            return super().clean_credential()
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValidationError("The key gave no usable answer. Try once more.") from None


class KeyProofAgainForm(KeyProofForm):
    reauthenticated = True
