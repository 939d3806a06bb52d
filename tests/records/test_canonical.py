"""Canonical bytes: the quick road gives what the slow oracle gives, and nothing that JSON cannot say exactly passes."""

import json
import math
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from wardgate.records.canonical import LARGEST_INTEGER, canonical, number_of, text_of
from wardgate.records.errors import Invalid

ascii_text = st.text(st.characters(max_codepoint=127), max_size=8)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
exact_integers = st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)


def values(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | exact_integers | text
    return st.recursive(
        plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
    )


@given(values(ascii_text))
@example({"\x7f": "\x7f", "\x00": '\x1f"\\/\b\f\n\r\t'})
@example({"b": 1, "a": {"d": [], "c": {}}, "": None, "A": True})
def test_ascii_takes_the_quick_road_and_gives_the_oracles_bytes(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(values(any_text))
@example({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7})
@example(["\u2028", "\u00e9", "e\u0301"])
def test_any_text_gives_the_oracles_bytes(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(values(any_text))
def test_canonical_bytes_read_back_and_stay_the_same(value: Any) -> None:
    again = json.loads(canonical(value))
    assert canonical(again) == canonical(value)


def test_keys_are_sorted_by_utf_16_units_and_not_by_code_points() -> None:
    assert canonical({"\ufb33": 1, "\U0001f600": 2}).decode() == '{"\U0001f600":2,"\ufb33":1}'


@pytest.mark.parametrize("text", ["plain", "\u00e9"], ids=["ascii", "other"])
@pytest.mark.parametrize("bad", [0.5, 1.0, -0.0, 1e300, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["alone", "list", "field", "deep"])
def test_a_float_is_refused_wherever_it_stands(bad: float, text: str, place: str) -> None:
    wrapped = {"alone": bad, "list": [text, bad], "field": {text: bad}, "deep": {"a": [{text: (1, [bad])}]}}[place]
    with pytest.raises(Invalid):
        canonical(wrapped)


@pytest.mark.parametrize("text", ["plain", "\u00e9"], ids=["ascii", "other"])
@pytest.mark.parametrize("key", [1, 1.5, None, True, ("a",), b"a", math.nan], ids=repr)
def test_a_key_that_is_no_text_is_refused(key: Any, text: str) -> None:
    for value in ({key: text}, [{"a": {key: text}}], {"1": text, key: text}):
        with pytest.raises(Invalid):
            canonical(value)


def test_integers_stop_where_doubles_stop_being_exact() -> None:
    assert canonical([2**53 - 1, -(2**53 - 1)]) == b"[9007199254740991,-9007199254740991]"
    for beyond in (2**53, -(2**53), 2**53 + 1, 10**400):
        for value in (beyond, ["\u00e9", beyond]):
            with pytest.raises(Invalid):
                canonical(value)


@pytest.mark.parametrize("bad", ["\ud800", "\udfff", "a\ud83d", "\ude00\ud83d"], ids=ascii)
def test_lone_surrogates_are_refused(bad: str) -> None:
    for value in (bad, {bad: 1}, {"a": [bad]}):
        with pytest.raises(Invalid):
            canonical(value)


@pytest.mark.parametrize("bad", [b"bytes", {1, 2}, object(), 1j], ids=["bytes", "set", "object", "complex"])
def test_what_json_does_not_know_is_refused(bad: Any) -> None:
    for value in (bad, {"a": bad}, ["\u00e9", bad]):
        with pytest.raises(Invalid):
            canonical(value)


def test_a_value_nested_without_end_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Invalid):
        canonical(deep)
    inside: list[Any] = []
    inside.append(inside)
    with pytest.raises(Invalid):
        canonical(inside)


@given(st.floats(allow_nan=False))
@example(-0.0)
@example(float(2**53))
@example(float(2**53 - 1))
@example(5e-324)
@example(0.1 + 0.2)
def test_a_number_reads_back_as_the_same_double(number: float) -> None:
    again = number_of(text_of(number))
    assert again == number
    assert text_of(again) == text_of(number)


def test_numbers_are_written_short_and_alike() -> None:
    assert [text_of(number) for number in (1.0, -3.0, -0.0, 0.1, 1e22, 2.5)] == ["1", "-3", "0", "0.1", "1e+22", "2.5"]
    assert math.isnan(number_of(text_of(math.nan)))
    assert number_of(text_of(-math.inf)) == -math.inf


@pytest.mark.parametrize("bad", ["", "one", "1,5", "0x10", True, None, [], {}, b"1"], ids=repr)
def test_what_is_no_number_is_refused_and_not_quoted(bad: Any) -> None:
    with pytest.raises(Invalid) as refused:
        number_of(bad)
    assert "1,5" not in str(refused.value)
