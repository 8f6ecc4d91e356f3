"""Messages written field by field are read back, and anything else is a ValueError at most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.feeds.protobuf import fields

FIELDS = st.lists(
    st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1) | st.binary(max_size=300)), max_size=5
)


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def written(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


@given(told=FIELDS)
def test_what_is_written_is_read(told: list[tuple[int, int | bytes]]) -> None:
    message = b"".join(written(number, value) for number, value in told)
    assert list(fields(message)) == told


def test_fixed_widths_are_bytes() -> None:
    message = varint(1 << 3 | 1) + bytes(8) + varint(2 << 3 | 5) + bytes(4)
    assert list(fields(message)) == [(1, bytes(8)), (2, bytes(4))]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x00\x01", "number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x0a\x05abc", "5 bytes long, 3 left"),
        (b"\x09\x00", "8 bytes long, 1 left"),
        (b"\x08", "does not end"),
        (b"\x08" + b"\xff" * 11, "does not end"),
    ],
)
def test_what_is_no_message_is_named(message: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        list(fields(message))


@given(message=st.binary(max_size=60))
def test_anything_else_raises_nothing_but_a_value_error(message: bytes) -> None:
    try:
        told = list(fields(message))
    except ValueError:
        return
    assert sum(len(value) for _, value in told if isinstance(value, bytes)) <= len(message)
