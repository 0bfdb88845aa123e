import pytest
from django import forms
from django.http import QueryDict

from pbxadmin.web.filters import LONGEST_TEXT, FilterForm, typed, whole


class Filter(FilterForm):
    q = forms.CharField(required=False)
    state = forms.ChoiceField(choices=[("", "Any"), ("on", "On")], required=False)


def test_a_link_to_another_page_keeps_what_the_list_is_narrowed_to_and_nothing_else():
    wanted = Filter(QueryDict("state=on&q=Main+menu&cursor=abc&page=2"))

    assert wanted.query == "q=Main+menu&state=on"
    assert wanted.is_narrow


def test_empty_filters_narrow_nothing():
    wanted = Filter(QueryDict("q=&state=&cursor=abc"))

    assert wanted.query == ""
    assert not wanted.is_narrow


def test_a_choice_looks_like_the_other_controls_of_the_bar():
    assert 'class="input"' in str(Filter(QueryDict())["state"])


@pytest.mark.parametrize("text", ["", None, "x", "-1", "1.5", "²", "٣", "1234567890", " 1"])
def test_what_is_no_id_is_none(text):
    assert whole(text) is None


def test_an_id_is_a_number():
    assert whole("42") == 42


def test_typed_words_come_without_what_no_database_takes():
    assert typed(" Main\0 menu ") == "Main menu"
    assert typed(None) == ""
    assert len(typed("x" * 1000)) == LONGEST_TEXT
