"""The text for the engineer: facts, codes and times of a PBX that does not answer, and no secret."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from pbxadmin.access.roles import Role
from pbxadmin.fleet.engineer import engineer_text
from pbxadmin.fleet.models import ContactFailure, ContactSample, Pbx, PbxState
from tests.factories import make_pbx, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def pbx() -> Pbx:
    pbx = make_pbx(site="Leeds\nAnswered: always", password="Secret-Passw0rd")
    Pbx.objects.filter(pk=pbx.pk).update(
        state=PbxState.LOCKED,
        state_at=timezone.now(),
        state_reason="Too many wrong passwords came from our address (20002).",
        failures=4,
        locked_until=timezone.now() + timedelta(minutes=5),
        serial="3631A2115678",
        model="S100",
    )
    for n in range(7):
        at = timezone.now() - timedelta(minutes=n)
        ContactSample.objects.create(pbx=pbx, at=at, ms=4000 + n, failure=ContactFailure.NO_ANSWER)
    pbx.refresh_from_db()
    return pbx


def test_it_says_what_an_engineer_asks_first(pbx: Pbx) -> None:
    text = engineer_text(pbx, "https://pbx.example/pbxs/1/")

    for fact in ("ACME-HQ, Acme Logistics", "https://pbx.invalid:8088, API v1.0.0", "S100, serial 3631A2115678"):
        assert fact in text
    for fact in ("(20002)", "4 failed", "Locked     until 20", "4000 ms", "4004 ms", "https://pbx.example/pbxs/1/"):
        assert fact in text
    assert "4005 ms" not in text
    assert "Leeds Answered: always" in text  # a line break in a value makes no line of ours


def test_it_holds_no_secret(pbx: Pbx) -> None:
    text = engineer_text(pbx, "")

    assert pbx.username not in text.split()
    assert pbx.password_digest.open() not in text
    assert "Passw0rd" not in text


def test_it_stands_where_a_pbx_needs_attention_and_nowhere_else(client: Client, pbx: Pbx) -> None:
    client.force_login(make_user(Role.HELPDESK, pbx.customer))

    assert "Text for the engineer" in client.get(f"/pbxs/{pbx.pk}/").content.decode()
    Pbx.objects.filter(pk=pbx.pk).update(state=PbxState.REACHABLE)
    assert "Text for the engineer" not in client.get(f"/pbxs/{pbx.pk}/").content.decode()
