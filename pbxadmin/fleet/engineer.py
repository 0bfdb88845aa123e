"""Text for the engineer: what is known of a PBX that does not answer, to be pasted into a ticket. No secrets."""

from django.utils import timezone

from pbxadmin.web.facts import Fact, facts_text, moment
from pbxadmin.web.words import PBX_STATES

from .connection_test import ConnectionTest, Step
from .models import ContactSample, Pbx

CONTACTS_TOLD = 5


def engineer_text(pbx: Pbx, link: str, *, test: ConnectionTest | None = None, problem: str = "") -> str:
    """Write what an engineer asks first: which device, how it is reached, what failed, with codes and times.

    link: the permanent address of the PBX. problem: what came of the last attempt, when its state does not say it.
    """
    return facts_text(
        [
            ("PBX", f"{pbx.name}, {pbx.customer.name}"),
            ("Site", pbx.site),
            ("Address", f"{pbx.endpoint.base}, API {pbx.api_version}, TLS profile {pbx.tls_profile}"),
            ("Device", device(pbx)),
            ("State", f"{PBX_STATES[pbx.state].label} since {moment(pbx.state_at) or 'it was added'}"),
            ("Why", pbx.state_reason),
            ("Attempt", problem),
            ("In a row", f"{pbx.failures} failed" if pbx.failures else ""),
            ("Paused", f"until {moment(pbx.paused_until)}" if pbx.is_paused else ""),
            ("Locked", f"until {moment(pbx.locked_until)}" if pbx.is_locked else ""),
            ("Answered", f"last at {moment(pbx.last_contact_at)}" if pbx.last_contact_at else "never"),
            ("Read", f"last at {moment(pbx.read_at)}" if pbx.read_at else "never"),
            *(lines("Test", [tested(step) for step in test.steps]) if test else []),
            *lines("Contacts", [contact(sample) for sample in last_contacts(pbx)]),
            ("Written", moment(timezone.now())),
            ("Link", link),
        ]
    )


def device(pbx: Pbx) -> str:
    known = [
        pbx.model,
        f"serial {pbx.serial}" if pbx.serial else "",
        f"firmware {pbx.firmware}" if pbx.firmware else "",
    ]
    other = f"now answers: serial {pbx.other_serial}" if pbx.other_serial else ""
    return ", ".join(part for part in (*known, other) if part) or "not known"


def last_contacts(pbx: Pbx) -> list[ContactSample]:
    """Return the newest contacts of this hour and of the one before, the newest first."""
    return list(ContactSample.objects.filter(pbx=pbx).order_by("-at")[:CONTACTS_TOLD])


def contact(sample: ContactSample) -> str:
    return f"{moment(sample.at)}: {sample.get_failure_display() if sample.failure else 'answered'}, {sample.ms} ms"


def tested(step: Step) -> str:
    if step.passed is None:
        return f"{step.label}: not reached"
    return f"{step.label}: {'passed' if step.passed else 'FAILED'}, {step.seconds * 1000:.0f} ms. {step.sentence}"


def lines(label: str, texts: list[str]) -> list[Fact]:
    """Return a fact for each text; only the first has the label."""
    return [("" if place else label, text) for place, text in enumerate(texts)]
