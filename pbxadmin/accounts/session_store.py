"""Session engine with an idle end and an absolute end, and with the user of each session.

`expire_date` is the earlier of the two ends. Use of a session is noted at most once a minute, in columns of its own, so
that a slow request never overwrites data that a quick one changed meanwhile.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils import timezone

from pbxadmin.access.models import Session

SIGNED_IN_AT = "signed_in_at"  # seconds since 1970
TOUCH_EVERY = timedelta(minutes=1)


class SessionStore(DatabaseStore):
    seen_at: datetime | None = None  # as it is in the database

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        session: Session = super().create_model_instance(data)  # type: ignore[assignment]
        session.user_id = data.get(SESSION_KEY)
        session.seen_at = timezone.now()
        return session

    def get_expiry_date(self, **_: Any) -> datetime:
        ends = timezone.now() + timedelta(minutes=settings.SESSION_IDLE_MINUTES)
        if (began := self.get(SIGNED_IN_AT)) is None:
            return ends
        return min(ends, datetime.fromtimestamp(began, UTC) + timedelta(hours=settings.SESSION_HOURS))

    def touch(self) -> None:
        """Postpone the idle end, because the session is in use."""
        if self.seen_at is not None and timezone.now() - self.seen_at >= TOUCH_EVERY:
            mine = self.get_model_class().objects.filter(session_key=self.session_key)
            mine.update(seen_at=timezone.now(), expire_date=self.get_expiry_date())

    def _get_session_from_db(self) -> Any:
        session = super()._get_session_from_db()  # type: ignore[misc]
        self.seen_at = session.seen_at if session else None
        return session
