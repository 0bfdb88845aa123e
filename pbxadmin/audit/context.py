"""The context of events: the actor, the address and the request. Set once at the edge, read by `log.record`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """A person under the name they had then, or PBX Admin itself, whose id is None."""

    id: int | None
    name: str


SYSTEM = Actor(None, "PBX Admin")


@dataclass(frozen=True)
class AuditContext:
    """What every event says about the request that caused it. By default PBX Admin acts by itself, in no request.

    api_key: the name of the API key that the actor used, "" for none.
    """

    actor: Actor = SYSTEM
    address: str = ""
    request_id: str = ""
    api_key: str = ""


_context: ContextVar[AuditContext] = ContextVar("audit_context", default=AuditContext())  # noqa: B039  (frozen)


def current() -> AuditContext:
    return _context.get()


@contextmanager
def acting(context: AuditContext) -> Iterator[None]:
    """Record every event of this block with this context."""
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)
