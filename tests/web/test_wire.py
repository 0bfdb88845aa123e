"""What a page costs on the wire, by its compressed bytes; `python -m tests.bench wire` measures it in a browser."""

import gzip
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.utils import timezone

from ivr.models import Ivr
from pbxadmin.fleet.models import Pbx
from tests.bench.events import fill_events
from tests.bench.ivr_list import ivr, pbx
from tests.factories import make_customer, make_user

FIRST, NEXT, LOG = 60_000, 15_000, 20_000
PAGES = {"/": NEXT, "/ivrs/": NEXT, "/pbxs/": NEXT, "/pbxs/health/": NEXT, "/changes/": NEXT, "/audit/": LOG}
FETCHED = re.compile(r'(?:src|href)="/static/([^"]+\.(?:css|js|svg))"')


@pytest.fixture
def pages_as_read():
    """These tests are about bytes."""


@pytest.mark.django_db
@pytest.mark.parametrize("count", [12, 300])
def test_no_page_costs_more_than_its_budget(client, count):
    customer, now = make_customer(), timezone.now()
    pbxs = Pbx.objects.bulk_create(pbx(customer, number) for number in range(count))
    Ivr.objects.bulk_create(ivr(one, number, now) for one in pbxs for number in range(5))
    fill_events(400, customers=[(customer.pk, customer.name)], days=20)
    client.force_login(make_user(is_superuser=True))

    costs = {page: cost(client, page) for page in PAGES}

    assert {page: later for page, (_, later) in costs.items() if later > PAGES[page]} == {}
    assert {page: first for page, (first, _) in costs.items() if first > FIRST} == {}


def cost(client, page):
    """Return the compressed bytes of a page with all that it fetches, and those of the page alone."""
    answer = client.get(page, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    files = set(FETCHED.findall(gzip.decompress(answer.content).decode()))
    assert {"pbxadmin/app.css", "pbxadmin/app.js"} < files
    fetched = sum(len(gzip.compress(Path(finders.find(name)).read_bytes())) for name in files)
    return len(answer.content) + fetched, len(answer.content)
