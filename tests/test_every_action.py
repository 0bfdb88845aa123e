"""A day in which everything is done that the log has a word for, and each time its event is found."""

import io
import re
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import settings
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from ivr.changes.plan import change_conflict, change_plan
from ivr.changes.reconcile import change_check
from ivr.forms import opened_now
from ivr.models import Change, Ivr
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer, User
from pbxadmin.accounts.tasks import mail_reset_link
from pbxadmin.api.models import ApiKey
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import checkpoint_make
from pbxadmin.audit.context import SYSTEM
from pbxadmin.audit.models import Event, EventSink
from pbxadmin.audit.sink.sending import sink_failed, sink_released
from pbxadmin.audit.triggers import triggers_install, triggers_remove
from pbxadmin.batches.models import WAITING, Batch
from pbxadmin.batches.work import batch_work
from pbxadmin.fleet.models import Pbx
from pbxadmin.notices.models import Condition, NoticeRoute
from pbxadmin.ops.checkpointing import checkpoint_when_due
from pbxadmin.ops.rotation import keys_rotate
from pbxadmin.policies.models import Policy
from pbxadmin.review.desk import desk_read
from pbxadmin.review.models import DeskItem, Period
from pbxadmin.webhooks.deliver import webhook_failed
from pbxadmin.webhooks.given_up import message_given_up_note
from pbxadmin.webhooks.models import Webhook
from pbxadmin.webhooks.posting import PostResult
from pbxadmin.webhooks.services import (
    webhook_add,
    webhook_delete,
    webhook_edit,
    webhook_rotate,
    webhook_switch,
    webhook_test,
)
from pbxadmin.yeastar.errors import PbxError
from tests.accounts.provider import OpenIdProvider, provider
from tests.accounts.test_sso import sign_in as sign_in_at_provider
from tests.factories import PASSWORD, make_pbx, make_user
from tests.pbx_http import PbxDouble, breaks, cannot_be_reached, refused, says
from tests.test_search import check_texts

__all__ = ["provider"]
pytestmark = pytest.mark.django_db(transaction=True)
NEW_PASSWORD = "another horse battery"
Step = Callable[["Day"], None]
STEPS: list[tuple[tuple[str, ...], Step]] = []


def leaves(*actions: str) -> Callable[[Step], Step]:
    """This step leaves an event of each of these actions."""

    def keep(step: Step) -> Step:
        STEPS.append((actions, step))
        return step

    return keep


class Day:
    """Who and what there is; a site admin does most of it."""

    def __init__(self, http: PbxDouble, provider: OpenIdProvider) -> None:
        self.http, self.provider = http, provider
        self.admin = make_user(is_superuser=True, username="admin", email="admin@example.com")
        self.client = Client()
        self.secret = ""

    def post(self, path: str, **data: Any) -> Any:
        answer = self.client.post(path, data, headers={"Referer": "http://testserver/"})
        assert answer.status_code in (200, 302, 409, 422), (path, answer.status_code)
        return answer

    def plan(self, **wanted: str) -> Change:
        snapshot = Ivr.objects.get(pbx=self.pbx, number="6500")
        opened = opened_now(self.pbx, snapshot.settings, snapshot.read_at)
        return change_plan(pbx=self.pbx, opened=opened, wanted=wanted, actor=SYSTEM)

    @property
    def customer(self) -> Customer:
        return Customer.objects.get(name="Acme Logistics")

    @property
    def pbx(self) -> Pbx:
        return Pbx.objects.get(name="ACME-HQ")

    @property
    def mara(self) -> User:
        return User.objects.get(username="mara")


def test_each_action_of_the_table_leaves_its_event(pbx_http, provider, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    day, done = Day(pbx_http, provider), set()

    for actions, step in STEPS:
        newest = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
        step(day)
        found = set(Event.objects.filter(id__gt=newest).values_list("action", flat=True))
        assert set(actions) <= found, (step.__name__, found)
        check_texts()
        done |= set(actions)

    assert set(EventAction) - done == set()


@leaves("session.failed")
def nobody_knows_the_password(day: Day) -> None:
    day.post("/accounts/login/", login="admin", password="wrong")


@leaves("session.signed-in")
def the_admin_signs_in(day: Day) -> None:
    day.post("/accounts/login/", login="admin", password=PASSWORD)


@leaves("session.confirmed")
def proves_it_again(day: Day) -> None:
    day.post("/accounts/reauthenticate/", password=PASSWORD)


@leaves("customer.added", "customer.edited")
def adds_a_customer(day: Day) -> None:
    day.post("/customers/add/", name="Acme")
    day.post(f"/customers/{Customer.objects.get().pk}/rename/", name="Acme Logistics")


@leaves("customer.archived", "customer.unarchived")
def archives_it_and_brings_it_back(day: Day) -> None:
    day.post(f"/customers/{day.customer.pk}/archive/", name="Acme Logistics")
    day.post(f"/customers/{day.customer.pk}/unarchive/", name="Acme Logistics")


@leaves("invitation.sent", "invitation.withdrawn")
def thinks_better_of_an_invitation(day: Day) -> None:
    asked = {"name": "Tom", "email": "tom@example.com", "role": "viewer", "customer": day.customer.pk}
    day.post("/people/invite/", **asked)
    pk = re.search(r"/people/invitations/(\d+)/withdraw/", day.client.get("/people/invitations/").content.decode())
    assert pk is not None
    day.post(f"/people/invitations/{pk[1]}/withdraw/")


@leaves("invitation.accepted", "person.added", "membership.granted")
def mara_is_invited_and_comes(day: Day) -> None:
    asked = {"name": "Mara", "email": "mara@example.com", "role": "helpdesk", "customer": day.customer.pk}
    day.post("/people/invite/", **asked)
    link = re.search(r"http://testserver(/invitations/\S+)", str(mail.outbox[-1].body))
    assert link is not None
    guest = Client()
    guest.get(link[1], follow=True)
    chosen = {"username": "mara", "password": PASSWORD, "again": PASSWORD}
    guest.post("/invitations/", chosen)


@leaves("membership.edited", "membership.ended")
def her_role_ends(day: Day) -> None:
    membership = day.mara.memberships.get()
    base = f"/people/{day.mara.pk}/roles/"
    day.post(f"{base}{membership.pk}/last-day/", ends_on=timezone.now().date() + timedelta(days=9))
    day.post(f"{base}{membership.pk}/end/")
    day.post(base, role="helpdesk", customer=day.customer.pk)


@leaves("person.edited", "person.admin-given", "person.admin-taken", "person.disabled", "person.enabled")
def she_is_edited_and_switched(day: Day) -> None:
    base = f"/people/{day.mara.pk}/"
    day.post(f"{base}edit/", name="Mara Lindqvist", email="mara@example.com")
    for what in ("make-admin", "take-admin", "disable", "enable"):
        day.post(f"{base}{what}/")


@leaves("service-account.added", "api-key.made", "api-key.refused", "api-key.revoked")
def a_script_gets_a_key_and_loses_it(day: Day) -> None:
    day.post("/people/service-accounts/add/", name="Export", role="viewer", customer=day.customer.pk)
    account = User.objects.get(is_service=True)
    shown = day.post(
        f"/people/{account.pk}/api-keys/", name="nightly", scope="read", last_day=timezone.localdate(), networks=""
    )
    text = re.search(r"pbxa_\w{38}", shown.content.decode())
    assert text is not None
    day.post(f"/api-keys/{ApiKey.objects.get().pk}/revoke/")
    answer = Client().get("/api/v1/customers", headers={"Authorization": f"Bearer {text[0]}"})
    assert answer.status_code == 401


@leaves("password.reset-asked", "password.reset", "session.ended")
def she_forgets_her_password(day: Day) -> None:
    guest = Client()
    guest.force_login(day.mara)
    Client().post("/accounts/password/reset/", {"email": "mara@example.com"})
    mail_reset_link.func("mara@example.com", "http://testserver")
    link = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", str(mail.outbox[-1].body))
    assert link is not None
    guest = Client()
    place = guest.get(link[1])["Location"]
    guest.post(place, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})


@leaves("password.changed")
def and_changes_it(day: Day) -> None:
    guest = Client()
    guest.post("/accounts/login/", {"login": "mara", "password": NEW_PASSWORD})
    guest.post(
        "/accounts/password/change/", {"oldpassword": NEW_PASSWORD, "password1": PASSWORD, "password2": PASSWORD}
    )


@leaves("second-factor.added", "second-factor.codes", "second-factor.failed", "second-factor.removed")
def she_sets_up_an_app_and_takes_it_away(day: Day) -> None:
    guest = Client()
    guest.force_login(day.mara)
    set_up(guest)
    stranger = Client()
    stranger.post("/accounts/login/", {"login": "mara", "password": PASSWORD})
    stranger.post("/accounts/2fa/authenticate/", {"code": "000000"})
    guest.post("/accounts/2fa/totp/deactivate/")


@leaves("second-factor.reset")
def she_loses_the_next_one(day: Day) -> None:
    guest = Client()
    guest.force_login(day.mara)
    set_up(guest)
    day.post(f"/people/{day.mara.pk}/reset-second-factor/")


def set_up(client: Client) -> None:
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    secret = re.search(r'id="totp-secret">([A-Z2-7]{32})</code>', page)
    assert secret is not None
    code = format_hotp_value(hotp_value(secret[1], int(time.time()) // 30))
    client.post("/accounts/2fa/totp/activate/", {"code": code})


@leaves("session.linked")
def she_signs_in_with_the_provider(day: Day) -> None:
    day.provider.person |= {"email": day.mara.email}
    sign_in_at_provider(Client())


@leaves("access.denied")
def she_tries_what_she_may_not(day: Day) -> None:
    guest = Client()
    guest.force_login(day.mara)
    guest.get("/customers/add/")


@leaves("pbx.added", "pbx.edited", "pbx.pinned", "pbx.disabled", "pbx.enabled", "pbx.tested")
def a_pbx_is_added(day: Day) -> None:
    make_pbx(day.customer)
    base = f"/pbxs/{day.pbx.pk}/"
    form = {name: getattr(day.pbx, name) for name in ("name", "host", "port", "username", "trust", "fingerprint")}
    day.post(f"{base}edit/", **form, customer=day.customer.pk, site="Leeds")
    day.post(f"{base}pin/", fingerprint="a" * 64, reason="it was replaced")
    for what in ("disable", "enable", "test"):
        day.post(f"{base}{what}/")


@leaves("pbxs.imported", "pbxs.exported", "pbx.deleted")
def more_come_in_a_file_and_one_goes(day: Day) -> None:
    file = io.BytesIO(b"customer,name,host,username,password\nAcme Logistics,ACME-NEW,new.invalid,api,Secret-1\n")
    file.name = "pbxs.csv"
    place = day.post("/pbxs/import/", file=file)["Location"]
    digest = re.search(r'name="plan" value="([^"]+)"', day.client.get(place).content.decode())
    assert digest is not None
    day.post(place, plan=digest[1])
    b"".join(day.client.get("/pbxs/?format=csv"))
    day.post(f"/pbxs/{Pbx.objects.get(name='ACME-NEW').pk}/delete/", name="ACME-NEW")


@leaves("keys.rotated")
def keys_are_rotated(day: Day) -> None:
    keys_rotate()


@leaves("filter.saved", "filter.deleted")
def a_filter_is_kept(day: Day) -> None:
    day.post("/filters/", name="Mine", list="ivrs", query="q=menu", customer=day.customer.pk)
    pk = re.search(r"/filters/(\d+)/delete/", day.client.get("/ivrs/").content.decode())
    assert pk is not None
    day.post(f"/filters/{pk[1]}/delete/")


@leaves("ivrs.exported", "changes.exported")
def the_ivrs_are_read_and_taken_along(day: Day) -> None:
    pbx_refresh(pbx=day.pbx, actor=SYSTEM)
    b"".join(day.client.get("/ivrs/?format=csv"))
    b"".join(day.client.get("/changes/?format=csv"))


@leaves("change.sending", "change.outcome")
def a_change_is_carried_out(day: Day) -> None:
    day.post(f"/changes/{day.plan(response_timeout='7').pk}/apply/")


@leaves("change.settled")
def one_is_settled_later(day: Day) -> None:
    change = day.plan(response_timeout="8")
    day.http.fail("ivr/query", breaks, after=1)
    day.post(f"/changes/{change.pk}/apply/")
    change.refresh_from_db()
    change_check(change, insist=True)


@leaves("change.conflict")
def one_meets_a_conflict(day: Day) -> None:
    change = day.plan(response_timeout="9")
    change_conflict(change, change.base | {"response_timeout": "2"})


@leaves("ivr.changed-outside", "ivr.appeared", "ivr.vanished")
def somebody_works_on_the_pbx_itself(day: Day) -> None:
    day.http.add("6600")
    day.http.ivrs["6500"]["digittimeout"] = "9"
    pbx_refresh(pbx=day.pbx, actor=SYSTEM)
    del day.http.ivrs["6600"]
    pbx_refresh(pbx=day.pbx, actor=SYSTEM)


@leaves("ivr.outside-accepted")
def which_an_admin_accepts(day: Day) -> None:
    event = Event.objects.filter(action="ivr.changed-outside").latest("id")
    day.post(f"/outside/{event.pk}/accept/", note="planned with the site")


def many_at_once(day: Day) -> Batch:
    """Plan a batch over both IVRs of the PBX, and make its preview."""
    ids = list(Ivr.objects.filter(pbx=day.pbx).values_list("pk", flat=True))
    seconds = "8" if Batch.objects.exists() else "7"
    pace = {"canary": "1", "pbxs_at_once": "1", "halt_after": "1", "ticket": "INC-9", "reason": "All of them"}
    day.post("/batches/add/", ivr=ids, response_timeout=seconds, **pace)
    batch = Batch.objects.latest("pk")
    batch_work.call(batch.pk)
    return batch


@leaves("batch.planned", "batch.started", "batch.paused", "batch.continued", "batch.finished")
def many_are_changed(day: Day) -> None:
    day.http.add("6590")
    pbx_refresh(pbx=day.pbx, actor=SYSTEM)
    batch = many_at_once(day)
    for press in ("start", "continue"):
        day.post(f"/batches/{batch.pk}/{press}/")
        batch_work.call(batch.pk)


@leaves("batch.halted", "batch.stopped")
def one_of_many_is_refused(day: Day) -> None:
    batch = many_at_once(day)
    day.http.fail("ivr/update", says(refused("10018")))
    day.post(f"/batches/{batch.pk}/start/")
    batch_work.call(batch.pk)
    day.post(f"/batches/{batch.pk}/stop/")


@leaves("policy.added", "policy.edited", "violation.accepted", "violation.reopened")
def a_policy_is_made_and_broken(day: Day) -> None:
    asked = {"field": "prompt_repeat", "comparison": "is", "value": "5", "title": "Often", "severity": "low"}
    day.post("/policies/add/", **asked, reason="Callers miss it.")
    policy = Policy.objects.latest("pk")
    day.post(f"/policies/{policy.pk}/edit/", **asked, reason="Callers miss it, they say.")
    accept_in(day, policy)
    day.http.ivrs["6500"]["promptrepeat"] = "2"
    pbx_refresh(pbx=day.pbx, actor=SYSTEM)


def accept_in(day: Day, policy: Policy) -> None:
    violation = policy.violations.get(number="6500")
    given = {"value": violation.value, "reason": "a night line", "ends_on": timezone.localdate()}
    day.post(f"/policies/violations/{violation.pk}/accept/", **given)


@leaves("exception.ended", "policy.deleted")
def and_given_up(day: Day) -> None:
    policy = Policy.objects.latest("pk")
    accept_in(day, policy)
    day.post(f"/policies/{policy.pk}/delete/")


@leaves("ivr.rung")
def somebody_listens(day: Day) -> None:
    day.post(f"/pbxs/{day.pbx.pk}/ivrs/6500/ring/", extension="1002")


@leaves("batch.cancelled")
def what_waits_is_cancelled(day: Day) -> None:
    batch = many_at_once(day)
    batch.targets.update(outcome=WAITING)
    day.post(f"/batches/{batch.pk}/cancel/")
    day.post(f"/batches/{batch.pk}/stop/")


@leaves("refresh.failed", "pbx.state-changed")
def the_pbx_goes_away(day: Day) -> None:
    day.http.fail("ivr/query", cannot_be_reached)
    with pytest.raises(PbxError):
        pbx_refresh(pbx=day.pbx, actor=SYSTEM)


@leaves("pbx.stranger", "pbx.replaced")
def and_another_one_comes(day: Day) -> None:
    Pbx.objects.update(token="", token_at=None, failures=0, paused_until=None)
    day.http.serial = "369300009999"
    with pytest.raises(PbxError):
        pbx_refresh(pbx=day.pbx, actor=SYSTEM)
    day.post(f"/pbxs/{day.pbx.pk}/accept/", serial="369300009999", reason="swapped after the storm")


@leaves("condition.acknowledged", "notice-route.added", "notice-route.ended")
def a_team_is_told_for_a_while(day: Day) -> None:
    day.post(f"/notices/{Condition.objects.still_open().latest('pk').pk}/acknowledge/")
    day.post(f"/notices/customers/{day.customer.pk}/", address="noc@example.com", kind="", least="2")
    day.post(f"/notices/routes/{NoticeRoute.objects.get().pk}/end/")


@leaves("webhook.added", "webhook.edited", "webhook.rotated", "webhook.tested")
def a_system_is_told(day: Day) -> None:
    facts: dict[str, Any] = {"address": "https://127.0.0.1:9/", "kinds": ["pbx"], "form": "standard"}
    webhook, _ = webhook_add(customer=day.customer, name="Tickets", **facts)
    webhook_edit(webhook=webhook, name="Ticket system", **facts)
    webhook_rotate(webhook=webhook)
    webhook_test(webhook=webhook)


@leaves("webhook.message-given-up", "webhook.given-up", "webhook.on", "webhook.off", "webhook.deleted")
def but_it_fails_for_three_days(day: Day) -> None:
    webhook, failed = Webhook.objects.get(), PostResult(503, "It answered 503.")
    message_given_up_note(webhook, failed.words)
    webhook_failed(webhook, failed)
    for days in (2, 4):
        with time_machine.travel(timezone.now() + timedelta(days=days)):
            webhook_failed(webhook, failed)
    webhook_switch(webhook=webhook, on=True)
    webhook_switch(webhook=webhook, on=False)
    webhook_delete(webhook=webhook)


@leaves("event-sink.failed", "event-sink.works")
def the_sink_fails_for_a_while(day: Day) -> None:
    EventSink.objects.create(name="tls://siem.example.com", failing_since=timezone.now() - timedelta(minutes=16))
    sink_failed("tls://siem.example.com", OSError("refused"))
    sink_released("tls://siem.example.com")


@leaves("log.exported", "log.export-ended", "access.exported", "evidence.made")
def the_log_is_taken_along(day: Day) -> None:
    b"".join(day.client.get("/audit/access/?format=csv"))
    b"".join(day.client.get("/audit/export/?format=csv"))
    b"".join(day.client.post("/audit/evidence/"))


@leaves("desk.reviewed", "period.added", "period.signed")
def the_auditor_signs_off(day: Day) -> None:
    desk_read()
    ids = list(DeskItem.objects.values_list("event_id", flat=True))
    day.post("/audit/desk/review/", event=ids, note="looked at all of it")
    today = date.today()
    day.post("/audit/periods/", customer=day.customer.pk, span="own", starts_on=today, ends_on=today)
    day.post(f"/audit/periods/{Period.objects.get().pk}/sign/")


@leaves("period.reopened")
def and_something_comes_late(day: Day) -> None:
    day.post(f"/pbxs/{day.pbx.pk}/disable/")
    desk_read()


@leaves("log.regressed")
def an_older_database_is_restored(day: Day) -> None:
    checkpoint_make("daily")
    triggers_remove(connection)
    Event.objects.filter(pk=Event.objects.latest("id").pk).delete()
    triggers_install(connection)
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        checkpoint_when_due()


@leaves("log.accepted")
def which_is_accepted_with_a_reason(day: Day) -> None:
    call_command("audit_accept", reason="the disk died, restored from last night", stdout=io.StringIO())


@leaves("backup.made")
def the_database_is_backed_up(day: Day) -> None:
    call_command("backup", str(settings.DATA_DIR / "night.pbxadmin"), stdout=io.StringIO())


@leaves("backup.restored")
def and_comes_from_a_backup(day: Day) -> None:
    file = str(settings.DATA_DIR / "noon.pbxadmin")
    call_command("backup", file, stdout=io.StringIO())
    call_command("restore", file, "--overwrite", stdout=io.StringIO())


@leaves("session.signed-out")
def the_admin_goes_home(day: Day) -> None:
    day.post("/accounts/logout/")
