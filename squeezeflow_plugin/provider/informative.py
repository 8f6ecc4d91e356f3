"""Informative frames: complete candles of 5 minutes to an hour with flow and the usual indicators.

They are for plots, optional filters and the emergency stop; no score is made from them. Two rules keep them
honest. A candle counts once it is complete, so no row knows a second that had not closed. And every value
is a function of a fixed number of candles: TA-Lib's ATR and RSI remember all that they were ever given, so
each value here is theirs over the last ``INDICATOR_CANDLES`` candles alone, and the running CVD is that of
the last ``CVD_CANDLES``. Then a bot that has just started and a backtest of a month agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import talib
from technical.indicators import vwma

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.provider.candles import MAX_CANDLES, candle_frame
from squeezeflow_plugin.provider.rows import ROW_NAMES

TIMEFRAMES: Mapping[str, int] = {"5m": 300, "15m": 900, "30m": 1800, "1h": 3600}
PERIOD = 14
INDICATOR_CANDLES = PERIOD + 1  # a change or a true range needs the close before
CVD_CANDLES = 12
VWMA_CANDLES = 12
SHOWN_INFORMATIVE: Mapping[str, tuple[str, ...]] = {
    "5m": ("atr", "rsi", "vwma", "cvd_spot", "cvd_perp", "oi_change"),
    **dict.fromkeys(("15m", "30m", "1h"), ("imbalance_spot", "imbalance_perp")),
}
"""The columns shown beside the bot's own candles, by timeframe: those that the warm-up rows suffice for."""
MEMORY_S = (INDICATOR_CANDLES + 1) * TIMEFRAMES["5m"]
"""Rows in which the last five-minute candle's ATR and RSI are known, wherever they begin."""

FloatArray = npt.NDArray[np.float64]


def informative_frame(values: FloatArray, first: int, seconds: int, limit: int = MAX_CANDLES) -> pd.DataFrame:
    """The complete candles of ``seconds`` in rows of ``AssetRows`` from second ``first`` on, oldest first.

    The columns of ``candle_frame``, and for ``spot`` and ``perp``: ``delta_``, buy minus sell in quote
    currency; ``cvd_``, its sum over ``CVD_CANDLES`` candles; ``imbalance_``, delta over volume, -1..1.
    ``atr`` and ``rsi`` over ``PERIOD`` candles and ``vwma`` over ``VWMA_CANDLES`` are of the reference
    market. ``oi_change`` is the last one known at the candle's end. NaN: too few candles yet, a candle
    without volume, or open interest that nobody publishes.
    """
    stop = first + values.shape[1]
    frame = candle_frame(values, first, seconds, limit)
    ends = frame["date"].dt.as_unit("s").astype("int64") + seconds
    frame = frame[ends <= stop].reset_index(drop=True)
    added = {}
    for kind in ("spot", "perp"):
        buy, sell = frame[f"{kind}_buy"], frame[f"{kind}_sell"]
        added[f"delta_{kind}"] = buy - sell
        added[f"cvd_{kind}"] = _sums((buy - sell).to_numpy(), CVD_CANDLES)
        added[f"imbalance_{kind}"] = (buy - sell) / (buy + sell).where(buy + sell > 0)
    high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
    closes = (ends[ends <= stop] - 1 - first).to_numpy()
    made: pd.DataFrame = frame.assign(
        **added,
        atr=_alone(lambda *last: talib.ATR(last[0], last[1], last[2], timeperiod=PERIOD), high, low, close),
        rsi=_alone(lambda last: talib.RSI(last, timeperiod=PERIOD), close),
        vwma=_rounded(vwma(frame, VWMA_CANDLES).to_numpy(dtype=np.float64)),
        oi_change=values[ROW_NAMES.index("oi_change"), closes],
    )
    return made


def _sums(values: FloatArray, rows: int) -> FloatArray:
    """The sum of the last ``rows`` values, each added anew; NaN where there are fewer."""
    out = np.full(len(values), math.nan)
    if len(values) >= rows:
        out[rows - 1 :] = np.lib.stride_tricks.sliding_window_view(values, rows).sum(axis=1)
    return out


def _alone(indicator: Callable[..., FloatArray], *columns: FloatArray) -> FloatArray:
    """The indicator's last value over ``INDICATOR_CANDLES`` candles alone; NaN where there are fewer."""
    out = np.full(len(columns[0]), math.nan)
    for stop in range(INDICATOR_CANDLES, len(out) + 1):
        out[stop - 1] = indicator(*(column[stop - INDICATOR_CANDLES : stop] for column in columns))[-1]
    return out


def _rounded(values: FloatArray, digits: int = 10) -> FloatArray:
    """Rounded to so many digits: the last bits of pandas' running sums tell where the frame began."""
    size = np.floor(np.log10(np.abs(values), where=values != 0, out=np.zeros_like(values)))
    scale = 10.0 ** (digits - 1 - size)
    rounded: FloatArray = np.rint(values * scale) / scale
    return rounded


def aligned(frame: pd.DataFrame, timeframe: str, known: npt.NDArray[np.int64]) -> dict[str, FloatArray]:
    """The shown columns of the newest candle that is complete at each row: float64[n] by name, NaN for none.

    ``known`` int64[n] is the first second that the row does not know, its candle's end or now.
    """
    ends = frame["date"].dt.as_unit("s").astype("int64").to_numpy() + TIMEFRAMES[timeframe]
    places = np.searchsorted(ends, known, side="right") - 1
    out = {}
    for name in SHOWN_INFORMATIVE[timeframe]:
        column = np.append(frame[name].to_numpy(dtype=np.float64), math.nan)
        out[name] = column[places]  # place -1, none yet, is the NaN at the end
    return out


@dataclass(frozen=True, slots=True)
class Indicators:
    """What the last complete five-minute candle says: ``atr`` in price, ``rsi`` 0..100; NaN where unknown."""

    atr: float
    rsi: float


def indicators_at(flow: Flow) -> Indicators:
    """The indicators as known at the end of ``flow``, from its last ``MEMORY_S`` rows.

    >>> flat = {name: np.full(5000, 2.0) for name in ("open", "high", "low", "close")}
    >>> none = {name: np.zeros(5000) for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell")}
    >>> indicators_at(Flow.from_columns({"time": np.arange(5000), **flat, **none})).atr
    0.0
    """
    part = flow.part(max(len(flow) - MEMORY_S, 0), len(flow))
    values = np.zeros((len(ROW_NAMES), len(part)))
    values[: len(part.matrix())] = part.matrix()
    first = int(part.time[0]) if len(part) else 0
    frame = informative_frame(values, first, TIMEFRAMES["5m"])
    if frame.empty:
        return Indicators(math.nan, math.nan)
    return Indicators(float(frame["atr"].iloc[-1]), float(frame["rsi"].iloc[-1]))
