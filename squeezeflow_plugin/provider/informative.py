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
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import talib
from technical.indicators import vwma

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.provider.candles import (
    MAX_CANDLES,
    VALUE_COLUMNS,
    candle_columns,
    candle_starts,
    frame_of,
)
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
    candles = _complete(values, first, seconds, limit)
    frame = frame_of(candles.starts, candles.columns)
    made: pd.DataFrame = frame.assign(**{name: make(candles) for name, make in _INDICATORS.items()})
    return made


@dataclass(frozen=True, slots=True, eq=False)
class _Candles:
    """Complete candles: where each begins, ``VALUE_COLUMNS``, and ``oi_change`` at its last second."""

    starts: npt.NDArray[np.int64]
    columns: FloatArray
    oi_change: FloatArray

    def column(self, name: str) -> FloatArray:
        found: FloatArray = self.columns[VALUE_COLUMNS.index(name)]
        return found

    def delta(self, kind: str) -> FloatArray:
        return self.column(f"{kind}_buy") - self.column(f"{kind}_sell")

    def cvd(self, kind: str) -> FloatArray:
        return _sums(self.delta(kind), CVD_CANDLES)

    def imbalance(self, kind: str) -> FloatArray:
        total = self.column(f"{kind}_buy") + self.column(f"{kind}_sell")
        share = np.full(len(total), math.nan)
        np.divide(self.delta(kind), total, out=share, where=total > 0)
        return share

    def atr(self) -> FloatArray:
        return _alone(
            lambda *last: talib.ATR(last[0], last[1], last[2], timeperiod=PERIOD),
            *(self.column(name) for name in ("high", "low", "close")),
        )

    def rsi(self) -> FloatArray:
        return _alone(lambda last: talib.RSI(last, timeperiod=PERIOD), self.column("close"))

    def vwma(self) -> FloatArray:
        traded = pd.DataFrame({name: self.column(name) for name in ("close", "volume")})
        return _rounded(vwma(traded, VWMA_CANDLES).to_numpy(dtype=np.float64))


_INDICATORS: Mapping[str, Callable[[_Candles], FloatArray]] = {
    **{
        f"{name}_{kind}": partial(make, kind=kind)
        for kind in ("spot", "perp")
        for name, make in (
            ("delta", _Candles.delta),
            ("cvd", _Candles.cvd),
            ("imbalance", _Candles.imbalance),
        )
    },
    "atr": _Candles.atr,
    "rsi": _Candles.rsi,
    "vwma": _Candles.vwma,
    "oi_change": lambda candles: candles.oi_change,
}


def _complete(values: FloatArray, first: int, seconds: int, limit: int) -> _Candles:
    """The complete ones of the newest ``limit`` candles, of which the last may be forming."""
    stop = first + values.shape[1]
    starts = candle_starts(first, stop, seconds, limit)
    starts = starts[starts + seconds <= stop]
    if len(starts) == 0:
        return _Candles(starts, np.empty((len(VALUE_COLUMNS), 0)), np.empty(0))
    end = int(starts[-1]) + seconds - first
    closes = starts + (seconds - 1 - first)
    columns = candle_columns(values[:, :end], first, starts)
    return _Candles(starts, columns, values[ROW_NAMES.index("oi_change"), closes])


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


@dataclass(frozen=True, slots=True, eq=False)
class ShownCandles:
    """What is shown of the complete candles of ``timeframe``, to be looked up by second.

    ``ends`` int64[n] the first second after each candle, ascending; ``values`` float64[columns, n + 1] the
    columns of ``SHOWN_INFORMATIVE`` by candle, the last one NaN for "none yet".
    """

    timeframe: str
    ends: npt.NDArray[np.int64]
    values: FloatArray

    def at(self, known: npt.NDArray[np.int64]) -> dict[str, FloatArray]:
        """The columns of the newest candle that is complete at each row: float64[n] by name, NaN for none.

        ``known`` int64[n] is the first second that the row does not know, its candle's end or now.
        """
        places = np.searchsorted(self.ends, known, side="right") - 1  # -1, none yet, is the last one
        found = self.values[:, places]
        names = (f"{name}_{self.timeframe}" for name in SHOWN_INFORMATIVE[self.timeframe])
        return dict(zip(names, found, strict=True))


def shown_candles(values: FloatArray, first: int, timeframe: str, limit: int = MAX_CANDLES) -> ShownCandles:
    """The shown columns of ``informative_frame``, and no others made, from the same rows."""
    candles = _complete(values, first, TIMEFRAMES[timeframe], limit)
    names = SHOWN_INFORMATIVE[timeframe]
    shown = np.full((len(names), len(candles.starts) + 1), math.nan)
    for row, name in enumerate(names):
        shown[row, :-1] = _INDICATORS[name](candles)
    return ShownCandles(timeframe, candles.starts + TIMEFRAMES[timeframe], shown)


NO_CANDLES: Mapping[str, ShownCandles] = {
    timeframe: ShownCandles(timeframe, np.empty(0, dtype=np.int64), np.full((len(names), 1), math.nan))
    for timeframe, names in SHOWN_INFORMATIVE.items()
}
"""What is shown by timeframe where nothing is known."""


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
