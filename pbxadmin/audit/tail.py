"""The end of a file of lines that is only appended to: its last whole line, and what a dead writer left after it."""

import os
from typing import BinaryIO

BLOCK = 65_536


def tail_of(file: BinaryIO) -> tuple[bytes, bytes]:
    """Return the last whole line without its line feed, b"" for none, and what is after it: b"" unless it was torn."""
    end = file.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start and tail.count(b"\n") < 2:
        start = max(0, start - BLOCK)
        file.seek(start)
        tail = file.read(end - start)
    whole = tail[: tail.rfind(b"\n") + 1]
    return whole[:-1].rsplit(b"\n", 1)[-1], tail[len(whole) :]


def torn_cut(file: BinaryIO, torn: bytes) -> None:
    """Take away what is after the last whole line, and stand at the end."""
    file.truncate(file.seek(0, os.SEEK_END) - len(torn))
    file.seek(0, os.SEEK_END)
