"""From the outbox to a real mail server: once to each, whatever refuses, is down, is slow, or dies."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pbxadmin.access.models import Customer, Membership, User
from pbxadmin.access.services import customer_archive
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.notices.addressing import conditions_repeat, mails_gather, notices_address, some_address
from pbxadmin.notices.deliver import mail_send_again, mails_slice, notices_work
from pbxadmin.notices.kinds import NOTICE_KINDS
from pbxadmin.notices.models import (
    Condition,
    Notice,
    NoticeDelivery,
    NoticeMail,
    NoticePace,
    NoticeRoute,
    NoticeSeverity,
)
from pbxadmin.notices.pace import next_mail, pace_of, usual_pace
from pbxadmin.notices.services import condition_acknowledge, pace_choose, route_add
from pbxadmin.yeastar.readings import IvrSettings
from tests.bench.notices import notices_make
from tests.factories import make_customer, make_outside, make_pbx, make_snapshots, make_user
from tests.kill.processes import Process
from tests.mail_server import MailServer, text_in_mail
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
MARA, TOM = "mara@example.com", "tom@example.com"
State = NoticeMail.State


@pytest.fixture
def mara(acme: Customer) -> User:
    return make_user("manager", acme, username="mara", email=MARA)


def work() -> None:
    """Do what tick and workers do, until nothing is due."""
    notices_work()
    while mails_slice():
        pass


def later(**after: float) -> Any:
    return time_machine.travel(timezone.now() + timedelta(**after))


def tell(customer: Customer, name: str = "ACME-HQ") -> None:
    """Something that is told at once: a change made outside, on a new PBX, which still holds it."""
    pbx = make_pbx(customer, name=name)
    make_snapshots(pbx, IvrSettings(number="6500", name="Main_Menu", prompt_repeat="5"))
    make_outside(pbx)


def test_each_person_is_told_once_of_their_own_customers_alone(acme, bellweather, mara, mail_server):
    make_user("manager", bellweather, email=TOM)
    make_user("manager", acme, email="gone@example.com", is_active=False)
    make_user("viewer", acme, email="vic@example.com")
    tell(acme)
    tell(bellweather, "BELL-HQ")

    for _ in range(2):
        work()

    assert sorted(str(mail["To"]) for mail in mail_server.mails) == [MARA, TOM]
    assert "BELL-HQ" not in text_in_mail(mail_server.to(MARA)[0])
    assert "Bellweather" not in text_in_mail(mail_server.to(MARA)[0])
    assert "ACME" not in text_in_mail(mail_server.to(TOM)[0]).upper()


def test_whoever_lost_the_role_meanwhile_gets_nothing(acme, mara, mail_server):
    tell(acme)
    notices_address()
    mails_gather()
    Membership.objects.all().delete()

    work()

    assert (mail_server.mails, NoticeMail.objects.get().state) == ([], State.DROPPED)


def test_nobody_is_told_of_an_archived_customer(acme, mara, mail_server):
    tell(acme)
    customer_archive(customer=acme)

    work()

    assert (mail_server.mails, Notice.objects.unaddressed().count()) == ([], 0)


def test_a_refused_address_is_given_up_and_sent_again_by_hand(acme, mara, mail_server):
    make_user("manager", acme, email=TOM)
    mail_server.refused = {MARA}
    tell(acme)

    work()

    dead = NoticeMail.objects.get(state=State.DEAD)
    assert (len(mail_server.to(TOM)), dead.person, dead.tries) == (1, mara, 1)
    assert "550 5.1.1 Nobody of this name" in dead.why
    mail_server.refused = set()
    assert mail_send_again(mail=dead)
    assert not mail_send_again(mail=dead)
    work()
    assert len(mail_server.to(MARA)) == 1


def test_greylisting_costs_a_second_try(acme, mara, mail_server):
    mail_server.greylisted = {MARA}
    tell(acme)
    work()
    assert (mail_server.mails, NoticeMail.objects.get().why[:3]) == ([], "451")

    with later(minutes=3):
        work()

    assert len(mail_server.to(MARA)) == 1


def test_a_mail_server_that_is_down_for_an_hour_loses_nothing(acme, mara, mail_server):
    make_user("manager", acme, email=TOM)
    tell(acme)
    mail_server.stop()
    for minutes in (0, 1, 5, 30):
        with later(minutes=minutes):
            work()
    assert NoticeMail.objects.filter(state=State.WAITING).count() == 2

    again = MailServer()
    again.controller.port = mail_server.port
    again.start()
    try:
        with later(hours=3):
            work()
    finally:
        again.stop()

    assert sorted(str(mail["To"]) for mail in again.mails) == [MARA, TOM]


def test_a_server_that_never_answers_holds_one_mail_for_its_timeout(acme, mara, mail_server, settings):
    settings.EMAIL_TIMEOUT = 2
    mail_server.is_silent = True
    tell(acme)

    work()

    mail = NoticeMail.objects.get()
    assert (mail.state, mail.tries, mail.claimed_until) == (State.WAITING, 1, None)
    mail_server.is_silent = False
    with later(minutes=3):
        work()
    assert len(mail_server.mails) == 1


def test_a_worker_killed_while_the_server_has_the_mail_in_hand(acme, mara, mail_server):
    """The claim of the dead one runs out, and another sends it: once, as the server had not taken the first."""
    mail_server.is_silent = True
    tell(acme)
    notices_address()
    mails_gather()
    url = f"smtp://127.0.0.1:{mail_server.port}"
    process = Process("-m", "tests.notices.sending", EMAIL_URL=url, SITE_URL="https://pbx.example.com")
    until(lambda: mail_server.asked)
    process.kill()
    process.close()
    mail_server.is_silent = False

    work()
    assert mail_server.mails == []  # claimed still

    NoticeMail.objects.update(claimed_until=timezone.now())
    work()
    assert [mail["Message-ID"] for mail in mail_server.to(MARA)] == [
        f"<{NoticeMail.objects.get().message_key.hex}@localhost>"
    ]


def test_a_kill_between_outbox_and_delivery_neither_loses_nor_doubles(acme, mara, mail_server):
    """Each step that was done is not done again, and each that was not is done by the next process."""
    tell(acme)
    for step in (notices_address, notices_address, mails_gather, mails_gather, mails_slice, mails_slice):
        step()
        assert NoticeDelivery.objects.count() == 1
    assert (len(mail_server.mails), NoticeMail.objects.get().state) == (1, State.SENT)


def test_what_is_rolled_back_is_not_told(acme, mara):
    with transaction.atomic():
        tell(acme)
        transaction.set_rollback(True)

    assert (Notice.objects.count(), Condition.objects.count()) == (0, 0)


def go_dark(pbxs: list[Pbx]) -> None:
    for pbx in pbxs:
        Pbx.objects.filter(pk=pbx.pk).update(state=PbxState.UNREACHABLE)
        record(
            EventAction.PBX_STATE_CHANGED,
            customer=(pbx.customer_id, pbx.customer.name),
            pbx=(pbx.pk, pbx.name),
            detail={"was": "reachable", "state": "unreachable", "why": "no answer"},
        )


def test_a_storm_is_one_mail_to_each(acme, bellweather, mara, mail_server):
    """200 PBXs go dark within two minutes, and a tick comes every half minute."""
    make_user("manager", None, email=TOM)
    facts = {"host": "pbx.invalid", "username": "api"}
    pbxs = Pbx.objects.bulk_create(
        Pbx(customer=(acme, bellweather)[place % 2], name=f"PBX-{place}", **facts) for place in range(200)
    )
    start = timezone.now()
    for place in (0, 1, 2, 3, 4, 9, 10, 12, 16, 22):
        with time_machine.travel(start + timedelta(seconds=30 * place)):
            go_dark(pbxs[40 * place : 40 * place + 40])
            work()

    assert {address: len(mail_server.to(address)) for address in (MARA, TOM)} == {MARA: 1, TOM: 1}
    assert mail_server.to(TOM)[0]["Subject"] == "PBX Admin: 200 notices"
    assert "And 50 more" in text_in_mail(mail_server.to(MARA)[0])
    assert "Bellweather" not in text_in_mail(mail_server.to(MARA)[0])


def test_what_comes_soon_after_a_mail_waits_for_the_rest(acme, mara, mail_server):
    for minutes in (0, 1, 2, 3):
        with later(minutes=minutes):
            tell(acme, f"PBX-{minutes}")
            work()
    with later(minutes=6):
        work()

    assert [mail["Subject"] for mail in mail_server.mails][1:] == ["PBX Admin: 3 notices"]


def test_many_notices_cost_as_many_queries_as_a_few(acme, mara):
    """A thousand at a time; `python -m tests.bench notices` has 10,000."""
    found = {}
    for count in (10, 1000):
        notices_make(acme, count)
        with CaptureQueriesContext(connection) as caught:
            assert (some_address(timezone.now()), mails_gather()) == (count, 1)
        found[count] = sum("INSERT" not in query["sql"] for query in caught)
        assert not NoticeDelivery.objects.filter(mail=None).exists()
        NoticeMail.objects.all().delete()

    assert found[10] == found[1000]


# --- acknowledging and repeating ---


def test_what_stays_open_is_told_again_until_somebody_acknowledges_it(acme, mara, mail_server):
    tell(acme)
    work()
    with later(days=1, minutes=1):
        work()
        assert "Still open: ACME-HQ" in str(mail_server.mails[-1]["Subject"])
        assert condition_acknowledge(condition=Condition.objects.get(), by=mara)
        assert not condition_acknowledge(condition=Condition.objects.get(), by=mara)
    with later(days=2):
        work()
        assert len(mail_server.mails) == 2
    with later(days=2, minutes=2):
        work()
        assert len(mail_server.mails) == 3


def test_an_acknowledged_condition_that_changes_is_told_again(acme, mara, mail_server):
    pbx = make_pbx(acme)
    go_dark([pbx])
    assert condition_acknowledge(condition=Condition.objects.get(), by=mara)
    seen = Condition.objects.get()
    Pbx.objects.update(state=PbxState.UNTRUSTED)
    named: dict[str, Any] = {"customer": (acme.pk, acme.name), "pbx": (pbx.pk, pbx.name)}
    record(EventAction.PBX_STATE_CHANGED, detail={"was": "unreachable", "state": "untrusted"}, **named)

    changed = Condition.objects.get()

    assert (changed.is_acknowledged, changed.severity) == (False, NoticeSeverity.CRITICAL)
    assert not condition_acknowledge(condition=seen, by=mara)


def test_what_is_over_is_not_told_again(acme, mara, mail_server):
    tell(acme)
    Pbx.objects.update(is_enabled=False)
    work()

    with later(days=2):
        assert conditions_repeat() == 0
    assert Condition.objects.get().closed_at


# --- when whom ---


def test_usual_paces():
    assert usual_pace(["viewer", "helpdesk"]) == NoticePace.HOURLY
    assert usual_pace([]) == NoticePace.NEVER
    assert pace_of({}, 1, ["auditor"], NoticeSeverity.WARNING) == NoticePace.DAILY
    assert pace_of({}, 1, ["auditor"], NoticeSeverity.CRITICAL) == NoticePace.AT_ONCE
    assert pace_of({}, 1, ["viewer"], NoticeSeverity.CRITICAL) == NoticePace.NEVER
    assert pace_of({None: "daily"}, 1, ["manager"], NoticeSeverity.CRITICAL) == NoticePace.DAILY
    assert pace_of({None: "daily", 1: "never"}, 1, ["manager"], NoticeSeverity.CRITICAL) == NoticePace.NEVER


def test_the_mail_of_a_day_goes_at_the_hour_of_the_person():
    now = datetime(2026, 3, 28, 12, 34, tzinfo=UTC)  # the clocks of Berlin go on in the night

    assert next_mail("hourly", now, 8, ZoneInfo("UTC")) == datetime(2026, 3, 28, 13, tzinfo=UTC)
    assert next_mail("daily", now, 8, ZoneInfo("UTC")) == datetime(2026, 3, 29, 8, tzinfo=UTC)
    assert next_mail("daily", now, 8, ZoneInfo("Europe/Berlin")) == datetime(2026, 3, 29, 6, tzinfo=UTC)
    assert next_mail("daily", now, 14, ZoneInfo("Europe/Berlin")) == datetime(2026, 3, 28, 13, tzinfo=UTC)


def test_a_person_who_wants_none_gets_none_even_if_it_waited_already(acme, mara, mail_server):
    tell(acme)
    notices_address()
    mails_gather()
    pace_choose(person=mara, customer=None, pace=NoticePace.NEVER)

    work()

    assert mail_server.mails == []


def test_a_digest_goes_once_a_day(acme, mara, mail_server):
    pace_choose(person=mara, customer=acme, pace=NoticePace.DAILY)
    start = datetime(2026, 5, 4, 7, 0, tzinfo=UTC)
    for hours in (0, 0.5, 2, 23):
        with time_machine.travel(start + timedelta(hours=hours)):
            tell(acme, f"PBX-{hours}")
            work()
    assert [mail["Subject"] for mail in mail_server.mails] == ["PBX Admin: 2 notices"]


def test_a_team_gets_its_kinds_from_its_severity_on_and_nothing_of_others(acme, bellweather, mara, mail_server):
    route_add(customer=acme, address="noc@example.com", kind="outside", least=NoticeSeverity.WARNING, by=mara)
    route_add(customer=acme, address="noc@example.com", kind="", least=NoticeSeverity.WARNING, by=mara)
    route_add(customer=acme, address="boss@example.com", kind="", least=NoticeSeverity.CRITICAL, by=mara)
    tell(acme)
    tell(bellweather, "BELL-HQ")
    tell(make_customer("Third"), "THIRD")
    work()

    assert [str(mail["To"]) for mail in mail_server.mails if mail["To"] != MARA] == ["noc@example.com"]
    assert "BELL" not in text_in_mail(mail_server.to("noc@example.com")[0])
    NoticeRoute.objects.update(ended_at=timezone.now())
    with later(minutes=10):
        tell(acme, "PBX-2")
        work()
    assert len(mail_server.to("noc@example.com")) == 1


def test_a_team_with_every_kind_gets_nothing_of_the_installation_of_others_or_of_the_log(acme, bellweather, mara):
    """Each kind, of each customer and of the installation. Of the log only who may review it sends to a team."""
    every = route_add(customer=acme, address="noc@example.com", kind="", least=NoticeSeverity.INFORMATION, by=mara)
    named = route_add(customer=acme, address="log@example.com", kind="log", least=NoticeSeverity.INFORMATION, by=mara)
    for whose in (acme, bellweather, None):
        for kind in NOTICE_KINDS:
            tell_kind(whose, kind)
    notices_address()

    def told(route):
        found = NoticeDelivery.objects.filter(route=route).order_by("pk")
        return list(found.values_list("notice__customer_id", "notice__kind"))

    seen_by_anybody = [kind for kind in NOTICE_KINDS if kind not in ("log", "sink")]
    assert told(every) == [(acme.pk, kind) for kind in seen_by_anybody]
    assert told(named) == [(acme.pk, "log")]


def tell_kind(customer, kind):
    facts = {"customer_id": customer.pk, "customer_name": customer.name} if customer else {}
    now = timezone.now()
    Notice.objects.create(
        kind=kind,
        severity=NoticeSeverity.CRITICAL,
        condition=f"{kind}/{customer.pk if customer else 0}",
        subject=kind,
        path="/",
        event_id=0,
        at=now,
        due_at=now,
        **facts,
    )


def test_no_mail_holds_what_a_pbx_says_as_markup_or_in_its_headers(acme, mara, mail_server):
    make_outside(make_pbx(acme), ivr=("6500", "<b>x</b>\r\nBcc: evil@example.com"))

    work()

    (mail,) = mail_server.mails
    assert (mail["Bcc"], "<b>x</b> Bcc: evil@example.com" in str(mail["Subject"])) == (None, True)
    html = mail.get_body(("html",)).get_content()
    assert "<b>x" not in html
