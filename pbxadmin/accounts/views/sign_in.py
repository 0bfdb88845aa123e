"""Pages of sign-in and passwords, based on the views of django-allauth."""

from typing import Any

from allauth.account import views
from allauth.account.forms import LoginForm
from allauth.core import ratelimit
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.views.generic.edit import FormView

from pbxadmin.accounts.adapter import source
from pbxadmin.accounts.forms import (
    NewPasswordForm,
    PasswordChangeForm,
    ResetForm,
    SignInForm,
)
from pbxadmin.accounts.middleware import client_address


class Refusing(FormView):  # type: ignore[type-arg]
    """A form view that answers errors with 422, as all our pages do."""

    def form_invalid(self, form: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)


class SignIn(Refusing, views.LoginView):
    form_class = SignInForm

    def get_form(self, form_class: type[LoginForm] | None = None) -> LoginForm:
        """Return the form with the focus on the name, or after a failure on the password."""
        form: LoginForm = super().get_form(form_class)  # type: ignore[no-untyped-call]
        form.fields["password" if form.is_bound else "login"].widget.attrs["autofocus"] = True
        return form

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sso_name = settings.OIDC_NAME if settings.OIDC_SERVER_URL else ""
        return super().get_context_data(**kwargs) | {"sso_name": sso_name}


class PasswordChange(Refusing, views.PasswordChangeView):
    """Page for users with a password; users of single sign-on may have none."""

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
        """Limit requests by e-mail address and source together, so that others cannot use up a person's attempts."""
        key = f"{source(client_address(self.request))} {form.cleaned_data['email'].lower()}"
        if refused := ratelimit.consume_or_429(self.request, action="reset_password", key=key):
            return refused
        form.save(self.request)
        return redirect("account_reset_password_done")


class PasswordFromLink(Refusing, views.PasswordResetFromKeyView):
    form_class = NewPasswordForm
