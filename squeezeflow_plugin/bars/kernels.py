"""Compiled loops over a block's rows, for ``folding`` and ``runs``, which make the room that they fill."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from squeezeflow_plugin.bars import folding, runs
from squeezeflow_plugin.bars.folding import BOUGHT, CLOSE, HIGH, LOW, MOVES, NO_ROW, OPEN, SOLD, Summary
from squeezeflow_plugin.bars.runs import BEFORE, LAST, LAST_NS, MARKET, NEWEST, NONE
from squeezeflow_plugin.bars.ticks import TickColumns
from squeezeflow_plugin.compiling import UNCOUNTED, compiled, uncounted_part
from squeezeflow_plugin.feeds import blocks as at
from squeezeflow_plugin.feeds.blocks import FloatArray, IntArray, WordArray


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
    """A digest of every file that the compiled functions are made from (see ``phases/kernels/state.py``)."""
    files = (at.__file__, folding.__file__, runs.__file__, __file__)
    return sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


def _compile_folding(sources: str) -> Callable[..., None]:
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


fold_rows = _compile_folding(_sources())


def _compile_runs(sources: str) -> Callable[[IntArray, IntArray, IntArray], int]:
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


find_runs = _compile_runs(_sources())
