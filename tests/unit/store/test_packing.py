"""Packed bars: bits survive, damage shows."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.store import packing

NAMES = ["B:x", "A:x"]
IDS = {"B:x": 0, "A:x": 1}


def bar(market: str, second: int, revision: int = 0, price: float = 0.1) -> Bar:
    return Bar(market, second, price, price, -0.0, math.nan, 1e-300, 1e300, 2**32 - 1, 0, 0.25, 0.5, revision)


def test_bars_and_revisions_come_back_in_their_order_and_bits() -> None:
    record = ClosingRecord("main", 100, 0, (bar("B:x", 100), bar("A:x", 100)), (bar("A:x", 40, 3),))
    bars, revisions = packing.unpack(packing.pack(record, IDS), 100, NAMES)
    assert repr((bars, revisions)) == repr((record.bars, record.revisions))


def test_damage_shows() -> None:
    packed = packing.pack(ClosingRecord("main", 100, 0, (bar("B:x", 100),)), IDS)
    assert packing.is_intact(packed, zlib.crc32(packed))
    assert not packing.is_intact(packed[:-1], zlib.crc32(packed[:-1]))
    assert not packing.is_intact(packed[:-1] + b"\x00", zlib.crc32(packed))


def test_a_count_that_does_not_fit_is_named() -> None:
    wrong = Bar("B:x", 100, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, -1, 0, 0.0, 0.0)
    with pytest.raises(StoreError, match="cannot be stored"):
        packing.pack(ClosingRecord("main", 100, 0, (wrong,)), IDS)


def test_the_latest_row_of_a_second_wins_whatever_the_order_of_ids() -> None:
    first = ClosingRecord("main", 100, 0, (bar("B:x", 100, 0, 1.0), bar("A:x", 100, 0, 2.0)))
    later = ClosingRecord("main", 101, 0, (), (bar("B:x", 100, 1, 3.0),))
    part = packing.select(
        [packing.pack(first, IDS), packing.pack(later, IDS)],
        np.array([100, 101]),
        np.array([0, 0]),
        100,
        101,
        None,
    )
    columns = packing.latest([part], NAMES, np.array([0]))
    assert columns.names == ("A:x", "B:x")
    assert columns.open.tolist() == [2.0, 3.0]
    assert columns.known.tolist() == [100, 101]
    assert columns.market.tolist() == [0, 1]
    assert columns.open.flags["C_CONTIGUOUS"]
