"""Who is acting, from where, in which request. Set once at the edge, read by `log.record`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Somebody as they were called then; id is None for PBX Admin itself."""

    id: int | None
    name: str


SYSTEM = Actor(None, "PBX Admin")


@dataclass(frozen=True)
class Who:
    actor: Actor = SYSTEM
    address: str = ""
    request_id: str = ""


_who: ContextVar[Who] = ContextVar("audit_who", default=Who())  # noqa: B039  (frozen)


def current() -> Who:
    return _who.get()


@contextmanager
def acting(who: Who) -> Iterator[None]:
    """Events recorded in this block are by this one."""
    token = _who.set(who)
    try:
        yield
    finally:
        _who.reset(token)
