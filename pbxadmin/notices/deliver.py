"""Sending mails: by workers, each mail claimed by one of them, until the mail server has taken it.

A mail whose sender died is sent by another one when its claim has run out. So it can be sent twice in one case only:
the sender died after the mail server had taken it and before that was written down. It then has the same Message-ID.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused, SMTPResponseException
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db.models import F, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django_tasks import task

from ivr.claims import claim_one, still_claimed
from ivr.kicks import kick_once
from pbxadmin.access.models import User
from pbxadmin.web.words import number_of

from .addressing import (
    conditions_close,
    conditions_repeat,
    mails_gather,
    may_know,
    notices_address,
    notices_forget,
    with_grants,
)
from .kinds import NOTICE_KINDS
from .models import (
    Condition,
    Notice,
    NoticeChoice,
    NoticeMail,
    NoticePace,
    NoticeSeverity,
)
from .unsubscribing import end_token
from .violations import exceptions_note

log = logging.getLogger(__name__)

SENDING_S = 120  # a claim: longer than a slow mail server may take, at EMAIL_TIMEOUT for each of its answers
WORK_S = 20.0  # then the task makes room for others and is enqueued again
MOST_LINES = 50  # of one mail
MAILS_QUEUE, LOW = "batches", -10  # a mail server may be slow
# The first wait is what greylisting asks for; all of them together are two days.
TRY_AGAIN_AFTER = [timedelta(minutes=minutes) for minutes in (2, 5, 15, 60, 180, 360, 720, 1440)]
MailState = NoticeMail.State


def notices_work() -> int:
    """Bring the outbox on: close and repeat conditions, write recipients, make mails, and kick who sends them.

    Return how many mails are to be sent now.
    """
    exceptions_note()
    conditions_close()
    conditions_repeat()
    notices_address()
    mails_gather()
    notices_forget()
    due = due_mails(timezone.now()).count()
    if due:
        kick_once(mails_send)
    return due


def due_mails(now: datetime) -> QuerySet[NoticeMail]:
    return NoticeMail.objects.filter(state=MailState.WAITING, due_at__lte=now).exclude(claimed_until__gt=now)


@task(queue_name=MAILS_QUEUE, priority=LOW)
def mails_send() -> None:
    """Send mails that are due, for a while. Several may: each mail is claimed by one."""
    if mails_slice():
        kick_once(mails_send)


def mails_slice() -> bool:
    """Send what is due over one connection, for 20 s at most. Return whether more is due.

    While the mail server cannot be reached, one mail finds that out and the others wait for the next tick.
    """
    give_up = time.monotonic() + WORK_S
    connection = get_connection()
    try:
        while time.monotonic() < give_up:
            mail = due_mails(timezone.now()).order_by("due_at", "pk").first()
            if mail is None:
                return False
            if not mail_send(mail, connection):
                return False
    finally:
        connection.close()
    return True


def mail_send(mail: NoticeMail, connection: Any) -> bool:
    """Send one mail, if nobody else does. Return whether the mail server can be talked to."""
    here = NoticeMail.objects.filter(pk=mail.pk, state=MailState.WAITING)
    if not claim_one(here, SENDING_S, tries=F("tries") + 1):
        return True
    mail.refresh_from_db()
    message = message_of(mail)
    if message is None:
        mail_end(mail, MailState.DROPPED, why="It was for nobody any more.")
        return True
    try:
        connection.open()
        message.connection = connection
        message.send()
    except (SMTPException, OSError) as error:
        connection.close()
        mail_failed(mail, error)
        return isinstance(error, SMTPRecipientsRefused | SMTPDataError)
    mail_end(mail, MailState.SENT)
    return True


def mail_end(mail: NoticeMail, state: MailState, why: str = "") -> None:
    """Write down what became of a mail, unless somebody else claimed it since."""
    columns = {"state": state, "why": why, "ended_at": timezone.now(), "claimed_until": None}
    still_claimed(NoticeMail.objects.all(), mail).update(**columns)


def mail_failed(mail: NoticeMail, error: Exception) -> None:
    """Try a mail again later, or give it up: when it was refused for good, or for the ninth time."""
    why = failure_words(error)
    log.warning("notices: mail %s was not taken, try %s: %s", mail.pk, mail.tries, type(error).__name__)
    if is_for_good(error) or mail.tries > len(TRY_AGAIN_AFTER):
        return mail_end(mail, MailState.DEAD, why)
    due = timezone.now() + TRY_AGAIN_AFTER[mail.tries - 1]
    still_claimed(NoticeMail.objects.all(), mail).update(due_at=due, why=why, claimed_until=None)


def code_of(error: Exception) -> tuple[int, str]:
    """Return the code and the text with which a mail server refused, (0, "") when it gave none."""
    if isinstance(error, SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()), (0, b""))
        return code, said.decode(errors="replace")
    if isinstance(error, SMTPResponseException):
        text = error.smtp_error
        return error.smtp_code, text.decode(errors="replace") if isinstance(text, bytes) else text
    return 0, ""


def is_for_good(error: Exception) -> bool:
    """Return whether a mail server refused this recipient or this mail for good; a sign-in it refuses may be mended."""
    return isinstance(error, SMTPRecipientsRefused | SMTPDataError) and 500 <= code_of(error)[0] < 600


def failure_words(error: Exception) -> str:
    """Say why the mail server did not take a mail."""
    code, said = code_of(error)
    text = f"{code} {said}" if code else f"The mail server could not be used ({type(error).__name__})."
    return "".join(one if one.isprintable() else " " for one in text)[:300]


# --- what a mail says ---


@dataclass(frozen=True)
class MailLine:
    """One notice in a mail; several customers stand together when the rest is the same, as of a batch."""

    notice: Notice
    customers: Sequence[str]

    @property
    def look(self) -> Any:
        return NOTICE_KINDS[self.notice.kind].look

    @property
    def link(self) -> str:
        return mailed_link(self.notice.path)

    @property
    def is_critical(self) -> bool:
        return self.notice.severity >= NoticeSeverity.CRITICAL

    @property
    def where(self) -> str:
        return ", ".join(self.customers)


def mailed_link(path: str) -> str:
    """Return an address of this site for a mail. Without SITE_URL nobody knows where it is: the path alone."""
    return f"{settings.SITE_URL}{path}"


def message_of(mail: NoticeMail) -> EmailMultiAlternatives | None:
    """Return a mail with what its recipient may know now, None when nothing is left or nobody is there."""
    rows = Notice.objects.filter(deliveries__mail=mail).order_by("-severity", "pk")
    person = with_grants(User.objects.filter(pk=mail.person_id))[0] if mail.person_id else None
    notices = [notice for notice in rows if is_still_for(mail, person, notice)]
    to = person.email if person else mail.route.address if mail.route else ""
    if person:
        notices = wanted_still(person, notices)
    if not notices or not to:
        return None
    return message_to(mail, to, notices)


def is_still_for(mail: NoticeMail, person: User | None, notice: Notice) -> bool:
    """Return whether a notice is still for the recipient of a mail."""
    if person is not None:
        return may_know(person, notice)
    return mail.route is not None and mail.route.ended_at is None and notice.customer_id == mail.route.customer_id


def wanted_still(person: User, notices: Sequence[Notice]) -> list[Notice]:
    """Leave out what the person has said meanwhile that they do not want to be told of."""
    chosen = {choice.customer_id: choice.pace for choice in NoticeChoice.objects.filter(person=person)}
    never = NoticePace.NEVER
    return [one for one in notices if (chosen.get(one.customer_id) or chosen.get(None)) != never]


def message_to(mail: NoticeMail, to: str, notices: Sequence[Notice]) -> EmailMultiAlternatives:
    lines = mail_lines(notices)
    customers = {notice.customer_id for notice in notices}
    only = next(iter(customers)) if len(customers) == 1 else None
    end = mailed_link(reverse("notices:end", args=[end_token(mail, only)]))
    context = {
        "lines": lines[:MOST_LINES],
        "more": max(0, len(lines) - MOST_LINES),
        "count": len(lines),
        "acknowledge": acknowledge_link(lines),
        "all": mailed_link(reverse("notices:condition-list")),
        "choose": mailed_link(reverse("notices:choices")) if mail.person_id else "",
        "end": end,
        "site": settings.SITE_URL,
    }
    html = render_to_string("notices/mail.html", context)
    headers = {
        "Message-ID": f"<{mail.message_key.hex}@{sender_host()}>",
        "Auto-Submitted": "auto-generated",
        **({"List-Unsubscribe": f"<{end}>"} if settings.SITE_URL else {}),
    }
    message = EmailMultiAlternatives(subject_of(lines), "\n".join(text_lines(context)), to=[to], headers=headers)
    message.attach_alternative(html, "text/html")
    return message


def text_lines(context: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a mail as plain text, which is not markup and is not escaped."""
    for line in context["lines"]:
        yield f"{'CRITICAL: ' if line.is_critical else ''}{line.notice.subject}"
        yield f"{line.where}{', ' if line.where else ''}{line.notice.at:%Y-%m-%d %H:%M} UTC"
        yield from filter(None, (line.notice.text, line.link))
        yield ""
    if context["more"]:
        yield from (f"And {context['more']} more.", "")
    for words, name in (
        ("Acknowledge it, so that nobody is told again for a day", "acknowledge"),
        ("All that is open", "all"),
        ("When you are told", "choose"),
        ("No more of these", "end"),
    ):
        if context[name]:
            yield f"{words}: {context[name]}"
    yield ""


def mail_lines(notices: Sequence[Notice]) -> list[MailLine]:
    """Return the lines of a mail: each notice once, with all its customers."""
    together: dict[tuple[str, str, str], tuple[Notice, dict[str, None]]] = {}
    for notice in notices:
        own = notice.text if notice.kind != "batch" else ""
        _, customers = together.setdefault((notice.path, notice.subject, own), (notice, {}))
        if notice.customer_name:
            customers[notice.customer_name] = None
    return [MailLine(notice, list(customers)) for notice, customers in together.values()]


def subject_of(lines: Sequence[MailLine]) -> str:
    """Return the subject: what the one line says, or how many there are and how many are critical."""
    if len(lines) == 1:
        return f"PBX Admin: {lines[0].notice.subject}"
    critical = sum(line.is_critical for line in lines)
    return f"PBX Admin: {number_of(len(lines), 'notice')}{f', {critical} critical' if critical else ''}"


def acknowledge_link(lines: Sequence[MailLine]) -> str:
    """Return where the one condition of a mail is acknowledged, "" when there are more or none."""
    if len(lines) != 1:
        return ""
    found = Condition.objects.still_open().filter(key=lines[0].notice.condition).first()
    return mailed_link(reverse("notices:acknowledge", args=[found.pk])) if found else ""


def sender_host() -> str:
    return settings.DEFAULT_FROM_EMAIL.rstrip(">").rpartition("@")[2]


# --- given up ---


def mail_send_again(*, mail: NoticeMail) -> bool:
    """Send a mail that was given up once more, from its first try on. False when it is not given up any more."""
    dead = NoticeMail.objects.filter(pk=mail.pk, state=MailState.DEAD)
    columns: Mapping[str, Any] = {"state": MailState.WAITING, "tries": 0, "due_at": timezone.now(), "ended_at": None}
    return dead.update(**columns) == 1
