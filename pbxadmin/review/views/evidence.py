"""The page that makes an evidence pack of what a filter of the log finds."""

import tempfile
from dataclasses import replace

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from pbxadmin.access.permissions import customers_of
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.checkpoints import shown_key
from pbxadmin.audit.evidence import verifier_digest
from pbxadmin.audit.models import Event
from pbxadmin.review.evidence import evidence_make, filter_query
from pbxadmin.review.selectors import EventFilter, events_for, names_of

from .common import auditor

PACK_LIMIT = 200_000  # events of a pack that a person waits for; the command has no limit


@login_required
@require_http_methods(["GET", "POST"])
def evidence_page(request: HttpRequest) -> HttpResponseBase:
    """Show what a pack of this filter would hold; POST answers with the pack."""
    user = auditor(request)
    wanted = replace(EventFilter.from_query(request.GET), times="")
    events = wanted.narrow(events_for(user))
    count = events.order_by()[: PACK_LIMIT + 1].count()
    if request.method == "POST" and 0 < count <= PACK_LIMIT:
        file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the answer)
        evidence_make(file, events, made_by=user.display_name, wanted=filter_query(wanted))
        file.seek(0)
        name = f"evidence-{timezone.now():%Y-%m-%d-%H%M}.zip"
        return FileResponse(file, as_attachment=True, filename=name, content_type="application/zip")
    return evidence_answer(request, wanted, count, events.order_by("-id").first())


def evidence_answer(request: HttpRequest, wanted: EventFilter, count: int, newest: Event | None) -> HttpResponse:
    customers = customers_of(user_of(request), Action.REVIEW_LOG).filter(pk=wanted.customer or 0)
    context = {
        "count": count,
        "most": PACK_LIMIT,
        "is_too_many": count > PACK_LIMIT,
        "wanted": wanted,
        "query": wanted.query,
        "chips": wanted.chips(names_of(wanted, newest, customers.values_list("pk", "name"))),
        "public_key": shown_key(),
        "verifier_digest": verifier_digest(),
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "review/evidence.html", context, status=status)
