"""Who may open the auditor's pages, and in which zone the log shows times."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from pbxadmin.access.models import User
from pbxadmin.access.permissions import require_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.models import EventQuerySet
from pbxadmin.review.selectors import events_for
from pbxadmin.web.times import times_as


def times_as_asked(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate a view of the log, whose address says whether times are UTC or those of the person's own zone."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with times_as(request.GET.get("times", "")):
            return view(request, *args, **kwargs)

    return shown


def auditor(request: HttpRequest) -> User:
    """Return the person when they may review the log of some customer. Anybody else is refused, which is an event."""
    user = user_of(request)
    require_anywhere(user, Action.REVIEW_LOG)
    return user


def reviewable(request: HttpRequest) -> EventQuerySet:
    """Return the events that this person may review. Somebody who may review none is refused, which is an event."""
    return events_for(auditor(request))
