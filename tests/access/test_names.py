import pytest
from django.core.exceptions import ValidationError

from pbxadmin.access.models import User
from pbxadmin.access.services import customer_create
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db


def test_a_name_is_kept_normalised_and_trimmed() -> None:
    customer = customer_create(name="  Ａｃｍｅ\u00a0 Logistics ")

    assert customer.name == "Acme Logistics"


@pytest.mark.parametrize("name", ["acme logistics", "ACME  Logistics", "Ａｃｍｅ Logistics", "Acme\u00a0Logistics"])
def test_a_name_is_taken_whatever_its_case_width_or_blanks(name: str) -> None:
    make_customer("Acme Logistics")

    with pytest.raises(ValidationError, match="There is a customer with this name already"):
        customer_create(name=name)


@pytest.mark.parametrize(
    "character",
    ["\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u00ad", "\x07", "\x00", "\u2028", "\ufe0f", "\u3164"],
)
def test_a_character_that_cannot_be_seen_is_refused_with_its_position(character: str) -> None:
    with pytest.raises(ValidationError, match=r"Character 5 .* cannot be seen"):
        customer_create(name=f"Acme{character}Logistics")


@pytest.mark.parametrize("name", ["", "   ", "\u00a0", "x" * 101])
def test_an_empty_or_endless_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        customer_create(name=name)


def test_names_in_other_scripts_are_welcome() -> None:
    assert customer_create(name="Übermäßig & Söhne – 株式会社").name == "Übermäßig & Söhne – 株式会社"


def test_two_user_names_that_differ_in_case_only_cannot_both_exist() -> None:
    make_user(username="mara")

    with pytest.raises(ValidationError, match="This user name is taken"):
        User(username="MARA", password="x").full_clean()


def test_a_user_is_found_whatever_the_case_of_the_name() -> None:
    mara = make_user(username="Mara")

    assert User.objects.get_by_natural_key("mARA") == mara
