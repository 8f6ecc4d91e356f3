"""A second's blocks of trades become bars and packed ticks, and no trade an object.

It is ``ticks`` compiled: the same order, the same identity, the same additions, so that the same trades
give the same bits on either way. What is unusual - a repeated id, trades far out of order, trades of the same
market that came as values or by a connection of other markets - is given back as values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.ticks import TickColumns, pack_columns
from squeezeflow_plugin.compiling import UNCOUNTED, compiled, uncounted_part
from squeezeflow_plugin.feeds import blocks as at
from squeezeflow_plugin.feeds.blocks import FloatArray, IntArray, TradeBlock, WordArray, joined
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


@uncounted_part
def compared_ids(a: int, b: int, ints: IntArray, ids: WordArray) -> int:
    """Below, above or at 0 as the id of row ``a`` stands before, behind or with that of ``b``."""
    if ints[a, at.ID_LENGTH] != ints[b, at.ID_LENGTH]:
        return -1 if ints[a, at.ID_LENGTH] < ints[b, at.ID_LENGTH] else 1
    for k in range(ids.shape[1]):
        if ids[a, k] != ids[b, k]:
            return -1 if ids[a, k] < ids[b, k] else 1
    return 0


@uncounted_part
def put_in_order(begin: int, stop: int, order: IntArray, ints: IntArray, ids: WordArray) -> bool:
    """Sort these places of ``order`` by time and id, by insertion; False where that would take long."""
    left = MOVES * (stop - begin)
    for place in range(begin + 1, stop):
        row = order[place]
        to = place
        while to > begin:
            before = order[to - 1]
            if ints[before, at.TIME] < ints[row, at.TIME]:
                break
            if ints[before, at.TIME] == ints[row, at.TIME] and compared_ids(before, row, ints, ids) <= 0:
                break
            order[to] = before
            to -= 1
            left -= 1
        order[to] = row
        if left < 0:
            return False
    return True


@uncounted_part
def has_repeats(
    begin: int, stop: int, order: IntArray, ints: IntArray, ids: WordArray, places: IntArray
) -> bool:
    """Whether an id comes twice in these places of ``order``. Ids that rise with it do not."""
    is_rising = True
    for place in range(begin + 1, stop):
        if compared_ids(order[place - 1], order[place], ints, ids) >= 0:
            is_rising = False
            break
    if is_rising:
        return False
    size = 1
    while size < 2 * (stop - begin):
        size *= 2
    for place in range(size):
        places[place] = NO_ROW
    for place in range(begin, stop):
        row = order[place]
        mixed = np.uint64(ints[row, at.ID_LENGTH])
        for k in range(ids.shape[1]):
            mixed = (mixed ^ ids[row, k]) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        slot = np.int64(mixed & np.uint64(size - 1))
        while places[slot] != NO_ROW:
            if compared_ids(places[slot], row, ints, ids) == 0:
                return True
            slot = (slot + 1) & (size - 1)
        places[slot] = row
    return False


@uncounted_part
def count_in(
    row: int,
    market: int,
    is_first: bool,
    ints: IntArray,
    floats: FloatArray,
    amounts: FloatArray,
    fills: IntArray,
) -> None:
    """Add a trade to its bar, after all that come before it."""
    price, quote, signed = floats[row, at.PRICE], floats[row, at.QUOTE], ints[row, at.SIGNED]
    if is_first:
        amounts[market, OPEN] = amounts[market, HIGH] = amounts[market, LOW] = price
    amounts[market, HIGH] = max(amounts[market, HIGH], price)
    amounts[market, LOW] = min(amounts[market, LOW], price)
    amounts[market, CLOSE] = price
    if signed > 0:
        amounts[market, BOUGHT] += quote
        fills[market, 0] += signed
    else:
        amounts[market, SOLD] += quote
        fills[market, 1] -= signed


def _sources() -> str:
    """A digest of every file that the compiled function is made from (see ``phases/kernels/state.py``)."""
    return sha256(b"".join(Path(file).read_bytes() for file in (at.__file__, __file__))).hexdigest()


def _compile(sources: str) -> Callable[..., None]:
    def fold_rows(
        ints: IntArray,
        ids: WordArray,
        floats: FloatArray,
        second_ns: int,
        order: IntArray,
        places: IntArray,
        summary: Summary,
        columns: TickColumns,
    ) -> None:
        """Fill ``summary`` and ``columns`` from a block's rows, all of the second that begins at
        ``second_ns``; ``order`` int64[n] and ``places`` int64[2 n at least] are room to work in."""
        _ = sources
        stops, amounts, fills, id_stops, is_odd = summary
        after_ns, lengths, prices, quotes, signed, characters = columns
        markets = stops.shape[0]
        for row in range(ints.shape[0]):
            stops[ints[row, at.MARKET]] += 1
        begin = 0
        for market in range(markets):
            count = stops[market]
            stops[market] = begin
            begin += count
        for row in range(ints.shape[0]):
            market = ints[row, at.MARKET]
            order[stops[market]] = row
            stops[market] += 1
        written = 0
        begin = 0
        for market in range(markets):
            stop = stops[market]
            if not is_odd[market]:
                is_odd[market] = not put_in_order(begin, stop, order, ints, ids) or has_repeats(
                    begin, stop, order, ints, ids, places
                )
            if not is_odd[market]:
                for place in range(begin, stop):
                    row = order[place]
                    count_in(row, market, place == begin, ints, floats, amounts, fills)
                    after_ns[place] = ints[row, at.TIME] - second_ns
                    lengths[place] = ints[row, at.ID_LENGTH]
                    prices[place] = floats[row, at.PRICE]
                    quotes[place] = floats[row, at.QUOTE]
                    signed[place] = ints[row, at.SIGNED]
                    for k in range(ints[row, at.ID_LENGTH]):
                        shift = np.uint64(56 - 8 * (k % at.WORD))
                        characters[written] = (ids[row, k // at.WORD] >> shift) & np.uint64(255)
                        written += 1
            id_stops[market] = written
            begin = stop

    return compiled(fold_rows, **UNCOUNTED)


fold_rows = _compile(_sources())
