"""Filter of error reports: no page or mail shows a secret, even with DEBUG=true."""

import re
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

SECRET = re.compile("pass|secret|token|digest|code|key", re.IGNORECASE)
SHORTEST = 4  # a shorter text occurs anywhere by chance


class ReportFilter(SafeExceptionReporterFilter):
    """Filter that hides typed passwords wherever they occur, and every variable with the name of a secret.

    Django's own filter hides them only in views that ask for it, and not at all with DEBUG=true.
    """

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        posted = request.POST.items() if request else ()
        return {name: self.cleansed_substitute if SECRET.search(name) else value for name, value in posted}

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> Any:
        typed = typed_secrets(request)
        return [
            (name, self.cleansed_substitute if SECRET.search(name) or shows(value, typed) else value)
            for name, value in super().get_traceback_frame_variables(request, tb_frame)
        ]


def typed_secrets(request: HttpRequest | None) -> list[str]:
    posted = request.POST.lists() if request else ()
    found = [value for name, values in posted if SECRET.search(name) for value in values if len(value) >= SHORTEST]
    return [form for value in found for form in (value, repr(value)[1:-1])]


def shows(value: Any, secrets: list[str]) -> bool:
    """Return whether the printed value contains one of these secrets. A value that cannot be printed is never shown."""
    if not secrets:
        return False
    try:
        text = repr(value)
    except Exception:
        return False
    return any(secret in text for secret in secrets)
