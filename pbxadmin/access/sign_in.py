"""The pages of django-allauth that we show. Its others, such as sign-up and e-mail addresses, do not exist here."""

from typing import Any

from allauth.account import views
from allauth.account.adapter import get_adapter
from allauth.account.forms import LoginForm
from allauth.core import ratelimit
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path, re_path, reverse, reverse_lazy
from django.utils.http import urlencode
from django.views.generic.edit import FormView

from . import security, sso
from .account_forms import NewPasswordForm, PasswordChangeForm, ProveForm, ResetForm, SignInForm
from .adapter import source
from .fresh import View, fresh_sign_in
from .middleware import client_address


class Refusing(FormView):  # type: ignore[type-arg]
    """A form with errors is a 422 on every page."""

    def form_invalid(self, form: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)


class SignIn(Refusing, views.LoginView):
    form_class = SignInForm

    def get_form(self, form_class: type[LoginForm] | None = None) -> LoginForm:
        """The focus goes where typing goes on: to the name, and after a failure to the password."""
        form: LoginForm = super().get_form(form_class)  # type: ignore[no-untyped-call]
        form.fields["password" if form.is_bound else "login"].widget.attrs["autofocus"] = True
        return form

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sso_name = settings.OIDC_NAME if settings.OIDC_SERVER_URL else ""
        return super().get_context_data(**kwargs) | {"sso_name": sso_name}


class PasswordChange(Refusing, views.PasswordChangeView):
    """For those who have a password; single sign-on does without."""

    form_class = PasswordChangeForm
    success_url = reverse_lazy("account_security")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated and not request.user.has_usable_password():
            raise Http404
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer


class PasswordReset(Refusing, views.PasswordResetView):
    form_class = ResetForm  # type: ignore[assignment]

    def form_valid(self, form: Any) -> HttpResponse:
        """Counted by address and source together: a stranger elsewhere does not use up a colleague's tries."""
        key = f"{source(client_address(self.request))} {form.cleaned_data['email'].lower()}"
        if refused := ratelimit.consume_or_429(self.request, action="reset_password", key=key):
            return refused
        form.save(self.request)
        return redirect("account_reset_password_done")


class PasswordFromLink(Refusing, views.PasswordResetFromKeyView):
    form_class = NewPasswordForm


class Prove(Refusing, views.ReauthenticateView):
    """By password; who has none here proves it by a second factor, or where they signed in."""

    form_class = ProveForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if settings.OIDC_SERVER_URL and not self.has_proofs(request):
            query = urlencode({"next": self.get_next_url() or "/"})  # type: ignore[no-untyped-call]
            return redirect(f"{reverse('openid_connect_login', kwargs={'provider_id': sso.PROVIDER})}?{query}")
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer

    def has_proofs(self, request: HttpRequest) -> bool:
        return request.user.is_anonymous or bool(get_adapter().get_reauthentication_methods(request.user))


class SecondStep(mfa.AuthenticateView):
    """After the password: a code, or a key."""

    def form_invalid(self, form: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(), status=422)


class ProveByCode(Refusing, mfa.ReauthenticateView):
    pass


class ProveByKey(Refusing, webauthn.ReauthenticateWebAuthnView):
    pass


class AddApp(Refusing, totp.ActivateTOTPView):
    pass


class NewCodes(Refusing, codes.GenerateRecoveryCodesView):
    pass


class AddKey(Refusing, webauthn.AddWebAuthnView):
    pass


class RemoveKey(webauthn.RemoveWebAuthnView):
    success_url = reverse_lazy("account_security")


def own(view: View) -> View:
    """A page of one's own second factors."""
    return login_required(fresh_sign_in(view))


urlpatterns = [
    path("login/", SignIn.as_view(), name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("reauthenticate/", Prove.as_view(), name="account_reauthenticate"),
    path("password/change/", PasswordChange.as_view(), name="account_change_password"),
    path("password/reset/", PasswordReset.as_view(), name="account_reset_password"),
    path("password/reset/done/", views.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$",
        PasswordFromLink.as_view(),
        name="account_reset_password_from_key",
    ),
    path("password/reset/key/done/", views.password_reset_from_key_done, name="account_reset_password_from_key_done"),
    path("security/", security.security, name="account_security"),
    path("security/sign-out-others/", security.sign_out_others, name="account_sign_out_others"),
    path("sso/login/", sso.sign_in, {"provider_id": sso.PROVIDER}, name="openid_connect_login"),
    path("sso/login/callback/", sso.answered, {"provider_id": sso.PROVIDER}, name="openid_connect_callback"),
    path("2fa/", security.to_security, name="mfa_index"),
    path("2fa/authenticate/", SecondStep.as_view(), name="mfa_authenticate"),
    path("2fa/reauthenticate/", ProveByCode.as_view(), name="mfa_reauthenticate"),
    path("2fa/webauthn/reauthenticate/", ProveByKey.as_view(), name="mfa_reauthenticate_webauthn"),
    path("2fa/totp/activate/", own(AddApp.as_view()), name="mfa_activate_totp"),
    path("2fa/totp/deactivate/", own(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("2fa/recovery-codes/", own(codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("2fa/recovery-codes/generate/", own(NewCodes.as_view()), name="mfa_generate_recovery_codes"),
    path("2fa/webauthn/add/", own(AddKey.as_view()), name="mfa_add_webauthn"),
    path("2fa/webauthn/keys/<int:pk>/remove/", own(RemoveKey.as_view()), name="mfa_remove_webauthn"),
]
