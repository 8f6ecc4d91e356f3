"""Bars of one second made into bars of a longer timeframe, in aggr-server's aggregation.

open and close are the first and last price, high and low the extremes, volumes and counts the sums. A bar
begins at a whole multiple of the timeframe since the epoch, in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.store.contract import BarColumns

_SUMS = ("vbuy", "vsell", "cbuy", "csell", "lbuy", "lsell")
_PRICES = ("open", "high", "low", "close")


def resample(columns: BarColumns, timeframe_s: int) -> BarColumns:
    """One row for each (start, market) that has a bar, ordered so; ``second`` is the start.

    ``known`` and ``revision`` are the largest of the rows that went in. Prices are NaN where no row had any.
    Resampling resampled bars gives what resampling the seconds gives (sums to the last bits).
    """
    start = columns.second // timeframe_s * timeframe_s
    # Columns come ordered by second; a stable sort keeps that order within a group.
    order = np.lexsort((columns.market, start))
    start, market = start[order], columns.market[order]
    first = np.flatnonzero(np.append(True, (np.diff(start) != 0) | (np.diff(market) != 0))[: len(start)])
    group = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(start))))
    prices = {name: getattr(columns, name)[order] for name in _PRICES}
    if not len(first):
        return columns
    sums = {name: np.add.reduceat(getattr(columns, name)[order], first) for name in _SUMS}
    return BarColumns(
        names=columns.names,
        market=market[first],
        second=start[first],
        known=np.maximum.reduceat(columns.known[order], first),
        revision=np.maximum.reduceat(columns.revision[order], first),
        open=_last(prices["open"][::-1], group[::-1], len(first)),
        high=np.fmax.reduceat(prices["high"], first),
        low=np.fmin.reduceat(prices["low"], first),
        close=_last(prices["close"], group, len(first)),
        **sums,
    )


def join(parts: Sequence[BarColumns]) -> BarColumns:
    """Columns of spans that follow each other, as one."""
    names = tuple(sorted({name for part in parts for name in part.names}))
    ids = {name: number for number, name in enumerate(names)}
    market = [
        np.array([ids[name] for name in part.names], dtype=np.int32)[part.market]
        for part in parts
        if len(part)
    ]
    fields = ("second", "known", "revision", *_PRICES, *_SUMS)
    return BarColumns(
        names=names,
        market=np.concatenate([np.empty(0, np.int32), *market]),
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields},
    )


def _last(
    values: npt.NDArray[np.float64], group: npt.NDArray[np.int64], groups: int
) -> npt.NDArray[np.float64]:
    """The last value of each group that is not NaN; of repeated indices numpy's assignment keeps the last."""
    found = np.full(groups, np.nan)
    known = ~np.isnan(values)
    found[group[known]] = values[known]
    return found
