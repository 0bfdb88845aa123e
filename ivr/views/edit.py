"""The edit form: opened by reading the PBX live, posted to become a plan. Nothing is sent from here."""

from collections.abc import Sequence

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from ivr.addresses import ivr_address
from ivr.changes.opening import allowed_settings, edit_plan, fields_refuse, nothing_differs, read_live, status_of
from ivr.changes.plan import Opened
from ivr.forms import IvrForm, opened_from, opened_now
from ivr.models import Change, Ivr
from ivr.wording import caller_hears, field_rows, tick_count
from pbxadmin.access.permissions import require
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.fleet.concurrency import TooManyWaiting
from pbxadmin.fleet.decorators import waits_for_pbx
from pbxadmin.fleet.engineer import engineer_text
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.problems import problem
from pbxadmin.web.site import site_address
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.fields import BY_NAME, IvrField
from pbxadmin.yeastar.readings import IvrSettings

from .changes import show
from .common import actor, addressable, draft_parameters, draft_query, pbx_or_404
from .missing_ivr import missing_ivr_or_404

TOO_OLD = "This form was opened too long ago, so the PBX was read again. Look at the values, then review once more."


@login_required
@require_http_methods(["GET", "POST"])
@waits_for_pbx
def ivr_edit(request: HttpRequest, pbx_id: int, number: str) -> HttpResponse:
    pbx = pbx_or_404(request, pbx_id)
    require(user_of(request), Action.EDIT_IVR, pbx.customer)
    if request.method == "GET":
        return edit_open(request, pbx, addressable(number))
    opened = opened_from(request.POST.get("opened", ""), pbx.pk, number)
    if opened is None:
        return edit_open(request, pbx, addressable(number), too_old=True)
    return edit_post(request, pbx, opened)


def edit_open(request: HttpRequest, pbx: Pbx, number: str, *, too_old: bool = False) -> HttpResponse:
    """Read the IVR live and show the form; when the PBX cannot be read, its last known values, to look at only."""
    try:
        live, others = read_live(pbx, number)
        if live is None:
            return not_there(request, pbx, number, others)
    except (PbxError, TooManyWaiting) as error:
        return edit_closed(request, pbx, number, error)
    form = IvrForm(
        opened_now(pbx, live, timezone.now()),
        allowed_settings(user_of(request), pbx),
        request.POST if too_old else None,
        customer=pbx.customer,
        draft=draft_of(request, pbx),
    )
    if too_old:
        form.add_error(None, TOO_OLD)
    return edit_page(request, pbx, form, status=422 if too_old else 200)


def draft_of(request: HttpRequest, pbx: Pbx) -> dict[str, str]:
    """Return what the form opens with instead of what the PBX holds: of a plan of this PBX, and of single fields.

    The address names the plan (`from`) and the fields.
    """
    asked = draft_parameters(request)
    change = Change.objects.visible_to(user_of(request)).filter(pk=asked.pop("from", 0), pbx_id=pbx.pk).first()
    return (change.draft if change else {}) | asked


def edit_page(request: HttpRequest, pbx: Pbx, form: IvrForm, status: int = 200) -> HttpResponse:
    values = IvrSettings(**form.opened.values)  # type: ignore[arg-type]  # signed by us, from IvrSettings.values()
    shown = [row for group in field_rows(values, pbx.version).values() for row in group]
    context = {
        "pbx": pbx,
        "form": form,
        "now": values,
        "locked": [row for row in shown if row.field not in form.settings],
        "hears": caller_hears(values),
        "repeat": tick_count(values.prompt_repeat),
        "seconds": tick_count(values.response_timeout),
        "read_at": form.opened.read_at,
        "unsettled": Change.objects.unsettled(pbx.pk, form.opened.number),
    }
    return render_either(request, "ivr/ivr_edit.html", "ivr/_edit_form.html", context, status=status)


def not_there(request: HttpRequest, pbx: Pbx, number: str, others: Sequence[IvrSettings]) -> HttpResponse:
    """Show that an IVR was there once, and where an IVR of the same name is now."""
    snapshot = Ivr.objects.filter(pbx=pbx, number=number).first()
    if snapshot is None:
        return missing_ivr_or_404(request, pbx, number)
    namesakes = (ivr.number for ivr in others if ivr.name and ivr.name == snapshot.name and ivr.is_addressable)
    namesake = next(namesakes, "")
    why = f"IVR {number} is not on {pbx.name} any more."
    return closed_page(request, pbx, snapshot, why, 404, namesake)


def edit_closed(request: HttpRequest, pbx: Pbx, number: str, error: PbxError | TooManyWaiting) -> HttpResponse:
    snapshot = Ivr.objects.filter(pbx=pbx, number=number).first()
    return closed_page(request, pbx, snapshot, f"{error} You can look, not edit.", status_of(error))


def closed_page(
    request: HttpRequest, pbx: Pbx, snapshot: Ivr | None, why: str, status: int, namesake: str = ""
) -> HttpResponse:
    """Show why it cannot be edited, and what it held. After a POST the form stays, with the reason beside it."""
    if request.method == "POST":
        return problem(request, status, "Nothing was planned", why)
    context = {
        "namesake": namesake,
        "engineer": "" if status == 404 else engineer_of(request, pbx, why),
        "keeping": draft_query(request),
        "pbx": pbx,
        "ivr": snapshot,
        "why": why,
        "groups": field_rows(snapshot.settings, pbx.version) if snapshot else {},
        "number": snapshot.number if snapshot else "",
        "unsettled": Change.objects.unsettled(pbx.pk, snapshot.number) if snapshot else None,
    }
    return render_either(request, "ivr/edit_closed.html", "ivr/_edit_closed.html", context, status=status)


def engineer_of(request: HttpRequest, pbx: Pbx, why: str) -> str:
    """Return what to hand on when a PBX could not be read: as it is known after that."""
    pbx.refresh_from_db()
    return engineer_text(pbx, f"{site_address(request)}{pbx.get_absolute_url()}", problem=why)


def edit_post(request: HttpRequest, pbx: Pbx, opened: Opened) -> HttpResponse:
    settings = allowed_settings(user_of(request), pbx)
    form = IvrForm(opened, settings, request.POST, customer=pbx.customer)
    kept_out = posted_although_locked(request, opened, settings)
    try:
        fields_refuse(user=user_of(request), pbx=pbx, ivr=(opened.number, opened.values["name"] or ""), names=kept_out)
    except ValidationError as error:
        for name, sentences in error.message_dict.items():
            form.add_error(None, f"{BY_NAME[name].label}: {sentences[0]}")
    if not form.is_valid():
        return edit_page(request, pbx, form, status=422)
    if not form.wanted:
        messages.info(request, nothing_differs(pbx))
        return go(request, ivr_address(pbx.pk, opened.number))
    reason, ticket = form.reason_and_ticket
    change = edit_plan(pbx=pbx, opened=opened, wanted=form.wanted, actor=actor(), reason=reason, ticket=ticket)
    if change.status == Change.Status.CONFLICT:
        answer = show(request, change, status=409)
        answer["HX-Retarget"], answer["HX-Reswap"] = "#main", "innerHTML"  # in place of the form and its heading
        return answer
    return go(request, change.get_absolute_url())


def posted_although_locked(request: HttpRequest, opened: Opened, settings: list[IvrField]) -> list[str]:
    """Return the fields with another value that this form does not offer: forged, or the PBX got another version."""
    locked = BY_NAME.keys() - {field.name for field in settings}
    posted = {name: request.POST[name].strip() for name in BY_NAME if name in locked and name in request.POST}
    return [name for name, text in posted.items() if text != (opened.values.get(name) or "")]
