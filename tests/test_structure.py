"""What holds for the code as a whole: a name means one thing."""

from tests.figures import code_read, homonyms

STILL_DOUBLE = frozenset(
    (
        "ALL AT Answer BATCH BODY_LIMIT CALLS COLUMNS FORMAT Fault Fields GetResponse HISTORY INSTALLATION "
        "KEPT Kept Kind LOOK_UP_S Line MOST MOST_WORDS NOT_VERIFIED NO_ANSWER ORDER OTHERS OUTCOMES OUTSIDE "
        "PAGE_SIZE Page ROLES Row SECTIONS SHORT STEP STEPS Sealed UNKNOWN Values View WAIT_S add as_json "
        "canonical changes_of cleaned clock customer_archive customer_of customer_rename customer_unarchive "
        "decoded differences digest_of event_of identity in_words is_open is_signed ivr_address locked "
        "moved_since named new_token number_of only_customer outside_since page page_of parsed pbx_delete "
        "pbx_edit pbx_pin pbx_switch person_edit place_of read replacing said seal second_factor_reset "
        "sentence to_page too_late typed visible_pbx why_not within words_of written"
    ).split()
)


def test_no_name_stands_in_two_modules():
    double = homonyms(code_read())

    assert {name: places for name, places in double.items() if name not in STILL_DOUBLE} == {}


def test_the_list_of_names_still_to_be_changed_is_not_stale():
    assert STILL_DOUBLE - homonyms(code_read()).keys() == set()
