"""What holds for the code as a whole: a name means one thing."""

from tests.figures import code_read, homonyms

STILL_DOUBLE = {
    "ALL",
    "BODY_LIMIT",
    "Fields",
    "GetResponse",
    "KEPT",
    "NOT_VERIFIED",
    "PAGE_SIZE",
    "STEP",
    "as_json",
    "clock",
    "customer_archive",
    "customer_rename",
    "customer_unarchive",
    "identity",
    "ivr_address",
    "new_token",
    "person_edit",
    "place_of",
    "replacing",
    "second_factor_reset",
    "too_late",
}


def test_no_name_stands_in_two_modules():
    double = homonyms(code_read())

    assert {name: places for name, places in double.items() if name not in STILL_DOUBLE} == {}


def test_the_list_of_names_still_to_be_changed_is_not_stale():
    assert STILL_DOUBLE - homonyms(code_read()).keys() == set()
