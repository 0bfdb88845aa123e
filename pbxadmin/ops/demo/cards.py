"""What a user of the demo could try, by what their role lets them do and by which PBXs they see."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from ivr.addresses import ivr_address
from pbxadmin.access.models import User
from pbxadmin.access.permissions import can_anywhere
from pbxadmin.access.roles import Action
from pbxadmin.fleet.models import Pbx

MOST_CARDS = 8


@dataclass(frozen=True)
class Card:
    """Something to try. right: that it needs. page: where it begins, by name, else on the page of the PBX.

    pbxs: of which the first that the person sees is meant, if it is about one; "{pbx}" in the text stands for it.
    number: of the IVR on that PBX where it begins.
    """

    icon: str
    title: str
    text: str
    right: Action
    page: str = ""
    pbxs: Sequence[str] = ()
    number: str = ""


CARDS: Sequence[Card] = (
    Card(
        "phone-arrow-up-right",
        "Who opened dial-out last night?",
        "Callers of {pbx} can make calls since then. See what changed, and put it back.",
        Action.DIAL_OUTBOUND,
        pbxs=("ACME-Gdansk",),
        number="6501",
    ),
    Card(
        "key",
        "A password that does not work any more",
        "{pbx} rejects its credentials. “Break a PBX” says the new one.",
        Action.MANAGE_PBXS,
        pbxs=("CURA-Leeds",),
    ),
    Card(
        "finger-print",
        "A certificate that changed",
        "Compare what {pbx} shows with what was pinned.",
        Action.MANAGE_PBXS,
        pbxs=("DELM-HQ",),
    ),
    Card(
        "hand-raised",
        "A batch that halted",
        "A PBX said Success and changed nothing. See what was done, and decide.",
        Action.BATCH,
        "batches:batch-list",
        pbxs=("EAST-HQ",),
    ),
    Card(
        "document-check",
        "Sign the quarter",
        "Review what is still open in it, and sign it off.",
        Action.REVIEW_LOG,
        "review:period-list",
    ),
    Card(
        "inbox-stack",
        "What stood out",
        "A refusal, an unknown outcome, dial-out at night: each waits to be looked at.",
        Action.REVIEW_LOG,
        "review:desk",
    ),
    Card(
        "shield-check",
        "Prove it",
        "Pack the events with their own verifier, for somebody outside.",
        Action.REVIEW_LOG,
        "review:evidence",
    ),
    Card(
        "phone-x-mark",
        "“The menu hangs up too soon”",
        "A caller of {pbx} has too little time. Change one number, and copy the receipt into the ticket.",
        Action.EDIT_IVR,
        pbxs=("ACME-HQ", "BELL-HQ", "CURA-HQ", "DELM-Hamburg", "EAST-HQ"),
        number="6500",
    ),
    Card(
        "arrow-top-right-on-square",
        "Somebody changed a menu on the PBX",
        "Nobody did it here. Accept it, or restore what {pbx} had before.",
        Action.EDIT_IVR,
        pbxs=("BELL-Leeds",),
        number="6502",
    ),
    Card(
        "question-mark-circle",
        "An answer that never came",
        "A change on {pbx} is unknown. Watch it settle: it is read again, and nothing is sent twice.",
        Action.EDIT_IVR,
        pbxs=("DELM-Leeds",),
        number="6501",
    ),
    Card(
        "magnifying-glass",
        "Find any menu",
        "Number, name, PBX or customer: one list over all PBXs.",
        Action.SEE,
        "ivr:ivr-list-all",
    ),
    Card(
        "bolt",
        "Break a PBX",
        "Switch one off, let it lie, change its certificate, and watch.",
        Action.SEE,
        "ops:demo",
    ),
)


@dataclass(frozen=True)
class CardShown:
    """A card as a person sees it."""

    icon: str
    title: str
    text: str
    address: str


def cards_for(user: User) -> list[CardShown]:
    """Return some cards for this person, those that need most rights first, and the last one of all in any case."""
    wanted = [card for card in CARDS if can_anywhere(user, card.right)]
    names = {name for card in wanted for name in card.pbxs}
    pbxs = {pbx.name: pbx for pbx in Pbx.objects.visible_to(user).filter(name__in=names)}
    found = [shown for card in wanted if (shown := card_shown(card, pbxs))]
    return [*found[: MOST_CARDS - 1], *found[MOST_CARDS - 1 :][-1:]]


def card_shown(card: Card, pbxs: dict[str, Pbx]) -> CardShown | None:
    """Return a card for these PBXs, by name; None when it is about others."""
    pbx = next((pbxs[name] for name in card.pbxs if name in pbxs), None)
    if card.pbxs and pbx is None:
        return None
    if card.page or pbx is None:
        return CardShown(card.icon, card.title, card.text, reverse(card.page))
    address = ivr_address(pbx.pk, card.number) if card.number else pbx.get_absolute_url()
    return CardShown(card.icon, card.title, card.text.format(pbx=pbx.name), address)
