"""A second's blocks of trades become bars and packed ticks, and no trade an object.

It is ``ticks`` compiled: the same order, the same identity, the same additions, so that the same trades
give the same bits on either way. What is unusual - a repeated id, trades far out of order, trades of the same
market that came as values or by a connection of other markets - is given back as values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.ticks import TickColumns, pack_columns
from squeezeflow_plugin.feeds import blocks as at
from squeezeflow_plugin.feeds.blocks import FloatArray, IntArray, TradeBlock, joined
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, Trade

OPEN, HIGH, LOW, CLOSE, BOUGHT, SOLD = range(6)
"""Columns of ``Summary.amounts``."""
MOVES = 16
"""Places that a trade may be away from its own, on average; out of order beyond that is sorted elsewhere."""
NO_ROW = -1


class Found(NamedTuple):
    """A market's bar, and its ticks as ``ticks.unpack`` takes them."""

    bar: Bar
    packed: bytes
    trades: int


class Summary(NamedTuple):
    """Per market of a group: where its rows end in the order, float64[m, 6], fills bought and sold, where the
    characters of its ids end, and whether it is left to somebody else."""

    stops: IntArray
    amounts: FloatArray
    fills: IntArray
    id_stops: IntArray
    is_odd: npt.NDArray[np.bool_]


class OpenBlocks:
    """The blocks of the seconds that are still open."""

    def __init__(self) -> None:
        self._blocks: dict[int, list[TradeBlock]] = {}
        self._newest: list[TradeBlock] = []

    def add(self, block: TradeBlock, closed: int, until: int) -> list[Trade]:
        """Take its trades of the seconds after ``closed``, up to ``until``; the others are given back."""
        self._newest.append(block)
        others: list[Trade] = []
        if not closed < block.first <= block.last <= until:
            seconds = block.ints[:, at.TIME] // NS_PER_SECOND
            is_open = (seconds > closed) & (seconds <= until)
            others = block.trades(~is_open)
            if not is_open.any():
                return others
            block = block.of(is_open)
        for second, some in block.by_second():
            self._blocks.setdefault(second, []).append(some)
        return others

    def take_newest(self) -> list[Trade]:
        """The last trade of each market in every block since the last call, block by block."""
        taken, self._newest = self._newest, []
        return [trade for block in taken for trade in block.newest()]

    def seconds(self) -> list[int]:
        """Those of which there are any."""
        return list(self._blocks)

    def count(self) -> int:
        """How many trades wait."""
        return sum(len(block.ints) for blocks in self._blocks.values() for block in blocks)

    def take(self, second: int) -> list[Trade]:
        """That second's trades as values; they are no longer here."""
        return [trade for block in self._blocks.pop(second, ()) for trade in block.trades()]

    def fold(self, second: int, others: Collection[str]) -> tuple[list[Found], list[Trade]]:
        """What becomes of that second, whose trades are no longer here: bars, and unusual trades as values.

        ``others`` are markets of which there are trades elsewhere.
        """
        groups: dict[tuple[str, ...], list[TradeBlock]] = {}
        for block in self._blocks.pop(second, ()):
            groups.setdefault(block.markets, []).append(block)
        times_named = Counter(name for names in groups for name in names)
        found: list[Found] = []
        unusual: list[Trade] = []
        for names, blocks in groups.items():
            block = joined(blocks)
            is_odd = np.array([name in others or times_named[name] > 1 for name in names], np.bool_)
            summary, columns = _folded(block, second, is_odd)
            found += _bars(names, second, summary, columns)
            is_unusual = summary.is_odd[block.ints[:, at.MARKET]]
            if is_unusual.any():
                unusual += block.trades(is_unusual)
        return found, unusual


def prepare() -> None:
    """Load the compiled folding from Numba's cache, or compile it."""
    none = np.empty((0, 6), np.int64)
    block = TradeBlock(("",), none, np.empty((0, 1), np.uint64), np.empty((0, 3)), 0, 0)
    _folded(block, 0, np.zeros(1, np.bool_))


def _folded(block: TradeBlock, second: int, is_odd: npt.NDArray[np.bool_]) -> tuple[Summary, TickColumns]:
    from squeezeflow_plugin.bars.kernels import fold_rows  # noqa: PLC0415 - Numba comes with it, which only a busy collector needs

    rows, markets, words = len(block.ints), len(block.markets), block.ids.shape[1]
    summary = Summary(
        np.zeros(markets, np.int64),
        np.zeros((markets, 6)),
        np.zeros((markets, 2), np.int64),
        np.zeros(markets, np.int64),
        is_odd,
    )
    columns = TickColumns(
        np.empty(rows, np.uint32),
        np.empty(rows, np.uint8),
        np.empty(rows),
        np.empty(rows),
        np.empty(rows, np.int32),
        np.empty(rows * words * at.WORD, np.uint8),
    )
    order, places = np.empty(rows, np.int64), np.empty(1 << (2 * rows).bit_length(), np.int64)
    fold_rows(block.ints, block.ids, block.floats, second * NS_PER_SECOND, order, places, summary, columns)
    return summary, columns


def _bars(names: tuple[str, ...], second: int, summary: Summary, columns: TickColumns) -> list[Found]:
    found = []
    begin = id_begin = 0
    for name, stop, id_stop, is_odd, amounts, (buys, sells) in zip(
        names,
        summary.stops.tolist(),
        summary.id_stops.tolist(),
        summary.is_odd.tolist(),
        summary.amounts.tolist(),
        summary.fills.tolist(),
        strict=True,
    ):
        if stop > begin and not is_odd:
            some = columns.of(slice(begin, stop), slice(id_begin, id_stop))
            packed = pack_columns(second * NS_PER_SECOND, some)
            opened, high, low, close, bought, sold = amounts
            bar = Bar(name, second, opened, high, low, close, bought, sold, buys, sells, 0.0, 0.0)
            found.append(Found(bar, packed, stop - begin))
        begin, id_begin = stop, id_stop
    return found
