"""Appends events in a process of its own: `python -m tests.kill.appending COUNT`, once a line comes in."""

import os
import sys

import django


def main(count: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "pbxadmin.settings"
    django.setup()
    from django.db import connections

    from pbxadmin.audit.actions import EventAction
    from pbxadmin.audit.log import record
    from tests.waiting import LIMIT_S

    if connections.settings["default"]["ENGINE"] == "pbxadmin.sqlite":
        connections.settings["default"]["OPTIONS"]["timeout"] = LIMIT_S  # SQLite's lock is not fair to who waits

    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(count)):
        customer = (1, "Acme Logistics") if number % 4 else None
        record(EventAction.PBX_EDITED, customer=customer, detail={"by": os.getpid(), "number": number})


if __name__ == "__main__":
    main(*sys.argv[1:])
