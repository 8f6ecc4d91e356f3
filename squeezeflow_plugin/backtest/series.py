"""What is kept of a pair's seconds for results and pictures: candles of one minute, in a long run of more."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from squeezeflow_plugin.backtest.flows import AssetChunk
from squeezeflow_plugin.features.flow import FloatArray

MOST_POINTS = 10_000
"""So many points FreqUI and a browser draw without waiting."""
_NAMES = ("open", "high", "low", "close", "volume", "spot_delta", "perp_delta")


def grid_of(seconds: int) -> int:
    """Seconds of a candle: the fewest whole minutes that make at most ``MOST_POINTS`` of the span.

    >>> grid_of(86_400), grid_of(30 * 86_400)
    (60, 300)
    """
    return 60 * max(1, math.ceil(seconds / 60 / MOST_POINTS))


class Series:
    """Candles of one pair over the seconds ``[start, stop)``, and its net flows.

    ``spot_delta`` and ``perp_delta`` are bought minus sold volume in quote currency, summed over the candle.
    """

    def __init__(self, start: int, stop: int) -> None:
        self.grid_s = grid_of(stop - start)
        self._start = start
        self._parts: list[FloatArray] = []

    def add(self, chunk: AssetChunk) -> None:
        """Take in the chunk's seconds from ``start`` on; a candle that two chunks share becomes two."""
        flow = chunk.flow
        first = 0 if len(flow) == 0 else max(self._start - int(flow.time[0]), 0)
        if first >= len(flow):
            return
        time = flow.time[first:]
        edges = np.flatnonzero(np.diff(time // self.grid_s, prepend=-1))
        last = np.append(edges[1:], len(time)) - 1
        columns = (
            time[edges].astype(np.float64),
            flow.open[first:][edges],
            np.maximum.reduceat(flow.high[first:], edges),
            np.minimum.reduceat(flow.low[first:], edges),
            flow.close[first:][last],
            np.add.reduceat(chunk.volume[first:], edges),
            np.add.reduceat((flow.spot_buy - flow.spot_sell)[first:], edges),
            np.add.reduceat((flow.perp_buy - flow.perp_sell)[first:], edges),
        )
        self._parts.append(np.stack(columns))

    def candles(self) -> pd.DataFrame:
        """The candles with their ``date`` (UTC), FreqTrade's columns, ``spot_delta`` and ``perp_delta``."""
        values = np.concatenate(self._parts, axis=1) if self._parts else np.empty((len(_NAMES) + 1, 0))
        frame = pd.DataFrame(dict(zip(_NAMES, values[1:], strict=True)))
        milliseconds = values[0].astype(np.int64) * 1000
        frame.insert(0, "date", pd.to_datetime(milliseconds, unit="ms", utc=True))
        return frame
