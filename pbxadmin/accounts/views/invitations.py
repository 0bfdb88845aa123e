"""Pages of invitations: to send them, and to accept one by its link."""

from functools import partial

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from pbxadmin.access.models import User
from pbxadmin.access.permissions import require_anywhere, require_role, roles_to_give
from pbxadmin.access.person import user_of
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import Action
from pbxadmin.accounts.forms import AcceptForm, InvitationForm
from pbxadmin.accounts.invitations import (
    InvitationGone,
    digest,
    invitation_accept,
    invitation_accept_new,
    invitation_create,
    invitation_mail,
    invitation_renew,
    invitation_with,
    invitation_withdraw,
)
from pbxadmin.accounts.models import Invitation
from pbxadmin.env import EMAIL_BACKENDS
from pbxadmin.web.htmx import go
from pbxadmin.web.pages import PAGE_SIZE, keyset
from pbxadmin.web.posting import post_only
from pbxadmin.web.site import site_address

HELD = "invitation"  # in the session: the digest of the link that was opened


@login_required
@requires_reauthentication
def invite(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    require_anywhere(user, Action.MANAGE_PEOPLE)
    data, customer = request.POST if request.method == "POST" else None, request.GET.get("customer", "")
    form = InvitationForm(data, user=user, customer=customer)
    if form.is_valid():
        try:
            invitation, token = invitation_create(by=user, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return mailed(request, invitation, token)
    return render(request, "accounts/invite.html", {"form": form}, status=422 if form.errors else 200)


@login_required
@require_GET
def invitation_list(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    require_anywhere(user, Action.MANAGE_PEOPLE)
    found = Invitation.objects.visible_to(user).select_related("customer", "invited_by", "accepted_by")
    page = keyset(found, ["-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    rows = [(one, one.is_waiting and one.role in roles_to_give(user, one.customer_id)) for one in page.rows]
    return render(request, "accounts/invitation_list.html", {"page": page, "rows": rows})


@login_required
@post_only("accounts:invitation-list")
@requires_reauthentication
def invitation_send_again(request: HttpRequest, pk: int) -> HttpResponse:
    invitation = changeable_invitation(request, pk)
    try:
        token = invitation_renew(invitation=invitation, by=user_of(request))
    except InvitationGone:
        messages.error(request, "Nothing was sent. It was used or withdrawn meanwhile.")
    except ValidationError as error:
        messages.error(request, error.messages[0])
    else:
        return mailed(request, invitation, token)
    return go(request, reverse("accounts:invitation-list"))


@login_required
@post_only("accounts:invitation-list")
@requires_reauthentication
def invitation_withdraw_page(request: HttpRequest, pk: int) -> HttpResponse:
    invitation = changeable_invitation(request, pk)
    invitation_withdraw(invitation=invitation)
    return go(request, reverse("accounts:invitation-list"))


def changeable_invitation(request: HttpRequest, pk: int) -> Invitation:
    found = Invitation.objects.visible_to(request.user).select_related("customer", "invited_by")
    invitation = get_object_or_404(found, pk=pk)
    require_role(request.user, invitation.role, invitation.customer)
    return invitation


def mailed(request: HttpRequest, invitation: Invitation, token: str) -> HttpResponse:
    link = f"{site_address(request)}{reverse('accounts:invitation-open', args=[token])}"
    if not invitation_mail(invitation=invitation, link=link):
        messages.error(request, "The mail server did not take the invitation. Send it again in five minutes.")
    elif EMAIL_BACKENDS["console"] == settings.EMAIL_BACKEND:
        messages.warning(request, "No mail server is set (EMAIL_URL), so the e-mail was printed where PBX Admin runs.")
    else:
        messages.success(request, f"The invitation is on its way to {invitation.email}. It can be used for 7 days.")
    return go(request, reverse("accounts:invitation-list"))


@require_GET
def invitation_open(request: HttpRequest, token: str) -> HttpResponse:
    """Redirect from the link to the page that accepts the invitation, whose address contains no token.

    The token appears in no Referer, and the session stores only its digest. The form is on another page because a
    browser with "no-referrer" sends no Origin, and the CSRF check refuses a form without one.
    """
    held = digest(token)
    if invitation_with(held) is None:
        answer = closed(request)
    else:
        request.session[HELD] = held
        answer = HttpResponseRedirect(reverse("accounts:invitation-accept"))
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def invitation_accept_page(request: HttpRequest) -> HttpResponse:
    invitation = invitation_with(request.session.get(HELD, ""))
    if invitation is None:
        return closed(request)
    try:
        if request.user.is_authenticated:
            return accept_as_known(request, invitation)
        return accept_as_new(request, invitation)
    except InvitationGone:
        return closed(request)


def accept_as_known(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    if request.method != "POST":
        return render(request, "accounts/invitation_accept.html", {"invitation": invitation})
    invitation_accept(invitation=invitation, user=user_of(request))
    request.session.pop(HELD)
    role = f"{invitation.get_role_display().lower()} of {invitation.customer or 'all customers'}"
    messages.success(request, f"You are now {role}.")
    return HttpResponseRedirect(reverse("home:home"))


def accept_as_new(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    data = request.POST if request.method == "POST" else None
    form = AcceptForm(data, name=invitation.name, email=invitation.email)
    if form.saved(partial(invitation_accept_new, invitation=invitation)):
        request.session.pop(HELD)
        return HttpResponseRedirect(reverse("accounts:invitation-accepted"))
    has_account = User.objects.filter(email__iexact=invitation.email).exists()
    context = {"invitation": invitation, "form": form, "has_account": has_account}
    return render(request, "accounts/invitation_accept.html", context, status=422 if form.errors else 200)


@require_GET
def invitation_accepted(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/invitation_accepted.html")


def closed(request: HttpRequest) -> HttpResponse:
    """Render the same page for every link that does not work: used, expired, withdrawn or never sent."""
    return render(request, "accounts/invitation_closed.html", status=404)
