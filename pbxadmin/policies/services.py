"""Use cases of policies and exceptions. Each writes its event in the same transaction. None ever changes an IVR."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db import transaction
from django.utils import timezone

from ivr.models import Ivr
from ivr.snapshots import lock_pbxs
from pbxadmin.access.models import Customer, as_named
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record

from .models import Policy, PolicyException, Violation
from .watching import RECHECK_SOON, exception_end, exception_event, policies_recheck

EDITED = ("title", "reason", "severity", "comparison", "value", "tag")


def policy_add(*, customer: Customer | None, values: Mapping[str, str], actor: Actor) -> Policy:
    """Store a policy and hold all IVRs against it. values: by column, with the field."""
    with transaction.atomic():
        policy = Policy.objects.create(
            customer=customer, made_by_name=actor.name, recheck_at=timezone.now() + RECHECK_SOON, **values
        )
        policy_event(EventAction.POLICY_ADDED, policy, {name: {"asked": text} for name, text in values.items() if text})
    policies_recheck([policy])
    return policy


def policy_edit(*, policy: Policy, values: Mapping[str, str]) -> bool:
    """Change a policy and hold all IVRs against it. Return False when nothing differs. Its field stays as it is."""
    before = Policy.objects.get(pk=policy.pk)
    changed = {name: values[name] for name in EDITED if getattr(before, name) != values[name]}
    if not changed:
        return False
    fields = {name: {"before": getattr(before, name), "asked": text} for name, text in changed.items()}
    with transaction.atomic():
        columns = {**changed, "recheck_at": timezone.now() + RECHECK_SOON}
        Policy.objects.filter(pk=policy.pk).update(**columns)
        policy.refresh_from_db()
        policy_event(EventAction.POLICY_EDITED, policy, fields)
    policies_recheck([policy])
    return True


def policy_delete(*, policy: Policy) -> None:
    """Delete a policy and what breaks it. Its exceptions end and stay listed."""
    with transaction.atomic():
        current = policy.exceptions.current().order_by("customer_id", "pk")
        for exception in current:
            exception_end(exception, "Its policy was deleted.", is_reopened=False)
        policy_event(EventAction.POLICY_DELETED, policy, {})
        policy.delete()


def policy_event(action: EventAction, policy: Policy, fields: Mapping[str, Mapping[str, Any]]) -> None:
    """Record an event of a policy: in the chain of its customer, or of the installation when it holds for all."""
    detail = {"policy": policy.pk, "title": policy.title, "asks": policy.asks}
    record(action, customer=as_named(policy.customer), fields=fields, detail=detail, reason=policy.reason)


def violation_accept(*, violation: Violation, value: str, reason: str, ends_on: date, actor: Actor) -> bool:
    """Accept a violation through a last day. value: what the person saw.

    Return False, and do nothing, when it has moved since or somebody accepted it already.
    """
    with transaction.atomic():
        lock_pbxs([violation.pbx_id])
        here = Violation.objects.select_related("policy", "pbx__customer").filter(pk=violation.pk).first()
        if here is None or here.value != value or here.exception_id:
            return False
        name = Ivr.objects.filter(pbx=here.pbx, number=here.number).values_list("name", flat=True).first()
        exception = PolicyException.objects.create(
            policy=here.policy,
            policy_title=here.policy.title,
            customer_id=here.pbx.customer_id,
            customer_name=here.pbx.customer.name,
            pbx_id=here.pbx_id,
            pbx_name=here.pbx.name,
            number=here.number,
            name=name or "",
            field=here.policy.field,
            value=value,
            reason=reason,
            ends_on=ends_on,
            by_id=actor.id or 0,
            by_name=actor.name,
        )
        Violation.objects.filter(pk=here.pk).update(exception=exception)
        sentence = f"Accepted through {ends_on:%Y-%m-%d}: {exception.accepts}."
        exception_event(EventAction.VIOLATION_ACCEPTED, exception, detail={"sentence": sentence})
    return True


def exception_withdraw(*, exception: PolicyException, actor: Actor) -> bool:
    """End an exception before its day. Return False when it is over already."""
    with transaction.atomic():
        lock_pbxs([exception.pbx_id])
        if not PolicyException.objects.current().filter(pk=exception.pk).exists():
            return False
        accepted = Violation.objects.filter(exception=exception)
        exception_end(exception, f"{actor.name} withdrew it.", is_reopened=accepted.exists())
        accepted.update(exception=None)
    return True
