"""Seconds into candles: FreqTrade's columns and the flow beside them, the newest candle still forming."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from squeezeflow_plugin.features.layout import CLOSE, HIGH, LOW, OPEN
from squeezeflow_plugin.provider.rows import ROW_NAMES

MAX_CANDLES = 1000
CANDLE_COLUMNS = ("date", "open", "high", "low", "close", "volume")
SUMMED_COLUMNS = ("spot_buy", "spot_sell", "perp_buy", "perp_sell", "liquidated_buy", "liquidated_sell")
FLOW_COLUMNS = (*SUMMED_COLUMNS, "coverage_spot", "coverage_perp")
VALUE_COLUMNS = (*CANDLE_COLUMNS[1:], *FLOW_COLUMNS)
_SUMS, _MEANS = VALUE_COLUMNS.index("volume"), VALUE_COLUMNS.index("coverage_spot")
_ADDED = [ROW_NAMES.index(name) for name in VALUE_COLUMNS[_SUMS:]]
_VALUE_INDEX = pd.Index(VALUE_COLUMNS)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def candle_starts(first: int, stop: int, seconds: int, limit: int = MAX_CANDLES) -> IntArray:
    """The start of each candle that lies in the rows ``[first, stop)``, at most the newest ``limit``.

    A candle whose first second is not held is left out (the first rows hardly ever start one), the
    newest one counts as soon as its first second is there.

    >>> candle_starts(130, 245, 60).tolist()
    [180, 240]
    """
    start = -(-first // seconds) * seconds
    start = max(start, (stop - 1) // seconds * seconds - (limit - 1) * seconds)
    return np.arange(start, stop, seconds, dtype=np.int64)


def candle_columns(values: FloatArray, first: int, starts: IntArray) -> FloatArray:
    """The candles that begin at ``starts``: float64[len(VALUE_COLUMNS), len(starts)].

    ``values`` float64[len(ROW_NAMES), n] holds the rows from second ``first`` on, prices known in all of
    them; each candle reaches to the next one, the last to the end of the rows. ``starts`` is not empty. What
    a candle says depends on its own rows only, down to the last bit.
    """
    held = values[:, starts[0] - first :]
    edges = starts - starts[0]
    lengths = np.diff(np.append(edges, held.shape[1]))
    made = np.empty((len(VALUE_COLUMNS), len(starts)))
    made[:_SUMS] = (
        held[OPEN, edges],
        np.maximum.reduceat(held[HIGH], edges),
        np.minimum.reduceat(held[LOW], edges),
        held[CLOSE, edges + lengths - 1],
    )
    for place, row in enumerate(_ADDED, start=_SUMS):
        np.add.reduceat(held[row], edges, out=made[place])
    made[_MEANS:] /= lengths
    return made


def frame_of(starts: IntArray, columns: FloatArray) -> pd.DataFrame:
    """FreqTrade's frame of candles that ``candle_columns`` made; ``columns`` is not copied.

    ``date`` is the candle's start in UTC. Without candles the frame has its columns and no row.
    """
    frame = pd.DataFrame(columns.T, columns=_VALUE_INDEX, copy=False)
    frame.insert(0, "date", pd.DatetimeIndex((starts * 1_000_000).view("M8[us]"), tz="UTC"))
    return frame


def candle_frame(values: FloatArray, first: int, seconds: int, limit: int = MAX_CANDLES) -> pd.DataFrame:
    """Candles of ``seconds`` from rows of ``AssetRows``, oldest first, the last one possibly forming.

    ``values`` float64[len(ROW_NAMES), n] holds the rows from second ``first`` on, prices known in all of
    them. Columns: FreqTrade's six (``date`` the candle's start in UTC, ``volume`` of the reference market in
    base units), then ``spot_buy spot_sell perp_buy perp_sell`` and the forced orders ``liquidated_buy
    liquidated_sell`` summed in quote currency, and the mean coverage of both classes. An empty frame has
    the columns and no row.
    """
    starts = candle_starts(first, first + values.shape[1], seconds, limit)
    if len(starts) == 0:
        return frame_of(starts, np.empty((len(VALUE_COLUMNS), 0)))
    return frame_of(starts, candle_columns(values, first, starts))


class GrowingCandles:
    """Candles of one length of rows that grow second by second: each finished one is made once.

    The newest candle is made anew each time, and so are those that ``revised`` names.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._starts = np.empty(0, dtype=np.int64)
        self._columns = np.empty((len(VALUE_COLUMNS), 0))

    def revised(self, second: int) -> None:
        """Rows from ``second`` on are others than they were."""
        self._keep(0, int(np.searchsorted(self._starts, second - self._seconds, side="right")))

    def frame(self, values: FloatArray, first: int) -> pd.DataFrame:
        """What ``candle_frame`` makes of these rows; they go on where those of the last call ended."""
        starts = candle_starts(first, first + values.shape[1], self._seconds)
        if len(starts) == 0:
            return candle_frame(values, first, self._seconds)
        self._keep(int(np.searchsorted(self._starts, starts[0])), len(self._starts) - 1)
        if len(self._starts) and self._starts[0] != starts[0]:
            self._keep(0, 0)
        fresh = starts[len(self._starts) :]
        made = np.concatenate((self._columns, candle_columns(values, first, fresh)), axis=1)
        self._starts, self._columns = starts, made
        return frame_of(starts, made.copy())

    def _keep(self, start: int, stop: int) -> None:
        """Forget the candles outside of these places."""
        stop = max(stop, start)
        self._starts, self._columns = self._starts[start:stop], self._columns[:, start:stop]
