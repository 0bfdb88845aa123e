from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from .pages import FIRST_PAGE, help_found, help_pages


@login_required
@require_GET
def help_page(request: HttpRequest, slug: str = FIRST_PAGE) -> HttpResponse:
    """Show a page of the help, and what a search in all of them finds."""
    page = help_pages().get(slug)
    if page is None:
        raise Http404
    q = request.GET.get("q", "").strip()[:100]
    context = {"page": page, "is_first": slug == FIRST_PAGE, "q": q, "found": list(help_found(q))}
    return render(request, "help/help_page.html", context)
