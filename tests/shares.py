"""How the suite is spread over time and machines: the longest tests first, and slow ones in shares.

A test marked `in_shares`, or in one of the folders IN_SHARES, says the same on every database, or of every page, at
length. Where it has run before, `--share-of N` runs one N-th of such tests, another N-th with each commit; of those
that are marked `in_shares(M)` one in N x M. LONG are those that take minutes: with LONG_SHARE_OF=N in the environment,
as `.ci/run` sets it, one N-th of them runs on SQLite, too.
"""

import os
import subprocess
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

LONGEST = (  # these start first
    "tests/stateful/",
    "tests/kill/",
    "tests/batches/test_bad_luck.py",
    "tests/ops/test_processes.py",
    "tests/browser/test_every_page.py",
)
IN_SHARES = (  # pages, forms and processes; what locks, claims and counts runs whole on every database
    "tests/access/",
    "tests/accounts/",
    "tests/api/test_changes.py",
    "tests/api/test_hostile.py",
    "tests/api/test_keys.py",
    "tests/api/test_lists.py",
    "tests/api/test_matrix.py",
    "tests/api/test_recipes.py",
    "tests/api/test_spec.py",
    "tests/audit/test_sink_lines.py",
    "tests/batches/test_live_page.py",
    "tests/drills/",
    "tests/drivers/",
    "tests/fleet/",
    "tests/help/",
    "tests/home/",
    "tests/ivr/test_change_list.py",
    "tests/ivr/test_change_pages.py",
    "tests/ivr/test_compare.py",
    "tests/ivr/test_edit.py",
    "tests/ivr/test_explained.py",
    "tests/ivr/test_field_rules.py",
    "tests/ivr/test_list.py",
    "tests/ivr/test_outside_list.py",
    "tests/ivr/test_ring.py",
    "tests/ivr/test_typing_is_kept.py",
    "tests/ivr/test_ways.py",
    "tests/matrix/",
    "tests/notices/test_pages.py",
    "tests/ops/test_commands.py",
    "tests/ops/test_database_url.py",
    "tests/ops/test_demo.py",
    "tests/ops/test_demo_page.py",
    "tests/ops/test_email_url.py",
    "tests/ops/test_event_sink_url.py",
    "tests/ops/test_keys_and_settings.py",
    "tests/ops/test_processes.py",
    "tests/ops/test_proxy.py",
    "tests/ops/test_rotation.py",
    "tests/ops/test_story.py",
    "tests/ops/test_unmigrated.py",
    "tests/review/",
    "tests/test_docs.py",
    "tests/test_every_action.py",
    "tests/test_folding.py",
    "tests/test_recipes.py",
    "tests/test_sealed.py",
    "tests/test_structure.py",
    "tests/web/",
    "tests/webhooks/test_pages.py",
    "tests/webhooks/test_payloads.py",
    "tests/webhooks/test_posting.py",
)

LONG = (  # many processes, or hundreds of requests
    "tests/api/test_hostile.py",
    "tests/api/test_spec.py",
    "tests/drills/test_canary.py",
    "tests/ops/test_keys_and_settings.py",
    "tests/ops/test_processes.py",
    "tests/ops/test_proxy.py",
    "tests/ops/test_unmigrated.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share-of", type=int, default=1, help="run one N-th of the tests that are in shares")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import WorkStealingScheduling  # type: ignore[import-untyped]

    return WorkStealingScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    shares, long_shares = config.getoption("--share-of"), int(os.environ.get("LONG_SHARE_OF", "1"))
    drawn: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        of = max(shares, long_shares) if item.nodeid.startswith(LONG) else shares
        (drawn if of == 1 or not is_in_shares(item) or is_drawn(item, of) else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = drawn
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def is_in_shares(item: pytest.Item) -> bool:
    """Return whether a test says the same on every database."""
    return item.nodeid.startswith(IN_SHARES) or item.get_closest_marker("in_shares") is not None


def is_drawn(item: pytest.Item, shares: int) -> bool:
    """Return whether this commit's share holds a test."""
    marker = item.get_closest_marker("in_shares")
    shares *= marker.args[0] if marker and marker.args else 1
    return (zlib.crc32(item.nodeid.encode()) + commit_number()) % shares == 0


@cache
def commit_number() -> int:
    """Return how many commits there are, 0 outside a repository."""
    command = ["git", "rev-list", "--count", "HEAD"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else 0
