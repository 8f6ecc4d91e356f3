"""How the trades of a block follow each other, market by market: what ``continuity`` decides by."""

from __future__ import annotations

from typing import cast

import numpy as np

from squeezeflow_plugin.feeds.blocks import TradeBlock

COLUMNS = 5
MARKET, BEFORE, LAST, LAST_NS, NEWEST = range(COLUMNS)
NONE = -1


def runs_of(block: TradeBlock) -> list[list[int]]:
    """Of each market that has trades, by the first of them: five numbers.

    Its position in ``block.markets``; where its ids follow each other without a hole, the one before the
    first of them, and the last one, and else twice -1; the time of the trade that came last; and the row of
    the trade of the latest time, the last one where several are of it.

    >>> ints = np.array([[9, 0, 1, 1, 1, 4], [8, 0, -2, 1, 1, 6]])
    >>> runs_of(TradeBlock(("X:a",), ints, np.zeros((2, 1), np.uint64), np.zeros((2, 3)), 0, 0))
    [[0, 3, 6, 8, 0]]
    """
    from squeezeflow_plugin.bars.kernels import find_runs  # noqa: PLC0415 - Numba comes with it, which only a busy collector needs

    places = np.empty(len(block.markets), np.int64)
    found = np.empty((min(len(block.markets), len(block.ints)), COLUMNS), np.int64)
    return cast("list[list[int]]", found[: find_runs(block.ints, places, found)].tolist())


def prepare() -> None:
    """Load the compiled search from Numba's cache, or compile it."""
    runs_of(TradeBlock((), np.empty((0, 6), np.int64), np.empty((0, 1), np.uint64), np.empty((0, 3)), 0, 0))
