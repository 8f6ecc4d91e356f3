from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.simulator.trades import MarketTrades, concatenate, decimal_text, no_trades

UNITS = st.integers(0, 10**15)
DIGITS = st.integers(0, 8)


def three() -> MarketTrades:
    at, ids, ticks, lots = (np.array(each) for each in ([10, 10, 25], [1, 2, 3], [101, 102, 99], [5, 6, 7]))
    return MarketTrades(at, ids, ticks, lots, np.array([1, 1, -1], np.int8), 100, 1000)


@given(UNITS, DIGITS)
def test_the_text_reads_as_the_float_of_the_units(units: int, digits: int) -> None:
    scale = 10**digits
    assert float(decimal_text(units, scale)) == units / scale
    assert float(decimal_text(units, scale, 8)) == units / scale


@given(UNITS, DIGITS)
def test_padding_gives_the_places_asked_and_none_no_trailing_zero(units: int, digits: int) -> None:
    assert len(decimal_text(units, 10**digits, 8).partition(".")[2]) == 8
    assert not decimal_text(units, 10**digits).partition(".")[2].endswith("0")


def test_volumes_are_signed_by_the_taker() -> None:
    assert three().signed_quote.tolist() == [1.01 * 0.005, 1.02 * 0.006, -0.99 * 0.007]


def test_between_is_half_open() -> None:
    assert three().between(10, 25).ids.tolist() == [1, 2]
    assert three().between(11, 26).ids.tolist() == [3]


def test_parts_put_together_are_the_whole() -> None:
    trades = three()
    both = concatenate([trades.select(slice(0, 1)), trades.select(slice(1, None))])
    assert both.ids.tolist() == [1, 2, 3]
    assert both.price.tolist() == trades.price.tolist()
    assert len(concatenate([no_trades(100, 1000)])) == 0


def test_finer_units_change_no_price_and_no_size() -> None:
    fine = three().rescaled(10**8, 10**8)
    assert fine.price.tolist() == three().price.tolist()
    assert fine.size.tolist() == three().size.tolist()
