"""The pages that describe the API: Swagger UI as django-ninja brings it, in our template, under our security policy.

Its files are served out of the package. Among the static files they would be compressed when a server first starts,
which takes half a minute, for one page that few people open.
"""

import json
from pathlib import Path
from typing import Any

import ninja
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from ninja.openapi.docs import DocsBase

FILES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-init.js": "text/javascript",
}
PACKAGE_FILES = Path(ninja.__file__).parent / "static" / "ninja"
KEPT_S = 24 * 3600


class SwaggerPage(DocsBase):
    """The page, whose script reads its settings from it. It stores no key that somebody enters."""

    def render_page(self, request: HttpRequest, api: ninja.NinjaAPI, **kwargs: Any) -> HttpResponse:
        asked = {"layout": "BaseLayout", "deepLinking": True, "url": self.get_openapi_url(api, kwargs)}
        return render(request, "api/docs.html", {"settings": json.dumps(asked)})


@login_required
@require_GET
def docs_file(request: HttpRequest, name: str) -> HttpResponse:
    """Return one of the files of the page."""
    if name not in FILES:
        raise Http404
    headers = {"Cache-Control": f"private, max-age={KEPT_S}"}
    return HttpResponse((PACKAGE_FILES / name).read_bytes(), content_type=FILES[name], headers=headers)
