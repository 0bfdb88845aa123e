"""Forms of django-allauth in our words: label above, hint below, nothing inside a field."""

from typing import Any, ClassVar

from allauth.account import forms as allauth
from django import forms
from django.http import HttpRequest

from pbxadmin.audit.log import record

from .tasks import mail_reset_links

CHOOSING = "At least 10 characters; not a common password, not like your name, not only digits."


class Worded(forms.Form):
    labels: ClassVar[dict[str, str]] = {}
    hints: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.label = self.labels.get(name, field.label)
            field.help_text = self.hints.get(name, field.help_text)
            field.widget.attrs.pop("placeholder", None)


class SignInForm(Worded, allauth.LoginForm):
    pass


class PasswordChangeForm(Worded, allauth.ChangePasswordForm):
    labels = {"oldpassword": "Password now", "password1": "New password", "password2": "New password once more"}
    hints = {"password1": CHOOSING}


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
        record("password.reset-asked", detail={"email": email})
        mail_reset_links.enqueue(email, f"{request.scheme}://{request.get_host()}")
