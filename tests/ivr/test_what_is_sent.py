"""Properties of comparing three ways and writing the request together: nothing goes that the person did not change."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ivr.changes.compare import compare
from pbxadmin.yeastar.drivers import writable_fields
from pbxadmin.yeastar.fields import BY_NAME, FIELDS, ApiVersion, IvrField, Kind
from pbxadmin.yeastar.readings import IvrSettings
from pbxadmin.yeastar.s_series.wire import identity_key, write_update

# What a person may ask for, by the kind of field, and what a PBX may hold: also what it would not take from us.
ASKED = {
    Kind.NUMBER: st.sampled_from(["6500", "6501", "7", "1234567"]),
    Kind.NAME: st.sampled_from(["Main_Menu", "Sales", "Ünïcode", "x" * 31]),
    Kind.COUNT: st.sampled_from(["1", "2", "3", "5"]),
    Kind.SWITCH: st.sampled_from(["on", "off"]),
}
HELD = st.one_of(st.none(), st.sampled_from(["", "Main Menu", "0", "3", "99", "on", "off", "enable", "6500", "a\\b"]))


def held(field: IvrField) -> Any:
    return st.one_of(HELD, ASKED.get(field.kind, st.nothing()))


@st.composite
def edits(draw: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, str], ApiVersion]:
    """base, live, wanted: somebody may have changed each field since the form was opened, to ours or to another."""
    version = draw(st.sampled_from(list(ApiVersion)))
    base = {field.name: draw(held(field)) for field in FIELDS} | {"number": "6500"}
    live = {name: draw(st.one_of(st.just(base[name]), held(BY_NAME[name]))) for name in base} | {"number": "6500"}
    chosen = draw(st.sets(st.sampled_from([field.name for field in writable_fields(version)]), min_size=1))
    asked = {name: draw(ASKED[BY_NAME[name].kind]) for name in sorted(chosen)}
    return base, live, {name: text for name, text in asked.items() if text != base[name]}, version


@given(edits())
def test_nothing_is_sent_that_the_person_did_not_change_but_what_the_version_insists_on(edit: Any) -> None:
    base, live, wanted, version = edit
    comparison = compare(base, live, wanted)

    sent = write_update(IvrSettings(**live), {name: wanted[name] for name in comparison.send}, version)

    assert sent.pop(identity_key(version)) == live["number"]
    for name in comparison.send:
        assert sent.pop(BY_NAME[name].wire_key(version)) == wanted[name]
    for key, text in sent.items():
        (field,) = (field for field in FIELDS if field.wire_key(version) == key)
        assert version in field.required
        assert text == live[field.name]


@given(edits())
def test_what_somebody_else_changed_meanwhile_is_never_sent_over_it(edit: Any) -> None:
    base, live, wanted, version = edit
    comparison = compare(base, live, wanted)

    sent = write_update(IvrSettings(**live), {name: wanted[name] for name in comparison.send}, version)

    for name, text in live.items():
        if text != base[name]:
            assert name not in comparison.send
            assert sent.get(BY_NAME[name].wire_key(version), text) == text


@given(edits())
def test_each_wanted_field_is_sent_or_in_conflict_or_there_already(edit: Any) -> None:
    base, live, wanted, _ = edit

    comparison = compare(base, live, wanted)

    assert sorted((*comparison.send, *comparison.conflicts, *comparison.already)) == sorted(wanted)
    assert all(live[name] not in (base[name], wanted[name]) for name in comparison.conflicts)
