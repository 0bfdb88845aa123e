"""The pages of django-allauth that we show. Its others, such as sign-up and e-mail addresses, do not exist here."""

from allauth.account import views
from allauth.account.forms import LoginForm
from django.http import HttpResponse
from django.urls import path


class SignIn(views.LoginView):
    def get_form(self, form_class: type[LoginForm] | None = None) -> LoginForm:
        """The focus goes where typing goes on: to the name, and after a failure to the password."""
        form: LoginForm = super().get_form(form_class)  # type: ignore[no-untyped-call]
        form.fields["password" if form.is_bound else "login"].widget.attrs["autofocus"] = True
        return form

    def form_invalid(self, form: LoginForm) -> HttpResponse:
        """A form with errors is a 422 on every page."""
        response: HttpResponse = super().form_invalid(form)
        response.status_code = 422
        return response


urlpatterns = [
    path("login/", SignIn.as_view(), name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("inactive/", views.account_inactive, name="account_inactive"),
]
