"""What an error report may show, by page or by mail: nothing that is secret, also with DEBUG=true."""

import re
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

SECRET = re.compile("pass|secret|token|digest|code|key", re.IGNORECASE)
SHORTEST = 4  # what is shorter stands in any text by chance


class ReportFilter(SafeExceptionReporterFilter):
    """Hides what was typed as a password wherever it went, and every variable that is named like a secret.

    Django's own filter hides them only where each view says so, and with DEBUG=true not even there.
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
    """Whether a value shows one of these when it is printed. One that cannot be printed is not shown anyway."""
    if not secrets:
        return False
    try:
        text = repr(value)
    except Exception:
        return False
    return any(secret in text for secret in secrets)
