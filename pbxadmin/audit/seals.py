"""Heads of the chains, signed and kept outside the database, so that a log which was cut or replaced does not fit them.

A seal is one line of JSON in DATA_DIR/seals/heads.jsonl: of each chain its last number, hash and count; its own number;
the SHA-256 of the line before it; the public key (Ed25519), and the signature over all of that. Lines are only added.

A seal of a key that was lost proves nothing by itself: whoever could write the file could have made it. When somebody
accepted that (a seal of a key of ours names its line, under "unproven"), it is no fault any more. It is still compared
with the log, where it can only add a fault, and what it accepted itself does not count.
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

from .log import canonical
from .models import MOST

log = logging.getLogger(__name__)

FORMAT = "pbxadmin seal 1"
BLOCK = 65_536
NEWEST = 1_048_576  # bytes of the file in which the newest seal of a chain is looked for


@dataclass(frozen=True)
class Head:
    """Where a chain ends. count: of its events that are there; it equals `sequence` when none is missing."""

    chain: str
    sequence: int
    hash: str
    count: int


@dataclass(frozen=True)
class SealedHead:
    """What a seal says of one chain, and which seal that was.

    is_accepted: somebody accepted later that the log is not so any more.
    """

    sequence: int
    hash: str
    where: str
    is_accepted: bool = False


@dataclass(frozen=True)
class Seal:
    """line: as it stands in the file, without its line feed. unproven: digests of lines that it accepts as such.

    accepted_by: the seal that says that its key was lost, when it is not signed with one of ours.
    """

    number: int
    at: str
    why: str
    reason: str
    heads: tuple[Head, ...]
    key: str
    unproven: tuple[str, ...]
    line: str
    accepted_by: "Seal | None" = None

    @property
    def digest(self) -> str:
        return digest_of(self.line)

    @property
    def where(self) -> str:
        proof = ", unproven" if self.accepted_by else ""
        return f"seal {self.number} of {self.at[:16].replace('T', ' ')} UTC{proof}"


@dataclass
class Kept:
    """What a file of seals holds. faults: in words, with the number of the line.

    strange: seals with a good signature of a key that is not ours. accepted: which of those were accepted, in words.
    acceptances: by the digest of a line, the seal that accepts it as unproven.
    """

    seals: list[Seal] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    strange: list[Seal] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    acceptances: dict[str, Seal] = field(default_factory=dict)


def seals_path() -> Path:
    return Path(settings.DATA_DIR) / "seals" / "heads.jsonl"


def heads(chains: Collection[str] | None = None) -> list[Head]:
    """The ends of these chains, or of all, as they are in the database at one moment.

    What SQLite keeps in the place of a number, and of a hash, and is none, is no end of a chain.
    """
    only, values = f"WHERE sequence <= {MOST}", list(chains or ())
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


def seal(why: str, chains: Collection[str] | None = None, reason: str = "", unproven: Iterable[Seal] = ()) -> Seal:
    """Sign the heads of these chains, or of all, and append them to the file; returns once they are on the disk.

    why: "daily", "export", "evidence", "command", "accepted": from here on it counts as known that the log is not
    what earlier seals say, for the reason given; or "key-lost": so it does that nobody can prove who made the unproven
    ones. Raises OSError when the file cannot be written.
    """
    lines = [one.digest for one in unproven]
    with seals_file() as file:
        before = last_line(file)
        made = signed(
            {
                "format": FORMAT,
                "number": number_of(before) + 1,
                "at": timezone.now().isoformat(timespec="seconds"),
                "why": why,
                "reason": reason,
                "heads": [[head.chain, head.sequence, head.hash, head.count] for head in heads(chains)],
                "previous": digest_of(before) if before else "",
            }
            | ({"unproven": lines} if lines else {})
        )
        file.write(made.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    done = parsed(made)
    log.info("audit log sealed: %s, %s, SHA-256 of its line %s", done.where, why, done.digest)
    return done


@contextmanager
def seals_file() -> Iterator[BinaryIO]:
    """The file, for one writer at a time over all processes of this machine."""
    path = seals_path()
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


def number_of(line: str) -> int:
    """0 for none; a line that is no seal any more counts as one without a number, which read_seals names."""
    try:
        return parsed(line).number if line else 0
    except (ValueError, TypeError, KeyError, RecursionError):
        log.error("audit seals: the last line is not a seal: %r", line[:200])
        return 0


def last_line(file: BinaryIO) -> str:
    """The last whole line, "" for none; the file stands after it. What a power cut left of a line is taken away."""
    end = file.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start and tail.count(b"\n") < 2:
        start = max(0, start - BLOCK)
        file.seek(start)
        tail = file.read(end - start)
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        log.warning("audit seals: the last line was not whole and is taken away: %r", tail[len(whole) :][:200])
        file.truncate(end - len(tail) + len(whole))
    file.seek(0, os.SEEK_END)
    return whole[:-1].rsplit(b"\n", 1)[-1].decode() if whole else ""


# --- keys and signatures ---


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def private_keys() -> list[Ed25519PrivateKey]:
    """SEAL_KEY, newest first; without it, the key in DATA_DIR, which is made when it is first needed."""
    ring = settings.SEAL_KEYS or [base64.urlsafe_b64decode(kept_key())]
    return [Ed25519PrivateKey.from_private_bytes(key) for key in ring]


def key_path() -> Path:
    return Path(settings.DATA_DIR) / "seal_key"


def kept_key() -> str:
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
    """Of this key, or of the one that signs now: 32 bytes in URL-safe base64."""
    return base64.urlsafe_b64encode((key or private_keys()[0]).public_key().public_bytes_raw()).decode()


def our_keys() -> set[str]:
    """The public keys of all that sign, or signed, for us."""
    return {public_key(key) for key in private_keys()}


def shown_key() -> str:
    """The public key for a page, which makes none: "" before the first seal."""
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
    """These facts and the public key as canonical JSON, with the signature over it."""
    facts = facts | {"key": public_key()}
    return canonical(facts | {"signature": sign(canonical(facts))})


def digest_of(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


# --- reading them back ---


def parsed(line: str) -> Seal:
    """Raises ValueError, TypeError or KeyError for what is no seal."""
    facts = json.loads(line)
    if facts["format"] != FORMAT:
        raise ValueError("not a seal")
    found = tuple(Head(str(chain), int(last), str(digest), int(count)) for chain, last, digest, count in facts["heads"])
    at, why, reason, key = (str(facts[name]) for name in ("at", "why", "reason", "key"))
    return Seal(int(facts["number"]), at, why, reason, found, key, tuple(map(str, facts.get("unproven", ()))), line)


def read_seals(path: Path | None = None, acceptances: Mapping[str, Seal] | None = None) -> Kept:
    """Every seal of a file with a good signature, and what is wrong with the others. No file: no seals.

    path: of a copy, which may start and end anywhere; by default the file itself, which starts with seal 1.
    acceptances: those of another file, which count beside its own.
    """
    kept = Kept()
    place = path or seals_path()
    if path is None and not place.exists():
        return kept
    ours = our_keys()
    before = "" if path is None else None
    last = 0 if path is None else None
    lines = [raw.decode(errors="replace") for raw in place.read_bytes().rstrip(b"\n").split(b"\n")]
    kept.acceptances = {**(acceptances or {}), **acceptances_in(lines, ours)}
    for position, line in enumerate(lines, 1):
        try:
            found = parsed(line)
            problems = list(problems_of(found, before, last))
        except (ValueError, TypeError, KeyError, RecursionError):
            found, problems = None, ["it is not a seal"]
        if found is not None and not any(problem.startswith("altered") for problem in problems):
            if found.key in ours:
                kept.seals.append(found)
            elif found.digest in kept.acceptances:
                kept.seals.append(replace(found, accepted_by=kept.acceptances[found.digest]))
            else:
                kept.strange.append(found)
                problems.insert(0, f"altered: seal {found.number} is signed with a key that is not ours, {found.key}")
        kept.faults.extend(f"{place.name} line {position}: {problem}" for problem in problems)
        before, last = line, found.number if found is not None else None
    kept.accepted = [f"{place.name}: {text}" for text in accepted_shown(kept.seals)]
    return kept


def newest_head(chain: str) -> tuple[Seal, Head] | None:
    """What the newest good seal says of a chain, among those at the end of the file; None when none of them does."""
    lines = last_lines()
    ours = our_keys() if lines else set()  # a page makes no key
    for line in reversed(lines):
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            found = parsed(line)
            head = next((head for head in found.heads if head.chain == chain), None)
            if head and found.key in ours and is_intact(found):
                return found, head
    return None


def last_lines() -> list[str]:
    """Those in the last part of the file, as far as they are whole."""
    if not seals_path().exists():
        return []
    with seals_path().open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - NEWEST)
        file.seek(start)
        lines = file.read().decode(errors="replace").split("\n")
    return lines[1 if start else 0 : -1]


def acceptances_in(lines: Iterable[str], ours: Collection[str]) -> dict[str, Seal]:
    """By the digest of a line that is accepted as unproven, the seal that says so. Only a key of ours can say it."""
    found: dict[str, Seal] = {}
    for line in lines:
        if '"unproven":' not in line:
            continue
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            one = parsed(line)
            if one.key in ours and is_intact(one):
                found |= dict.fromkeys(one.unproven, one)
    return found


def is_intact(found: Seal) -> bool:
    """Whether it has the signature of the key that it names, whosever that is, and is written as we write."""
    facts = json.loads(found.line)
    signature = facts.pop("signature")
    said = canonical(facts)
    return is_signed(said, signature, found.key) and canonical(facts | {"signature": signature}) == found.line


def problems_of(found: Seal, before: str | None, last: int | None) -> Iterator[str]:
    if not is_intact(found):
        yield f"altered: seal {found.number} does not have the signature of its key"
    elif last is not None and found.number != last + 1:
        yield f"seal {found.number} comes after seal {last}: what was between them is missing, or was moved"
    elif before is not None and json.loads(found.line)["previous"] != (digest_of(before) if before else ""):
        yield f"seal {found.number} does not follow the line before it: that one was altered or replaced"


def accepted_shown(seals: Iterable[Seal]) -> Iterator[str]:
    """One sentence for all seals of one key that one seal accepted, with what is lost by that."""
    groups: dict[tuple[str, str], list[Seal]] = {}
    for one in seals:
        if one.accepted_by:
            known = f"{one.accepted_by.where}: {one.accepted_by.reason}"
            groups.setdefault((one.key, known), []).append(one)
    for (key, known), members in groups.items():
        yield f"{unproven_shown(key, members)} Accepted with {known}"


def unproven_shown(key: str, seals: Sequence[Seal]) -> str:
    which = f"{'seals' if len(seals) > 1 else 'seal'} {runs([one.number for one in seals])}"
    return (
        f"{which}, signed with a lost key, {key}: nobody can prove any more that they were made here, and not by"
        " somebody who could write the file. The log is still compared with them; what they accepted does not count."
    )


def runs(numbers: Iterable[int]) -> str:
    """Numbers in words: "1 to 3, 7"."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in found)


def heads_by_chain(seals: Sequence[Seal]) -> dict[str, dict[int, list[SealedHead]]]:
    """For chain.verify: what was sealed of each place of each chain."""
    accepted = max(
        ((one.at, one.number) for one in seals if one.why == "accepted" and not one.accepted_by), default=("", 0)
    )
    found: dict[str, dict[int, list[SealedHead]]] = {}
    for one in seals:
        known = one.accepted_by or one  # nobody could compare the log with an unproven seal before
        for head in one.heads:
            sealed = SealedHead(head.sequence, head.hash, one.where, (known.at, known.number) < accepted)
            found.setdefault(head.chain, {}).setdefault(head.sequence, []).append(sealed)
    return found


def sealed_mail(done: Seal) -> None:
    """Send a seal to SEAL_MAIL_TO, where nobody who alters this machine reaches it. No address: nothing."""
    if not settings.SEAL_MAIL_TO:
        return
    count = sum(head.count for head in done.heads)
    text = f"{done.where}: {count} events in {len(done.heads)} chains.\n\nSHA-256 of the attached line: {done.digest}\n"
    text += "\nKeep it: `manage.py audit_verify --seals FILE` compares the log with it.\n"
    mail = EmailMessage(f"PBX Admin: {done.where}", text, to=settings.SEAL_MAIL_TO)
    mail.attach(f"seal-{done.number}.jsonl", done.line + "\n", "application/json")
    mail.send()
