from hypothesis import given
from hypothesis import strategies as st

from ivr.changes.compare import SUCCESS, PbxAnswer, Status, compare, judge
from pbxadmin.yeastar.fields import BY_NAME

BASE = dict.fromkeys(BY_NAME) | {"number": "6500", "name": "Main", "response_timeout": "3", "prompt_repeat": "2"}
NO_ANSWER = PbxAnswer()
REFUSED = PbxAnswer(refused=True, code="10018", words="No (10018).")


def test_an_untouched_field_may_be_sent():
    found = compare(BASE, BASE, {"response_timeout": "6"})

    assert (found.send, found.conflicts, found.kept) == (("response_timeout",), (), ())


def test_another_field_that_somebody_changed_is_kept_and_ours_is_sent():
    found = compare(BASE, BASE | {"prompt_repeat": "5"}, {"response_timeout": "6"})

    assert (found.send, found.conflicts, found.kept) == (("response_timeout",), (), ("prompt_repeat",))


def test_the_same_field_changed_by_somebody_is_a_conflict():
    found = compare(BASE, BASE | {"response_timeout": "9"}, {"response_timeout": "6"})

    assert (found.send, found.conflicts) == ((), ("response_timeout",))


def test_a_field_that_is_live_as_wanted_is_not_sent():
    found = compare(BASE, BASE | {"response_timeout": "6"}, {"response_timeout": "6"})

    assert (found.send, found.conflicts, found.already) == ((), (), ("response_timeout",))


VALUES = st.one_of(st.none(), st.sampled_from(["1", "2", "on", "off", "Main"]))
FORMS = st.fixed_dictionaries(dict.fromkeys(BY_NAME, VALUES))


@given(
    base=FORMS, live=FORMS, wanted=st.dictionaries(st.sampled_from(list(BY_NAME)), st.sampled_from(["1", "on", "off"]))
)
def test_never_sends_what_the_person_did_not_change_nor_what_somebody_else_did(base, live, wanted):
    found = compare(base, live, wanted)

    assert set(found.send) <= set(wanted)
    assert all(live[name] == base[name] != wanted[name] for name in found.send)
    assert sorted((*found.send, *found.conflicts, *found.already)) == sorted(wanted)


def outcome(found, answer, asked=None):
    return judge("ACME-HQ", BASE, asked or {"response_timeout": "6"}, found, answer)


def test_all_as_asked_is_verified():
    verdict = outcome(BASE | {"response_timeout": "6"}, SUCCESS)

    assert verdict.status == Status.VERIFIED
    assert verdict.sentence == "ACME-HQ now has response timeout 6 s."


def test_all_as_asked_after_a_refusal_is_verified_with_a_note():
    verdict = outcome(BASE | {"response_timeout": "6"}, REFUSED)

    assert verdict.status == Status.VERIFIED
    assert "although ACME-HQ refused it (10018)" in verdict.sentence


def test_all_as_asked_after_a_lost_answer_is_verified_with_a_note():
    verdict = outcome(BASE | {"response_timeout": "6"}, NO_ANSWER)

    assert verdict.status == Status.VERIFIED
    assert "gave no usable answer" in verdict.sentence


def test_all_as_before_after_a_refusal_is_refused():
    verdict = outcome(BASE, REFUSED)

    assert verdict.status == Status.REFUSED
    assert "10018" in verdict.sentence


def test_all_as_before_after_success_is_not_as_asked_and_looked_at_again():
    verdict = outcome(BASE, SUCCESS)

    assert (verdict.status, verdict.look_again) == (Status.NOT_AS_ASKED, True)


def test_partly_applied_is_not_as_asked_field_by_field():
    verdict = outcome(BASE | {"response_timeout": "6"}, SUCCESS, {"response_timeout": "6", "prompt_repeat": "4"})

    assert verdict.status == Status.NOT_AS_ASKED
    assert verdict.sentence == "Not as asked. Prompt played: asked 4 times, found 2 times."


def test_another_value_stored_is_not_as_asked():
    verdict = outcome(BASE | {"response_timeout": "5"}, SUCCESS)

    assert verdict.sentence == "Not as asked. Response timeout: asked 6 s, found 5 s."


def test_an_edit_by_somebody_else_in_between_is_reported():
    verdict = outcome(BASE | {"response_timeout": "6", "prompt_repeat": "5"}, SUCCESS)

    assert verdict.status == Status.VERIFIED
    assert "Meanwhile somebody else changed on ACME-HQ: Prompt played 5 times." in verdict.sentence


def test_an_ivr_that_is_gone_is_not_as_asked():
    assert outcome(None, SUCCESS).status == Status.NOT_AS_ASKED


def test_a_field_that_the_pbx_never_reports_is_not_said_to_be_unchanged():
    silent = BASE | {"check_voicemail": None}

    success = judge("ACME-HQ", silent, {"check_voicemail": "on"}, silent, SUCCESS)
    refused = judge("ACME-HQ", silent, {"check_voicemail": "on"}, silent, REFUSED)

    assert success.status == Status.NOT_AS_ASKED
    assert success.sentence == (
        "Not as asked. ACME-HQ said Success. It does not report Check voicemail, so that it cannot be proven."
    )
    assert "Nothing changed" not in refused.sentence


def test_a_field_that_is_reported_at_one_time_only_is_nobodys_edit():
    before = BASE | {"prompt": None, "digit_timeout": "3"}

    verdict = judge(
        "ACME-HQ", before, {"response_timeout": "6"}, before | {"response_timeout": "6", "prompt": "[Default]"}, SUCCESS
    )

    assert "Meanwhile" not in verdict.sentence
