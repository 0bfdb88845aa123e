"""A batch as a person and the workers carry it out: over HTTP, and step by step."""

from typing import Any

from django.test import Client

from ivr.models import Ivr
from pbxadmin.batches.models import Batch, BatchState
from pbxadmin.batches.work import batch_work
from tests.pbx_http import PbxDouble

NUMBERS = [str(6500 + place) for place in range(6)]
PACE = {"canary": "2", "pbxs_at_once": "4", "halt_after": "3"}


def work(batch: Batch) -> Batch:
    """Do what the workers would do now."""
    for _ in range(5):
        batch_work.call(batch.pk)
        batch.refresh_from_db()
    return batch


def added(client: Client, numbers: list[str] | None = None, **typed: str) -> Batch:
    rows = Ivr.objects.filter(number__in=numbers or NUMBERS)
    data = {"ivr": list(rows.values_list("pk", flat=True)), "response_timeout": "9", **PACE, **typed}
    answer = client.post("/batches/add/", data)
    assert answer.status_code == 302, answer.content.decode()
    return Batch.objects.latest("pk")


def previewed(client: Client, **typed: Any) -> Batch:
    batch = work(added(client, **typed))
    assert batch.state == BatchState.READY
    return batch


def press(client: Client, batch: Batch, what: str, **data: str) -> Batch:
    answer = client.post(f"/batches/{batch.pk}/{what}/", data)
    assert answer.status_code in (302, 422), answer.status_code
    return work(batch)


def outcomes(batch: Batch) -> dict[str, str]:
    return {target.number: target.outcome for target in batch.targets.all()}


def page_of(client: Client, batch: Batch) -> str:
    return client.get(f"/batches/{batch.pk}/").content.decode()


def updates(pbx_http: PbxDouble) -> list[str]:
    return [body["ivrid"] for name, body in pbx_http.received if name == "ivr/update"]
