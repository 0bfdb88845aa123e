"""Where this site is, for addresses that leave it: in e-mail, receipts and redirects of a provider.

Only this module asks a request for its host: a proxy may pass another one, or drop the port.
"""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


def site_address(request: HttpRequest) -> str:
    """Return scheme, host and port of this site: SITE_URL, or where nothing is set what the request was sent to."""
    return settings.SITE_URL or f"{request.scheme}://{request.get_host()}"


def site_name(request: HttpRequest) -> str:
    """Return the host of this site, without port."""
    return urlsplit(site_address(request)).hostname or ""


def site_hosts(request: HttpRequest) -> set[str]:
    """Return each host, with its port, that a browser may show for a page of ours."""
    return {urlsplit(site_address(request)).netloc, request.get_host()}
