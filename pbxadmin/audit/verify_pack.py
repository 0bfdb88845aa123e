#!/usr/bin/env python3
"""Check an evidence pack of PBX Admin. Needs Python 3.9 or newer and nothing else.

    python3 verify.py evidence.zip --key=PUBLIC_KEY
    python3 verify.py                    # the unpacked folder that this file is in

PUBLIC_KEY is the operator's, told to you by another way than with the pack. Without it the signatures only show that
the pack is as its maker left it, not who the maker is. Exit code 0: nothing was changed. 1: something was changed, and
lines that start with BAD name it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

Point = tuple[int, int, int, int]

EXPECTED_FORMAT = "pbxadmin evidence 1"
SIGNED = ("pack.json", "pack.sig")


def canonical_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- Ed25519, RFC 8032: verifying only, so nothing here is secret ---

P = 2**255 - 19
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def point(encoded: bytes) -> Point | None:
    """Return the point of the curve as (x, y, 1, xy), or None."""
    y = int.from_bytes(encoded, "little")
    odd, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and odd):
        return None
    if x & 1 != odd:
        x = P - x
    return (x, y, 1, x * y % P)


def add_points(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number: int, one: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = add_points(total, one)
        one = add_points(one, one)
        number >>= 1
    return total


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def has_signature(message: bytes, signature: str, public: str) -> bool:
    """Return whether the owner of this public key (base64) made this signature (base64) over these bytes."""
    mark, key = decode_base64(signature), decode_base64(public)
    owner = point(key) if len(key) == 32 else None
    if owner is None or BASE is None or len(mark) != 64:
        return False
    scalar = int.from_bytes(mark[32:], "little")
    if scalar >= GROUP_ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(mark[:32] + key + message).digest(), "little") % GROUP_ORDER
    minus = (P - owner[0], owner[1], 1, P - owner[3])
    x, y, z, _ = add_points(times(scalar, BASE), times(challenge, minus))
    inverse = pow(z, P - 2, P)
    encoded = (y * inverse % P) | ((x * inverse % P & 1) << 255)
    return encoded.to_bytes(32, "little") == mark[:32]


def decode_base64(text: str) -> bytes:
    """Return the bytes, or none when the text is not canonical base64: unused bits of its last character must be 0."""
    try:
        data = base64.urlsafe_b64decode(text)
    except (ValueError, TypeError, AttributeError):
        return b""
    return data if base64.urlsafe_b64encode(data).decode() == text else b""


# --- the pack ---


class Bad(Exception):
    pass


def read_pack(place: Path) -> dict[str, bytes]:
    """Return the files of a pack by name. Raises Bad."""
    if place.is_dir():
        return {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    return read_zip(place)


def read_zip(place: Path | IO[bytes]) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(place) as pack:
            names = pack.namelist()
            if len(set(names)) != len(names):
                raise Bad("the zip file holds a name twice")
            return {name: pack.read(name) for name in names}
    except Bad:
        raise
    except Exception as error:  # zipfile raises a dozen kinds for a file that was damaged
        raise Bad(f"the zip file is damaged: {error}") from None


def parse_event(line: str) -> dict[str, Any]:
    """Return an event of events.jsonl. Raises Bad."""
    try:
        event = json.loads(line)
        if canonical_text(event) != line:
            raise Bad("is not written as the maker writes it")
        chain, sequence, text = event["chain"], event["sequence"], event["text"]
        previous, digest = event["previous_hash"], event["hash"]
        if len(event) != 5 or type(sequence) is not int or not isinstance(text, str) or not isinstance(chain, str):
            raise Bad("is not an event")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Bad("is not an event") from None
    if sha256((f"{previous}\n{text}").encode()) != digest:
        raise Bad(f"({chain} {sequence}): its text does not give its hash")
    try:
        said = json.loads(text)
        place = (said["chain"], said["sequence"], said["previous_hash"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Bad(f"({chain} {sequence}): its text is not one that the log writes") from None
    if place != (chain, sequence, previous):
        raise Bad(f"({chain} {sequence}): its text is of another event")
    return dict(event)


class Chain:
    """The events found of one chain."""

    def __init__(self) -> None:
        self.count = self.links = 0
        self.last: dict[str, Any] = {}

    def take(self, event: dict[str, Any]) -> None:
        """Count the next event. Raises Bad when it cannot follow the one before it."""
        before, self.last = self.last, event
        self.count += 1
        if event["sequence"] == 1 and event["previous_hash"]:
            raise Bad("is the first of its chain and names one before it")
        if not before:
            return
        if event["sequence"] <= before["sequence"]:
            raise Bad("is not in order")
        if event["sequence"] == before["sequence"] + 1:
            self.links += 1
            if event["previous_hash"] != before["hash"]:
                raise Bad("does not follow the event before it")


def check_events(data: bytes, chains: dict[str, Chain]) -> Iterator[str]:
    """Yield every fault of events.jsonl, and fill `chains`."""
    lines = data.decode("utf-8", "replace").split("\n")
    if lines.pop():
        yield "events.jsonl: its last line is not whole"
    for number, line in enumerate(lines, 1):
        try:
            event = parse_event(line)
            chain = chains.setdefault(event["chain"], Chain())
            try:
                chain.take(event)
            except Bad as problem:
                raise Bad(f"({event['chain']} {event['sequence']}) {problem}") from None
        except Bad as problem:
            yield f"event in line {number} {problem}"


def check_heads(files: dict[str, bytes], pack: dict[str, Any], chains: dict[str, Chain]) -> Iterator[str]:
    """Yield every fault of the checkpoint, and of what pack.json says of its chains."""
    try:
        checkpoint = json.loads(files["seal.json"])
        signature = checkpoint.pop("signature")
        heads = {chain: (sequence, digest) for chain, sequence, digest, _ in checkpoint["heads"]}
        if (
            not has_signature(canonical_text(checkpoint).encode(), signature, checkpoint["key"])
            or checkpoint["key"] != pack["key"]
        ):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        yield "seal.json: the signature over the ends of the chains is not good"
        return
    for name, chain in sorted(chains.items()):
        last, digest = heads.get(name, (0, ""))
        if chain.last["sequence"] > last:
            yield f"{name}: holds events after its checkpoint, {last}"
        elif chain.last["sequence"] == last and chain.last["hash"] != digest:
            yield f"{name} {last}: is not the event that the checkpoint has as the end of its chain"
        is_whole = chain.count == last and chain.links == last - 1
        if pack["chains"].get(name) != {"count": chain.count, "whole": is_whole}:
            yield f"{name}: pack.json says otherwise of how many of its events are here"
        which = f"all {last} events, to its checkpoint" if is_whole else f"{chain.count} of {last} events"
        print(f"{name}: {which}; {chain.links} links between neighbours")
    for name in sorted(set(pack["chains"]) - set(chains)):
        yield f"{name}: pack.json names it, and no event of it is here"


def check(files: dict[str, bytes], key: str = "") -> Iterator[str]:
    """Yield every fault of a pack, and print what it holds."""
    chains: dict[str, Chain] = {}
    yield from check_events(files.get("events.jsonl", b""), chains)
    try:
        pack = json.loads(files["pack.json"])
        if pack["format"] != EXPECTED_FORMAT:
            raise ValueError
        signature = files["pack.sig"].decode("ascii").rstrip("\n")
        listed, public = dict(pack["files"]), pack["key"]
        if not isinstance(pack["chains"], dict):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        yield "pack.json or pack.sig: missing, or not what the maker writes"
        return
    if not has_signature(files["pack.json"], signature, public) or files["pack.sig"] != signature.encode() + b"\n":
        yield "pack.json: its signature in pack.sig is not good"
    if key and key != public:
        yield f"pack.json: signed with another key than the one you gave, {public}"
    for name in sorted(set(listed) | set(files) - set(SIGNED)):
        if name not in files:
            yield f"{name}: missing"
        elif sha256(files[name]) != listed.get(name):
            yield f"{name}: changed, or added later"
    yield from check_heads(files, pack, chains)
    if sum(chain.count for chain in chains.values()) != pack.get("count"):
        yield "events.jsonl: holds another number of events than pack.json says"
    print(f"Made {pack.get('made_at')} by {pack.get('made_by')} for the filter: {pack.get('filter') or 'none'}")
    print(f"Signed with the public key {public}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--key", default="", help="the operator's public key, from elsewhere")
    given = parser.parse_args()
    try:
        faults = list(check(read_pack(given.pack), given.key))
    except Bad as problem:
        faults = [str(problem)]
    for fault in faults:
        print(f"BAD {fault}")
    if faults:
        print(f"{len(faults)} fault{'' if len(faults) == 1 else 's'}: this is not what was packed.")
        return 1
    print(
        "Good: every event is as it was recorded."
        + ("" if given.key else " Compare the public key with the operator's.")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
