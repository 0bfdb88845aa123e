"""Filters and tags of every template."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django import forms
from django.template import Context, Template
from django.utils import timezone
from django.utils.html import strip_tags
from django.utils.safestring import SafeString

from pbxadmin.web.templatetags.pbxadmin import age, ago, clock, visible
from pbxadmin.web.words import OUTCOMES, PBX_STATES
from tests.markup import as_read

NOW = datetime(2026, 3, 15, 12, 30, 45, tzinfo=UTC)


@pytest.fixture
def now():
    with time_machine.travel(NOW, tick=False):
        yield NOW


def drawn(template, **context):
    return Template(template).render(Context(context))


@pytest.mark.parametrize(
    ("seconds", "short", "sentence"),
    [
        (-30, "now", "just now"),
        (0, "now", "just now"),
        (59, "now", "just now"),
        (60, "1 min", "1 min ago"),
        (3599, "59 min", "59 min ago"),
        (3600, "1 h", "1 h ago"),
        (48 * 3600 - 1, "47 h", "47 h ago"),
        (48 * 3600, "2 d", "2 d ago"),
        (400 * 86400, "400 d", "400 d ago"),
    ],
)
def test_an_age_is_short_enough_for_a_column_and_ago_is_a_sentence(now, seconds, short, sentence):
    at = now - timedelta(seconds=seconds)

    assert (strip_tags(age(at)), strip_tags(ago(at))) == (short, sentence)
    assert age(at) == f'<time datetime="{at:%Y-%m-%dT%H:%M:%S}Z" title="{at:%Y-%m-%d %H:%M:%S} UTC">{short}</time>'


def test_what_never_was_is_never():
    assert (age(None), ago(None), clock(None)) == ("never", "never", "")


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ((2026, 3, 15, 0, 0, 5), "00:00:05"),
        ((2026, 3, 14, 23, 59, 59), "14 Mar 23:59"),
        ((2026, 1, 2, 3, 4, 5), "2 Jan 03:04"),
        ((2025, 3, 15, 12, 30, 45), "2025-03-15 12:30"),
    ],
)
def test_a_clock_says_as_much_of_the_date_as_is_needed_and_all_of_it_on_hover(now, at, shown):
    at = datetime(*at, tzinfo=UTC)  # type: ignore[misc]

    assert clock(at) == (f'<time datetime="{at:%Y-%m-%dT%H:%M:%S}Z" title="{at:%Y-%m-%d %H:%M:%S} UTC">{shown}</time>')


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ((2026, 3, 15, 0, 0, 5), "01:00:05"),
        ((2026, 3, 14, 23, 30, 0), "00:30:00"),  # today there, yesterday in UTC
        ((2025, 12, 31, 23, 30, 0), "1 Jan 00:30"),
        ((2025, 7, 1, 12, 30, 45), "2025-07-01 14:30"),
    ],
)
def test_a_clock_is_that_of_the_person_and_utc_on_hover(now, at, shown):
    at = datetime(*at, tzinfo=UTC)  # type: ignore[misc]

    with timezone.override("Europe/Berlin"):
        said = clock(at)

    assert said == f'<time datetime="{at:%Y-%m-%dT%H:%M:%S}Z" title="{at:%Y-%m-%d %H:%M:%S} UTC">{shown}</time>'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        ("", ""),
        (5, "5"),
        ("Main_Menu", "Main_Menu"),
        ("Zürich 東京", "Zürich 東京"),
        ("<b>&'\"", "&lt;b&gt;&amp;&#x27;&quot;"),
        ("a\u202eb", "aU+202Eb"),
        ("a\u200b", "aU+200B"),
        ("\u00a0", "U+00A0"),
        ("\ufeffa", "U+FEFFa"),
        ("a\tb\nc\rd", "aU+0009bU+000AcU+000Dd"),
        ("\x1b[31m", "U+001B[31m"),
        ("\0", "U+0000"),
        ("\U000e0041", "U+E0041"),
        ("<\u2066>", "&lt;U+2066&gt;"),
    ],
)
def test_text_that_is_not_ours_is_escaped_and_shows_what_cannot_be_seen(text, shown):
    markup = drawn("{{ text|visible }}", text=text)

    assert re.sub(r'<span class="odd" title="[^"]*">(U\+[0-9A-F]{4,})</span>', r"\1", markup) == f"<bdi>{shown}</bdi>"


def test_visible_gives_markup_that_is_not_escaped_again():
    assert isinstance(visible("a"), SafeString)
    assert isinstance(visible("\u202e"), SafeString)


@pytest.mark.parametrize("state", PBX_STATES)
def test_a_state_has_a_word_an_icon_and_a_tone(state):
    pill = drawn("{% state_pill state %}", state=state)

    assert PBX_STATES[state].label in pill
    assert "<svg" in pill
    assert 'aria-hidden="true"' in pill
    assert f'data-tone="{PBX_STATES[state].tone}"' in pill
    assert ('class="pill plain"' in pill) is (state in ("reachable", "never-checked"))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_has_a_word_an_icon_and_a_tone(outcome):
    pill = drawn("{% outcome_pill outcome %}", outcome=outcome)

    assert OUTCOMES[outcome].label in pill
    assert "<svg" in pill
    assert pill == drawn("{% event_outcome outcome %}", outcome=outcome)


def test_an_outcome_that_no_change_has_is_shown_as_a_word():
    assert drawn("{% event_outcome outcome %}", outcome="<ok>") == "<bdi>&lt;ok&gt;</bdi>"


def test_every_state_of_a_pbx_and_of_a_change_has_words():
    from ivr.models import Change
    from pbxadmin.fleet.models import PbxState

    assert set(PBX_STATES) == set(PbxState.values)
    assert set(OUTCOMES) == set(Change.Status.values)


class PlainForm(forms.Form):
    name = forms.CharField(help_text="As on the sign at the <door>.")
    site = forms.CharField(required=False)
    port = forms.IntegerField(widget=forms.NumberInput(attrs={"class": "short"}))
    on = forms.BooleanField(required=False, help_text="Opens it.")
    key = forms.CharField(widget=forms.HiddenInput, required=False)


def field(form, name):
    return as_read(drawn("{% field_row field %}", field=form[name]))


def widget(row):
    """The attributes of the one control in a row."""
    (tag,) = re.findall(r"<input[^>]*>", row)
    return {name: value for name, _, value in re.findall(r' ([\w-]+)(="([^"]*)")?', tag)}


def test_a_field_without_errors_is_tied_to_its_label_and_hint():
    row = field(PlainForm(), "name")

    assert '<label for="id_name">Name</label>' in row
    assert '<p class="hint" id="id_name-h">As on the sign at the &lt;door&gt;.</p>' in row
    assert widget(row)["aria-describedby"] == "id_name-h"
    assert "aria-invalid" not in row
    assert "autofocus" not in row


def test_a_field_without_hint_or_error_is_described_by_nothing():
    assert "aria-describedby" not in field(PlainForm(), "site")


def test_a_bad_field_says_so_to_everybody():
    form = PlainForm({"name": "", "port": "x"})

    row = field(form, "name")

    assert widget(row)["aria-invalid"] == "true"
    assert widget(row)["aria-describedby"] == "id_name-e id_name-h"
    assert re.search(r'<p class="error" id="id_name-e" data-error-for="name">.*This field is required\.', row, re.S)


def test_what_describes_a_field_is_there_once():
    form = PlainForm({"name": "", "port": "x"})
    form.add_error("port", "A second problem.")
    form.add_error("on", "A problem.")

    for name in ("name", "port", "on"):
        row = field(form, name)
        for described in widget(row)["aria-describedby"].split():
            assert row.count(f'id="{described}"') == 1, described


def test_the_first_bad_field_alone_has_the_focus():
    form = PlainForm({"name": "x", "port": "x"})
    form.add_error("on", "A problem.")

    assert [name for name in form.fields if "autofocus" in field(form, name)] == ["port"]


def test_an_error_of_the_whole_form_takes_no_focus():
    form = PlainForm({"name": "x", "port": "1"})
    form.add_error(None, "All wrong.")

    assert not any("autofocus" in field(form, name) for name in form.fields)


def test_a_widget_keeps_its_own_class():
    assert widget(field(PlainForm(), "port"))["class"] == "input short"


def test_a_switch_stands_in_its_label():
    row = field(PlainForm(), "on")

    assert re.search(r'<label class="check switch" for="id_on"><input type="checkbox"[^>]*><b>On</b>', row)
    assert widget(row)["aria-describedby"] == "id_on-h"


def test_a_hidden_field_has_no_label():
    row = field(PlainForm(initial={"key": "k"}), "key")

    assert "<label" not in row
    assert widget(row)["value"] == "k"


def test_what_was_typed_comes_back_escaped():
    form = PlainForm({"name": '"><script>', "port": "'"})

    assert 'value="&quot;&gt;&lt;script&gt;"' in field(form, "name")
    assert "<script>" not in field(form, "name") + field(form, "port")


def test_the_summary_links_each_bad_field():
    form = PlainForm({"name": "", "port": "x"})

    markup = drawn('{% include "web/_summary.html" %}', form=form)

    assert "2 fields need another value. Nothing was sent." in markup
    assert re.findall(r'href="#(\w+)"', markup) == ["id_name", "id_port"]
    assert "Nothing was saved." in drawn('{% include "web/_summary.html" with nothing="saved" %}', form=form)
    assert drawn('{% include "web/_summary.html" %}', form=PlainForm()).strip() == ""
