"""Addresses of the own account, with the URL names of django-allauth, and of people and invitations.

Other pages of django-allauth, such as sign-up and e-mail addresses, are not included.
"""

from allauth.account import views as allauth
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from django.contrib.auth.decorators import login_required
from django.urls import include, path, re_path

from pbxadmin.access.reauthentication import View, requires_reauthentication

from . import sso
from .views import invitations, people, reauthentication, second_factor, security, sign_in


def own(view: View) -> View:
    """Wrap a page of the own second factors: it needs a sign-in and re-authentication."""
    return login_required(requires_reauthentication(view))


own_account = [
    path("login/", sign_in.SignIn.as_view(), name="account_login"),
    path("logout/", allauth.logout, name="account_logout"),
    path("inactive/", allauth.account_inactive, name="account_inactive"),
    path("reauthenticate/", reauthentication.ByPassword.as_view(), name="account_reauthenticate"),
    path("password/change/", sign_in.PasswordChange.as_view(), name="account_change_password"),
    path("password/reset/", sign_in.PasswordReset.as_view(), name="account_reset_password"),
    path("password/reset/done/", allauth.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$",
        sign_in.PasswordFromLink.as_view(),
        name="account_reset_password_from_key",
    ),
    path("password/reset/key/done/", allauth.password_reset_from_key_done, name="account_reset_password_from_key_done"),
    path("security/", security.security, name="account_security"),
    path("security/time-zone/", security.own_zone, name="account_time_zone"),
    path("security/sign-out-others/", security.sign_out_others, name="account_sign_out_others"),
    path("sso/login/", sso.sign_in, {"provider_id": sso.PROVIDER}, name="openid_connect_login"),
    path("sso/login/callback/", sso.answered, {"provider_id": sso.PROVIDER}, name="openid_connect_callback"),
    path("2fa/", security.to_security, name="mfa_index"),
    path("2fa/authenticate/", second_factor.SecondStep.as_view(), name="mfa_authenticate"),
    path("2fa/reauthenticate/", reauthentication.ByCode.as_view(), name="mfa_reauthenticate"),
    path(
        "2fa/webauthn/reauthenticate/",
        reauthentication.ByKey.as_view(),
        name="mfa_reauthenticate_webauthn",
    ),
    path("2fa/totp/activate/", own(second_factor.AddApp.as_view()), name="mfa_activate_totp"),
    path("2fa/totp/deactivate/", own(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("2fa/recovery-codes/", own(codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("2fa/recovery-codes/generate/", own(second_factor.NewCodes.as_view()), name="mfa_generate_recovery_codes"),
    path("2fa/webauthn/add/", own(second_factor.AddKey.as_view()), name="mfa_add_webauthn"),
    path("2fa/webauthn/keys/<int:pk>/remove/", own(second_factor.RemoveKey.as_view()), name="mfa_remove_webauthn"),
]

people_and_invitations = [
    path("people/", people.person_list, name="person-list"),
    path("people/invite/", invitations.invite, name="invite"),
    path("people/invitations/", invitations.invitation_list, name="invitation-list"),
    path("people/invitations/<int:pk>/send/", invitations.invitation_send_again, name="invitation-send-again"),
    path("people/invitations/<int:pk>/withdraw/", invitations.invitation_withdraw_page, name="invitation-withdraw"),
    path("invitations/", invitations.invitation_accept_page, name="invitation-accept"),
    path("invitations/accepted/", invitations.invitation_accepted, name="invitation-accepted"),
    path("invitations/<str:token>/", invitations.invitation_open, name="invitation-open"),
    path("people/<int:pk>/", people.person_page, name="person-page"),
    path("people/<int:pk>/edit/", people.person_edit_view, name="person-edit"),
    path("people/<int:pk>/roles/", people.role_give, name="role-give"),
    path("people/<int:pk>/roles/<int:membership_pk>/last-day/", people.role_set_end, name="role-set-end"),
    path("people/<int:pk>/roles/<int:membership_pk>/end/", people.role_end, name="role-end"),
    path("people/<int:pk>/disable/", people.person_switch, {"enabled": False}, name="person-disable"),
    path("people/<int:pk>/enable/", people.person_switch, {"enabled": True}, name="person-enable"),
    path("people/<int:pk>/sign-out/", people.person_sign_out, name="person-sign-out"),
    path("people/<int:pk>/reset-second-factor/", people.second_factor_reset_view, name="second-factor-reset"),
    path("people/<int:pk>/make-admin/", people.site_admin_switch, {"admin": True}, name="site-admin-give"),
    path("people/<int:pk>/take-admin/", people.site_admin_switch, {"admin": False}, name="site-admin-take"),
]

urlpatterns = [
    path("accounts/", include(own_account)),
    path("", include((people_and_invitations, "accounts"))),
]
