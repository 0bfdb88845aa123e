"""Words and figures of the PBX pages."""

from django import template

from pbxadmin.fleet.connection_test import ConnectionTest, Step
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.record_fields import RECORD_FIELD_BY_NAME

register = template.Library()


@register.filter
def trusted_by(pbx: Pbx) -> str:
    return dict(RECORD_FIELD_BY_NAME["trust"].options)[pbx.trust]


@register.filter
def tls_profile(pbx: Pbx) -> str:
    return dict(RECORD_FIELD_BY_NAME["tls_profile"].options)[pbx.tls_profile]


@register.simple_tag
def step_tone(test: ConnectionTest, step: Step) -> str:
    """Return the tone of one step: a certificate that may be pinned is a question, not a failure."""
    if step.passed is None:
        return "calm"
    if step.passed:
        return "ok"
    return "warn" if step.name == "tls" and test.certificate and test.certificate.may_be_pinned else "bad"


@register.filter
def fingerprint(digits: str) -> str:
    """Format a SHA-256 as people compare it: pairs with colons, in four groups of eight."""
    pairs = [digits[at : at + 2].upper() for at in range(0, len(digits), 2)]
    return " ".join(":".join(pairs[at : at + 8]) for at in range(0, len(pairs), 8))
