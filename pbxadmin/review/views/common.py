"""Who may open the auditor's pages, and in which zone the log shows times."""

from django.http import HttpRequest

from pbxadmin.access.models import User
from pbxadmin.access.permissions import require_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.models import EventQuerySet
from pbxadmin.review.selectors import events_for


def auditor(request: HttpRequest) -> User:
    """Return the person when they may review the log of some customer. Anybody else is refused, which is an event."""
    user = user_of(request)
    require_anywhere(user, Action.REVIEW_LOG)
    return user


def reviewable(request: HttpRequest) -> EventQuerySet:
    """Return the events that this person may review. Somebody who may review none is refused, which is an event."""
    return events_for(auditor(request))
