"""Prices as ticks: the bits come back, whatever the prices are."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.store.ticks import ABSENT, RAW, from_ticks, to_ticks

decimals = st.builds(
    lambda whole, digits: float(f"{whole}e-{digits}"), st.integers(1, 10**12), st.integers(0, 9)
)
anything = st.floats() | decimals | st.just(math.nan) | st.just(-0.0)


def restored(prices: np.ndarray, exponent: np.ndarray, decoded: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.where(exponent == RAW, prices, np.stack(decoded))


@given(st.lists(st.tuples(anything, anything, anything, anything), max_size=12), st.data())
def test_every_bit_comes_back(rows: list[tuple[float, ...]], data: st.DataObject) -> None:
    prices = np.array(rows, dtype=np.float64).reshape(-1, 4).T.copy()
    cuts = data.draw(st.sets(st.integers(1, max(len(rows) - 1, 1)), max_size=3)) if len(rows) > 1 else set()
    groups = np.array([0, *sorted(cuts)] if rows else [], dtype=np.int64)
    ticks = to_ticks(prices, groups)
    found = restored(prices, ticks.exponent, from_ticks(ticks))
    assert (found.view(np.int64) == prices.view(np.int64)).all()


@given(st.lists(st.tuples(*[st.integers(1, 10**9)] * 4), min_size=1), st.integers(0, 8))
def test_prices_of_one_tick_size_are_never_kept_as_floats(rows: list[tuple[int, ...]], digits: int) -> None:
    prices = np.array([[float(f"{value}e-{digits}") for value in row] for row in rows]).T.copy()
    ticks = to_ticks(prices, np.array([0]))
    assert (ticks.exponent >= 0).all()
    assert (ticks.exponent <= digits).all()


def test_a_second_without_a_price_has_none_and_markets_do_not_share_a_tick() -> None:
    prices = np.array([[60_000.5, math.nan, 0.00012]] * 4)
    ticks = to_ticks(prices, np.array([0, 2]))
    assert ticks.exponent.tolist() == [1, ABSENT, 5]
    assert ticks.close.tolist() == [600_005, 0, 12]
    assert not ticks.open.any()
    assert not ticks.high.any()
    assert not ticks.low.any()
