"""Every address of the product, and who may do what there. A new address without a row fails the suite."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from pbxadmin.access.roles import ROLES, Action, Role

from .world import Side

OK, LOGIN, NOT_ALLOWED, NOT_THERE, NO_METHOD = "ok", "login", 403, 404, 405
Gate = Callable[[str], Any]
# Somebody is there only for who gives roles or reviews where that person has one.
ON_PERSON = {
    "anonymous": LOGIN,
    "no role": NOT_THERE,
    "wrong customer": NOT_THERE,
    "viewer": NOT_THERE,
    "helpdesk": NOT_THERE,
    "auditor": NOT_ALLOWED,
    "manager": OK,
    "site admin": OK,
}


def public(role: str) -> Any:
    return OK


def signed_in(role: str) -> Any:
    return LOGIN if role == "anonymous" else OK


def no_method(role: str) -> Any:
    """Nobody learns more than that this address does not take this."""
    return LOGIN if role == "anonymous" else NO_METHOD


def led_away(role: str) -> Any:
    """A GET of an address that only takes a POST leads to a page, which then says what this role gets."""
    return LOGIN if role == "anonymous" else OK


def never(role: str) -> Any:
    """An address that is open to all, for a method that it does not take."""
    return NO_METHOD


def not_set_up(role: str) -> Any:
    """What a setting switches on, and tests of its own look at."""
    return NOT_THERE


def on(action: Action) -> Gate:
    """On something of one customer: not there for whoever may not see it, refused to whoever may only see it."""

    def gate(role: str) -> Any:
        if role == "anonymous":
            return LOGIN
        if role in ("no role", "wrong customer"):
            return NOT_THERE
        return OK if role == "site admin" or action in ROLES[role] else NOT_ALLOWED

    return gate


def anywhere(action: Action) -> Gate:
    """For who has this right for some customer: the wrong one too, whose own things they then meet."""

    def gate(role: str) -> Any:
        if role in ("anonymous", "no role"):
            return LOGIN if role == "anonymous" else NOT_ALLOWED
        granted = set(Role.values) if role == "wrong customer" else {role}
        return OK if role == "site admin" or any(action in ROLES[one] for one in granted) else NOT_ALLOWED

    return gate


def edit_or_review(role: str) -> Any:
    return OK if OK in (on(Action.EDIT_IVR)(role), on(Action.REVIEW_LOG)(role)) else on(Action.EDIT_IVR)(role)


def decides_anywhere(role: str) -> Any:
    """On outside changes that are named: for who edits or reviews somewhere, and then sees all of them."""
    may = OK if OK in (anywhere(Action.EDIT_IVR)(role), REVIEW(role)) else anywhere(Action.EDIT_IVR)(role)
    return NOT_THERE if role == "wrong customer" else may


def in_the_log(role: str) -> Any:
    """On one event or period: refused to who reviews nothing, not there for who reviews others."""
    may = anywhere(Action.REVIEW_LOG)(role)
    return NOT_THERE if role == "wrong customer" else may


def on_person(role: str) -> Any:
    """Return what a page of somebody answers. A new role fails here until its answer is written down."""
    return ON_PERSON[role]


def see_person(role: str) -> Any:
    """A page of somebody that is only to look at, which auditors do, too."""
    return OK if role == "auditor" else on_person(role)


def through_person(role: str) -> Any:
    """What hangs on somebody and is not there for who only looks: keys and invitations."""
    return NOT_THERE if role == "auditor" else on_person(role)


def closed(role: str) -> Any:
    """A link that was never sent, or is over, opens nothing for anybody."""
    return NOT_THERE


def on_person_by_site_admin(role: str) -> Any:
    return NOT_ALLOWED if role == "manager" else on_person(role)


def site_admin(role: str) -> Any:
    if role == "anonymous":
        return LOGIN
    return OK if role == "site admin" else NOT_ALLOWED


def own(role: str) -> Any:
    """On something of another person: there for nobody."""
    return LOGIN if role == "anonymous" else NOT_THERE


def on_chosen(role: str) -> Any:
    """On IVRs that are named: refused to whoever makes no batches, not there for whoever does not see all of them."""
    return NOT_THERE if role == "wrong customer" else anywhere(Action.BATCH)(role)


@dataclass(frozen=True)
class Row:
    """path: with the names of world.Side.ids. get, post: who may; without `get`, the address only takes a POST.

    data: what a good form would send."""

    path: str
    get: Gate = led_away
    post: Gate = no_method
    data: Callable[[Side], dict[str, Any]] = field(default=lambda side: {})


def pbx_form(side: Side) -> dict[str, Any]:
    given = {name: getattr(side.pbx, name) for name in ("host", "port", "username", "trust", "fingerprint", "site")}
    return given | {"name": "NEW-NAME", "customer": side.customer.pk, "password": "Api-Passw0rd"}


def key_form() -> dict[str, Any]:
    return {"name": "Export", "scope": "read", "last_day": f"{timezone.now().date()}", "networks": ""}


def policy_form(side: Side) -> dict[str, Any]:
    asked = {"field": "response_timeout", "comparison": "at-least", "value": "4", "tag": ""}
    return asked | {"title": "New policy", "reason": "Callers need time.", "severity": "low"}


def exception_form(side: Side) -> dict[str, Any]:
    return {"value": "3", "reason": "Agreed.", "ends_on": f"{timezone.now().date()}"}


def webhook_form() -> dict[str, Any]:
    return {"name": "Chat", "address": "https://127.0.0.1:9/", "kinds": ["pbx"], "form": "slack"}


REVIEW = anywhere(Action.REVIEW_LOG)
SEE, EDIT, MANAGE = on(Action.SEE), on(Action.EDIT_IVR), on(Action.MANAGE_PBXS)
BATCH, RULES = on(Action.BATCH), on(Action.MANAGE_RULES)
PEOPLE = on(Action.MANAGE_PEOPLE)
CUSTOMERS = on(Action.MANAGE_CUSTOMERS)

ROWS: dict[str, Row] = {
    "ops:healthz": Row("/healthz", get=public, post=never),
    "ops:readyz": Row("/readyz", get=public, post=never),
    "ops:metrics": Row("/metrics", get=public, post=never),  # from loopback; tests/ops/test_metrics.py has the others
    "ops:demo": Row("/demo/", get=not_set_up, post=not_set_up),  # tests/ops/test_demo_page.py
    "account_login": Row("/accounts/login/", get=public, post=public),
    "account_logout": Row("/accounts/logout/", get=public, post=public),
    "account_inactive": Row("/accounts/inactive/", get=public, post=never),
    "account_reauthenticate": Row("/accounts/reauthenticate/", get=signed_in, post=signed_in),
    "account_change_password": Row("/accounts/password/change/", get=signed_in, post=signed_in),
    "account_reset_password": Row("/accounts/password/reset/", get=public, post=public),
    "account_reset_password_done": Row("/accounts/password/reset/done/", get=public, post=never),
    "account_reset_password_from_key": Row("/accounts/password/reset/key/1-set/", get=public, post=public),
    "account_reset_password_from_key_done": Row("/accounts/password/reset/key/done/", get=public, post=never),
    "account_security": Row("/accounts/security/", get=signed_in),
    "account_time_zone": Row(
        "/accounts/security/time-zone/", post=signed_in, data=lambda side: {"time_zone": "Europe/Berlin"}
    ),
    "account_sign_out_others": Row("/accounts/security/sign-out-others/", post=signed_in),
    "openid_connect_login": Row("/accounts/sso/login/", get=not_set_up, post=never),
    "openid_connect_callback": Row("/accounts/sso/login/callback/", get=not_set_up, post=never),
    "mfa_index": Row("/accounts/2fa/", get=signed_in),
    "mfa_authenticate": Row("/accounts/2fa/authenticate/", get=signed_in, post=signed_in),
    "mfa_reauthenticate": Row("/accounts/2fa/reauthenticate/", get=signed_in, post=signed_in),
    "mfa_reauthenticate_webauthn": Row("/accounts/2fa/webauthn/reauthenticate/", get=signed_in, post=signed_in),
    "mfa_activate_totp": Row("/accounts/2fa/totp/activate/", get=signed_in, post=signed_in),
    "mfa_deactivate_totp": Row("/accounts/2fa/totp/deactivate/", get=own, post=own),
    "mfa_view_recovery_codes": Row("/accounts/2fa/recovery-codes/", get=own),
    "mfa_generate_recovery_codes": Row("/accounts/2fa/recovery-codes/generate/", get=signed_in, post=signed_in),
    "mfa_add_webauthn": Row("/accounts/2fa/webauthn/add/", get=signed_in, post=signed_in),
    "mfa_remove_webauthn": Row("/accounts/2fa/webauthn/keys/{security_key}/remove/", get=own, post=own),
    "help:index": Row("/help/", get=signed_in),
    "help:page": Row("/help/trouble/unknown/", get=signed_in),
    "keys:docs-file": Row("/api/v1/docs/swagger-ui-init.js", get=signed_in),
    "keys:own-keys": Row("/api-keys/", get=signed_in, post=signed_in, data=lambda side: key_form()),
    "keys:key-revoke": Row("/api-keys/{api_key}/revoke/", post=through_person),
    "keys:holder-keys": Row(
        "/people/{person}/api-keys/", get=through_person, post=through_person, data=lambda side: key_form()
    ),
    "keys:service-account-add": Row(
        "/people/service-accounts/add/",
        get=anywhere(Action.MANAGE_PEOPLE),
        post=anywhere(Action.MANAGE_PEOPLE),
        data=lambda side: {"name": "Export", "role": "viewer", "customer": side.customer.pk},
    ),
    "home:home": Row("/", get=signed_in),
    "home:search": Row("/search/", get=signed_in),
    "home:customer-list": Row("/customers/", get=signed_in),
    "access:customer-add": Row("/customers/add/", get=site_admin, post=site_admin, data=lambda side: {"name": "New"}),
    "access:customer-page": Row("/customers/{customer}/", get=SEE),
    "access:customer-rename": Row("/customers/{customer}/rename/", post=CUSTOMERS, data=lambda side: {"name": "Other"}),
    "access:customer-rules": Row(
        "/customers/{customer}/rules/",
        get=on(Action.MANAGE_RULES),
        post=on(Action.MANAGE_RULES),
        data=lambda side: {"reason_rule": "off", "ticket_rule": "off", "time_zone": "UTC"},
    ),
    "access:customer-archive": Row("/customers/{customer}/archive/", get=CUSTOMERS, post=CUSTOMERS),
    "access:customer-unarchive": Row("/customers/{customer}/unarchive/", post=CUSTOMERS),
    "accounts:person-list": Row("/people/", get=anywhere(Action.SEE_PEOPLE)),
    "accounts:invite": Row(
        "/people/invite/",
        get=anywhere(Action.MANAGE_PEOPLE),
        post=anywhere(Action.MANAGE_PEOPLE),
        data=lambda side: {"email": "new@x.example", "name": "New", "role": "viewer", "customer": side.customer.pk},
    ),
    "accounts:invitation-list": Row("/people/invitations/", get=anywhere(Action.MANAGE_PEOPLE)),
    "accounts:invitation-send-again": Row("/people/invitations/{invitation}/send/", post=through_person),
    "accounts:invitation-withdraw": Row("/people/invitations/{invitation}/withdraw/", post=through_person),
    "accounts:invitation-open": Row("/invitations/never-was/", get=closed, post=never),
    "accounts:invitation-accept": Row("/invitations/", get=closed, post=closed),
    "accounts:invitation-accepted": Row("/invitations/accepted/", get=public, post=never),
    "accounts:person-page": Row("/people/{person}/", get=see_person),
    "home:customer-home": Row("/customers/{customer}/home/", get=SEE),
    "home:customer-report": Row("/customers/{customer}/report/", get=SEE),
    "home:effective-access": Row("/people/{person}/effective-access/", get=see_person),
    "accounts:person-edit": Row("/people/{person}/edit/", post=on_person, data=lambda side: {"name": "New"}),
    "accounts:role-give": Row(
        "/people/{person}/roles/", post=on_person, data=lambda side: {"role": "viewer", "customer": side.customer.pk}
    ),
    "accounts:role-set-end": Row("/people/{person}/roles/{membership}/last-day/", post=on_person),
    "accounts:role-end": Row("/people/{person}/roles/{membership}/end/", post=on_person),
    "accounts:person-disable": Row("/people/{person}/disable/", post=on_person),
    "accounts:person-enable": Row("/people/{person}/enable/", post=on_person),
    "accounts:person-sign-out": Row("/people/{person}/sign-out/", post=on_person),
    "accounts:second-factor-reset": Row("/people/{person}/reset-second-factor/", post=on_person),
    "accounts:site-admin-give": Row("/people/{person}/make-admin/", post=on_person_by_site_admin),
    "accounts:site-admin-take": Row("/people/{person}/take-admin/", post=on_person_by_site_admin),
    "fleet:pbx-list": Row("/pbxs/", get=signed_in),
    "fleet:health": Row("/pbxs/health/", get=signed_in),
    "fleet:pbx-add": Row(
        "/pbxs/add/", get=anywhere(Action.MANAGE_PBXS), post=anywhere(Action.MANAGE_PBXS), data=pbx_form
    ),
    "fleet:pbx-import": Row("/pbxs/import/", get=anywhere(Action.MANAGE_PBXS), post=anywhere(Action.MANAGE_PBXS)),
    "fleet:pbx-import-preview": Row("/pbxs/import/{import}/", get=own, post=own),
    "fleet:filter-add": Row(
        "/filters/",
        post=signed_in,
        data=lambda side: {"list": "pbxs", "name": "New", "query": "q=x", "customer": ""},
    ),
    "fleet:filter-remove": Row("/filters/{saved_filter}/delete/", post=MANAGE),
    "fleet:pbx-page": Row("/pbxs/{pbx}/", get=SEE),
    "fleet:pbx-edit": Row("/pbxs/{pbx}/edit/", get=MANAGE, post=MANAGE, data=pbx_form),
    "fleet:pbx-test": Row("/pbxs/{pbx}/test/", post=MANAGE),
    "fleet:pbx-use-version": Row("/pbxs/{pbx}/use-version/", post=MANAGE, data=lambda side: {"api_version": "v1.1.0"}),
    "fleet:pbx-pin": Row("/pbxs/{pbx}/pin/", post=MANAGE, data=lambda side: {"fingerprint": "a" * 64, "reason": "new"}),
    "fleet:pbx-accept": Row("/pbxs/{pbx}/accept/", post=MANAGE, data=lambda side: {"serial": "2", "reason": "new"}),
    "fleet:pbx-disable": Row("/pbxs/{pbx}/disable/", post=MANAGE),
    "fleet:pbx-enable": Row("/pbxs/{pbx}/enable/", post=MANAGE),
    "fleet:pbx-delete": Row("/pbxs/{pbx}/delete/", get=MANAGE, post=MANAGE, data=lambda side: {"name": side.pbx.name}),
    "ivr:ivr-list-all": Row("/ivrs/", get=signed_in),
    "ivr:spread": Row("/ivrs/spread/", get=signed_in),
    "ivr:refresh-all": Row("/ivrs/refresh/", post=signed_in),
    "ivr:refresh-page": Row("/refreshes/{refresh}/", get=own),
    "ivr:pbx-refresh": Row("/pbxs/{pbx}/refresh/", post=SEE),
    "ivr:ivr-list": Row("/pbxs/{pbx}/ivrs/", get=SEE),
    "ivr:ivr-page": Row("/pbxs/{pbx}/ivrs/{number}/", get=SEE),
    "ivr:ivr-edit": Row("/pbxs/{pbx}/ivrs/{number}/edit/", get=EDIT, post=EDIT),
    "ivr:ivr-ring": Row("/pbxs/{pbx}/ivrs/{number}/ring/", post=EDIT, data=lambda side: {"extension": "1002"}),
    "ivr:change-list": Row("/changes/", get=signed_in),
    "ivr:change-page": Row("/changes/{change}/", get=SEE),
    "ivr:restore": Row("/changes/restore/{event}/", get=EDIT, post=EDIT),
    "ivr:outside-list": Row("/outside/", get=signed_in),
    "ivr:outside-accept-many": Row(
        "/outside/accept/", post=decides_anywhere, data=lambda side: {"event": side.ids["outside"]}
    ),
    "ivr:outside-accept": Row("/outside/{outside}/accept/", get=SEE, post=edit_or_review),
    "ivr:change-apply": Row("/changes/{change}/apply/", post=EDIT),
    "ivr:change-check": Row("/changes/{change}/check/", post=EDIT),
    "ivr:change-resolve": Row(
        "/changes/{conflict}/resolve/", post=EDIT, data=lambda side: {"response_timeout": "yours"}
    ),
    "ivr:change-receipt": Row("/changes/{change}/receipt.txt", get=SEE),
    "batches:batch-list": Row("/batches/", get=signed_in),
    "batches:batch-add": Row(
        "/batches/add/",
        get=anywhere(Action.BATCH),
        post=on_chosen,
        data=lambda side: {"ivr": side.ids["ivr"], "response_timeout": "9", "canary": "1"},
    ),
    "batches:outside-restore": Row(
        "/outside/restore/", post=on_chosen, data=lambda side: {"event": side.ids["outside"], "canary": "1"}
    ),
    "batches:batch-page": Row("/batches/{batch}/", get=SEE),
    "batches:batch-start": Row("/batches/{batch}/start/", post=BATCH),
    "batches:batch-continue": Row("/batches/{batch}/continue/", post=BATCH),
    "batches:batch-stop": Row("/batches/{batch}/stop/", post=BATCH),
    "batches:batch-cancel": Row("/batches/{batch}/cancel/", post=BATCH),
    "batches:batch-retry": Row("/batches/{batch}/retry/", post=BATCH),
    "batches:batch-restore": Row("/batches/{batch}/restore/", post=BATCH),
    "batches:batch-results": Row("/batches/{batch}/results.csv", get=SEE),
    "policies:policy-list": Row("/policies/", get=signed_in),
    "policies:policy-add": Row(
        "/policies/add/",
        get=anywhere(Action.MANAGE_RULES),
        post=anywhere(Action.MANAGE_RULES),
        data=lambda side: policy_form(side) | {"customer": side.customer.pk},
    ),
    "policies:policy-page": Row("/policies/{policy}/", get=SEE),
    "policies:policy-edit": Row("/policies/{policy}/edit/", get=RULES, post=RULES, data=lambda side: policy_form(side)),
    "policies:policy-delete": Row("/policies/{policy}/delete/", post=RULES),
    "policies:policy-fix": Row("/policies/{policy}/fix/", post=BATCH),
    "policies:violation-accept": Row(
        "/policies/violations/{violation}/accept/", get=RULES, post=RULES, data=lambda side: exception_form(side)
    ),
    "policies:exception-list": Row("/policies/exceptions/", get=signed_in),
    "policies:exception-withdraw": Row("/policies/exceptions/{exception}/withdraw/", post=RULES),
    "notices:condition-list": Row("/notices/", get=signed_in),
    "notices:acknowledge": Row("/notices/{condition}/acknowledge/", get=SEE, post=edit_or_review),
    "notices:choices": Row(
        "/notices/choices/",
        get=signed_in,
        post=signed_in,
        data=lambda side: {"pace": "daily", "hour": "7", "time_zone": "UTC"},
    ),
    "notices:customer-choice": Row(
        "/notices/choices/customer/",
        post=signed_in,
        data=lambda side: {"customer": side.customer.pk, "pace": "hourly"},
    ),
    "notices:customer-routes": Row(
        "/notices/customers/{customer}/",
        get=PEOPLE,
        post=PEOPLE,
        data=lambda side: {"address": "noc@example.com", "kind": "pbx", "least": "2"},
    ),
    "notices:route-end": Row("/notices/routes/{route}/end/", post=PEOPLE),
    "notices:mail-list": Row("/notices/mails/", get=site_admin),
    "notices:mail-send-again": Row("/notices/mails/{mail}/send/", post=site_admin),
    "webhooks:webhook-list": Row("/webhooks/", get=anywhere(Action.MANAGE_PEOPLE)),
    "webhooks:webhook-add": Row(
        "/webhooks/add/",
        get=anywhere(Action.MANAGE_PEOPLE),
        post=anywhere(Action.MANAGE_PEOPLE),
        data=lambda side: webhook_form() | {"customer": side.customer.pk},
    ),
    "webhooks:webhook-page": Row("/webhooks/{webhook}/", get=PEOPLE),
    "webhooks:webhook-edit": Row("/webhooks/{webhook}/edit/", post=PEOPLE, data=lambda side: webhook_form()),
    "webhooks:webhook-test": Row("/webhooks/{webhook}/test/", post=PEOPLE),
    "webhooks:webhook-rotate": Row("/webhooks/{webhook}/rotate/", post=PEOPLE),
    "webhooks:webhook-switch": Row("/webhooks/{webhook}/switch/", post=PEOPLE),
    "webhooks:webhook-delete": Row("/webhooks/{webhook}/delete/", get=PEOPLE, post=PEOPLE),
    "webhooks:delivery-send-again": Row("/webhooks/deliveries/{delivery}/send/", post=PEOPLE),
    "notices:end": Row("/notices/end/never-sent/", get=closed, post=closed),
    "review:event-list": Row("/audit/", get=REVIEW),
    "review:evidence": Row("/audit/evidence/", get=REVIEW, post=REVIEW),
    "review:export": Row("/audit/export/", get=REVIEW),
    "review:timeline": Row("/timeline/?pbx={pbx}", get=on(Action.SEE)),
    "review:figures": Row("/audit/figures/", get=REVIEW),
    "review:hours": Row("/audit/hours/", get=REVIEW),
    "review:event-page": Row("/audit/{event}/", get=in_the_log),
    "review:event-review": Row("/audit/{event}/review/", post=in_the_log, data=lambda side: {"note": "looked at"}),
    "review:access": Row("/audit/access/", get=REVIEW),
    "review:desk": Row("/audit/desk/", get=REVIEW),
    "review:desk-review": Row(
        "/audit/desk/review/",
        post=in_the_log,
        data=lambda side: {"event": [side.event.pk], "note": "looked at"},
    ),
    "review:period-list": Row(
        "/audit/periods/",
        get=REVIEW,
        post=REVIEW,
        data=lambda side: {"customer": side.customer.pk, "span": "own", "starts_on": "2026-01-01"},
    ),
    "review:period-page": Row("/audit/periods/{period}/", get=in_the_log),
    "review:period-sign": Row("/audit/periods/{period}/sign/", post=in_the_log),
}
