"""Pages that ask for the password, a code or a key once more, on the views of django-allauth."""

from typing import Any

from allauth.account import views
from allauth.account.adapter import get_adapter
from allauth.mfa.base import views as mfa
from allauth.mfa.webauthn import views as webauthn
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from pbxadmin.accounts.forms import PasswordReauthenticateForm
from pbxadmin.accounts.sso import PROVIDER

from .sign_in import Refusing


class ByPassword(Refusing, views.ReauthenticateView):
    """Page that asks for the password. Without a password: redirect to a second factor, or to the single sign-on."""

    form_class = PasswordReauthenticateForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if settings.OIDC_SERVER_URL and not self.has_method(request):
            query = urlencode({"next": self.get_next_url() or "/"})  # type: ignore[no-untyped-call]
            return redirect(f"{reverse('openid_connect_login', kwargs={'provider_id': PROVIDER})}?{query}")
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer

    def has_method(self, request: HttpRequest) -> bool:
        return request.user.is_anonymous or bool(get_adapter().get_reauthentication_methods(request.user))


class ByCode(Refusing, mfa.ReauthenticateView):
    pass


class ByKey(Refusing, webauthn.ReauthenticateWebAuthnView):
    pass
