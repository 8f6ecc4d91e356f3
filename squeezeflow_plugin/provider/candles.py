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
_AT = {name: ROW_NAMES.index(name) for name in ("volume", *FLOW_COLUMNS)}


def candle_starts(first: int, stop: int, seconds: int, limit: int = MAX_CANDLES) -> npt.NDArray[np.int64]:
    """The start of each candle that lies in the rows ``[first, stop)``, at most the newest ``limit``.

    A candle whose first second is not held is left out (the first rows hardly ever start one), the
    newest one counts as soon as its first second is there.

    >>> candle_starts(130, 245, 60).tolist()
    [180, 240]
    """
    start = -(-first // seconds) * seconds
    start = max(start, (stop - 1) // seconds * seconds - (limit - 1) * seconds)
    return np.arange(start, stop, seconds, dtype=np.int64)


def candle_frame(
    values: npt.NDArray[np.float64], first: int, seconds: int, limit: int = MAX_CANDLES
) -> pd.DataFrame:
    """Candles of ``seconds`` from rows of ``AssetRows``, oldest first, the last one possibly forming.

    ``values`` float64[len(ROW_NAMES), n] holds the rows from second ``first`` on, prices known in all of
    them. Columns: FreqTrade's six (``date`` the candle's start in UTC, ``volume`` of the reference market in
    base units), then ``spot_buy spot_sell perp_buy perp_sell`` and the forced orders ``liquidated_buy
    liquidated_sell`` summed in quote currency, and the mean coverage of both classes. An empty frame has
    the columns and no row.
    """
    starts = candle_starts(first, first + values.shape[1], seconds, limit)
    if len(starts) == 0:
        empty = pd.DataFrame({name: np.zeros(0) for name in CANDLE_COLUMNS + FLOW_COLUMNS})
        return empty.assign(date=pd.to_datetime(starts, unit="ms", utc=True))
    held = values[:, starts[0] - first :]
    edges = starts - starts[0]
    lengths = np.diff(np.append(edges, held.shape[1]))
    last = edges + lengths - 1
    sums = {name: np.add.reduceat(held[row], edges) for name, row in _AT.items()}
    return pd.DataFrame(
        {
            "date": pd.to_datetime(starts * 1000, unit="ms", utc=True),
            "open": held[OPEN, edges],
            "high": np.maximum.reduceat(held[HIGH], edges),
            "low": np.minimum.reduceat(held[LOW], edges),
            "close": held[CLOSE, last],
            "volume": sums["volume"],
            **{name: sums[name] for name in SUMMED_COLUMNS},
            **{name: sums[name] / lengths for name in ("coverage_spot", "coverage_perp")},
        }
    )
