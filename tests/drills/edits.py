"""A whole edit through the real pages, of a PBX that answers over real TLS."""

import html
import re
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from ivr.models import Change
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import SimulatedPbx
from tests.factories import make_pbx


def record_of(simulated: SimulatedPbx, **values: Any) -> Pbx:
    """The record of a simulated PBX, as a manager would have entered it."""
    right: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": simulated.port,
        "username": simulated.username,
        "password": simulated.password,
        "fingerprint": simulated.fingerprint,
    }
    return make_pbx(**(right | values))


def filled(page: str, **changed: str | None) -> dict[str, str]:
    """The form of an edit page as a browser would post it after these changes; None takes a field out."""
    values: dict[str, str | None] = {}
    for tag in re.findall(r"<input[^>]*>", page.split('id="edit"')[1].split("</form>")[0]):
        attrs = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attrs.get("type") != "checkbox" or " checked" in tag:
            values[attrs["name"]] = html.unescape(attrs.get("value", "on"))
    return {name: value for name, value in (values | changed).items() if value is not None}


def planned(client: Client, pbx: Pbx, **changed: str | None) -> Change:
    """Open the edit page of IVR 6500, change the form, post it."""
    address = f"/pbxs/{pbx.pk}/ivrs/6500/edit/"
    answer = client.post(address, filled(client.get(address).content.decode(), **changed))
    assert answer.status_code == 302, answer.content.decode()
    return Change.objects.get(pk=int(answer["Location"].split("/")[2]))


def confirmed(client: Client, change: Change) -> dict[str, str]:
    """The form of a plan as somebody sends it who read what has to be confirmed."""
    page = client.get(change.get_absolute_url()).content.decode()
    seen = re.search(r'name="seen" value="(\w+)"', page)
    return {"seen": seen[1], "typed": change.number} if seen else {"confirm": "yes"}


def let_the_token_age(pbx: Pbx) -> None:
    """As if 26 minutes had passed since the login."""
    Pbx.objects.filter(pk=pbx.pk).update(token_at=timezone.now() - timedelta(minutes=26))


def text_of(page: str) -> str:
    """What a person reads: a time is a part of its sentence."""
    in_sentences = re.sub(r"</?time\b[^>]*>", "", page)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", in_sentences)).split())
