"""Longer bars are what adding the seconds up one by one gives, however the span is cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.market import BAR_FIELDS, Bar, ClosingRecord
from squeezeflow_plugin.store.contract import BarColumns
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.store.resample import join, resample

T0 = 1_723_161_590  # ten seconds before a full minute
SPAN = 150
MARKETS = ("BINANCE:btcusdt", "BINANCE:ethusdt", "BINANCE_FUTURES:btcusdt")


@st.composite
def stores(draw: st.DrawFn) -> MemoryBarStore:
    store = MemoryBarStore()
    prices = st.floats(1e-6, 1e6)
    for second in sorted(draw(st.sets(st.integers(T0, T0 + SPAN - 1), max_size=30))):
        bars = []
        for market in sorted(draw(st.sets(st.sampled_from(MARKETS)))):
            o, h, low, c = draw(st.tuples(prices, prices, prices, prices) | st.just((math.nan,) * 4))
            volumes = draw(st.tuples(*[st.floats(0, 1e9)] * 4))
            vbuy, vsell, lbuy, lsell = volumes
            bars.append(Bar(market, second, o, h, low, c, vbuy, vsell, 3, 2, lbuy, lsell))
        store.append([ClosingRecord("main", second, second * 10**9, tuple(bars))])
    return store


Rows = dict[tuple[int, str], Any]


def twin(columns: BarColumns, timeframe_s: int) -> Rows:
    """The slow way: a dictionary of bars, one row after the other."""
    made: Rows = {}
    for i in range(len(columns)):
        key = (int(columns.second[i]) // timeframe_s * timeframe_s, columns.names[columns.market[i]])
        o, h, low, c, *rest = (getattr(columns, name)[i].item() for name in BAR_FIELDS)
        bar = made.setdefault(key, [math.nan] * 4 + [0] * 6)
        if not math.isnan(o):
            if math.isnan(bar[0]):
                bar[:4] = [o, h, low, c]
            bar[1], bar[2], bar[3] = max(bar[1], h), min(bar[2], low), c
        bar[4:] = [a + b for a, b in zip(bar[4:], rest, strict=True)]
    return {key: made[key] for key in sorted(made)}


def rows(columns: BarColumns) -> Rows:
    return {
        (int(columns.second[i]), columns.names[columns.market[i]]): [
            getattr(columns, name)[i].item() for name in BAR_FIELDS
        ]
        for i in range(len(columns))
    }


def close_to(wanted: Rows) -> Rows:
    """Equal in order and keys, the numbers to 1e-12: the order of additions may differ."""
    return {key: pytest.approx(row, rel=1e-12, nan_ok=True) for key, row in wanted.items()}


@settings(max_examples=50, deadline=None)
@given(stores(), st.sampled_from([1, 5, 60, 3600]))
def test_it_is_the_sum_of_the_seconds(store: MemoryBarStore, timeframe_s: int) -> None:
    columns = store.bars(T0, T0 + SPAN)
    made, wanted = rows(resample(columns, timeframe_s)), twin(columns, timeframe_s)
    assert list(made) == list(wanted)
    assert made == close_to(wanted)


@settings(max_examples=50, deadline=None)
@given(stores(), st.integers(0, SPAN), st.sampled_from([5, 60]))
def test_parts_joined_and_resampled_again_are_the_whole(
    store: MemoryBarStore, cut: int, timeframe_s: int
) -> None:
    parts = [store.bars(T0, T0 + cut), store.bars(T0 + cut, T0 + SPAN)]
    made = resample(join([resample(part, timeframe_s) for part in parts]), timeframe_s)
    whole = resample(store.bars(T0, T0 + SPAN), timeframe_s)
    assert rows(made) == close_to(rows(whole))
    assert np.array_equal(made.known, whole.known)
