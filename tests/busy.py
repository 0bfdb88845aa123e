"""Keep every core busy while a command runs: `python -m tests.busy pytest -n 4`.

It shows whether a test depends on how fast the machine is. The status is that of the command. The busy loops end with
it, and after two hours in any case.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LONGEST_S = 2 * 3600
LOOP = f"""
import os, time
end = time.monotonic() + {LONGEST_S}
while time.monotonic() < end and os.getppid() == {{parent}}:
    for _ in range(100_000):
        pass
"""


@contextmanager
def busy_cores() -> Iterator[None]:
    """Run a busy loop for each core during the block."""
    command = [sys.executable, "-I", "-S", "-c", LOOP.format(parent=os.getpid())]
    loops = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main(words: Sequence[str]) -> int:
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        print(__doc__)
        return 2
    with busy_cores():
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
