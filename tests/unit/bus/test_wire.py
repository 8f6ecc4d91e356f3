"""The entries are what their description says, for a consumer that knows nothing of us."""

from __future__ import annotations

import math

import msgspec

from squeezeflow_plugin.bus import wire
from squeezeflow_plugin.market import Bar, ClosingRecord, Interval


def test_a_record_is_read_with_a_plain_messagepack_decoder() -> None:
    bar = Bar("BINANCE:btcusdt", 7, 1.0, 2.0, 0.5, 1.5, 10.0, 20.0, 3, 4, 0.0, 5.0)
    record = ClosingRecord("main", 7, 8_400_000_000, (bar,), (), ("a",), ("b",), (Interval("a", 1, 3),))
    fields = wire.encode(record)
    assert list(fields) == [b"v", b"r"]
    assert fields[b"v"] == b"1"
    assert msgspec.msgpack.decode(fields[b"r"]) == [
        "main",
        7,
        8_400_000_000,
        [["BINANCE:btcusdt", 7, 1.0, 2.0, 0.5, 1.5, 10.0, 20.0, 3, 4, 0.0, 5.0, 0]],
        [],
        ["a"],
        ["b"],
        [["a", 1, 3, True]],
        [],
    ]


def test_every_bit_of_a_record_comes_back() -> None:
    bar = Bar(
        "BINANCE:btcusdt", 7, math.nan, math.nan, math.nan, math.nan, 0.1 + 0.2, 5e-324, 0, 0, 1e12, 0.0
    )
    fields = wire.encode(ClosingRecord("main", 7, 8_400_000_000, (bar,)))
    assert wire.encode(wire.decode("main", b"7000-0", fields)) == fields
