import base64
import pickle

import pytest
from django.core.exceptions import ImproperlyConfigured

from pbxadmin.fleet.models import Pbx
from pbxadmin.sealed import SealBroken, seal
from tests.factories import make_pbx

SECRET = "2d7257a528679d01a19c70e3fa773620"
pytestmark = pytest.mark.django_db


@pytest.fixture
def pbx() -> Pbx:
    pbx = make_pbx()
    seal(pbx, "token", SECRET)
    pbx.save(update_fields=["token"])
    return Pbx.objects.get(pk=pbx.pk)


def test_what_was_sealed_opens_again(pbx):
    assert pbx.token.open() == SECRET


def test_it_shows_itself_nowhere(pbx):
    shown = f"{pbx.token!r} {pbx.token} {vars(pbx)} {Pbx.objects.values_list('token', flat=True).get()}"

    assert SECRET not in shown
    with pytest.raises(TypeError):
        pickle.dumps(pbx.token)


def test_a_value_moved_to_another_row_does_not_open(pbx):
    other = make_pbx(pbx.customer, name="ACME-DEPOT")
    Pbx.objects.filter(pk=other.pk).update(token=Pbx.objects.values_list("token", flat=True).get(pk=pbx.pk))
    other.refresh_from_db()

    with pytest.raises(SealBroken, match="moved from another row"):
        other.token.open()


def test_a_value_moved_to_another_column_does_not_open(pbx):
    pbx.password_digest = pbx.token

    with pytest.raises(SealBroken):
        pbx.password_digest.open()


def test_the_right_key_is_found_in_the_ring(pbx, settings):
    settings.PBX_KEYS = [b"n" * 32, *settings.PBX_KEYS]

    assert pbx.token.open() == SECRET


def test_without_its_key_it_says_so(pbx, settings):
    settings.PBX_KEYS = [b"n" * 32]

    with pytest.raises(SealBroken, match="not in PBX_KEYS"):
        pbx.token.open()


def test_nothing_is_sealed_without_keys(pbx, settings):
    settings.PBX_KEYS = []

    with pytest.raises(ImproperlyConfigured, match="PBX_KEYS is not set"):
        seal(pbx, "token", SECRET)


def test_an_altered_value_does_not_open(pbx):
    start, payload = pbx.token.text.rsplit(".", 1)
    altered = bytearray(base64.urlsafe_b64decode(payload))
    altered[-1] ^= 1
    pbx.token = type(pbx.token)(f"{start}.{base64.urlsafe_b64encode(altered).decode()}", "")
    with pytest.raises(SealBroken):
        pbx.token.open()


@pytest.mark.parametrize("payload", ["A", "AAAA", "A" * 16, "A" * 40])
def test_a_value_cut_short_does_not_open(pbx, payload):
    start = pbx.token.text.rsplit(".", 1)[0]
    pbx.token = type(pbx.token)(f"{start}.{payload}", "")

    with pytest.raises(SealBroken):
        pbx.token.open()


def test_nothing_kept_is_false_and_does_not_open(pbx):
    pbx.token = ""
    pbx.save(update_fields=["token"])

    assert not Pbx.objects.get(pk=pbx.pk).token
    with pytest.raises(SealBroken, match="not in its form"):
        pbx.token.open()


@pytest.mark.parametrize("secret", [SECRET, "v1.hunter2", f"v1.{SECRET}"])
def test_a_secret_in_clear_is_refused(pbx, secret):
    with pytest.raises(ValueError, match="never in clear"):
        pbx.token = secret
    with pytest.raises(ValueError, match="never in clear"):
        Pbx.objects.filter(pk=pbx.pk).update(token=secret)


def test_a_secret_is_not_sealed_to_a_row_that_has_no_key_yet():
    with pytest.raises(ValueError, match="saved before"):
        seal(Pbx(), "token", SECRET)


def test_the_same_secret_is_never_sealed_to_the_same_text_twice(pbx):
    before = pbx.token.text
    seal(pbx, "token", SECRET)

    assert pbx.token.text != before
