"""Rows as FreqTrade's backtest reads them, made one by one from a chunk's arrays where they are asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.provider.decisions import Signal

Row = list[Any]


class PairRows:
    """One pair's seconds of the chunk at hand, and the entries that may be taken at them.

    A row is what FreqTrade names in ``freqtrade.optimize.backtesting.HEADERS``: date, open, high, low, close,
    enter_long, exit_long, enter_short, exit_short, enter_tag, exit_tag. The decision of second s acts at
    the row of second ``s + 1 + delay_s``, the first at whose open an order can be filled.
    """

    def __init__(self, delay_s: int) -> None:
        self._lag_s = 1 + delay_s
        self._signals: dict[int, Signal] = {}
        self._acting: list[int] = []
        self._last: Row | None = None
        self.first = self.stop = 0
        self.low: FloatArray = np.empty(0)
        self.high: FloatArray = np.empty(0)
        self._open: FloatArray = np.empty(0)
        self._close: FloatArray = np.empty(0)

    def load(self, flow: Flow, signals: Iterable[Signal]) -> None:
        """Go on to the next chunk, with the signals that were decided in it."""
        self._acting = [second for second in self._acting if second >= self.stop]
        self._signals = {second: self._signals[second] for second in self._acting}
        for signal in signals:
            self._signals[signal.second + self._lag_s] = signal
        self._acting = sorted(self._signals)
        if len(flow) == 0:
            return
        self.first, self.stop = int(flow.time[0]), int(flow.time[-1]) + 1
        self._open, self.high, self.low, self._close = flow.open, flow.high, flow.low, flow.close

    def acts_at(self, second: int) -> int:
        """The second at which what was decided at ``second`` acts."""
        return second + self._lag_s

    def signal(self, second: int) -> Signal | None:
        """The entry that may be taken at this second."""
        return self._signals.get(second)

    def next_signal(self, second: int) -> int | None:
        """The first second from ``second`` on at which an entry may be taken, as far as is decided."""
        place = bisect_left(self._acting, second)
        return self._acting[place] if place < len(self._acting) else None

    def open_at(self, second: int) -> float | None:
        """The open of a second; None where the chunk has no row of it."""
        return float(self._open[second - self.first]) if self.first <= second < self.stop else None

    def row(self, second: int) -> Row | None:
        """The row of a second; None where the chunk has none, before the first known price."""
        if not self.first <= second < self.stop:
            return None
        place = second - self.first
        signal = self._signals.get(second)
        direction = 0 if signal is None else signal.event.direction
        return [
            pd.Timestamp(second, unit="s", tz="UTC"),
            float(self._open[place]),
            float(self.high[place]),
            float(self.low[place]),
            float(self._close[place]),
            int(direction > 0),
            0,
            int(direction < 0),
            0,
            None if signal is None else str(signal.event.tag),
            None,
        ]

    def __len__(self) -> int:
        return self.stop - self.first

    def __getitem__(self, place: int) -> Row:
        """A row by its place in the chunk; negative counts from its end."""
        second = (self.stop if place < 0 else self.first) + place
        found = self.row(second)
        if found is None:
            raise IndexError(f"row {place} of {len(self)}")
        return found
