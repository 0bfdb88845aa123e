"""What holds for the code as a whole: a name means one thing."""

from tests.figures import code_read, homonyms

STILL_DOUBLE = {
    "ALL",
    "AT",
    "BATCH",
    "BODY_LIMIT",
    "COLUMNS",
    "FORMAT",
    "Fault",
    "Fields",
    "GetResponse",
    "INSTALLATION",
    "KEPT",
    "Kind",
    "MOST",
    "NOT_VERIFIED",
    "ORDER",
    "OTHERS",
    "PAGE_SIZE",
    "Row",
    "SHORT",
    "STEP",
    "WAIT_S",
    "add",
    "as_json",
    "canonical",
    "cleaned",
    "clock",
    "customer_archive",
    "customer_of",
    "customer_rename",
    "customer_unarchive",
    "digest_of",
    "identity",
    "is_signed",
    "ivr_address",
    "named",
    "new_token",
    "only_customer",
    "page_of",
    "parsed",
    "person_edit",
    "place_of",
    "read",
    "replacing",
    "said",
    "second_factor_reset",
    "too_late",
    "typed",
    "within",
    "words_of",
}


def test_no_name_stands_in_two_modules():
    double = homonyms(code_read())

    assert {name: places for name, places in double.items() if name not in STILL_DOUBLE} == {}


def test_the_list_of_names_still_to_be_changed_is_not_stale():
    assert STILL_DOUBLE - homonyms(code_read()).keys() == set()
