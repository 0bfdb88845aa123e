"""Rotation of PBX_KEYS, which seals every secret with the newest key, and the check that the keys are right."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.core.checks import CheckMessage, Tags, register
from django.core.checks import Warning as CheckWarning
from django.core.management.base import CommandError
from django.db import DatabaseError, transaction

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.sealed import SealBroken, StoredSecret, key_id_of, newest_key, sealed_text, stored_secrets

SECRETS_AT_A_TIME = 100
SAMPLE = 20
NAMED = 20
WRONG_KEYS = (
    "PBX_KEYS does not open the secrets in this database. {why} Put back the keys that belong to it, newest first:"
    " a backup needs the keys of its day. Nothing can be sent to a PBX without them."
)


@dataclass
class Rotation:
    """The result of a rotation, as counts of values.

    sealed: sealed again. current: sealed with the newest key before. changed: replaced by somebody meanwhile, and left
    as they are. failed: place and reason of each value that did not open.
    """

    sealed: int = 0
    current: int = 0
    changed: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return not self.failed and not self.changed


def keys_rotate() -> Rotation:
    """Seal every secret with the newest key, in steps that each commit, and record how far it came.

    A value is replaced only while it is what was read, so an edit at the same time is never undone. It may be stopped
    at any point and run again: it skips what the newest key sealed already.
    """
    done = Rotation()
    try:
        for step in in_steps(stored_secrets()):
            rotate_step(step, done)
    finally:
        failed = [place for place, _ in done.failed[:NAMED]]
        counts = {"sealed": done.sealed, "current": done.current, "changed": done.changed, "failed": len(done.failed)}
        record(EventAction.KEYS_ROTATED, detail=counts | {"key": key_id_of(newest_key()), "failed_at": failed})
    return done


def in_steps(secrets: Iterator[StoredSecret]) -> Iterator[list[StoredSecret]]:
    while step := list(islice(secrets, SECRETS_AT_A_TIME)):
        yield step


def rotate_step(step: list[StoredSecret], done: Rotation) -> None:
    newest = key_id_of(newest_key())
    resealed: list[tuple[StoredSecret, str]] = []
    for stored in step:
        if stored.key_id == newest:
            done.current += 1
            continue
        try:
            resealed.append((stored, sealed_text(stored.open(), stored.place)))
        except SealBroken as error:
            done.failed.append((stored.place, str(error)))
    with transaction.atomic():
        replaced = sum(stored.replace(text) for stored, text in resealed)
    done.sealed += replaced
    done.changed += len(resealed) - replaced


def wrong_keys(sample: int = SAMPLE) -> str:
    """Return why PBX_KEYS are the wrong keys, in a sentence for the operator; "" when one of the first secrets opens.

    A single secret that does not open stops nothing: its PBX says so, and all others work. A database without secrets,
    or one that was never migrated, gives "".
    """
    reasons: Counter[str] = Counter()
    try:
        with transaction.atomic():
            for stored in islice(stored_secrets(), sample):
                try:
                    stored.open()
                except SealBroken as error:
                    reasons[str(error)] += 1
                else:
                    return ""
    except DatabaseError:
        return ""
    return WRONG_KEYS.format(why=reasons.most_common(1)[0][0]) if reasons else ""


def require_right_keys() -> None:
    """Raise CommandError for wrong keys, in commands that would fail later for each PBX."""
    if why := wrong_keys():
        raise CommandError(why)


@register(Tags.database)
def keys_check(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warn of wrong keys in `migrate` and `check --database default`, which need no key themselves."""
    why = wrong_keys() if databases else ""
    return [CheckWarning(why, id="pbxadmin.W001")] if why else []
