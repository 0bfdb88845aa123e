"""What the operations share: who calls, what they may, and finding what they may see."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from ninja import Status

from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import require
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.fleet.models import Pbx

from .problems import problem_not_there

Told = Status[dict[str, Any]]  # what an operation answers, with its status
SeenT = TypeVar("SeenT", bound=Model)


def caller(request: HttpRequest) -> User:
    """Return the holder of the key, limited to what its scope allows."""
    return user_of(request)


def row_or_404(rows: QuerySet[SeenT, SeenT], pk: int) -> SeenT:
    """Return the row with this id. Raises ApiProblem (404) also for an id that no database takes."""
    found = rows.filter(pk=pk).first() if 0 < pk < 2**63 else None
    if found is None:
        raise problem_not_there()
    return found


def pbx_seen(request: HttpRequest, pbx_id: int) -> Pbx:
    return row_or_404(Pbx.objects.visible_to(caller(request)).select_related("customer"), pbx_id)


def pbx_allowed(request: HttpRequest, pbx_id: int, action: Action) -> Pbx:
    """Return a PBX. Raises ApiProblem (404) when it is not seen, PermissionDenied when the action is not allowed."""
    pbx = pbx_seen(request, pbx_id)
    require(caller(request), action, pbx.customer)
    return pbx


def customer_or_none(customer_id: int) -> Customer | None:
    return Customer.objects.filter(pk=customer_id).first()
