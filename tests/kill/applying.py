"""Applies one change in a process of its own, for a test to kill: `python -m tests.kill.applying CHANGE [QUESTIONS]`.

QUESTIONS: the name server answers so many, says so on standard output at the next one, and then never answers.
"""

import os
import socket
import sys
import time
from itertools import count
from typing import Any

import django


def name_server(questions: int) -> None:
    """Stands in for the system's: "localhost" is 127.0.0.1, and after so many questions there is silence."""
    system, asked = socket.getaddrinfo, count(1)

    def getaddrinfo(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host != "localhost":
            return system(host, port, *args, **more)
        if next(asked) > questions:
            print("asked", flush=True)
            time.sleep(600)
        return system("127.0.0.1", port, *args, **more)

    socket.getaddrinfo = getaddrinfo


def main(change_id: str, questions: str = "1000") -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "pbxadmin.settings"
    django.setup()
    from ivr.changes.apply import change_apply
    from ivr.models import Change
    from pbxadmin.audit.context import Actor

    name_server(int(questions))
    change_apply(change=Change.objects.get(pk=change_id), actor=Actor(7, "Mara Lindqvist"), confirmed=True)
    print("applied", flush=True)
    time.sleep(600)


main(*sys.argv[1:])
