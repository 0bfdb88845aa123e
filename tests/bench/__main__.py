"""Benchmarks, run by hand: `python -m tests.bench`, or with the names of some of them.

Each has a database and a data folder of its own, both gone afterwards, and talks to 127.0.0.1 only. What counts is the
ratio of figures from one run: the times are those of this machine at this moment. Nothing is asserted.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from io import StringIO

import django

BENCHES = (
    "client_cpu",
    "guards",
    "kept_connections",
    "refresh_run",
    "sweep",
    "sweep_large",
    "load",
    "contact_samples",
    "edit_calls",
    "batch_run",
    "batch_page",
    "batch_beside",
    "ivr_list",
    "api_list",
    "outside_list",
    "history",
    "row_sizes",
    "home_page",
    "fleet_pages",
    "wire",
    "policies_recheck",
    "search",
    "isolation",
    "notices",
    "audit_log",
    "audit_verify",
    "audit_append",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(BENCHES)}; all of them by default")
    parser.add_argument("--events", default="100000", help="how many the log holds (100000)")
    asked = parser.parse_args()
    names = asked.names or BENCHES
    os.environ["BENCH_EVENTS"] = asked.events
    if unknown := set(names) - set(BENCHES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"
    django.setup()
    from pbxadmin.ops.stack import with_stack_room

    for name in names:
        with own_database():
            with_stack_room(import_module(f"tests.bench.{name}").main)()  # as the server does


@contextmanager
def own_database() -> Iterator[None]:
    from django.db import connection

    name = connection.settings_dict["NAME"]
    with redirect_stdout(StringIO()):  # it would tell of a table that is there already
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    main()
