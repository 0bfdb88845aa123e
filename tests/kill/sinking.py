"""Gives the log to the sink of EVENT_SINK in a process of its own, in small batches, for a test to kill."""

import os
from threading import Event as Flag

import django


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "pbxadmin.settings"
    django.setup()
    from pbxadmin.audit.sink import sending

    sending.EVENTS_PER_BATCH = 5  # so that it is often between giving a batch away and writing that down
    sending.LOOK_AT_LOG_S = 0.0
    print("ready", flush=True)
    sending.sends(Flag())


main()
