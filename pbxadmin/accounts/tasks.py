"""E-mail of accounts, sent by a worker, so that the response time of a page does not tell whether a mail was sent."""

from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.cache import cache
from django.core.mail import send_mail
from django.urls import reverse
from django_tasks import task

from pbxadmin.access.models import User

PAUSE_S = 300  # so that repeated requests cannot flood a mailbox
RESET = """\
Somebody asked for a new password for {name} on PBX Admin.

To set one, open this link within {minutes} minutes. It works once.

{link}

If that was not you, do nothing: your password stays as it is.
"""


@task()
def mail_reset_link(email: str, site: str) -> bool:
    """Mail a link that sets a new password, at most one in five minutes. Returns whether it was sent.

    site: scheme, host and port of the link. A user without a password signs in with single
    sign-on and gets no link.
    """
    user = User.objects.filter(email__iexact=email, is_active=True).first()
    if user is None or not user.has_usable_password() or not cache.add(f"reset-mail-{user.pk}", "sent", PAUSE_S):
        return False
    key = default_token_generator.make_token(user)
    path = reverse("account_reset_password_from_key", args=[user_pk_to_url_str(user), key])
    text = RESET.format(name=user.username, minutes=settings.PASSWORD_RESET_TIMEOUT // 60, link=f"{site}{path}")
    send_mail("Set a new password for PBX Admin", text, None, [user.email])
    return True
