"""Evidence packs: events for somebody without access to PBX Admin, with everything needed to check them."""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.utils import timezone

from .checkpoints import Checkpoint, checkpoint_make, public_key, sign, text_digest
from .log import canonical_json
from .models import EventQuerySet, is_text

PACK_FORMAT = "pbxadmin evidence 1"
VERIFIER = Path(__file__).with_name("verify_pack.py")
LEVEL = 3  # a third larger than the default at a third of its time
README = """\
Evidence pack of PBX Admin
==========================

Made {made_at} by {made_by}{site}.
Filter: {filter}
Events: {count}

    python3 verify.py

checks all of it and needs nothing but Python. verify.py itself could have been replaced together with the rest: its
SHA-256 is {verifier}; whoever needs to be sure takes it from the source of PBX Admin (pbxadmin/audit/verify_pack.py).
Give it the operator's public key, sent to you by another way than with this pack:

    python3 verify.py --key=PUBLIC_KEY

What is in it
  events.jsonl  one event a line, in the order of its chain: the text as it was stored, its hash, the hash before it
  seal.json     where the chains of these events ended when the pack was made, signed; the same line is kept by the
                operator outside the database
  pack.json     the filter, the number of events, the SHA-256 of every other file; pack.sig is its signature (Ed25519)

What it proves
  - Each event is as it was recorded: SHA-256 of the previous hash, a line feed and the text gives its hash.
  - Events with consecutive numbers in one chain follow each other, with nothing between them.
  - Of a chain whose events are all here, that none is missing up to its checkpoint. verify.py says "all events" then.
  - That nothing in the pack was changed since it was signed.

What it does not prove
  - That a filter found all there is. Of a chain that is here in part, events between the ones shown may exist; their
    numbers say how many.
  - That an event is true of the world. It is what PBX Admin recorded: an outcome "verified" means that the PBX was read
    back and answered so.
  - Who sat before the keyboard: an event names the account that was signed in.
"""


@dataclass
class Pack:
    """The content of a pack. chains: for each, how many of its events it holds and whether these are all."""

    count: int = 0
    chains: dict[str, dict[str, Any]] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None


def pack_write(file: IO[bytes], events: EventQuerySet, *, made_by: str, wanted: str, site: str = "") -> Pack:
    """Make a checkpoint of the chains of these events and write them, as far as it goes, as a zip file.

    made_by: a name. wanted: the filter, as it stands in the address of the log page.
    """
    chains = set(filter(is_text, events.order_by().values_list("chain", flat=True).distinct()))
    pack = Pack(checkpoint=checkpoint_make("evidence", sorted(chains)))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as whole:
        digests = {"events.jsonl": write_events(whole, events, pack)}
        facts = {"made_at": timezone.now().isoformat(timespec="seconds"), "made_by": made_by, "filter": wanted}
        verifier = VERIFIER.read_text(encoding="utf-8")
        words = {"filter": wanted or "none", "count": pack.count, "site": f", {site}" if site else ""}
        assert pack.checkpoint is not None  # noqa: S101  (made just above)
        texts = {
            "seal.json": pack.checkpoint.line,
            "verify.py": verifier,
            "README.txt": README.format(**facts | words, verifier=text_digest(verifier)),
        }
        for name, text in texts.items():
            whole.writestr(name, text)
            digests[name] = text_digest(text)
        said = {"format": PACK_FORMAT, "site": site, "count": pack.count, "chains": pack.chains, "key": public_key()}
        manifest = canonical_json(facts | said | {"files": digests})
        whole.writestr("pack.json", manifest)
        whole.writestr("pack.sig", sign(manifest) + "\n")
    return pack


def write_events(whole: zipfile.ZipFile, events: EventQuerySet, pack: Pack) -> str:
    """Write events.jsonl and return its SHA-256."""
    digest = hashlib.sha256()
    with whole.open("events.jsonl", "w", force_zip64=True) as lines:
        for line in event_lines(events, pack):
            data = line.encode() + b"\n"
            digest.update(data)
            lines.write(data)
    return digest.hexdigest()


def event_lines(events: EventQuerySet, pack: Pack) -> Iterator[str]:
    assert pack.checkpoint is not None  # noqa: S101
    ends: Mapping[str, int] = {head.chain: head.sequence for head in pack.checkpoint.heads}
    names = ("chain", "sequence", "previous_hash", "hash", "text")
    for event in events.order_by("chain", "sequence").only(*names).iterator(2000):
        if event.sequence > ends.get(event.chain, 0):
            continue  # recorded after the checkpoint was made
        pack.count += 1
        found = pack.chains.setdefault(event.chain, {"count": 0, "whole": False})
        found["count"] += 1
        found["whole"] = found["count"] == ends[event.chain]
        yield canonical_json({name: getattr(event, name) for name in names})


def verifier_digest() -> str:
    return text_digest(VERIFIER.read_text(encoding="utf-8"))
