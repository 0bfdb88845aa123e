"""The link in each mail that ends it: signed, for one recipient, without a sign-in."""

from dataclasses import dataclass

from django.core import signing

from pbxadmin.access.models import Customer, User

from .models import NoticeMail, NoticeRoute

END_SALT = "notices.end"
WORKS_FOR_S = 366 * 24 * 3600


@dataclass(frozen=True)
class MailEnding:
    """What a link ends: mails to a person about one customer or all, or those to the address of a team."""

    person: User | None
    customer: Customer | None
    route: NoticeRoute | None


def end_token(mail: NoticeMail, customer_id: int | None) -> str:
    """Return the token of the link that ends mails such as this one. customer_id: None for those about all."""
    facts = {"route": mail.route_id} if mail.route_id else {"person": mail.person_id, "customer": customer_id}
    return signing.dumps(facts, salt=END_SALT)


def ending_with(token: str) -> MailEnding | None:
    """Return what a link ends, None for one that was never sent, is older than a year, or leads to nobody."""
    try:
        facts = signing.loads(token, salt=END_SALT, max_age=WORKS_FOR_S)
    except signing.BadSignature:
        return None
    if "route" in facts:
        route = NoticeRoute.objects.select_related("customer").filter(pk=facts["route"]).first()
        return MailEnding(None, None, route) if route else None
    person = User.objects.filter(pk=facts["person"], is_active=True).first()
    customer = Customer.objects.filter(pk=facts["customer"]).first() if facts["customer"] else None
    return MailEnding(person, customer, None) if person and (customer or not facts["customer"]) else None
