"""Frames are found whole or not at all, before and after any damage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.journal.segment import (
    Damage,
    Frame,
    decode_frame,
    encode_frame,
    encode_mark,
    received_second,
    scan,
)
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

START = 1_700_000_000


def batch(number: int, size: int = 3) -> list[Trade]:
    when = (START + number) * NS_PER_SECOND
    return [Trade("X:a", when + n, f"{number}-{n}", 10.0, 1.0, 10.0, 1) for n in range(size)]


BATCHES = [batch(number) for number in range(8)]
FRAMES = [encode_frame(each) for each in BATCHES]
DATA = b"".join(FRAMES)


def intact(data: bytes) -> list[list[Trade]]:
    return [decode_frame(data, part) or [] for part in scan(data) if isinstance(part, Frame)]


def covers(data: bytes) -> bool:
    """Whether the parts follow each other from the first byte to the last."""
    at = 0
    for part in scan(data):
        if part.start != at:
            return False
        at = part.stop
    return at == len(data)


def test_a_whole_file_is_its_frames() -> None:
    assert intact(DATA) == BATCHES
    assert [part.newest_second for part in scan(DATA) if isinstance(part, Frame)] == [
        START + number for number in range(8)
    ]


@given(st.integers(0, len(DATA)))
def test_a_file_cut_anywhere_keeps_every_whole_frame(length: int) -> None:
    data = DATA[:length]
    whole = length // len(FRAMES[0])
    assert intact(data) == BATCHES[:whole]
    assert covers(data)
    damages = [part for part in scan(data) if isinstance(part, Damage)]
    assert [part.torn for part in damages] == [True] * (length % len(FRAMES[0]) > 0)


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_costs_its_frame_and_no_other(place: int, change: int) -> None:
    data = bytearray(DATA)
    data[place] ^= change
    hit = place // len(FRAMES[0])
    assert intact(bytes(data)) == BATCHES[:hit] + BATCHES[hit + 1 :]
    assert covers(bytes(data))


@given(st.integers(0, len(DATA)), st.binary(min_size=1, max_size=200))
def test_foreign_bytes_between_cost_at_most_the_frame_they_cut(place: int, foreign: bytes) -> None:
    data = DATA[:place] + foreign + DATA[place:]
    cut = place // len(FRAMES[0])
    found = intact(data)
    assert found[:cut] == BATCHES[:cut]
    assert found[-(8 - cut - 1) :] == BATCHES[cut + 1 :] or cut >= 7
    assert covers(data)


def test_a_whole_frame_of_something_else_is_no_trades() -> None:
    other = encode_frame([Trade("X:a", 1, "1", 10.0, 1.0, 10.0, 1)])
    [frame] = scan(other)
    assert isinstance(frame, Frame)
    broken = other[: frame.stop - 4] + b"\xc1" * 4
    assert decode_frame(broken, frame) is None


def test_a_mark_is_a_frame_of_its_own_and_holds_no_trades() -> None:
    data = FRAMES[0] + encode_mark(START + 5) + FRAMES[1]
    found = [part for part in scan(data) if isinstance(part, Frame)]
    assert [part.is_mark for part in found] == [False, True, False]
    assert [part.newest_second for part in found] == [START, START + 5, START + 1]
    assert covers(data)


def test_the_receive_second_falls_back_to_the_trades_own() -> None:
    assert received_second(Trade("X:a", 5 * NS_PER_SECOND, "1", 1.0, 1.0, 1.0, 1)) == 5
    assert received_second(Trade("X:a", 5, "1", 1.0, 1.0, 1.0, 1, 1, False, 9 * NS_PER_SECOND)) == 9
