"""Compiled packing of a block's columns, for ``packing``, which makes the room that it fills."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from squeezeflow_plugin.compiling import UNCOUNTED, compiled, uncounted_part
from squeezeflow_plugin.feeds import blocks as at
from squeezeflow_plugin.feeds.blocks import FloatArray, IntArray, WordArray
from squeezeflow_plugin.journal import packing
from squeezeflow_plugin.journal.packing import COLUMNS, HEAD_WORDS, LOWEST_WORD, MARK, VERSION, WIDTHS_WORD


@uncounted_part
def find_markets(ints: IntArray, places: IntArray, used: IntArray) -> int:
    """Count the markets that have trades: ``used`` are these, ``places`` where in it each of them is."""
    places[:] = -1
    markets = 0
    for row in range(ints.shape[0]):
        market = ints[row, at.MARKET]
        if places[market] < 0:
            places[market] = markets
            used[markets] = market
            markets += 1
    return markets


@uncounted_part
def newest_receipt(ints: IntArray) -> np.int64:
    """The newest time of receipt; where that is unknown the trade's own counts."""
    newest_ns = np.int64(0)
    for row in range(ints.shape[0]):
        newest_ns = max(newest_ns, ints[row, at.RECEIVED] or ints[row, at.TIME])
    return newest_ns


@uncounted_part
def are_products(floats: FloatArray) -> bool:
    """Whether every notional is exactly price x size, which a zero may be with another sign."""
    for row in range(floats.shape[0]):
        quote = floats[row, at.QUOTE]
        if quote != floats[row, at.PRICE] * floats[row, at.SIZE] or quote == 0.0:
            return False
    return True


@uncounted_part
def span_of(ints: IntArray, kind: int) -> tuple[np.int64, np.int64]:
    """The least and the greatest value of a column."""
    least = most = ints[0, kind]
    for row in range(1, ints.shape[0]):
        least = min(least, ints[row, kind])
        most = max(most, ints[row, kind])
    return least, most


@uncounted_part
def words_of(ints: IntArray) -> int:
    """How many words the longest id has; 0 where every id is the text of its number."""
    if span_of(ints, at.NUMBER)[0] >= 0:
        return 0
    return max(int(span_of(ints, at.ID_LENGTH)[1] + at.WORD - 1) // at.WORD, 1)


@uncounted_part
def width_of(span: np.uint64) -> int:
    """How many bytes hold every value from 0 to ``span``."""
    if span == np.uint64(0):
        return 0
    if span < np.uint64(1 << 8):
        return 1
    if span < np.uint64(1 << 16):
        return 2
    if span < np.uint64(1 << 32):
        return 4
    return 8


@uncounted_part
def put_floats(floats: FloatArray, kind: int, amounts: FloatArray, place: int) -> int:
    """Put a column there; where it ends."""
    for row in range(floats.shape[0]):
        amounts[place + row] = floats[row, kind]
    end: int = place + floats.shape[0]
    return end


@uncounted_part
def put_ids(ids: WordArray, words: int, room: WordArray, place: int) -> int:
    """Put the ids there, that many words of each; where they end."""
    for row in range(ids.shape[0]):
        for k in range(words):
            room[place + k] = ids[row, k]
        place += words
    return place


@uncounted_part
def put_column(
    ints: IntArray,
    kind: int,
    least: np.int64,
    width: np.int64,
    places: IntArray,
    room: WordArray,
    place: int,
) -> int:
    """Put a column there, with ``places`` instead of markets; where it ends."""
    if width == 0:
        return place
    shift = np.uint64(0)
    word = np.uint64(0)
    for row in range(ints.shape[0]):
        value = ints[row, kind]
        if kind == at.MARKET:
            value = places[value]
        word |= np.uint64(value - least) << shift
        shift += np.uint64(8 * width)
        if shift == np.uint64(64):
            room[place] = word
            place += 1
            shift = np.uint64(0)
            word = np.uint64(0)
    if shift != np.uint64(0):
        room[place] = word
        place += 1
    return place


def _sources() -> str:
    """A digest of every file that the compiled function is made from (see ``phases/kernels/state.py``)."""
    return sha256(
        b"".join(Path(file).read_bytes() for file in (at.__file__, packing.__file__, __file__))
    ).hexdigest()


def _compile(sources: str) -> Callable[..., tuple[int, int, np.int64]]:
    def pack_rows(
        ints: IntArray,
        ids: WordArray,
        floats: FloatArray,
        room: WordArray,
        amounts: FloatArray,
        places: IntArray,
        used: IntArray,
    ) -> tuple[int, int, np.int64]:
        """Pack the columns into ``room``, of which ``amounts`` is another view; how many words that takes,
        how many markets have trades, and the newest time of receipt. ``used`` are those markets, ``places``
        is room to work in, one for each market as well."""
        _ = sources
        markets = find_markets(ints, places, used)
        is_product = are_products(floats)
        words = words_of(ints)
        widths = np.uint64(0)
        place = LOWEST_WORD
        for kind in range(COLUMNS):
            least = most = np.int64(0)
            if kind == at.MARKET:
                most = np.int64(markets - 1)
            elif kind != at.ID_LENGTH:
                least, most = span_of(ints, kind)
                room[place] = np.uint64(least)
                place += 1
            elif words:
                most = span_of(ints, kind)[1]
            widths |= np.uint64(width_of(np.uint64(most) - np.uint64(least))) << np.uint64(8 * kind)
        room[0] = (
            np.uint64(MARK)
            | np.uint64(VERSION) << np.uint64(8)
            | np.uint64(words) << np.uint64(16)
            | np.uint64(not is_product) << np.uint64(24)
            | np.uint64(ints.shape[0]) << np.uint64(32)
        )
        room[WIDTHS_WORD] = widths
        place = put_floats(floats, at.PRICE, amounts, HEAD_WORDS)
        place = put_floats(floats, at.SIZE, amounts, place)
        if not is_product:
            place = put_floats(floats, at.QUOTE, amounts, place)
        place = put_ids(ids, words, room, place)
        lowest = LOWEST_WORD
        for kind in range(COLUMNS):
            width = np.int64((widths >> np.uint64(8 * kind)) & np.uint64(255))
            least = np.int64(0)
            if kind != at.MARKET and kind != at.ID_LENGTH:  # noqa: PLR1714  # numbers compare quickest so
                least = np.int64(room[lowest])
                lowest += 1
            place = put_column(ints, kind, least, width, places, room, place)
        return place, markets, newest_receipt(ints)

    return compiled(pack_rows, **UNCOUNTED)


pack_rows = _compile(_sources())
