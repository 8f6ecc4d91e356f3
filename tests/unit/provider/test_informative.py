"""Informative frames: no second ahead of its time, the same wherever they begin, both libraries at work."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import talib
from technical.indicators import vwma

from squeezeflow_plugin.provider import informative
from squeezeflow_plugin.provider.candles import candle_frame
from squeezeflow_plugin.provider.informative import (
    CVD_CANDLES,
    MEMORY_S,
    SHOWN_INFORMATIVE,
    TIMEFRAMES,
    indicators_at,
    informative_frame,
    shown_candles,
)
from squeezeflow_plugin.provider.rows import ROW_NAMES
from tests.reference.flows import START, flow_of, noise_frame

Rows = npt.NDArray[np.float64]


def rows_of(frame: pd.DataFrame) -> Rows:
    rng = np.random.default_rng(9)
    values = np.full((len(ROW_NAMES), len(frame)), 1.0)
    for place, name in enumerate(ROW_NAMES):
        if name in frame:
            values[place] = frame[name]
    for name in ("volume", "liquidated_buy", "liquidated_sell"):
        values[ROW_NAMES.index(name)] = rng.uniform(0.0, 3.0, len(frame))
    values[ROW_NAMES.index("oi_change")] = math.nan
    return values


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return noise_frame(3, 20_000)


@pytest.fixture(scope="module")
def values(frame: pd.DataFrame) -> Rows:
    return rows_of(frame)


def ends_of(frame: pd.DataFrame, seconds: int) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = frame["date"].dt.as_unit("s").astype("int64").to_numpy() + seconds
    return found


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_flow_columns_are_what_the_seconds_say(values: Rows, timeframe: str) -> None:
    seconds = TIMEFRAMES[timeframe]
    made = informative_frame(values, START, seconds)
    at = {name: ROW_NAMES.index(name) for name in ROW_NAMES}
    assert len(made) == (START + 20_000) // seconds - -(-START // seconds)
    for place, end in enumerate(ends_of(made, seconds).tolist()):
        own = values[:, end - seconds - START : end - START]
        row = made.iloc[place]
        for kind in ("spot", "perp"):
            buy, sell = own[at[f"{kind}_buy"]].sum(), own[at[f"{kind}_sell"]].sum()
            assert row[f"delta_{kind}"] == pytest.approx(buy - sell)
            assert row[f"imbalance_{kind}"] == pytest.approx((buy - sell) / (buy + sell))
        assert row["liquidated_buy"] == pytest.approx(own[at["liquidated_buy"]].sum())
        assert math.isnan(row["oi_change"])
    delta = made["delta_perp"].to_numpy()
    for place in range(CVD_CANDLES - 1, len(made)):
        assert made["cvd_perp"].iloc[place] == pytest.approx(delta[place + 1 - CVD_CANDLES : place + 1].sum())


def test_a_cut_after_any_second_changes_no_candle(values: Rows) -> None:
    whole = informative_frame(values, START, 300)
    for stop in (9_000, 9_001, 12_345, 19_999):
        part = informative_frame(values[:, :stop], START, 300)
        assert (ends_of(part, 300) <= START + stop).all()
        pd.testing.assert_frame_equal(part, whole.iloc[: len(part)])


def test_a_later_start_changes_nothing_once_the_memory_is_full(values: Rows) -> None:
    whole, part = (
        informative_frame(values, START, 300),
        informative_frame(values[:, 5_000:], START + 5_000, 300),
    )
    joined = part.merge(whole, on="date", suffixes=("", "_whole")).iloc[15:]
    assert len(joined) > 20
    for name in ("atr", "rsi", "vwma", "cvd_spot", "imbalance_perp", "liquidated_sell"):
        assert (joined[name] == joined[f"{name}_whole"]).all(), name


def test_ta_lib_and_technical_make_the_indicators(values: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where either library is not what the columns come from."""
    candles = candle_frame(values, START, 300).iloc[:-1]
    made = informative_frame(values, START, 300)
    high, low, close = (candles[name].to_numpy()[-15:] for name in ("high", "low", "close"))
    assert made["atr"].iloc[-1] == talib.ATR(high, low, close, timeperiod=14)[-1]
    assert made["rsi"].iloc[-1] == talib.RSI(close, timeperiod=14)[-1]
    np.testing.assert_allclose(made["vwma"], vwma(candles, 12), rtol=1e-9)
    called = []
    for module, name in ((talib, "ATR"), (talib, "RSI"), (informative, "vwma")):
        real = getattr(module, name)

        def noted(*args: object, _real: object = real, _name: str = name, **kwargs: object) -> object:
            called.append(_name)
            return _real(*args, **kwargs)  # type: ignore[operator]  # the library's own function

        monkeypatch.setattr(module, name, noted)
    informative_frame(values, START, 300)
    assert set(called) == {"ATR", "RSI", "vwma"}


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
@pytest.mark.parametrize("stop", [20_000, 5_000, 200, 0])
def test_a_row_gets_the_newest_candle_that_is_complete(values: Rows, timeframe: str, stop: int) -> None:
    seconds = TIMEFRAMES[timeframe]
    made = informative_frame(values[:, :stop], START, seconds)
    ends = ends_of(made, seconds).tolist()
    known = np.array(
        [START, START + 4_321, *(end + step for end in ends for step in (-1, 0, 1)), START + 30_000]
    )
    found = shown_candles(values[:, :stop], START, timeframe).at(known)
    assert tuple(found) == tuple(f"{name}_{timeframe}" for name in SHOWN_INFORMATIVE[timeframe])
    for name in SHOWN_INFORMATIVE[timeframe]:
        newest = [sum(end <= second for end in ends) - 1 for second in known.tolist()]
        wanted = [math.nan if place < 0 else made[name].iloc[place] for place in newest]
        np.testing.assert_array_equal(found[f"{name}_{timeframe}"], np.array(wanted), err_msg=name)


def test_indicators_at_a_second_are_the_last_candles(frame: pd.DataFrame, values: Rows) -> None:
    made = informative_frame(values, START, 300)
    flow = flow_of(frame)
    for stop in (9_000, 12_345):
        end = START + stop
        row = made[ends_of(made, 300) <= end].iloc[-1]
        for begin in (stop - MEMORY_S, 0):
            found = indicators_at(flow.part(begin, stop))
            assert (found.atr, found.rsi) == (row["atr"], row["rsi"])
    assert math.isnan(indicators_at(flow.part(0, 3_000)).atr)
    assert math.isnan(indicators_at(flow.part(0, 0)).rsi)
