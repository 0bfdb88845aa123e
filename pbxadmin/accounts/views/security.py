"""Page of the own account: ways to sign in, and open sessions."""

import re
from dataclasses import dataclass
from datetime import datetime

from allauth.mfa.app_settings import RECOVERY_CODE_COUNT
from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from pbxadmin.access.models import Session, User
from pbxadmin.access.person import user_of
from pbxadmin.access.services import sessions_end
from pbxadmin.accounts.forms import OwnZoneForm
from pbxadmin.accounts.second_factor import lacks_second_factor
from pbxadmin.accounts.services import time_zone_choose
from pbxadmin.accounts.session_store import SIGNED_IN_AT
from pbxadmin.web.htmx import go
from pbxadmin.web.posting import post_only

BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari", "curl": "curl"}
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS": "Mac",
    "Linux": "Linux",
}


@dataclass(frozen=True)
class OwnSession:
    browser: str
    address: str
    began_at: datetime
    seen_at: datetime
    is_this: bool


@login_required
@require_GET
def security(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    return show_security(request, OwnZoneForm(initial={"time_zone": user.time_zone or "UTC"}))


def show_security(request: HttpRequest, zone_form: OwnZoneForm) -> HttpResponse:
    user = user_of(request)
    factors = Authenticator.objects.filter(user=user).order_by("created_at", "pk")
    context = {
        "app": next((factor for factor in factors if factor.type == Authenticator.Type.TOTP), None),
        "keys": [factor for factor in factors if factor.type == Authenticator.Type.WEBAUTHN],
        "codes_left": next((codes_left(factor) for factor in factors if codes_left(factor) is not None), None),
        "is_demanded": lacks_second_factor(user),
        "sessions": own_sessions(user, request.session.session_key),
        "zone_form": zone_form,
    }
    return render(request, "accounts/security.html", context, status=422 if zone_form.errors else 200)


@login_required
@post_only("account_security")
def own_zone(request: HttpRequest) -> HttpResponse:
    """Take the time zone in which the person wants to see times."""
    form = OwnZoneForm(request.POST)
    if not form.is_valid():
        return show_security(request, form)
    time_zone_choose(person=user_of(request), **form.cleaned_data)
    messages.success(request, f"Times are shown in {form.cleaned_data['time_zone']} from now on.")
    return go(request, reverse("account_security"))


@login_required
@require_GET
def to_security(request: HttpRequest) -> HttpResponse:
    return redirect("account_security")


@login_required
@post_only("account_security")
def sign_out_others(request: HttpRequest) -> HttpResponse:
    ended = sessions_end(user=user_of(request), but=request.session.session_key)
    messages.success(request, f"Signed out elsewhere: {ended}." if ended else "You are signed in nowhere else.")
    return go(request, reverse("account_security"))


def codes_left(factor: Authenticator) -> int | None:
    """Return the number of unused recovery codes, or None for another kind of factor."""
    if factor.type != Authenticator.Type.RECOVERY_CODES:
        return None
    unused: int = RECOVERY_CODE_COUNT - int(factor.data["used_mask"]).bit_count()
    return unused


def own_sessions(user: User, this: str | None) -> list[OwnSession]:
    alive = user.sessions.filter(expire_date__gt=timezone.now()).order_by("-seen_at")
    return [own_session(session, session.session_key == this) for session in alive]


def own_session(session: Session, is_this: bool) -> OwnSession:
    data = session.get_decoded()
    began_at = datetime.fromtimestamp(data[SIGNED_IN_AT], timezone.get_default_timezone())
    return OwnSession(browser_name(data["browser"]), data["address"], began_at, session.seen_at, is_this)


def browser_name(told: str) -> str:
    """Return a name such as "Firefox on Linux" from a User-Agent header, which can contain anything."""
    browser = next((name for sign, name in BROWSERS.items() if re.search(rf"\b{sign}/", told)), "")
    system = next((name for sign, name in SYSTEMS.items() if sign in told), "")
    return " on ".join(filter(None, (browser, system))) or told[:40] or "Unknown"
