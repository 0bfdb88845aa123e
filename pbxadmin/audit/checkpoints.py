"""Checkpoints: the ends of all chains, signed and kept outside the database. A log that was cut or replaced differs.

A checkpoint is one line of JSON in DATA_DIR/seals/heads.jsonl: the last number, hash and count of each chain; its own
number; the SHA-256 of the line before it; the public key (Ed25519); the signature over all of that. Lines are never
changed. Files, commands and settings still say "seal": installations and scripts rely on their names.

A checkpoint signed with a lost key proves nothing by itself: whoever could write the file could have made it. It is no
fault any more once somebody accepted that, by a checkpoint with a key of ours that names its line under "unproven". It
is still compared with the log, where it can only add a fault; what it accepted itself does not count.
"""

import base64
import fcntl
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.utils import timezone

from .log import canonical_json
from .models import MAX_ID
from .tail import tail_of, torn_cut

log = logging.getLogger(__name__)

CHECKPOINT_FORMAT = "pbxadmin seal 1"
NEWEST = 1_048_576  # bytes of the file in which the newest checkpoint of a chain is looked for


@dataclass(frozen=True)
class Head:
    """The end of a chain. count: how many of its events exist; it equals `sequence` when none is missing."""

    chain: str
    sequence: int
    hash: str
    count: int


@dataclass(frozen=True)
class CheckpointHead:
    """The end of one chain as a checkpoint has it. where: the name of that checkpoint.

    is_accepted: somebody accepted later that the log differs from it.
    """

    sequence: int
    hash: str
    where: str
    is_accepted: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """One line of the file. line: as it stands there, without its line feed.

    unproven: digests of lines that it accepts although nobody can prove who made them. accepted_by: the checkpoint that
    accepted this one so; None when it is signed with a key of ours.
    """

    number: int
    at: str
    why: str
    reason: str
    heads: tuple[Head, ...]
    key: str
    unproven: tuple[str, ...]
    line: str
    accepted_by: "Checkpoint | None" = None

    @property
    def digest(self) -> str:
        return text_digest(self.line)

    @property
    def where(self) -> str:
        proof = ", unproven" if self.accepted_by else ""
        return f"checkpoint {self.number} of {self.at[:16].replace('T', ' ')} UTC{proof}"


@dataclass
class CheckpointFile:
    """The content of a file of checkpoints. faults: in words, with the number of the line.

    foreign: checkpoints with a good signature of a key that is not ours, which nobody accepted. accepted: those that
    somebody accepted, in words. acceptances: the checkpoint that accepts a line, by the digest of that line.
    """

    entries: list[Checkpoint] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    foreign: list[Checkpoint] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    acceptances: dict[str, Checkpoint] = field(default_factory=dict)


def checkpoints_path() -> Path:
    return Path(settings.DATA_DIR) / "seals" / "heads.jsonl"


def heads(chains: Collection[str] | None = None) -> list[Head]:
    """Return the ends of these chains, or of all, as they are in the database at one moment.

    A row is left out when SQLite holds something else than a number or a hash in their place.
    """
    only, values = f"WHERE sequence <= {MAX_ID}", list(chains or ())
    if chains is not None:
        only += f" AND chain IN ({', '.join(['%s'] * len(chains))})"
    ends = f"SELECT chain, max(sequence) AS last, count(*) AS length FROM audit_event {only} GROUP BY chain"  # noqa: S608
    query = (
        f"SELECT ends.chain, last, hash, length FROM ({ends}) ends"  # noqa: S608
        " JOIN audit_event event ON event.chain = ends.chain AND event.sequence = last ORDER BY ends.chain"
    )
    if chains is not None and not chains:
        return []
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [Head(*row) for row in cursor.fetchall() if tuple(map(type, row)) == (str, int, str, int)]


def checkpoint_make(
    why: str, chains: Collection[str] | None = None, reason: str = "", unproven: Iterable[Checkpoint] = ()
) -> Checkpoint:
    """Sign the ends of these chains, or of all, append them to the file, and return once they are on the disk.

    why: "daily", "export", "evidence" or "command"; "accepted": differences from earlier checkpoints are known from
    here on, for the reason given; "key-lost": so is it that nobody can prove who made the unproven ones. Raises OSError
    when the file cannot be written.
    """
    lines = [one.digest for one in unproven]
    with checkpoints_file() as file:
        before = last_line(file)
        made = signed(
            {
                "format": CHECKPOINT_FORMAT,
                "number": number_in(before) + 1,
                "at": timezone.now().isoformat(timespec="seconds"),
                "why": why,
                "reason": reason,
                "heads": [[head.chain, head.sequence, head.hash, head.count] for head in heads(chains)],
                "previous": text_digest(before) if before else "",
            }
            | ({"unproven": lines} if lines else {})
        )
        file.write(made.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    done = parse_checkpoint(made)
    log.info("audit log: %s was made, %s, SHA-256 of its line %s", done.where, why, done.digest)
    return done


@contextmanager
def checkpoints_file() -> Iterator[BinaryIO]:
    """Open the file for one writer at a time among all processes of this machine."""
    path = checkpoints_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_new = not path.exists()
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    if is_new:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def number_in(line: str) -> int:
    """Return the number of a checkpoint; 0 for no line, or for one that is none, which read_checkpoints names."""
    try:
        return parse_checkpoint(line).number if line else 0
    except (ValueError, TypeError, KeyError, RecursionError):
        log.error("audit checkpoints: the last line is not a checkpoint: %r", line[:200])
        return 0


def last_line(file: BinaryIO) -> str:
    """Return the last whole line, or "", with the file positioned after it. Cut off what a power cut left of a line."""
    line, torn = tail_of(file)
    if torn:
        log.warning("audit checkpoints: the last line was not whole and is taken away: %r", torn[:200])
        torn_cut(file, torn)
    file.seek(0, os.SEEK_END)
    return line.decode()


# --- keys and signatures ---


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def private_keys() -> list[Ed25519PrivateKey]:
    """Return the keys of SEAL_KEY, newest first; without it the key in DATA_DIR, made when it is first needed."""
    ring = settings.SEAL_KEYS or [base64.urlsafe_b64decode(stored_key())]
    return [Ed25519PrivateKey.from_private_bytes(key) for key in ring]


def key_path() -> Path:
    return Path(settings.DATA_DIR) / "seal_key"


def stored_key() -> str:
    path = key_path()
    if not path.exists():
        descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=".seal_key")  # for its owner only
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(new_key() + "\n")
        with suppress(FileExistsError):  # another process was first
            os.link(made, path)
        os.unlink(made)
    return path.read_text(encoding="utf-8").strip()


def public_key(key: Ed25519PrivateKey | None = None) -> str:
    """Return the public half of this key, or of the one that signs now: 32 bytes in URL-safe base64."""
    return base64.urlsafe_b64encode((key or private_keys()[0]).public_key().public_bytes_raw()).decode()


def our_keys() -> set[str]:
    """Return the public keys of all keys that sign, or signed, for this installation."""
    return {public_key(key) for key in private_keys()}


def shown_key() -> str:
    """Return the public key for a page, without making one: "" before the first checkpoint."""
    return public_key() if settings.SEAL_KEYS or key_path().exists() else ""


def sign(text: str) -> str:
    return base64.urlsafe_b64encode(private_keys()[0].sign(text.encode())).decode()


def is_signed(text: str, signature: str, key: str) -> bool:
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key))
        mark = base64.urlsafe_b64decode(signature)
        public.verify(mark, text.encode())
    except (InvalidSignature, ValueError):
        return False
    return base64.urlsafe_b64encode(mark).decode() == signature  # the last character has bits that say nothing


def signed(facts: dict[str, Any]) -> str:
    """Return these facts and the public key as canonical JSON, with the signature over it."""
    facts = facts | {"key": public_key()}
    return canonical_json(facts | {"signature": sign(canonical_json(facts))})


def text_digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


# --- reading them back ---


def parse_checkpoint(line: str) -> Checkpoint:
    """Return the checkpoint that a line holds. Raises ValueError, TypeError or KeyError when it holds none."""
    facts = json.loads(line)
    if facts["format"] != CHECKPOINT_FORMAT:
        raise ValueError("not a checkpoint")
    found = tuple(Head(str(chain), int(last), str(digest), int(count)) for chain, last, digest, count in facts["heads"])
    at, why, reason, key = (str(facts[name]) for name in ("at", "why", "reason", "key"))
    return Checkpoint(
        int(facts["number"]), at, why, reason, found, key, tuple(map(str, facts.get("unproven", ()))), line
    )


def read_checkpoints(path: Path | None = None, acceptances: Mapping[str, Checkpoint] | None = None) -> CheckpointFile:
    """Read a file: its checkpoints with a good signature, and what is wrong with the others. No file, no checkpoints.

    path: of a copy, which may start and end anywhere; by default the file itself, which starts with checkpoint 1.
    acceptances: those of another file, which count beside its own.
    """
    file = CheckpointFile()
    place = path or checkpoints_path()
    if path is None and not place.exists():
        return file
    ours = our_keys()
    before = "" if path is None else None
    last = 0 if path is None else None
    lines = [raw.decode(errors="replace") for raw in place.read_bytes().rstrip(b"\n").split(b"\n")]
    file.acceptances = {**(acceptances or {}), **acceptances_in(lines, ours)}
    for position, line in enumerate(lines, 1):
        try:
            found = parse_checkpoint(line)
            problems = list(problems_of(found, before, last))
        except (ValueError, TypeError, KeyError, RecursionError):
            found, problems = None, ["it is not a checkpoint"]
        if found is not None and not any(problem.startswith("altered") for problem in problems):
            if found.key in ours:
                file.entries.append(found)
            elif found.digest in file.acceptances:
                file.entries.append(replace(found, accepted_by=file.acceptances[found.digest]))
            else:
                file.foreign.append(found)
                problems.insert(
                    0, f"altered: checkpoint {found.number} is signed with a key that is not ours, {found.key}"
                )
        file.faults.extend(f"{place.name} line {position}: {problem}" for problem in problems)
        before, last = line, found.number if found is not None else None
    file.accepted = [f"{place.name}: {text}" for text in accepted_shown(file.entries)]
    return file


def newest_head(chain: str) -> tuple[Checkpoint, Head] | None:
    """Return the newest good checkpoint near the end of the file that has this chain, and its head of it, or None."""
    lines = last_lines()
    ours = our_keys() if lines else set()  # a page makes no key
    for line in reversed(lines):
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            found = parse_checkpoint(line)
            head = next((head for head in found.heads if head.chain == chain), None)
            if head and found.key in ours and is_intact(found):
                return found, head
    return None


def last_lines() -> list[str]:
    """Return the whole lines in the last NEWEST bytes of the file."""
    if not checkpoints_path().exists():
        return []
    with checkpoints_path().open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - NEWEST)
        file.seek(start)
        lines = file.read().decode(errors="replace").split("\n")
    return lines[1 if start else 0 : -1]


def acceptances_in(lines: Iterable[str], ours: Collection[str]) -> dict[str, Checkpoint]:
    """Return the checkpoint, of a key of ours, that accepts a line as unproven, by the digest of that line."""
    found: dict[str, Checkpoint] = {}
    for line in lines:
        if '"unproven":' not in line:
            continue
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            one = parse_checkpoint(line)
            if one.key in ours and is_intact(one):
                found |= dict.fromkeys(one.unproven, one)
    return found


def is_intact(found: Checkpoint) -> bool:
    """Return whether it has a good signature of the key that it names, ours or not, and is written as we write."""
    facts = json.loads(found.line)
    signature = facts.pop("signature")
    said = canonical_json(facts)
    return is_signed(said, signature, found.key) and canonical_json(facts | {"signature": signature}) == found.line


def problems_of(found: Checkpoint, before: str | None, last: int | None) -> Iterator[str]:
    if not is_intact(found):
        yield f"altered: checkpoint {found.number} does not have the signature of its key"
    elif last is not None and found.number != last + 1:
        yield f"checkpoint {found.number} comes after checkpoint {last}: what was between them is missing, or was moved"
    elif before is not None and json.loads(found.line)["previous"] != (text_digest(before) if before else ""):
        yield f"checkpoint {found.number} does not follow the line before it: that one was altered or replaced"


def accepted_shown(checkpoints: Iterable[Checkpoint]) -> Iterator[str]:
    """Yield a sentence for each key and the checkpoint that accepted it, with what is lost by that."""
    groups: dict[tuple[str, str], list[Checkpoint]] = {}
    for one in checkpoints:
        if one.accepted_by:
            known = f"{one.accepted_by.where}: {one.accepted_by.reason}"
            groups.setdefault((one.key, known), []).append(one)
    for (key, known), members in groups.items():
        yield f"{unproven_shown(key, members)} Accepted with {known}"


def unproven_shown(key: str, checkpoints: Sequence[Checkpoint]) -> str:
    which = f"{'checkpoints' if len(checkpoints) > 1 else 'checkpoint'} {runs([one.number for one in checkpoints])}"
    return (
        f"{which}, signed with a lost key, {key}: nobody can prove any more that they were made here, and not by"
        " somebody who could write the file. The log is still compared with them; what they accepted does not count."
    )


def runs(numbers: Iterable[int]) -> str:
    """Return numbers in words: "1 to 3, 7"."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in found)


def heads_by_chain(checkpoints: Sequence[Checkpoint]) -> dict[str, dict[int, list[CheckpointHead]]]:
    """Return what checkpoints say of each number of each chain, as chain.verify takes it."""
    accepted = max(
        ((one.at, one.number) for one in checkpoints if one.why == "accepted" and not one.accepted_by), default=("", 0)
    )
    found: dict[str, dict[int, list[CheckpointHead]]] = {}
    for one in checkpoints:
        known = one.accepted_by or one  # nobody could compare the log with an unproven checkpoint before
        for head in one.heads:
            found_head = CheckpointHead(head.sequence, head.hash, one.where, (known.at, known.number) < accepted)
            found.setdefault(head.chain, {}).setdefault(head.sequence, []).append(found_head)
    return found


def checkpoint_mail(done: Checkpoint) -> None:
    """Send a checkpoint to SEAL_MAIL_TO, where nobody who alters this machine reaches it. No address: nothing."""
    if not settings.SEAL_MAIL_TO:
        return
    count = sum(head.count for head in done.heads)
    text = f"{done.where}: {count} events in {len(done.heads)} chains.\n\nSHA-256 of the attached line: {done.digest}\n"
    text += "\nKeep it: `manage.py audit_verify --seals FILE` compares the log with it.\n"
    mail = EmailMessage(f"PBX Admin: {done.where}", text, to=settings.SEAL_MAIL_TO)
    mail.attach(f"seal-{done.number}.jsonl", done.line + "\n", "application/json")
    mail.send()
