"""What people and scripts do with batches, for the pages and the API alike. Each kicks who goes on with it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.http import QueryDict

from ivr.kicks import kick_once
from ivr.models import IvrQuerySet
from pbxadmin.access.models import User
from pbxadmin.audit.context import current
from pbxadmin.web.refusals import Outdated

from .asking import batch_form, selection_problem
from .forms import BatchForm
from .models import NOT_VERIFIED_OUTCOMES, Batch, BatchState, Origin
from .selectors import Selection, chosen_of, selection_of
from .services import Chosen, batch_continue, batch_plan, batch_restore, batch_retry, batch_start
from .work import batch_work


class NotPaused(Outdated):
    """The batch is in no state from which it could go on."""

    kind = "not-paused"


class NoSuchTarget(Outdated):
    """There is nothing of which another batch could be made."""

    kind = "no-such-target"


@dataclass(frozen=True)
class AskedBatch:
    """IVRs that were chosen, and the form of a batch for them. problem: why there can be no batch of them, or ""."""

    selection: Selection
    rows: IvrQuerySet
    form: BatchForm
    problem: str

    @property
    def is_ready(self) -> bool:
        return not self.problem and self.form.is_valid()

    def planned(self) -> Batch:
        """Plan the batch. Only what is ready can be planned."""
        chosen = chosen_of(self.rows, self.form.wanted)
        return batch_of_form(self.form, chosen=chosen, query=self.selection.query)


def batch_asked(user: User, data: QueryDict) -> AskedBatch:
    """Return what a POST asks for: by names of its form, filled in once it says how many go first (`canary`).

    Raises Http404 for IVRs that the user does not see.
    """
    selection = selection_of(user, data)
    rows = selection.rows(user)
    form = batch_form(rows, selection, data if "canary" in data else None)
    return AskedBatch(selection, rows, form, selection_problem(selection))


def batch_of_form(
    form: BatchForm, *, chosen: Sequence[Chosen], query: str = "", origin: Origin = Origin.VALUES
) -> Batch:
    """Plan a batch as its form says, which is valid, and have its preview made."""
    batch = batch_plan(
        chosen=chosen,
        wanted=form.wanted,
        pace=form.pace,
        actor=current().actor,
        query=query,
        origin=origin,
        reason=form.reason_typed,
        ticket=form.ticket_typed,
    )
    kick_once(batch_work, batch.pk)
    return batch


def batch_begin(batch: Batch, *, confirmed: bool, typed: str) -> bool:
    """Start a batch. False when nothing started: it is not ready, or its old preview is made again first.

    Raises RisksNotConfirmed.
    """
    is_started = batch_start(batch=batch, actor=current().actor, confirmed=confirmed, typed=typed)
    kick_once(batch_work, batch.pk)
    return is_started


def batch_go_on(batch: Batch, *, reason: str) -> None:
    """Have a batch go on. Raises ValidationError when a halt has no reason, NotPaused."""
    reason = reason.replace("\0", "").strip()
    if batch.state == BatchState.HALTED and not reason:
        raise ValidationError({"reason": "Say why it goes on in spite of the halt."})
    if not batch_continue(batch=batch, reason=reason):
        raise NotPaused("It is neither paused nor halted any more.")
    kick_once(batch_work, batch.pk)


def batch_again(batch: Batch, *, outcomes: Collection[str]) -> Batch:
    """Plan a batch of the targets with these outcomes, without any of all not verified. Raises NoSuchTarget."""
    outcomes = outcomes or NOT_VERIFIED_OUTCOMES
    return previewed(batch_retry(batch=batch, outcomes=list(outcomes), actor=current().actor))


def batch_back(batch: Batch) -> Batch:
    """Plan a batch that gives the verified targets their old values. Raises NoSuchTarget."""
    return previewed(batch_restore(batch=batch, actor=current().actor))


def previewed(made: Batch | None) -> Batch:
    """Have the preview of a batch made that was made from another one. Raises NoSuchTarget for none."""
    if made is None:
        raise NoSuchTarget("No target of this batch ended like that.")
    kick_once(batch_work, made.pk)
    return made
