"""What a person has to confirm before a change is sent, in words of the risk."""

from collections.abc import Mapping

OPENS = {
    "dial_outbound": "Callers will be able to make calls at your cost. Fraudsters look for menus that let them.",
    "dial_extension": "Callers will be able to type any extension. A list of allowed extensions kept on the PBX may be"
    " widened, and an extension that forwards outside costs money.",
    "check_voicemail": "Callers will be able to reach the voicemail menu and try PINs.",
}
RENUMBERING = (
    "Inbound routes that lead to the old number: this API does not show them.",
    "Keys of other IVRs, queues and ring groups that lead to the old number: this API does not show them.",
    "Whoever dials the old number directly: phones, websites, printed numbers.",
)


def risks(base: Mapping[str, str | None], wanted: Mapping[str, str]) -> list[str]:
    """One sentence for each risk that these values bring; none when nothing needs a confirmation."""
    opened = [why for name, why in OPENS.items() if wanted.get(name) == "on" and base.get(name) != "on"]
    return [*opened, *(f"Check by hand: {item}" for item in RENUMBERING)] if "number" in wanted else opened
