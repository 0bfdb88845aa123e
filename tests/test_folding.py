"""Folded text: any spelling of a name and any form of a telephone number."""

import pytest

from pbxadmin.folding import fold_text, searched_text, terms_of


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("MÜNCHEN Büro", "munchen buro"),
        ("École", "ecole"),
        ("Straße STRASSE", "strasse strasse"),
        ("Łódź", "lodz"),
        ("Ærø Þór Đuro", "aero thor duro"),
        ("ＡＣＭＥ\u00a0ﬁnance", "acme finance"),
        ("İstanbul ısı", "istanbul isi"),
        ("  two   blanks ", "two blanks"),
        ("日本", "日本"),
        ("O’Brien ‘A’ “B”", "o'brien 'a' \"b\""),
        ("Nord–Süd‑Straße − 2", "nord-sud-strasse - 2"),
        ("Mün\u00adchen\u200b", "munchen"),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert fold_text(text) == folded
    assert fold_text(folded) == folded


def finds(typed: str, *texts: str) -> bool:
    held = searched_text(texts)
    return all(any(spelling in held for spelling in term) for term in terms_of(typed))


NUMBER = "+49 89 1234-56"


@pytest.mark.parametrize(
    "typed",
    [
        "+4989123456",
        "089 1234-56",
        "0891234",
        "0049 89 123456",
        "+49 (0)89 1234-56",
        "(089) 123456",
        "1234-56",
        "123456",
        "+49 89",
        "089/123456 munchen",
    ],
)
def test_a_number_is_found_as_a_caller_gives_it(typed: str) -> None:
    assert finds(typed, "München", NUMBER, "6500")


@pytest.mark.parametrize("typed", ["+498912345", "0891234", "08912345"])
@pytest.mark.parametrize("held", ["089 1234-5", "(089) 12345", "0049 89 12345", "+49 (0)89 12345", "0891234-5"])
def test_the_form_in_which_it_is_held_does_not_matter(held: str, typed: str) -> None:
    assert finds(typed, held)


@pytest.mark.parametrize("typed", ["+4989123457", "+4389123456", "0791234", "089 1234-56 berlin"])
def test_another_number_is_not_found(typed: str) -> None:
    assert not finds(typed, "München", NUMBER, "6500")


def test_numbers_of_ivrs_stay_words() -> None:
    assert terms_of("6500 6501") == [("6500",), ("6501",)]
    assert terms_of("leeds, vip,") == [("leeds",), ("vip",)]
    assert terms_of(" , ") == []


def test_a_number_without_separators_is_stored_once() -> None:
    assert searched_text(["6500", "Main 12345"]) == "6500 main 12345"


def test_numbers_of_two_fields_are_not_one() -> None:
    assert not finds("+4989123456113", NUMBER, "0113 496 0100")
