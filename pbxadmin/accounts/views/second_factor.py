"""Pages of the own second factors, based on the views of django-allauth."""

from typing import Any

from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.http import HttpResponse
from django.urls import reverse_lazy

from .sign_in import Refusing


class SecondStep(mfa.AuthenticateView):
    """Page after the password that asks for a code or a security key."""

    def form_invalid(self, form: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(), status=422)


class AddApp(Refusing, totp.ActivateTOTPView):
    pass


class NewCodes(Refusing, codes.GenerateRecoveryCodesView):
    pass


class AddKey(Refusing, webauthn.AddWebAuthnView):
    pass


class RemoveKey(webauthn.RemoveWebAuthnView):
    success_url = reverse_lazy("account_security")
