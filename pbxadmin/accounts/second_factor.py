"""Second factors: allauth stores them, we seal their secrets and decide who needs one.

allauth gives its adapter a secret without its user. Therefore each secret that is read from the database carries the
place it was sealed for, which includes the user of its row, and opens only there.
"""

from collections.abc import Callable, Iterator
from typing import Any

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models.signals import post_init
from django.dispatch import receiver

from pbxadmin.access.models import User, grants_of
from pbxadmin.access.roles import SITE_ADMIN
from pbxadmin.sealed import SealBroken, StoredSecret, opened_text, sealed_text, secrets_source
from pbxadmin.web.site import site_name

SECRETS = ("secret", "seed")  # of a TOTP app, and of recovery codes
FACTORS_AT_ONCE = 200


class Placed(str):
    """A sealed text with the place that it was sealed for."""

    place = ""


class MfaAdapter(DefaultMFAAdapter):
    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "This is not right, or it was used already. Try again with the next code.",
        "cannot_generate_recovery_codes": "Recovery codes come with a second factor. Add one first.",
    }

    def encrypt(self, text: str) -> str:
        """Seal a new secret for the signed-in user, whose own it always is."""
        return sealed_text(text, factor_place(context.request.user.pk))

    def decrypt(self, encrypted_text: str) -> str:
        if not isinstance(encrypted_text, Placed):
            raise SealBroken("A second factor is opened by way of its row.")
        return opened_text(encrypted_text, encrypted_text.place)

    def get_totp_issuer(self) -> str:
        return "PBX Admin"

    def get_totp_label(self, user: AbstractBaseUser) -> str:
        return user.get_username()

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        return f"Key {Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return what security keys are bound to: the name of this site."""
        return {"id": site_name(context.request), "name": "PBX Admin"}


def factor_place(user_id: int) -> str:
    return f"mfa.authenticator:{user_id}"


@receiver(post_init, sender=Authenticator)
def secrets_know_their_place(instance: Authenticator, **_: Any) -> None:
    data = instance.__dict__.get("data") or {}
    for name in set(SECRETS) & data.keys():
        data[name] = Placed(data[name])
        data[name].place = factor_place(instance.user_id)


@secrets_source
def kept() -> Iterator[StoredSecret]:
    """Yield every sealed secret, for `rotate_keys`."""
    last = 0
    while found := list(Authenticator.objects.filter(pk__gt=last).order_by("pk")[:FACTORS_AT_ONCE]):
        for row in found:
            last = row.pk
            for name in SECRETS:
                if name in row.data:
                    yield StoredSecret(
                        factor_place(row.user_id), row.data[name], factor_replacing(row.pk, name, row.data[name])
                    )


def factor_replacing(pk: int, name: str, old: str) -> Callable[[str], bool]:
    def replace(new: str) -> bool:
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if row is None or row.data[name] != old:
                return False
            row.data[name] = new
            row.save(update_fields=["data"])
            return True

    return replace


def lacks_second_factor(user: User) -> bool:
    """Return whether a role of this user needs a second factor and the user has none. Recovery codes do not count."""
    asking = set(settings.SECOND_FACTOR_FOR)
    if not asking or not asking & roles_of(user):
        return False
    factors = Authenticator.objects.filter(user=user)
    return not factors.exclude(type=Authenticator.Type.RECOVERY_CODES).exists()


def roles_of(user: User) -> set[str]:
    return {role for _, role in grants_of(user)} | ({SITE_ADMIN} if user.is_superuser else set())
