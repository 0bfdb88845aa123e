"""Evidence packs: what a filter of the log page finds, signed and with its verifier, for somebody outside."""

import hashlib
import tempfile
from collections.abc import Collection
from typing import IO

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from pbxadmin.access.models import as_named
from pbxadmin.access.permissions import customers_of, require_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import shown_key
from pbxadmin.audit.evidence import Pack, pack_write, verifier_digest
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event, EventQuerySet

from .desk import customer_of
from .selectors import EventFilter, events_for, names_of

MOST = 200_000  # events of a pack that a person waits for; the command has no limit


@login_required
@require_http_methods(["GET", "POST"])
def evidence_page(request: HttpRequest) -> HttpResponseBase:
    """What a pack of this filter would be, and by POST the pack itself."""
    user = user_of(request)
    require_anywhere(user, Action.REVIEW_LOG)
    wanted = EventFilter.from_query(request.GET)
    events = wanted.narrow(events_for(user))
    count = events.order_by()[: MOST + 1].count()
    if request.method == "POST" and 0 < count <= MOST:
        file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the answer)
        evidence_make(file, events, made_by=user.display_name, wanted=words_of(wanted))
        file.seek(0)
        name = f"evidence-{timezone.now():%Y-%m-%d-%H%M}.zip"
        return FileResponse(file, as_attachment=True, filename=name, content_type="application/zip")
    return page(request, wanted, count, events.order_by("-id").first())


def page(request: HttpRequest, wanted: EventFilter, count: int, newest: Event | None) -> HttpResponse:
    customers = customers_of(user_of(request), Action.REVIEW_LOG).filter(pk=wanted.customer or 0)
    context = {
        "count": count,
        "most": MOST,
        "is_too_many": count > MOST,
        "wanted": wanted,
        "query": wanted.query,
        "chips": wanted.chips(names_of(wanted, newest, customers.values_list("pk", "name"))),
        "public_key": shown_key(),
        "verifier_digest": verifier_digest(),
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "review/evidence.html", context, status=status)


def words_of(wanted: EventFilter) -> str:
    """The filter as it stands in an address, with the day from which a search really looked."""
    if wanted.first_day == wanted.since:
        return wanted.query
    return f"{wanted.query}&from={wanted.first_day}"


def evidence_make(file: IO[bytes], events: EventQuerySet, *, made_by: str, wanted: str) -> Pack:
    """Write the pack and record that it was made, and by its SHA-256 which one it is, before anybody gets it."""
    pack = pack_write(file, events, made_by=made_by, wanted=wanted, site=settings.SITE_URL)
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    detail = {"filter": wanted, "count": pack.count, "chains": len(pack.chains), "sha256": digest}
    record(EventAction.EVIDENCE_MADE, customer=only_customer(pack.chains), detail=detail)
    return pack


def only_customer(chains: Collection[str]) -> tuple[int, str] | None:
    """Whose log it belongs to: of the one customer whose events were packed, else the installation's."""
    (chain, *others) = sorted(chains) or [""]
    return None if others else as_named(customer_of(chain))
