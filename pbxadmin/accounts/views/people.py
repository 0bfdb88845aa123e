"""Pages of people: the list, one person, their roles, and whether they may sign in."""

from collections.abc import Callable
from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from pbxadmin.access.forms import LastDayForm, RoleForm
from pbxadmin.access.models import Membership, User
from pbxadmin.access.permissions import (
    deny,
    manages,
    require_anywhere,
    require_role,
    require_rule_over,
    roles_to_give,
    rules_over,
)
from pbxadmin.access.person import user_of
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import Action
from pbxadmin.access.services import membership_end, membership_grant, membership_set_end, sessions_end
from pbxadmin.accounts import services
from pbxadmin.accounts.forms import PeopleFilter, PersonForm
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import PAGE_SIZE, found_of, keyset
from pbxadmin.web.posting import post_only
from pbxadmin.web.words import number_of


@login_required
@require_GET
def person_list(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    require_anywhere(user, Action.SEE_PEOPLE)
    wanted = PeopleFilter(request.GET, user=user)
    shown = Membership.objects.shown_to(user).select_related("customer").order_by("customer__folded", "role")
    seen = User.objects.visible_to(user)
    found = wanted.narrow(seen)
    people = found.prefetch_related(Prefetch("memberships", shown, "shown"))
    page = keyset(people, ("folded", "id"), request.GET.get("cursor", ""), PAGE_SIZE)
    context = {
        "wanted": wanted,
        "page": page,
        "counts": found_of(page, found, seen if wanted.is_narrow else None),
        "chips": wanted.shown_chips(),
    }
    return render_either(request, "accounts/person_list.html", "accounts/_person_table.html", context)


@login_required
@require_GET
def person_page(request: HttpRequest, pk: int) -> HttpResponse:
    return show_person(request, visible_person(request, pk))


@login_required
@post_only("accounts:person-page", "pk")
@requires_reauthentication
def role_give(request: HttpRequest, pk: int) -> HttpResponse:
    user, person = user_of(request), other_person(request, pk)
    form = RoleForm(request.POST, user=user)
    if not form.is_valid():
        return show_person(request, person, role_form=form)
    values = form.cleaned_data
    if membership_grant(user=person, **values):
        until = f" until {values['ends_on']}" if values["ends_on"] else ""
        role = f"{values['role'].label.lower()} of {values['customer'] or 'all customers'}"
        messages.success(request, f"{person.display_name} is now {role}{until}.")
    else:
        messages.info(request, f"{person.display_name} has this role already.")
    return to_page(request, person)


@login_required
@post_only("accounts:person-page", "pk")
@requires_reauthentication
def role_set_end(request: HttpRequest, pk: int, membership_pk: int) -> HttpResponse:
    membership = changeable_membership(request, pk, membership_pk)
    form = LastDayForm(request.POST, user=user_of(request), customer_id=membership.customer_id)
    if not form.is_valid():
        return show_person(request, membership.user, day_form=(membership.pk, form))
    day = form.cleaned_data["ends_on"]
    if membership_set_end(membership=membership, ends_on=day):
        messages.success(request, f"{membership.words}: {f'the last day is {day}' if day else 'no end'}.")
    return to_page(request, membership.user)


@login_required
@post_only("accounts:person-page", "pk")
@requires_reauthentication
def role_end(request: HttpRequest, pk: int, membership_pk: int) -> HttpResponse:
    membership = changeable_membership(request, pk, membership_pk)
    membership_end(membership=membership)
    messages.success(
        request, f"{membership.user.display_name} is no longer {membership.words[0].lower()}{membership.words[1:]}."
    )
    still_visible = User.objects.visible_to(request.user).filter(pk=pk).exists()
    return to_page(request, membership.user) if still_visible else go(request, reverse("accounts:person-list"))


@login_required
@post_only("accounts:person-page", "pk")
@requires_reauthentication
def person_edit_view(request: HttpRequest, pk: int) -> HttpResponse:
    user, person = user_of(request), visible_person(request, pk)
    require_rule_over(user, person)
    form = PersonForm(request.POST, user=user, person=person)
    if not form.is_valid():
        return show_person(request, person, person_form=form)
    if services.person_edit(user=person, **form.entered()):
        messages.success(request, "Saved. Events keep the name that stood when they happened.")
    return to_page(request, person)


@login_required
@post_only("accounts:person-page", "pk")
@requires_reauthentication
def person_switch(request: HttpRequest, pk: int, enabled: bool) -> HttpResponse:
    person = ruled_person(request, pk)
    return done(request, person, services.person_enable if enabled else services.person_disable)


@login_required
@post_only("accounts:person-page", "pk")
@requires_reauthentication
def person_sign_out(request: HttpRequest, pk: int) -> HttpResponse:
    """End all sessions of somebody else, who may sign in again."""
    person = ruled_person(request, pk)
    ended = sessions_end(user=person)
    where = f"signed out of {number_of(ended, 'browser')}" if ended else "signed in nowhere"
    messages.success(request, f"{person.display_name} is {where}.")
    return to_page(request, person)


@login_required
@post_only("accounts:person-page", "pk")
@requires_reauthentication
def second_factor_reset_view(request: HttpRequest, pk: int) -> HttpResponse:
    person = ruled_person(request, pk)
    services.second_factor_reset(user=person)
    messages.success(request, f"{person.display_name} signs in with the password alone until they set up another one.")
    return to_page(request, person)


@login_required
@post_only("accounts:person-page", "pk")
@requires_reauthentication
def site_admin_switch(request: HttpRequest, pk: int, admin: bool) -> HttpResponse:
    person = other_person(request, pk)
    if not request.user.is_superuser:
        deny(Action.MANAGE_PEOPLE, None)
    return done(request, person, services.site_admin_give if admin else services.site_admin_take)


def done(request: HttpRequest, person: User, use_case: Callable[..., None]) -> HttpResponse:
    """Call a use case, show its refusal if there is one, and return to the page of the person."""
    try:
        use_case(user=person)
    except ValidationError as error:
        messages.error(request, error.messages[0])
    return to_page(request, person)


def visible_person(request: HttpRequest, pk: int) -> User:
    return get_object_or_404(User.objects.visible_to(request.user), pk=pk)


def other_person(request: HttpRequest, pk: int) -> User:
    """Return another person whom the user manages: nobody changes their own roles or locks themselves out."""
    person = visible_person(request, pk)
    if person == request.user or not manages(request.user, person):
        deny(Action.MANAGE_PEOPLE, None)
    return person


def ruled_person(request: HttpRequest, pk: int) -> User:
    """Return another person over whose account the user may rule."""
    person = other_person(request, pk)
    require_rule_over(request.user, person)
    return person


def changeable_membership(request: HttpRequest, pk: int, membership_pk: int) -> Membership:
    shown = Membership.objects.shown_to(request.user).select_related("user", "customer")
    membership = get_object_or_404(shown, user=other_person(request, pk), pk=membership_pk)
    require_role(request.user, membership.role, membership.customer)
    return membership


def to_page(request: HttpRequest, person: User) -> HttpResponse:
    return go(request, reverse("accounts:person-page", args=[person.pk]))


def show_person(
    request: HttpRequest,
    person: User,
    role_form: RoleForm | None = None,
    person_form: PersonForm | None = None,
    day_form: tuple[int, LastDayForm] | None = None,
) -> HttpResponse:
    """Render the page of a person; a form with errors replaces its empty one."""
    user = user_of(request)
    is_self, is_managed = person == user, manages(user, person)
    shown = person.memberships.shown_to(user).select_related("customer").order_by("customer__folded", "role")
    context: dict[str, Any] = {
        "person": person,
        "is_self": is_self,
        "has_second_factor": Authenticator.objects.filter(user=person).exists(),
        "roles": [role_row(user, membership, is_self, day_form) for membership in shown],
        "is_managed": is_managed,
        "role_form": role_form or RoleForm(None, user=user) if is_managed and not is_self else None,
        "person_form": (person_form or PersonForm(None, user=user, person=person))
        if rules_over(user, person)
        else None,
    }
    failed = any(form is not None for form in (role_form, person_form, day_form))
    return render(request, "accounts/person_page.html", context, status=422 if failed else 200)


def role_row(
    user: User, membership: Membership, is_self: bool, day_form: tuple[int, LastDayForm] | None
) -> dict[str, Any]:
    may_change = not is_self and membership.role in roles_to_give(user, membership.customer_id)
    failed = day_form[1] if day_form is not None and day_form[0] == membership.pk else None
    last_day = failed["ends_on"].value() if failed else membership.ends_on and membership.ends_on.isoformat()
    return {"membership": membership, "may_change": may_change, "form": failed, "last_day": last_day or ""}
