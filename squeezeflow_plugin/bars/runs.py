"""How the trades of a block follow each other, market by market: what ``continuity`` decides by."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import cast

import numpy as np

from squeezeflow_plugin.compiling import UNCOUNTED, compiled
from squeezeflow_plugin.feeds import blocks as at
from squeezeflow_plugin.feeds.blocks import IntArray, TradeBlock

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
    places = np.empty(len(block.markets), np.int64)
    found = np.empty((min(len(block.markets), len(block.ints)), COLUMNS), np.int64)
    return cast("list[list[int]]", found[: find_runs(block.ints, places, found)].tolist())


def prepare() -> None:
    """Load the compiled search from Numba's cache, or compile it."""
    find_runs(np.empty((0, 6), np.int64), np.empty(0, np.int64), np.empty((0, COLUMNS), np.int64))


def _sources() -> str:
    """A digest of every file that the compiled function is made from (see ``phases/kernels/state.py``)."""
    return sha256(b"".join(Path(file).read_bytes() for file in (at.__file__, __file__))).hexdigest()


def _compile(sources: str) -> Callable[[IntArray, IntArray, IntArray], int]:
    def find_runs(ints: IntArray, places: IntArray, found: IntArray) -> int:
        """Fill ``found``, a row as ``runs_of`` says; how many there are. ``places`` is room to work in."""
        _ = sources
        places[:] = NONE
        count = 0
        for row in range(ints.shape[0]):
            market, time, number = ints[row, at.MARKET], ints[row, at.TIME], ints[row, at.NUMBER]
            before = number - abs(ints[row, at.SIGNED])
            place = places[market]
            if place == NONE:
                place = places[market] = count
                count += 1
                found[place, MARKET] = market
                found[place, BEFORE] = before
                found[place, LAST] = number
                found[place, NEWEST] = row
            elif before != found[place, LAST]:
                number = NONE
            if number < 0 or found[place, LAST] == NONE:
                found[place, BEFORE] = number = NONE
            found[place, LAST] = number
            found[place, LAST_NS] = time
            if time >= ints[found[place, NEWEST], at.TIME]:
                found[place, NEWEST] = row
        return count

    return compiled(find_runs, **UNCOUNTED)


find_runs = _compile(_sources())
