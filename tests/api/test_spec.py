"""The API against its own description: requests drawn from it, right and wrong ones, and sequences along its links.

Each run draws the same. `SPEC_EXAMPLES=200 pytest tests/api/test_spec.py` draws more, and others each time.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, settings
from schemathesis import openapi
from schemathesis.checks import CheckFunction
from schemathesis.core.transport import Response
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.generation.overrides import with_config_headers
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from pbxadmin.api.api import api
from pbxadmin.api.idempotency import IDEMPOTENCY_HEADER, WRITING
from pbxadmin.api.problems import PROBLEM_TYPE, TYPE_BASE
from tests.factories import make_user
from tests.matrix.world import OF_US, Side, make_side
from tests.pbx_http import PbxDouble

from .conftest import Script
from .test_matrix import ROWS

Operation = APIOperation[Any, Any, Any, Any]
pytestmark = pytest.mark.django_db
MORE = int(os.environ.get("SPEC_EXAMPLES", "0"))
DRAWN = settings(
    max_examples=MORE or 3,
    derandomize=not MORE,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
ANSWERED = ["2xx", "3xx", "4xx", "502", "503"]  # those two say what a PBX did not do
TAGS = ("Customers", "PBXs", "IVRs", "Changes", "Batches", "Outside changes and violations", "Log")


@cache
def described() -> Any:
    schema = openapi.from_dict(api.get_openapi_schema())
    schema.app = WSGIHandler()
    schema.config.checks.not_a_server_error.expected_statuses = ANSWERED
    schema.config.phases.stateful.inference.algorithms = []  # the links that are described, and no others
    schema.config.phases.stateful.generation.modes = [GenerationMode.POSITIVE]
    return schema


def operations() -> list[Operation]:
    return [found.ok() for found in described().get_all_operations()]


def id_of(operation: Operation) -> str:
    return str(operation.definition.raw["operationId"])


@dataclass
class Site:
    """An installation with one customer, and the headers of somebody who may do everything."""

    side: Side
    headers: dict[str, str]

    def call(self, case: Case[Any]) -> None:
        """Send a request and hold the answer against the description. What it did is taken back."""
        before = transaction.savepoint()
        if case.meta.generation.mode.is_positive:
            there = {f"{name}_id": value for name, value in self.side.ids.items()} | {"number": self.side.number}
            case.path_parameters |= {name: there[name] for name in case.path_parameters}
        self.hold(case, case.call(headers=self.headers))
        transaction.savepoint_rollback(before)

    def hold(self, case: Case[Any], answer: Response, recorder: ScenarioRecorder | None = None) -> None:
        """Fail for an answer that is not as described, and for an error without a type that a script can decide by.

        recorder: of the sequence that the request is part of, whose bodies are put right after they were drawn.
        """
        not_told: list[CheckFunction] = [negative_data_rejection] if recorder else []
        not_told += [positive_data_acceptance] if case.method in WRITING or recorder else []  # what only a form refuses
        case.validate_response(answer, headers=self.headers, excluded_checks=not_told, recorder=recorder)
        if answer.status_code < 400:
            return
        said = answer.json()
        assert answer.headers["content-type"] == [PROBLEM_TYPE]
        assert said["type"].startswith(TYPE_BASE)
        assert said["status"] == answer.status_code


@pytest.fixture
def site(pbx_http: PbxDouble) -> Iterator[Site]:
    side = make_side(OF_US)
    pbx_http.serial = side.pbx.serial
    pbx_http.add(side.number, ivrname="North_Menu")
    headers = {"Authorization": f"Bearer {Script(make_user(is_superuser=True)).text}", "Accept-Encoding": "identity"}
    described().config.update(headers=headers)
    request_started.disconnect(close_old_connections)  # a request is within the transaction of the test
    request_finished.disconnect(close_old_connections)
    yield Site(side, headers)
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


def test_every_tag_is_drawn_from():
    assert {tag for operation in operations() for tag in operation.definition.raw["tags"]} == set(TAGS)


@pytest.mark.parametrize("tag", TAGS)
def test_requests_right_and_wrong_are_answered_as_described(site, tag):
    for operation in operations():
        if tag in operation.definition.raw["tags"]:
            drawn(operation, site.call)()


def drawn(operation: Operation, call: Callable[[Case[Any]], None]) -> Callable[[], None]:
    """Return a test that calls with each limit of what the description allows, and with some at random."""
    config = HypothesisTestConfig(
        project=operation.schema.config,
        modes=[HypothesisTestMode.COVERAGE, HypothesisTestMode.FUZZING],
        explicit_settings=DRAWN,
        override=with_config_headers(operation.schema.config, operation=operation),
    )

    def test(case: Case[Any]) -> None:
        call(case)

    return create_test(operation=operation, test_func=test, config=config)


@pytest.mark.parametrize(
    ("tags", "reached"),
    [
        (["IVRs", "Changes"], {"ivr_read_live", "change_plan", "change_apply", "change_receipt", "change_check"}),
        (["Batches"], {"batch_plan", "batch_read", "batch_targets", "batch_start", "batch_stop"}),
        (["Customers", "PBXs", TAGS[5], "Log"], {"pbx_add", "pbx_edit", "pbx_test", "outside_accept", "event_read"}),
    ],
    ids=["changes", "batches", "the rest"],
)
def test_links_lead_from_operation_to_operation(site, tags, reached):
    done: set[str] = set()

    class Sequence(described().include(tag=tags).as_state_machine()):  # type: ignore[misc]
        """A script that follows links with bodies that are right. What a sequence did is taken back."""

        def setup(self) -> None:
            self.before = transaction.savepoint()

        def teardown(self) -> None:
            transaction.savepoint_rollback(self.before)

        def before_call(self, case: Case[Any]) -> None:
            body = ROWS[id_of(case.operation)][3]
            case.query = {}
            case.headers[IDEMPOTENCY_HEADER] = uuid.uuid4().hex
            case.body = body(site.side) if body else case.body

        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            return {"headers": site.headers}

        def validate_response(self, response: Response, case: Case[Any], *_: Any, **__: Any) -> None:
            site.hold(case, response, self.recorder)

        def after_call(self, response: Response, case: Case[Any]) -> None:
            super().after_call(response, case)
            if response.status_code < 400:
                done.add(id_of(case.operation))

    Sequence.run(settings=settings(DRAWN, max_examples=MORE or 8, stateful_step_count=15))

    assert done >= reached


RESTORED = ("change_plan", "change_apply", "change_restore", "change_apply")


def test_the_links_lead_from_a_plan_to_its_restore(site, pbx_http):
    """Drawn sequences seldom plan what the PBX does not hold already, so this one follows the links by name."""
    by_id = {id_of(operation): operation for operation in operations()}
    taken = {"pbx_id": site.side.pbx.pk, "number": site.side.number}
    held = dict(pbx_http.ivrs[site.side.number])
    for name, following in zip(RESTORED, (*RESTORED[1:], ""), strict=True):
        case = by_id[name].Case(path_parameters=taken, body=ROWS[name][3](site.side), media_type="application/json")
        case.headers[IDEMPOTENCY_HEADER] = uuid.uuid4().hex
        answer = case.call(headers=site.headers)
        site.hold(case, answer)
        assert answer.status_code in (200, 201), answer.content
        answers = {int(status): said for status, said in by_id[name].definition.raw["responses"].items()}
        links = answers[answer.status_code]["links"] if following else {following: {}}
        assert links[following].get("parameters", {}) in ({}, {"change_id": "$response.body#/id"})
        taken = {"change_id": answer.json()["id"]}

    assert answer.json()["outcome"] == "verified"
    assert pbx_http.ivrs[site.side.number] == held
