"""Filters that people save: for themselves, or shared with everybody who sees a customer."""

from django.core.exceptions import ValidationError
from django.db import transaction

from pbxadmin.access.models import AnyUser, Customer, User, as_named
from pbxadmin.access.names import saving_a_name
from pbxadmin.access.permissions import can, customer_ids, customers_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.web.filters import filter_of

from .models import SavedFilter

MOST_SAVED = 30


def query_to_save(list_: str, query: str) -> str:
    """Return the query with the parameters of that list only, so that a saved filter leads to a list of ours."""
    return filter_of(list_).own_query(query)


def shareable(user: AnyUser, customer_id: int | None) -> Customer | None:
    """Return the customer within which this person may share a filter: the one in view or their only one, or None."""
    ids = customer_ids(user, Action.EDIT_IVR)
    if customer_id is None:
        customer_id = next(iter(ids)) if ids is not None and len(ids) == 1 else None
    if customer_id is None or (ids is not None and customer_id not in ids):
        return None
    return customers_of(user, Action.EDIT_IVR).filter(pk=customer_id).first()


def saved_for(user: AnyUser, list_: str) -> list[tuple[SavedFilter, bool]]:
    """Return the filters of a list that this person sees, each with whether they may delete it."""
    found = SavedFilter.objects.visible_to(user).filter(list=list_).select_related("customer")
    return [(saved, may_delete(user, saved)) for saved in found.order_by("folded", "id")]


def may_delete(user: AnyUser, saved: SavedFilter) -> bool:
    """Tell whether this person saved the filter, or manages the PBXs of the customer that it is shared within."""
    return saved.owner_id == user.pk or (saved.customer is not None and can(user, Action.MANAGE_PBXS, saved.customer))


def filter_save(*, owner: User, list_: str, name: str, query: str, customer: Customer | None) -> SavedFilter:
    """Save a filter under a name. customer: share it with everybody who sees this customer.

    Raises ValidationError when nothing is filtered, the name is taken, or there are too many.
    """
    saved = SavedFilter(owner=owner, list=list_, name=name, query=query_to_save(list_, query), customer=customer)
    if not saved.query:
        raise ValidationError("Nothing is filtered, so there is nothing to save.")
    beside = SavedFilter.objects.filter(list=list_, customer=customer)
    if (beside if customer else beside.filter(owner=owner)).count() >= MOST_SAVED:
        raise ValidationError(f"There are {MOST_SAVED} saved filters already. Delete one first.")
    with saving_a_name(saved.full_clean):
        saved.full_clean()
        saved.save()
        filter_event(EventAction.FILTER_SAVED, saved)
    return saved


def filter_delete(*, saved: SavedFilter) -> None:
    with transaction.atomic():
        filter_event(EventAction.FILTER_DELETED, saved)
        saved.delete()


def filter_event(action: EventAction, saved: SavedFilter) -> None:
    record(
        action,
        customer=as_named(saved.customer),
        detail={"list": saved.list, "name": saved.name, "filter": saved.query},
    )
