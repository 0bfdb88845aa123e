"""The keys: sealing anew with the newest, while people work, and saying so when they are the wrong ones."""

from io import StringIO

import pytest
from django.core.checks import Tags, run_checks
from django.core.management import CommandError, call_command
from django.db import connection

from pbxadmin import sealed
from pbxadmin.access.models import User
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.ops import rotation
from pbxadmin.ops.rotation import keys_rotate, wrong_keys
from pbxadmin.sealed import StoredSecret, key_id_of, seal, sealed_text
from pbxadmin.yeastar.s_series.driver import password_digest
from tests.factories import make_customer, make_pbx, make_user
from tests.ops.test_processes import free_port

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "canary-Passw0rd"
NEW = b"n" * 32


@pytest.fixture
def pbxs() -> list[Pbx]:
    customer = make_customer()
    pbxs = [make_pbx(customer, name=f"ACME-{number}", password=PASSWORD) for number in range(5)]
    seal(pbxs[0], "token", "a-token")
    pbxs[0].save(update_fields=["token"])
    return pbxs


@pytest.fixture
def newer_key(settings) -> bytes:
    """The old key, which stays in the ring until everything is sealed with the newer one."""
    old = settings.PBX_KEYS[0]
    settings.PBX_KEYS = [NEW, old]
    return old


def digests() -> list[str]:
    return [pbx.password_digest.open() for pbx in Pbx.objects.all()]


def said() -> str:
    out = StringIO()
    call_command("rotate_keys", stdout=out)
    return out.getvalue()


def test_every_secret_opens_with_the_newest_key_alone_afterwards(pbxs, newer_key, settings):
    assert "6 sealed anew, 0 had the newest key already." in said()

    settings.PBX_KEYS = [NEW]
    assert digests() == [password_digest(PASSWORD)] * 5
    assert Pbx.objects.get(pk=pbxs[0].pk).token.open() == "a-token"


def test_every_sealed_column_of_every_model_is_found(pbxs, newer_key):
    columns = {kept.place.partition(":")[0] for kept in sealed.stored_secrets()}

    assert {"fleet.pbx.password_digest", "fleet.pbx.token"} <= columns


def test_a_second_run_changes_nothing(pbxs, newer_key):
    said()
    before = list(Pbx.objects.values_list("password_digest", "token"))

    assert "0 sealed anew, 6 had the newest key already." in said()
    assert list(Pbx.objects.values_list("password_digest", "token")) == before


def test_it_goes_on_where_it_was_stopped(pbxs, newer_key, monkeypatch):
    monkeypatch.setattr(rotation, "SECRETS_AT_A_TIME", 2)
    steps = []

    def stopped_in_the_third(step, done):
        steps.append(step)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return once(step, done)

    once = rotation.rotate_step
    monkeypatch.setattr(rotation, "rotate_step", stopped_in_the_third)
    with pytest.raises(CommandError, match="Stopped"):
        said()
    monkeypatch.setattr(rotation, "rotate_step", once)

    assert Event.objects.get(action="keys.rotated").data["detail"]["sealed"] == 4
    assert "2 sealed anew, 4 had the newest key already." in said()


def test_an_edit_at_the_same_time_is_never_undone(pbxs, newer_key, monkeypatch):
    def edited_meanwhile(secret, place):
        Pbx.objects.filter(pk=pbxs[0].pk, password_digest=before).update(password_digest=theirs)
        return sealed_text(secret, place)

    before = pbxs[0].password_digest.text
    theirs = sealed_text("their-digest", f"fleet.pbx.password_digest:{pbxs[0].pk}")
    monkeypatch.setattr(rotation, "sealed_text", edited_meanwhile)

    done = keys_rotate()

    assert (done.sealed, done.changed) == (5, 1)
    assert Pbx.objects.get(pk=pbxs[0].pk).password_digest.open() == "their-digest"


def test_what_does_not_open_is_named_and_the_rest_is_sealed(pbxs, newer_key):
    moved = Pbx.objects.values_list("password_digest", flat=True).get(pk=pbxs[1].pk)
    Pbx.objects.filter(pk=pbxs[2].pk).update(password_digest=moved)
    out = StringIO()

    with pytest.raises(CommandError, match="Keep the older keys"):
        call_command("rotate_keys", stdout=out)

    place = f"fleet.pbx.password_digest:{pbxs[2].pk}"
    assert f"FAILED {place}: A sealed value was altered, or moved from another row." in out.getvalue()
    assert "5 sealed anew" in out.getvalue()
    assert Event.objects.get(action="keys.rotated").data["detail"]["failed_at"] == [place]


def test_the_event_says_how_many_and_no_secret(pbxs, newer_key):
    said()

    event = Event.objects.get(action="keys.rotated")
    counts = {"sealed": 6, "current": 0, "changed": 0, "failed": 0, "failed_at": [], "key": key_id_of(NEW)}
    assert (event.chain, event.data["detail"]) == ("installation", counts)
    assert password_digest(PASSWORD) not in event.text


def test_secrets_of_another_package_are_sealed_anew_when_they_are_registered(newer_key, settings, monkeypatch):
    user = make_user(last_name="")
    place = f"access.user.last_name:{user.pk}"
    settings.PBX_KEYS = [newer_key]
    User.objects.update(last_name=sealed_text("totp", place))
    settings.PBX_KEYS = [NEW, newer_key]

    def one_of_theirs():
        old = User.objects.values_list("last_name", flat=True).get()
        replace = lambda new: bool(User.objects.filter(last_name=old).update(last_name=new))  # noqa: E731
        yield StoredSecret(place, old, replace)

    monkeypatch.setattr(sealed, "SOURCES", [one_of_theirs])

    assert keys_rotate().sealed == 1
    settings.PBX_KEYS = [NEW]
    assert sealed.opened_text(User.objects.get().last_name, place) == "totp"


@pytest.mark.parametrize("command", [("serve", "--port", str(free_port())), ("work",)], ids=["serve", "work"])
def test_with_the_wrong_key_nothing_starts_and_a_sentence_says_why(pbxs, settings, command):
    settings.PBX_KEYS = [NEW]

    with pytest.raises(CommandError, match=r"PBX_KEYS does not open the secrets.*not in PBX_KEYS.*backup"):
        call_command(*command)


def test_the_wrong_key_is_a_warning_of_migrate_and_makes_readyz_fail(pbxs, settings, client, caplog):
    settings.PBX_KEYS = [NEW]

    warnings = [found.msg for found in run_checks(tags=[Tags.database], databases=["default"])]
    answer = client.get("/readyz")

    assert [text for text in warnings if "PBX_KEYS" in text] == [wrong_keys()]
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
    assert wrong_keys() in caplog.text


@pytest.mark.parametrize(("keeps_the_old_one", "status"), [(True, 200), (False, 302)])
def test_a_session_outlives_its_secret_key_only_with_a_fallback(client, settings, keeps_the_old_one, status):
    client.force_login(make_user())
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-" + "y" * 40

    settings.SECRET_KEY_FALLBACKS = [old] if keeps_the_old_one else []

    assert client.get("/pbxs/").status_code == status


def test_one_secret_that_does_not_open_stops_nothing(pbxs):
    moved = Pbx.objects.values_list("password_digest", flat=True).get(pk=pbxs[1].pk)
    Pbx.objects.filter(pk=pbxs[0].pk).update(password_digest=moved)

    assert wrong_keys() == ""


def test_a_database_without_secrets_or_tables_has_nothing_to_say(settings):
    settings.PBX_KEYS = [NEW]
    assert wrong_keys() == ""

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE fleet_pbx RENAME TO fleet_pbx_away")
    try:
        assert wrong_keys() == ""
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE fleet_pbx_away RENAME TO fleet_pbx")
