"""Single sign-on with OpenID Connect, for people who have an account here.

It adds nobody. A person is recognised by the link stored at their first such sign-in, and before that by an e-mail
address that the provider has verified and that belongs to an active user.
"""

from typing import Any

import jwt
from allauth.account.utils import get_next_redirect_url
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.base.constants import AuthError, AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET
from requests import RequestException

from pbxadmin.access.models import User
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.web.site import site_address

PROVIDER = "sso"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
LEEWAY_S = 60
STORED_CLAIMS = ("sub", "email", "email_verified")
BROKEN = (OAuth2Error, RequestException, jwt.PyJWTError, KeyError, TypeError, ValueError)

NO_ANSWER = "{name} gave no usable answer. Try again; if it stays so, tell whoever runs PBX Admin."
CANCELLED = "You ended the sign-in at {name}."
NOT_VERIFIED = "{name} did not say that your e-mail address is verified, so we cannot tell who you are."
UNKNOWN = "Nobody here has the e-mail address {email}. Ask whoever runs PBX Admin to add you."


@require_GET
def sign_in(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Redirect to the provider. Ask it for a new login if the user is signed in here already."""
    provider = adapter_for(request, provider_id).get_provider()
    params = {"prompt": "login"} if request.user.is_authenticated else {}
    try:
        answer: HttpResponse = provider.redirect(
            request, AuthProcess.LOGIN, next_url=get_next_redirect_url(request), auth_params=params
        )
    except BROKEN:
        return refused(request, NO_ANSWER)
    return answer


@require_GET
def answered(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Handle the return from the provider: exchange its code for the identity of the person."""
    try:
        answer: HttpResponse = OAuth2CallbackView.adapter_view(adapter_for(request, provider_id))(request)  # type: ignore[no-untyped-call]
    except BROKEN:
        return refused(request, NO_ANSWER)
    return answer


def adapter_for(request: HttpRequest, provider_id: str) -> "Provider":
    if not settings.OIDC_SERVER_URL:
        raise Http404
    return Provider(request, provider_id)


def refused(request: HttpRequest, why: str, email: str = "") -> HttpResponse:
    """Render why nobody was signed in, and record it."""
    text = why.format(name=settings.OIDC_NAME, email=email)
    record(EventAction.SESSION_FAILED, detail={"user": email, "by": PROVIDER, "reason": text})
    return render(request, "accounts/sso_refused.html", {"text": text}, status=403)


class ProviderKeys(jwt.PyJWKClient):
    def fetch_data(self) -> Any:
        """Fetch the key set as allauth fetches everything from the provider: same trust store, proxy and timeout."""
        with get_adapter().get_requests_session() as session:  # type: ignore[no-untyped-call]
            return session.get(self.uri).json()


class Provider(OpenIDConnectOAuth2Adapter):
    def get_provider(self) -> Any:
        """Return allauth's provider, which redirects by this class and not by allauth's own."""
        provider = super().get_provider()  # type: ignore[no-untyped-call]
        provider.oauth2_adapter_class = type(self)
        return provider

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        """Return the address that the provider leads back to, which is registered there."""
        return f"{site_address(request)}{reverse('openid_connect_callback')}"

    def complete_login(self, request: HttpRequest, app: SocialApp, token: SocialToken, **kwargs: Any) -> SocialLogin:
        """Return the login of the person, from the signed token; missing claims come from the userinfo endpoint."""
        claims = self.verified(kwargs["response"]["id_token"])
        if not {"email", "email_verified"} <= claims.keys() and "userinfo_endpoint" in self.openid_config:
            told = self._fetch_user_info(token.token)
            if told["sub"] != claims["sub"]:
                raise OAuth2Error("userinfo is about somebody else")
            claims = told | claims
        kept = {name: claims[name] for name in STORED_CLAIMS if name in claims}
        provider = self.get_provider()
        login: SocialLogin = provider.sociallogin_from_response(request, {"id_token": kept})
        return login

    def verified(self, id_token: str) -> dict[str, Any]:
        """Return the claims of a token, with its signature checked: allauth skips that for a token it fetched."""
        config = self.openid_config
        key = ProviderKeys(config["jwks_uri"], cache_jwk_set=False).get_signing_key_from_jwt(id_token)
        required = {"require": ["exp", "iat", "sub"]}
        claims: dict[str, Any] = jwt.decode(
            id_token,
            key.key,
            algorithms=ALGORITHMS,
            audience=settings.OIDC_CLIENT_ID,
            issuer=config["issuer"],
            leeway=LEEWAY_S,
            options=required,  # type: ignore[arg-type]
        )
        return claims


class SsoAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Link a person at their first sign-in. Raises ImmediateHttpResponse for an unknown person."""
        if sociallogin.is_existing:
            return
        claims = sociallogin.account.extra_data["id_token"]
        email = str(claims.get("email") or "")
        if not email or not is_verified(claims):
            raise ImmediateHttpResponse(refused(request, NOT_VERIFIED, email))
        person = User.objects.filter(email__iexact=email, is_active=True).first()
        if person is None:
            raise ImmediateHttpResponse(refused(request, UNKNOWN, email))
        sociallogin.connect(request, person)
        record(EventAction.SESSION_LINKED, actor=Actor(person.pk, person.display_name), detail={"email": email})

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> None:
        raise ImmediateHttpResponse(refused(request, CANCELLED if error == AuthError.CANCELLED else NO_ANSWER))


def is_verified(claims: dict[str, Any]) -> bool:
    """Return whether the e-mail address is verified. Some providers send the text "true" or "false"."""
    return settings.OIDC_TRUST_EMAIL or claims.get("email_verified") in (True, "true")
