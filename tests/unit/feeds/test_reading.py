"""Decimal texts, JSON objects and errors that name the field."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.reading import (
    UNREADABLE,
    Milliseconds,
    amount_error,
    excerpt,
    field_error,
    json_object,
    number,
)


class Inner(msgspec.Struct):
    p: str


class Outer(msgspec.Struct):
    T: Milliseconds
    o: Inner


@given(st.decimals(min_value="1e-12", max_value="1e12", allow_nan=False, allow_infinity=False))
def test_number_has_the_bits_of_float(value: object) -> None:
    text = format(value, "f")
    assert number(text) == float(text)


@given(st.integers(0, 10**20), st.integers(0, 10**18), st.integers(1, 18))
def test_number_has_the_bits_of_float_for_any_digits(whole: int, part: int, places: int) -> None:
    text = f"{whole}.{part:0{places}d}"
    assert number(text) == float(text)


@pytest.mark.parametrize(
    "text", ["nan", "NaN", "inf", "Infinity", "1_0", "", "0x1", "+1", "1e999", "true", '"1"', "\ud800", "１"]
)
def test_number_takes_nothing_but_json_numbers(text: str) -> None:
    with pytest.raises(UNREADABLE):
        number(text)


def test_amount_error_names_the_first_bad_field() -> None:
    assert amount_error("X trade", {"p": "1", "q": "0.5"}) is None
    error = amount_error("X trade", {"p": "1", "q": "NaN"})
    assert str(error) == "X trade: field q must be a positive number, was 'NaN'; the frame is skipped"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"o": {"p": "1"}}, "X: field T is missing; the frame is skipped"),
        ({"T": 1767225600000, "o": {}}, "X: field o.p is missing; the frame is skipped"),
        (
            {"T": 1767225600000, "o": {"p": 3}},
            "X: field o.p was 3: Expected `str`, got `int`; the frame is skipped",
        ),
        (
            {"T": 1767225600000, "o": 7},
            "X: field o was 7: Expected `object`, got `int`; the frame is skipped",
        ),
        ({"T": 0, "o": {}}, "X: field T was 0: Expected `int` >= 1230768000000; the frame is skipped"),
    ],
)
def test_field_error_names_field_and_value(body: dict[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(body, Outer)
    assert str(field_error("X", body, caught.value)) == message


def test_json_object_refuses_what_is_none() -> None:
    assert json_object("X", b'{"a":1}') == {"a": 1}
    for frame in ("", "[]", "3", b"\xff", "[" * 100_000):
        with pytest.raises(FeedProtocolError, match=r"^X: frame must be"):
            json_object("X", frame)


def test_excerpt_keeps_messages_short() -> None:
    assert excerpt("ab") == "'ab'"
    assert len(excerpt("a" * 10_000)) < 130
