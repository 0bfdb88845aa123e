from dataclasses import dataclass

import pytest
from django import forms
from django.http import QueryDict

from pbxadmin.web.filters import (
    LONGEST_TEXT,
    FilterForm,
    FilterValues,
    SortedList,
    filter_of,
    number_parameter,
    parameter,
    sort_parameter,
    switch_parameter,
    text_parameter,
    typed_text,
    whole,
)


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
    assert typed_text(" Main\0 menu ") == "Main menu"
    assert typed_text(None) == ""
    assert len(typed_text("x" * 1000)) == LONGEST_TEXT


@dataclass(frozen=True)
class Values(FilterValues):
    q: str = text_parameter()
    pbx: int | None = number_parameter()
    is_on: bool = switch_parameter()
    kinds: tuple[str, ...] = parameter((), tuple, name="kind")


@pytest.mark.parametrize(
    ("address", "query"),
    [
        ("kind=a&pbx=7&q=+Main+menu&kind=b&is_on=on&page=2", "q=Main+menu&pbx=7&is_on=on&kind=a&kind=b"),
        ("pbx=x&is_on=yes&q=%00", ""),
        ("q=first&q=last", "q=last"),
        ("pbx=0", "pbx=0"),
    ],
)
def test_declared_values_are_read_from_an_address_and_written_into_one(address, query):
    wanted = Values.from_query(QueryDict(address))

    assert wanted.query == query
    assert wanted == Values.from_query(QueryDict(query))
    assert wanted.is_narrow == bool(query)


SORTS = {"at": ("-at", "id"), "name": ("name", "id")}


@dataclass(frozen=True)
class Sorted(SortedList, FilterValues):
    SORTS = SORTS
    q: str = text_parameter()
    ordered_by: str = sort_parameter(SORTS)

    def asked_sort(self) -> str:
        return self.ordered_by


@pytest.mark.parametrize(
    ("sort", "order", "direction", "by_at", "by_name"),
    [
        ("", ("-at", "id"), "descending", "q=a&sort=-at", "q=a&sort=name"),
        ("at", ("-at", "id"), "descending", "q=a&sort=-at", "q=a&sort=name"),
        ("-at", ("at", "-id"), "ascending", "q=a", "q=a&sort=name"),
        ("name", ("name", "id"), "ascending", "q=a", "q=a&sort=-name"),
        ("-name", ("-name", "-id"), "descending", "q=a", "q=a&sort=name"),
        ("nonsense", ("-at", "id"), "descending", "q=a&sort=-at", "q=a&sort=name"),
    ],
)
def test_a_list_is_sorted_by_a_column_and_by_it_again_the_other_way(sort, order, direction, by_at, by_name):
    wanted = Sorted.from_query({"q": "a", "sort": sort})

    assert (wanted.order, wanted.direction) == (order, direction)
    assert (wanted.sort_query("at"), wanted.sort_query("name")) == (by_at, by_name)


def test_an_order_narrows_nothing():
    assert not Sorted.from_query({"sort": "name"}).is_narrow
    assert Sorted.from_query({"sort": "name", "q": "a"}).is_narrow


def test_each_narrowing_that_has_words_can_be_taken_away():
    wanted = Values.from_query(QueryDict("q=a&pbx=7&kind=b"))

    assert wanted.chips({"q": "“a”", "pbx": "PBX 7", "kind": "", "is_on": "On"}) == [
        ("“a”", "pbx=7&kind=b"),
        ("PBX 7", "q=a&kind=b"),
    ]


def test_values_that_the_address_does_not_decide_are_fixed():
    assert Values.from_query({"pbx": "7"}, pbx=8).pbx == 8


@pytest.mark.parametrize("wanted", [Values, Filter])
def test_a_query_of_somebody_else_is_cut_to_the_parameters_of_the_list(wanted):
    assert wanted.own_query("cursor=abc&q=a%00b&next=//evil.example") == "q=ab"


def test_a_list_that_saves_no_filters_is_unknown():
    with pytest.raises(KeyError):
        filter_of("people")
