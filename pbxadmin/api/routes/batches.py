"""Batches: plan, start, go on, stop, and what became of each target. The preview goes on in the background."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from ninja import Query, Router, Schema, Status
from pydantic import Field

from ivr.models import Ivr
from pbxadmin.access.permissions import require_anywhere
from pbxadmin.access.roles import Action
from pbxadmin.api.calling import Told, caller, row_or_404
from pbxadmin.api.description import may_be_refused
from pbxadmin.api.paging import PageQuery, list_page_out
from pbxadmin.api.problems import ApiProblem, problem_invalid
from pbxadmin.api.schemas import IvrWanted, JsonValue, NothingIn, PageOut, Strict, values_out, wanted_texts
from pbxadmin.audit.context import current
from pbxadmin.batches.asked import batch_again, batch_asked, batch_back, batch_begin, batch_go_on
from pbxadmin.batches.models import Batch, BatchState, BatchTarget, TargetClass
from pbxadmin.batches.selectors import TargetTally, risk_lines, tallies_of, why_told
from pbxadmin.batches.services import (
    RisksNotConfirmed,
    batch_stop,
    must_be_typed,
    require_to_run,
    risks_in,
)

router = Router(tags=["Batches"])


class IvrChosen(Strict):
    pbx: int
    number: str = Field(max_length=200)


class BatchIn(Strict):
    """A batch to plan: IVRs by PBX and number, or the `filter` of the list of IVRs, such as "customer=3&tag=vip"."""

    ivrs: list[IvrChosen] = Field([], max_length=10_000)
    filter: str | None = Field(None, max_length=2000)
    values: IvrWanted
    reason: str = Field("", max_length=500)
    ticket: str = Field("", max_length=100)
    canary: int = Field(3, description="How many are changed before it pauses.")
    pbxs_at_once: int = 8
    halt_after: int = Field(3, description="Not verified, after the first ones.")
    keep_trying_until: datetime | None = Field(None, description="UTC, at most seven days from now.")
    only_in_hours: bool = False


class StartIn(Strict):
    """confirm: that the risks are meant. typed: their number, where `type_count` of the batch asks for it."""

    confirm: bool = False
    typed: str = Field("", max_length=10)


class ContinueIn(Strict):
    reason: str = Field("", max_length=500, description="Required after a halt.")


class RetryIn(Strict):
    outcomes: list[str] = Field([], description="Outcomes, not-begun, not-reachable; none: all that is not verified.")


class BatchOut(Schema):
    """A batch, with counts of the targets that you see. risks: to confirm at its start."""

    id: int
    state: str
    why: str
    size: int
    classes: dict[str, int]
    outcomes: dict[str, int]
    risks: list[str]
    type_count: bool
    reason: str
    ticket: str
    planned_by: str
    planned_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    page: str


class BatchesOut(PageOut):
    items: list[BatchOut]


class TargetOut(Schema):
    """One IVR of a batch. why: of its class. change: id of its change, once it was begun."""

    customer_id: int
    pbx_id: int
    pbx: str
    number: str
    klass: str = Field(serialization_alias="class")
    why: str
    outcome: str
    sentence: str
    base: dict[str, JsonValue]
    wanted: dict[str, JsonValue]
    change: int | None
    finished_at: datetime | None


class TargetsOut(PageOut):
    items: list[TargetOut]


class StoppedOut(Schema):
    """in_flight: PBXs in hand, of which what is being sent is still read back. stopped: false when it was over."""

    stopped: bool
    in_flight: int


def batch_seen(request: HttpRequest, batch_id: int) -> Batch:
    return row_or_404(Batch.objects.visible_to(caller(request)), batch_id)


def batch_run_by(request: HttpRequest, batch_id: int) -> Batch:
    """Return a batch that the caller may start and stop."""
    batch = batch_seen(request, batch_id)
    require_to_run(caller(request), batch)
    return batch


def batch_out(request: HttpRequest, batch: Batch, tally: TargetTally | None = None) -> dict[str, Any]:
    """Return a batch, as far as the caller sees it. tally: of the targets that the caller sees, if it is known."""
    tally = tally or TargetTally.of(batch.targets.visible_to(caller(request)))
    risks = risks_in(batch) if batch.state == BatchState.READY and tally.is_all_of(batch) else []
    copied = ("id", "state", "reason", "ticket", "planned_at", "started_at", "finished_at")
    return {
        **{name: getattr(batch, name) for name in copied},
        "why": why_told(batch, tally),
        "size": tally.size,
        "classes": {klass: tally.of_class(klass) for klass in TargetClass.values},
        "outcomes": {outcome or "to-do": count for outcome, count in tally.outcomes().items()},
        "risks": risk_lines(risks),
        "type_count": bool(risks) and must_be_typed(batch, risks),
        "planned_by": batch.planned_by_name,
        "page": batch.get_absolute_url(),
    }


def targets_out(targets: Sequence[BatchTarget]) -> list[dict[str, Any]]:
    copied = ("customer_id", "pbx_id", "number", "klass", "why", "outcome", "sentence", "finished_at")
    return [
        {name: getattr(target, name) for name in copied}
        | {
            "pbx": target.pbx_name,
            "base": values_out(target.base),
            "wanted": values_out(target.wanted or target.asked),
            "change": target.change_id,
        }
        for target in targets
    ]


@router.get("/batches", response=BatchesOut, operation_id="batch_list")
def batch_list_operation(request: HttpRequest, response: HttpResponse, asked: Query[PageQuery]) -> dict[str, Any]:
    """List the batches of which you see a target, newest first."""
    found = Batch.objects.visible_to(caller(request))

    def out(batches: Sequence[Batch]) -> list[dict[str, Any]]:
        tallies = tallies_of(batches, BatchTarget.objects.visible_to(caller(request)))
        return [batch_out(request, batch, tallies[batch.pk]) for batch in batches]

    return list_page_out(request, response, found, ["-id"], out)


@router.post("/batches", response={201: BatchOut}, operation_id="batch_plan", openapi_extra=may_be_refused(404))
def batch_plan_operation(request: HttpRequest, response: HttpResponse, body: BatchIn) -> Told:
    """Plan a batch. Its preview reads each PBX once, in the background; nothing is sent before it is started."""
    user = caller(request)
    require_anywhere(user, Action.BATCH)
    asked = batch_asked(user, posted(request, body))
    if asked.problem:
        raise problem_invalid({"ivrs": [asked.problem]})
    unknown = wanted_texts(body.values).keys() - asked.form.fields.keys()
    if unknown:
        raise problem_invalid({name: ["A batch cannot change it on these PBXs."] for name in unknown})
    if not asked.is_ready:
        raise problem_invalid(asked.form.errors)
    return made(request, response, asked.planned())


def posted(request: HttpRequest, body: BatchIn) -> QueryDict:
    """Return what the page of a batch would post: the IVRs that were chosen, and its form."""
    data = chosen_query(request, body)
    data.update(form_data(body))
    return data


def chosen_query(request: HttpRequest, body: BatchIn) -> QueryDict:
    """Return what the page of the list would post for these IVRs."""
    query = QueryDict(mutable=True)
    if body.filter is not None and not body.ivrs:
        query.update({"all": "on", "query": body.filter})
        return query
    keys = {(each.pbx, each.number) for each in body.ivrs}
    seen = ivrs_with(request, {pbx for pbx, _ in keys})
    ids = {(pbx, number): pk for pk, pbx, number in seen if (pbx, number) in keys}
    query.setlist("ivr", [str(ids.get(key, "unseen")) for key in sorted(keys)])
    return query


def ivrs_with(request: HttpRequest, pbx_ids: set[int]) -> QuerySet[Any, tuple[int, int, str]]:
    found = Ivr.objects.visible_to(caller(request)).filter(pbx_id__in=[pk for pk in pbx_ids if 0 < pk < 2**63])
    return found.order_by().values_list("pk", "pbx_id", "number")


def form_data(body: BatchIn) -> dict[str, str]:
    """Return the fields of the form of a batch as the page would post them."""
    data = {**wanted_texts(body.values), "reason": body.reason, "ticket": body.ticket}
    data |= {name: str(getattr(body, name)) for name in ("canary", "pbxs_at_once", "halt_after")}
    if until := body.keep_trying_until:  # with its offset: the form reads a time without one in the person's zone
        data["keep_trying_until"] = (until if until.tzinfo else until.replace(tzinfo=UTC)).isoformat()
    if body.only_in_hours:
        data["only_in_hours"] = "on"
    return data


def made(request: HttpRequest, response: HttpResponse, batch: Batch) -> Told:
    """Answer with a batch that was just planned."""
    response["Location"] = f"/api/v1/batches/{batch.pk}"
    return Status(201, batch_out(request, batch))


@router.get("/batches/{batch_id}", response=BatchOut, operation_id="batch_read")
def batch_read_operation(request: HttpRequest, batch_id: int) -> dict[str, Any]:
    """Read how far a batch is."""
    return batch_out(request, batch_seen(request, batch_id))


@router.get("/batches/{batch_id}/targets", response=TargetsOut, operation_id="batch_targets", by_alias=True)
def batch_targets_operation(
    request: HttpRequest, response: HttpResponse, batch_id: int, asked: Query[PageQuery]
) -> dict[str, Any]:
    """List the targets of a batch that you see, with their class and outcome."""
    found = batch_seen(request, batch_id).targets.visible_to(caller(request))
    return list_page_out(request, response, found, ["place"], targets_out)


@router.post("/batches/{batch_id}/start", response=BatchOut, operation_id="batch_start")
def batch_start_operation(request: HttpRequest, batch_id: int, body: StartIn) -> dict[str, Any]:
    """Change the first few, then pause. A preview older than 30 minutes is made again first."""
    batch = batch_run_by(request, batch_id)
    try:
        batch_begin(batch, confirmed=body.confirm, typed=body.typed)
    except RisksNotConfirmed as error:
        said = batch_out(request, batch)
        raise ApiProblem(
            422,
            "not-confirmed",
            str(error),
            risks=said["risks"],
            type_count=said["type_count"],
        ) from None
    return moved(request, batch)


@router.post("/batches/{batch_id}/continue", response=BatchOut, operation_id="batch_continue")
def batch_continue_operation(request: HttpRequest, batch_id: int, body: ContinueIn) -> dict[str, Any]:
    """Go on after the pause, or in spite of a halt with a reason."""
    batch = batch_run_by(request, batch_id)
    batch_go_on(batch, reason=body.reason)
    return moved(request, batch)


def moved(request: HttpRequest, batch: Batch) -> dict[str, Any]:
    batch.refresh_from_db()
    return batch_out(request, batch)


@router.post("/batches/{batch_id}/stop", response=StoppedOut, operation_id="batch_stop")
def batch_stop_operation(request: HttpRequest, batch_id: int, body: NothingIn | None = None) -> dict[str, Any]:
    """Stop before the next send. What is being sent is still read back."""
    in_flight = batch_stop(batch=batch_run_by(request, batch_id), actor=current().actor)
    return {"stopped": in_flight is not None, "in_flight": in_flight or 0}


@router.post("/batches/{batch_id}/retry", response={201: BatchOut}, operation_id="batch_retry")
def batch_retry_operation(request: HttpRequest, response: HttpResponse, batch_id: int, body: RetryIn) -> Told:
    """Plan a batch of the targets that ended in these outcomes, with a preview of its own."""
    return made(request, response, batch_again(batch_run_by(request, batch_id), outcomes=body.outcomes))


@router.post("/batches/{batch_id}/restore", response={201: BatchOut}, operation_id="batch_restore")
def batch_restore_operation(
    request: HttpRequest, response: HttpResponse, batch_id: int, body: NothingIn | None = None
) -> Told:
    """Plan a batch that gives the verified targets their old values."""
    return made(request, response, batch_back(batch_run_by(request, batch_id)))
