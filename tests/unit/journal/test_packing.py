"""A block in the journal is the trades that its values are in the journal, and damage is known as such."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.journal import packing
from squeezeflow_plugin.journal.segment import (
    HEADER_BYTES,
    Damage,
    Frame,
    decode_frame,
    encode_block,
    encode_frame,
    scan,
)
from squeezeflow_plugin.market import NS_PER_SECOND, Trade
from tests.unit.bars.tapes import START, as_block

IDS = st.one_of(
    st.integers(0, 10**18 - 1).map(str),
    st.integers(10**9, 10**9 + 300).map(str),
    st.sampled_from(["007", "0", "", "9" * 18, "1" + "0" * 18, "9" * 40, "a b", "+5", "1_0", "-1"]),
    st.uuids().map(str),
)
TIMES = st.one_of(
    st.integers(0, 3).map(lambda n: START * NS_PER_SECOND + n),
    st.integers(0, 2 * NS_PER_SECOND).map(lambda n: START * NS_PER_SECOND + n),
    st.integers(1_230_768_000 * NS_PER_SECOND, 4_102_444_800 * NS_PER_SECOND),
)
NAMES = ("BINANCE:btcusdt", "BINANCE:ethusdt", "BINANCE:ü", "BINANCE:" + "x" * 300)
AMOUNTS = st.floats(1e-12, 1e12)


@st.composite
def trades(draw: st.DrawFn) -> Trade:
    price, size = draw(AMOUNTS), draw(AMOUNTS)
    return Trade(
        draw(st.sampled_from(NAMES)),
        draw(TIMES),
        draw(IDS),
        price,
        size,
        draw(st.sampled_from([price * size, size, 0.1])),
        draw(st.sampled_from([1, -1])),
        draw(st.sampled_from([1, 1, 2, 127, 128, 300, 2**31 - 1])),
        False,
        draw(TIMES),
    )


BATCHES = st.one_of(
    st.lists(trades(), min_size=1, max_size=20),
    st.lists(
        trades().map(lambda trade: msgspec.structs.replace(trade, trade_id="12")), min_size=1, max_size=300
    ),
)


def decoded(data: bytes) -> list[Trade] | None:
    [frame] = scan(data)
    assert isinstance(frame, Frame)
    return decode_frame(data, frame)


@settings(deadline=None)
@given(BATCHES)
def test_a_block_is_read_back_as_its_trades(batch: list[Trade]) -> None:
    """To the last bit: values are compared by how they are written."""
    block, values = encode_block(as_block(batch)), encode_frame(batch)
    assert repr(decoded(block)) == repr(decoded(values)) == repr(batch)
    assert header(block) == header(values)


def header(data: bytes) -> tuple[int, int]:
    [frame] = scan(data)
    assert isinstance(frame, Frame)
    return frame.newest_second, frame.newest_received


@settings(deadline=None)
@given(BATCHES, st.data())
def test_a_part_of_a_block_is_kept_without_what_only_the_rest_needs(
    batch: list[Trade], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.integers(0, len(batch) - 1), min_size=1, unique=True).map(sorted))
    part = as_block(batch).of(np.array(rows))
    kept = [batch[row] for row in rows]
    assert decoded(encode_block(part)) == kept
    named = {name for name in NAMES if name.encode() in encode_block(part)}
    assert named == {trade.market for trade in kept}


def test_an_unknown_receipt_counts_as_the_trades_own_time() -> None:
    batch = [Trade("X:a", n * NS_PER_SECOND, str(n), 2.0, 1.0, 2.0, 1) for n in (7, 9, 8)]
    assert header(encode_block(as_block(batch))) == header(encode_frame(batch)) == (9, 9)


def test_usual_trades_take_a_third_of_their_values() -> None:
    batch = [
        Trade("BINANCE:btcusdt", START * NS_PER_SECOND + n * 10**6, str(5 * 10**9 + n), 2.0, 1.0, 2.0, 1)
        for n in range(500)
    ]
    assert len(encode_block(as_block(batch))) < len(encode_frame(batch)) / 2.5


@settings(deadline=None)
@given(st.lists(BATCHES, min_size=1, max_size=4), st.data())
def test_a_changed_byte_costs_its_frame_and_no_other(batches: list[list[Trade]], data: st.DataObject) -> None:
    frames = [
        encode_block(as_block(batch)) if data.draw(st.booleans()) else encode_frame(batch)
        for batch in batches
    ]
    hit = data.draw(st.integers(0, len(frames) - 1))
    place = data.draw(st.integers(0, len(frames[hit]) - 1))
    damaged = bytearray(frames[hit])
    damaged[place] ^= data.draw(st.integers(1, 255))
    whole = b"".join([*frames[:hit], bytes(damaged), *frames[hit + 1 :]])
    parts = list(scan(whole))
    found = [decode_frame(whole, part) for part in parts if isinstance(part, Frame)]
    assert found == batches[:hit] + batches[hit + 1 :]
    assert sum(isinstance(part, Damage) for part in parts) == 1


@settings(deadline=None)
@given(BATCHES, st.data())
def test_a_payload_that_is_no_block_is_no_trades(batch: list[Trade], data: st.DataObject) -> None:
    """Whole by its checksum, but cut short, longer, or of another version."""
    payload, _ = packing.pack(as_block(batch))
    cut = data.draw(st.integers(1, len(payload) - 1))
    for other in (payload[:cut], payload + b"\0", payload[:1] + b"\2" + payload[2:]):
        assert decode_frame(other, payload_frame(other)) is None


@settings(deadline=None)
@given(BATCHES, st.data())
def test_a_strange_payload_is_read_as_something_or_as_nothing(
    batch: list[Trade], data: st.DataObject
) -> None:
    payload = bytearray(packing.pack(as_block(batch))[0])
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, min(len(payload), 80) - 1))] = data.draw(st.integers(0, 255))
    other = bytes(payload)
    found = decode_frame(other, payload_frame(other))
    assert found is None or all(isinstance(trade, Trade) for trade in found)


def payload_frame(payload: bytes) -> Frame:
    """A frame whose payload those bytes are, as if its header stood before them."""
    return Frame(-HEADER_BYTES, len(payload), 0, 0)


@pytest.mark.parametrize("span", [0, 1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 10**18 - 1])
def test_columns_are_as_wide_as_they_must_be(span: int) -> None:
    batch = [Trade("X:a", START * NS_PER_SECOND, str(n), 2.0, 1.0, 2.0, 1) for n in (span, 0, span)]
    assert decoded(encode_block(as_block(batch))) == batch
