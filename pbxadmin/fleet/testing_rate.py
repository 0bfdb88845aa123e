"""How often one person may have connections tested, by pages and API keys together."""

from allauth.core import ratelimit
from django.conf import settings
from django.http import HttpRequest


class TooManyTests(Exception):
    """No person tests that often; a search for open ports does. str(): for a person."""


def count_connection_test(request: HttpRequest) -> None:
    """Count a test of who asks. Raises TooManyTests."""
    if not ratelimit.consume(request, action="connection_test", key=f"person {request.user.pk}"):
        most = settings.ACCOUNT_RATE_LIMITS["connection_test"].split("/")[0]
        raise TooManyTests(f"Not tested: {most} tests a minute are enough. Wait a minute.")
