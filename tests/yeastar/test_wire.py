"""Reading what a PBX answers, whatever it is, and writing only what the guides allow."""

import json
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pbxadmin.yeastar.drivers import writable_fields
from pbxadmin.yeastar.errors import (
    PbxBadAnswer,
    PbxBusy,
    PbxError,
    PbxLocked,
    PbxLoginRefused,
    PbxNotFound,
    PbxRefused,
    PbxTokenRefused,
)
from pbxadmin.yeastar.fields import BY_NAME, FIELDS, ApiVersion, FieldError, Kind
from pbxadmin.yeastar.readings import DeviceInfo, IvrSettings
from pbxadmin.yeastar.s_series.wire import (
    NUMBERLESS,
    parse_json,
    read_answer,
    read_device,
    read_ivr,
    read_ivrs,
    write_query,
    write_update,
)

V1_0, V1_1, V2_0 = ApiVersion
ENTRY = {
    "ivrnumber": "6500",
    "ivrname": "Main_Menu",
    "prompt": "[Default]",
    "promptrepeat": "3",
    "responsetimeout": "4",
    "digittimeout": "5",
    "dialext": "on",
    "dialoutboundroutes": "off",
    "dialtocheckvoicemail": "off",
}
ENTRY_V2 = {"number" if key == "ivrnumber" else key: value for key, value in ENTRY.items()}
LIVE = IvrSettings("6500", "Main_Menu", "[Default]", "3", "4", "5", "on", "off", "Local_Out", "off")
REAL = json.dumps({"status": "Success", "ivr": [ENTRY, ENTRY | {"ivrnumber": "6501", "ivrname": "Zürich"}]}).encode()
DEVICE = {
    "devicename": "Yeastar S100",
    "sn": "369364835218",
    "hardwarever": "V1.30 0000-0000",
    "firmwarever": "30.5.0.19",
    "systemtime": "2017-05-24 23:25:20 UTC-8",
    "uptime": "03:25:04",
    "extensionstatus": "7/100",
}


def answer(payload: Any) -> dict[str, Any]:
    return read_answer(json.dumps(payload).encode())


def read(*entries: Any, version: ApiVersion = V1_0) -> tuple[IvrSettings, ...]:
    return read_ivrs(answer({"status": "Success", "ivr": list(entries)}), version)


def refused(payload: Any) -> PbxRefused:
    with pytest.raises(PbxRefused) as caught:
        answer(payload)
    return caught.value


# The envelope


def test_only_the_exact_word_success_is_success() -> None:
    assert answer({"status": "Success", "token": "a"}) == {"status": "Success", "token": "a"}


@pytest.mark.parametrize("status", ["Failed", "Failure", "success", "SUCCESS", "Success ", "", "OK", "Succes"])
def test_any_other_word_is_a_no(status: str) -> None:
    assert refused({"status": status, "errno": "10018"}).code == "10018"


@pytest.mark.parametrize("status", [None, True, 1, 0, ["Success"], {"Success": 1}])
def test_an_answer_that_does_not_say_whether_it_worked_is_none(status: Any) -> None:
    with pytest.raises(PbxBadAnswer, match="without saying whether it worked"):
        answer({"status": status})


@pytest.mark.parametrize("payload", [[], "Success", 1, None, True, [{"status": "Success"}]])
def test_json_that_is_no_object_is_no_answer(payload: Any) -> None:
    with pytest.raises(PbxBadAnswer, match="not an object"):
        answer(payload)


@pytest.mark.parametrize(
    ("errno", "kind"),
    [
        ("10012", PbxNotFound),
        (10012, PbxNotFound),
        (" 10012 ", PbxNotFound),
        ("20002", PbxLocked),
        ("20003", PbxLoginRefused),
        (20004, PbxTokenRefused),
        ("20005", PbxTokenRefused),
        ("20006", PbxTokenRefused),
        ("30001", PbxBusy),
        ("99999", PbxRefused),
    ],
)
def test_errno_is_read_as_text_or_as_a_number(errno: Any, kind: type[PbxRefused]) -> None:
    error = refused({"status": "Failed", "errno": errno})

    assert type(error) is kind
    assert error.code == str(errno).strip()


@pytest.mark.parametrize(
    "errno", [None, "", True, 3.5, [], {"a": 1}, "no such IVR", "-1", "1" * 9, 10**12, "<b>", "x" * 100_000, "١"]
)
def test_an_errno_that_is_no_code_does_not_get_into_any_message(errno: Any) -> None:
    error = refused({"status": "Failed", "errno": errno})

    assert type(error) is PbxRefused
    assert (error.code, str(error)) == ("", "The PBX refused with a code that no guide lists (no code)")


def test_a_no_without_errno_is_a_no() -> None:
    assert refused({"status": "Failed"}).code == ""


# Strict JSON


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html><html></html>",
        REAL[:-1],
        REAL[: len(REAL) // 2],
        REAL + b"}",
        REAL + REAL,
        REAL.decode().encode("utf-16"),
        b'{"status":"Success","a\xff":1,"a\xfe":2}',
        b"{'status':'Success'}",
        b'{status:"Success"}',
        b'{"status":"Success",}',
        b'{"status":"Failed","status":"Success"}',
        b'{"status":"Success","ivr":[{"ivrnumber":"1","ivrnumber":"2"}]}',
        b'{"status":"Success","extra":NaN}',
        b'{"status":"Success","extra":Infinity}',
        b'{"status":"Success","extra":-Infinity}',
        b'{"status":"Success","extra":1e999}',
        b'{"status":"Success","extra":-1e999}',
        b'{"status":"Success","extra":' + b"9" * 5000 + b"}",
        b'{"status":"Success","extra":' + b"[" * 33 + b"]" * 33 + b"}",
        b'{"status":"Success","extra":' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"status":"Success","extra":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}",
    ],
    ids=lambda body: repr(body[:60]),
)
def test_anything_but_strict_json_is_refused(body: bytes) -> None:
    with pytest.raises(PbxBadAnswer, match="not JSON") as caught:
        read_answer(body)

    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\r\n", b"\t"])
def test_nothing_is_said_to_be_nothing(body: bytes) -> None:
    with pytest.raises(PbxBadAnswer, match="answered with nothing"):
        read_answer(body)


@pytest.mark.parametrize("part", [b"[", b"{", b"[],", b'{"a":1},', b"1,"])
def test_more_parts_than_any_answer_has_are_not_even_parsed(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbxadmin.yeastar.s_series.wire.json.loads", lambda *args, **more: pytest.fail("it was parsed"))

    with pytest.raises(PbxBadAnswer, match="more parts"):
        read_answer(b'{"status":"Success","ivr":[' + part * 100_000)


def test_a_pbx_full_of_ivrs_is_read() -> None:
    entries = [ENTRY | {"ivrnumber": str(number)} for number in range(6000, 11000)]

    assert len(read(*entries)) == 5000


def test_nul_and_lone_surrogates_are_replaced_wherever_they_stand() -> None:
    body = b'{"status":"Success","a\\u0000":["x\\ud800y",{"k":"\\udfff\\u0000"}],"pair":"\\ud83d\\ude00"}'

    assert read_answer(body) == {
        "status": "Success",
        "a\ufffd": ["x\ufffdy", {"k": "\ufffd\ufffd"}],
        "pair": "\U0001f600",
    }


def test_a_depth_that_is_refused_does_not_depend_on_who_asks() -> None:
    body = b"[" * 32 + b"]" * 32

    def deeper(levels: int) -> Any:
        return deeper(levels - 1) if levels else parse_json(body)

    assert deeper(sys.getrecursionlimit() // 2) == parse_json(body)


# Reading IVRs


@pytest.mark.parametrize(("version", "entry"), [(V1_0, ENTRY), (V1_1, ENTRY), (V2_0, ENTRY_V2)])
def test_an_ivr_is_read_under_own_names(version: ApiVersion, entry: dict[str, str]) -> None:
    (ivr,) = read(entry, version=version)

    assert ivr.values() == {
        "number": "6500",
        "name": "Main_Menu",
        "prompt": "[Default]",
        "prompt_repeat": "3",
        "response_timeout": "4",
        "digit_timeout": "5",
        "dial_extension": "on",
        "dial_outbound": "off",
        "check_voicemail": "off",
        "outbound_routes": None,
    }


@pytest.mark.parametrize("value", ["3", 3, " 3 ", "03"])
def test_numbers_are_read_as_text_or_as_numbers(value: Any) -> None:
    counts = dict.fromkeys(("promptrepeat", "responsetimeout", "digittimeout"), value)
    (ivr,) = read(ENTRY | counts)

    assert {ivr.prompt_repeat, ivr.response_timeout, ivr.digit_timeout} == {"3"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (11, "11"),
        (-1, "-1"),
        (3.5, "3.5"),
        ("3.5", "3.5"),
        ("soon", "soon"),
        ("", None),
        ("  ", None),
        (None, None),
        (True, "true"),
        ([3], "[3]"),
        ({"s": 3}, '{"s": 3}'),
        (10**30, "1" + "0" * 30),
    ],
)
def test_a_count_outside_the_rules_is_shown_as_it_is(value: Any, shown: str | None) -> None:
    (ivr,) = read(ENTRY | {"responsetimeout": value})

    assert ivr.response_timeout == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("on", "on"),
        ("ON", "on"),
        (" Off ", "off"),
        (True, "on"),
        (False, "off"),
        ("yes", "yes"),
        (1, "1"),
        ("", None),
        (None, None),
    ],
)
def test_a_switch_is_read_in_any_case(value: Any, shown: str | None) -> None:
    (ivr,) = read(ENTRY | {"dialext": value})

    assert ivr.dial_extension == shown


def test_a_number_is_read_from_a_number_and_without_blanks() -> None:
    assert [ivr.number for ivr in read({"ivrnumber": 6500}, {"ivrnumber": " 0100 "}, {"ivrnumber": "*98"})] == [
        "6500",
        "0100",
        "*98",
    ]


def test_a_name_and_a_prompt_keep_their_blanks() -> None:
    (ivr,) = read(ENTRY | {"ivrname": " Welcome Guest ", "prompt": "\t"})

    assert (ivr.name, ivr.prompt) == (" Welcome Guest ", "\t")


def test_what_is_missing_is_not_reported() -> None:
    (ivr,) = read({"ivrnumber": "6500"})

    assert ivr == IvrSettings("6500")
    assert set(ivr.values().values()) == {"6500", None}


def test_an_empty_name_is_not_the_same_as_none() -> None:
    assert [ivr.name for ivr in read(ENTRY | {"ivrname": ""}, {"ivrnumber": "6501"})] == ["", None]


def test_unknown_keys_are_kept_aside() -> None:
    entry = ENTRY | {"keypress1": {"dest": "6501"}, "": [1, None]}
    (ivr,) = read(entry)

    assert ivr.raw == entry
    assert ivr == read(ENTRY)[0]


def test_a_bare_object_is_read_as_a_list_of_one() -> None:
    assert read_ivrs(answer({"status": "Success", "ivr": ENTRY}), V1_0) == read(ENTRY)


@pytest.mark.parametrize("payload", [{"ivr": []}, {"ivr": None}, {}])
def test_an_empty_list_and_a_missing_one_are_no_ivrs(payload: dict[str, Any]) -> None:
    assert read_ivrs(answer({"status": "Success"} | payload), V1_0) == ()


@pytest.mark.parametrize("found", ["", "6500", 0, 6500, False, True, {}, {"6500": ENTRY}, 1.5])
def test_what_is_no_list_of_ivrs_does_not_pass_for_an_empty_one(found: Any) -> None:
    with pytest.raises(PbxBadAnswer):
        read_ivrs(answer({"status": "Success", "ivr": found}), V1_0)


@pytest.mark.parametrize(
    "entry",
    [None, "6500", 6500, [], [ENTRY]],
)
def test_an_entry_that_is_no_object_spoils_the_list(entry: Any) -> None:
    with pytest.raises(PbxBadAnswer):
        read(ENTRY, entry)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"ivrname": "x"},
        {"ivrnumber": ""},
        {"ivrnumber": " "},
        {"ivrnumber": None},
        {"ivrnumber": "1" * 65},
    ],
)
def test_an_entry_without_a_number_that_can_be_used_spoils_only_itself(entry: Any) -> None:
    good, flawed = read(ENTRY, entry)

    assert (good.number, good.flaw) == ("6500", "")
    assert (flawed.number, flawed.flaw) == ("", NUMBERLESS)
    assert flawed.raw == {"listed": [entry]}


def test_all_entries_without_a_number_are_one_ivr_with_their_names() -> None:
    (flawed,) = read({"ivrname": "Day", "digittimeout": "3"}, {"ivrname": "Night", "digittimeout": "3"})

    assert (flawed.name, flawed.digit_timeout, flawed.prompt_repeat) == ("Day / Night", "3", None)


def test_the_longest_number_that_the_database_takes() -> None:
    assert read({"ivrnumber": "1" * 64})[0].flaw == ""


@pytest.mark.parametrize("again", ["6500", 6500, " 6500"])
def test_a_number_that_comes_twice_with_the_same_values_is_one(again: Any) -> None:
    (ivr,) = read(ENTRY, ENTRY | {"ivrnumber": again})

    assert (ivr.number, ivr.flaw) == ("6500", "")


def test_a_number_that_comes_twice_with_other_values_is_flawed() -> None:
    one, flawed, three = read(
        ENTRY | {"ivrnumber": "1"}, ENTRY, ENTRY | {"ivrnumber": "3"}, ENTRY | {"responsetimeout": "9"}
    )

    assert (one.flaw, three.flaw) == ("", "")
    assert flawed.flaw == "The PBX lists number 6500 more than once, with different values."
    assert (flawed.name, flawed.response_timeout) == (ENTRY["ivrname"], None)
    assert len(flawed.raw["listed"]) == 2


def test_the_key_of_another_version_is_no_number() -> None:
    assert read(ENTRY_V2, version=V1_1)[0].flaw == NUMBERLESS
    assert read(ENTRY, version=V2_0)[0].flaw == NUMBERLESS


# Text


def test_a_status_that_is_not_text_is_neither_success_nor_refusal() -> None:
    with pytest.raises(PbxBadAnswer):
        read_answer(b'{"status":"Succ\xffess"}')


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (b"Day\tNight", "Day\tNight"),
        (b"Day\nNight", "Day\nNight"),
        (b"M\xfcnchen", "M\ufffdnchen"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"a\x00b", "a\ufffdb"),
    ],
)
def test_text_is_read_as_far_as_it_can_be(sent: bytes, found: str) -> None:
    body = b'{"status":"Success","ivr":[{"ivrnumber":"6500","ivrname":"' + sent + b'"}]}'

    (ivr,) = read_ivrs(read_answer(body), V1_0)

    assert (ivr.name, ivr.flaw) == (found, "")
    assert not BY_NAME["name"].fits(ivr.name)


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf" + REAL, REAL + b"\x00", b"\xef\xbb\xbf" + REAL + b"\r\n\x00\x00"])
def test_a_byte_order_mark_and_trailing_nul_are_left_off(body: bytes) -> None:
    assert read_answer(body) == read_answer(REAL)


def test_text_that_was_not_utf8_is_never_written_back() -> None:
    live = read_ivr(ENTRY | {"ivrname": "M\ufffdnchen"}, V1_0)

    assert "ivrname" not in write_update(live, {"response_timeout": "6"}, V1_0)


@pytest.mark.parametrize(
    ("number", "addressable"),
    [
        ("6500", True),
        ("*98", True),
        ("#", True),
        ("1" * 32, True),
        ("1" * 33, False),
        ("all", False),
        ("6500,6501", False),
        ("65 00", False),
        ("../6500", False),
        ("6500\n", False),
        ("٣", False),
        ("<b>", False),
    ],
)
def test_only_what_can_be_dialled_may_stand_in_an_address(number: str, addressable: bool) -> None:
    assert IvrSettings(number).is_addressable is addressable


# Reading the device


@pytest.mark.parametrize("key", ["deviceinfo", "device_info"])
def test_the_device_says_who_it_is(key: str) -> None:
    assert read_device(answer({"status": "Success", key: DEVICE})) == DeviceInfo(
        serial="369364835218",
        model="Yeastar S100",
        firmware="30.5.0.19",
        hardware="V1.30 0000-0000",
        clock="2017-05-24 23:25:20 UTC-8",
    )


def test_a_device_that_says_little_is_read_all_the_same() -> None:
    block = {"sn": 369364835218, "devicename": None, "firmwarever": "", "hardwarever": "x" * 500}

    assert read_device({"deviceinfo": block}) == DeviceInfo(serial="369364835218", hardware="x" * 100)


@pytest.mark.parametrize("payload", [{}, {"deviceinfo": None}, {"deviceinfo": []}, {"deviceinfo": "S100"}])
def test_no_device_information_is_a_bad_answer(payload: dict[str, Any]) -> None:
    with pytest.raises(PbxBadAnswer):
        read_device(payload)


# Writing


def test_the_first_version_sends_number_and_name_with_their_live_values() -> None:
    assert write_update(LIVE, {"response_timeout": "6"}, V1_0) == {
        "ivrid": "6500",
        "ivrnumber": "6500",
        "ivrname": "Main_Menu",
        "responsetimeout": "6",
    }


@pytest.mark.parametrize("name", ["Welcome Guest", "", "x" * 32, "a,b", None])
def test_a_live_name_that_the_api_would_not_take_is_left_out(name: str | None) -> None:
    live = IvrSettings("6500", name)

    assert write_update(live, {"digit_timeout": "2"}, V1_0) == {
        "ivrid": "6500",
        "ivrnumber": "6500",
        "digittimeout": "2",
    }


def test_a_live_number_that_the_api_would_not_take_is_left_out_too() -> None:
    assert write_update(IvrSettings("*98", "Star"), {"digit_timeout": "2"}, V1_0) == {
        "ivrid": "*98",
        "ivrname": "Star",
        "digittimeout": "2",
    }


@pytest.mark.parametrize(("version", "identity"), [(V1_1, "ivrid"), (V2_0, "number")])
def test_later_versions_send_only_what_changes(version: ApiVersion, identity: str) -> None:
    assert write_update(LIVE, {"response_timeout": "6"}, version) == {identity: "6500", "responsetimeout": "6"}


def test_a_new_number_stands_beside_the_old_one() -> None:
    assert write_update(LIVE, {"number": "6600"}, V1_0) == {
        "ivrid": "6500",
        "ivrnumber": "6600",
        "ivrname": "Main_Menu",
    }
    assert write_update(LIVE, {"number": "6600"}, V1_1) == {"ivrid": "6500", "ivrnumber": "6600"}


def test_numbers_go_out_as_text_and_switches_as_on_or_off() -> None:
    wanted = {"prompt_repeat": "05", "digit_timeout": " 7 ", "dial_extension": "off", "check_voicemail": "on"}

    assert write_update(LIVE, wanted, V1_1) == {
        "ivrid": "6500",
        "promptrepeat": "5",
        "digittimeout": "7",
        "dialext": "off",
        "dialtocheckvoicemail": "on",
    }


def test_only_the_second_version_writes_outbound_dialling() -> None:
    assert write_update(LIVE, {"dial_outbound": "on"}, V2_0) == {"number": "6500", "dialoutboundroutes": "on"}


@pytest.mark.parametrize("version", ApiVersion)
def test_what_a_version_does_not_write_is_a_defect_of_the_caller(version: ApiVersion) -> None:
    for field in set(FIELDS) - set(writable_fields(version)):
        with pytest.raises(ValueError, match=f"does not write {field.name}"):
            write_update(LIVE, {field.name: "on"}, version)


@pytest.mark.parametrize(
    ("name", "value"), [("response_timeout", "11"), ("prompt_repeat", ""), ("dial_extension", "ON"), ("name", "a b")]
)
def test_nothing_outside_the_rules_is_sent(name: str, value: str) -> None:
    with pytest.raises(FieldError):
        write_update(LIVE, {name: value}, V1_0)


@pytest.mark.parametrize("number", ["all", "6500,6501", "", "65 00"])
@pytest.mark.parametrize("version", ApiVersion)
def test_a_number_that_could_mean_other_ivrs_is_never_written(number: str, version: ApiVersion) -> None:
    with pytest.raises(ValueError, match="not the numbers of IVRs"):
        write_update(IvrSettings(number), {"digit_timeout": "2"}, version)
    with pytest.raises(ValueError, match="not the numbers of IVRs"):
        write_query(["6500", number], version)


def test_all_ivrs_are_asked_for_in_the_words_of_each_version() -> None:
    assert [write_query(None, version) for version in ApiVersion] == [{}, {}, {"number": "all"}]


def test_one_and_several_ivrs_are_asked_for_without_blanks() -> None:
    assert write_query(["6500"], V1_0) == {"ivrid": "6500"}
    assert write_query(["6500", "6501", "*98"], V1_1) == {"ivrid": "6500,6501,*98"}
    assert write_query(["6500", "6501"], V2_0) == {"number": "6500,6501"}


def test_asking_for_none_of_them_does_not_ask_for_all() -> None:
    with pytest.raises(ValueError, match="not the numbers of IVRs"):
        write_query([], V1_0)


# Whatever comes

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
keys = st.sampled_from([*ENTRY, "number", "selectedrouters", "status", "errno", "ivr", "deviceinfo", "token", "sn"])
entries = st.dictionaries(keys, anything, max_size=10) | anything
payloads = st.fixed_dictionaries(
    {"status": st.sampled_from(["Success", "Failed", "Failure"]) | anything},
    optional={"ivr": entries | st.lists(entries, max_size=4), "errno": anything, "deviceinfo": entries},
)


def is_read(body: bytes, version: ApiVersion) -> None:
    """Either an answer that can be kept, or a PbxError: no other end."""
    try:
        payload = read_answer(body)
        ivrs = read_ivrs(payload, version)
    except PbxError as error:
        problem = str(error)
        assert len(problem) < 200
        return
    for ivr in ivrs:
        json.dumps(dict(ivr.raw), ensure_ascii=False).encode()
        for name, value in ivr.values().items():
            assert value is None or isinstance(value, str)
            assert "\x00" not in (value or "")
            (value or "").encode()
            BY_NAME[name].fits(value)
            BY_NAME[name].in_words(value)


@given(anything | payloads, st.sampled_from(ApiVersion))
def test_any_json_is_an_answer_or_an_error_of_ours(value: Any, version: ApiVersion) -> None:
    is_read(json.dumps(value).encode(), version)
    is_read(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), version)


@given(st.data(), st.sampled_from(ApiVersion))
def test_a_real_answer_with_any_bytes_changed_is_an_answer_or_an_error_of_ours(
    data: st.DataObject, version: ApiVersion
) -> None:
    body = bytearray(REAL)
    for _ in range(data.draw(st.integers(1, 6))):
        place, length = data.draw(st.integers(0, len(body))), data.draw(st.integers(0, 12))
        body[place : place + length] = data.draw(st.binary(max_size=12) | st.sampled_from([b"\\u0000", b"[", b"1e999"]))

    is_read(bytes(body), version)


@given(st.binary(max_size=200))
@example(b"\x00")
@example(b"\\")
def test_any_bytes_are_an_answer_or_an_error_of_ours(body: bytes) -> None:
    is_read(body, V1_0)


@given(entries)
def test_any_device_block_is_read_or_an_error_of_ours(block: Any) -> None:
    try:
        found = read_device({"deviceinfo": block})
    except PbxBadAnswer:
        return
    assert all(isinstance(getattr(found, name), str) for name in DeviceInfo.__slots__)


# Round trips

values = {
    Kind.NUMBER: st.from_regex(r"[0-9]{1,7}", fullmatch=True),
    Kind.NAME: st.from_regex(r"[A-Za-z0-9_.ü-]{1,31}", fullmatch=True),
    Kind.SWITCH: st.sampled_from(["on", "off"]),
    Kind.TEXT: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
}


def value_of(field: Any) -> st.SearchStrategy[str]:
    if field.kind is Kind.COUNT:
        return st.integers(field.minimum, field.maximum).map(str)
    return values[field.kind]


settings_of_an_ivr = st.builds(
    IvrSettings,
    **{field.name: value_of(field) if field.name == "number" else st.none() | value_of(field) for field in FIELDS},
)


@given(settings_of_an_ivr, st.sampled_from(ApiVersion))
def test_settings_survive_the_wire(settings: IvrSettings, version: ApiVersion) -> None:
    entry = {field.wire_key(version): getattr(settings, field.name) for field in FIELDS}
    as_numbers = {
        key: int(value) if (value or "").isdecimal() and key != "ivrname" else value for key, value in entry.items()
    }

    assert read({key: value for key, value in entry.items() if value is not None}, version=version) == (settings,)
    assert read(entry, version=version) == (settings,)
    counts = [field.name for field in FIELDS if field.kind is Kind.COUNT]
    (again,) = read(as_numbers, version=version)
    assert [getattr(again, name) for name in counts] == [getattr(settings, name) for name in counts]


@given(settings_of_an_ivr, settings_of_an_ivr, st.sampled_from(ApiVersion), st.data())
def test_an_update_holds_what_was_wanted_and_nothing_else_that_is_not_live(
    live: IvrSettings, other: IvrSettings, version: ApiVersion, data: st.DataObject
) -> None:
    possible = [f.name for f in writable_fields(version) if getattr(other, f.name) is not None]
    wanted = {name: getattr(other, name) for name in data.draw(st.sets(st.sampled_from(possible or ["digit_timeout"])))}
    wanted = {name: value for name, value in wanted.items() if value is not None}

    body = write_update(live, wanted, version)

    assert all(isinstance(value, str) for value in body.values())
    identity = body.pop("number" if version is V2_0 else "ivrid")
    assert identity == live.number
    by_wire = {field.wire_key(version): field for field in FIELDS}
    for key, value in body.items():
        field = by_wire[key]
        assert value == wanted.get(field.name, getattr(live, field.name))
        assert field.name in wanted or version in field.required
    assert {by_wire[key].name for key in body} >= set(wanted)
