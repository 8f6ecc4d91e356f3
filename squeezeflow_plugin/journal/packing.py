"""A block of trades as the payload of a frame: its columns, each as wide as it must be.

In words of 8 bytes, little-endian:

- byte 0 is ``MARK``, which begins no MessagePack array; byte 1 the version; byte 2 how many words each id
  has, 0 where every id is the decimal text of its number; byte 3 whether notionals are stored, which they
  are where one is not exactly price x size; bytes 4 to 7 how many trades (u32);
- how many bytes a value has in each column of ``TradeBlock.ints`` (u8 each: 0, 1, 2, 4 or 8), then 0, 0;
- the least value of TIME, SIGNED, RECEIVED and NUMBER (i64 each);
- prices, sizes and, where they are stored, notionals (f64);
- the ids' words (u64), trade by trade;
- each of the six columns, up to a full word: every value less the least one, which is 0 where none is given,
  and no ID_LENGTH where ids have no words;
- the names that column MARKET counts, a MessagePack array.

That is 28 to 36 bytes a trade of most exchanges, where many come at once: a third to a half of the same
trades' MessagePack. One alone takes as much as there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import sha256
from itertools import count, islice
from operator import mul
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from squeezeflow_plugin.compiling import UNCOUNTED, compiled, uncounted_part
from squeezeflow_plugin.feeds import blocks as at
from squeezeflow_plugin.feeds.blocks import FloatArray, IntArray, TradeBlock, WordArray
from squeezeflow_plugin.market import Trade

MARK: Final = 0xC1
VERSION: Final = 1
COLUMNS = 6
WIDTHS_WORD, LOWEST_WORD, HEAD_WORDS = 1, 2, 6
WITH_LEAST = (at.TIME, at.SIGNED, at.RECEIVED, at.NUMBER)
_CODES = {0: "", 1: "B", 2: "H", 4: "I", 8: "Q"}
_HEAD = struct.Struct("<BBBBI6B2x")

_ENCODE = msgspec.msgpack.Encoder().encode
_NAMES = msgspec.msgpack.Decoder(list[str]).decode


def pack(block: TradeBlock) -> tuple[bytes, int]:
    """The payload, and the newest time of receipt (the trade's own where that is unknown) in nanoseconds."""
    rows, words = block.ids.shape
    room = np.empty(HEAD_WORDS + rows * (3 + words + COLUMNS) + COLUMNS, np.uint64)
    places, used = np.empty((2, len(block.markets)), np.int64)
    size, markets, newest_ns = pack_rows(
        block.ints, block.ids, block.floats, room, room.view(np.float64), places, used
    )
    names = [block.markets[market] for market in used[:markets].tolist()]
    return room[:size].astype("<u8", copy=False).tobytes() + _ENCODE(names), int(newest_ns)


def unpack(payload: memoryview) -> list[Trade]:
    """The trades of the block that was packed.

    Raises ValueError or msgspec.MsgspecError where it is not as the module's text says.
    """
    if len(payload) < _HEAD.size:
        raise ValueError(f"{len(payload)} bytes are no block of trades")
    mark, version, words, has_quotes, rows, *widths = _HEAD.unpack_from(payload)
    if (mark, version) != (MARK, VERSION) or not 0 < rows < len(payload):
        raise ValueError(f"{mark:#x}, version {version}, {rows} trades: no block of trades")
    layout = _layout(rows, words, bool(has_quotes), tuple(widths))
    stop = _HEAD.size + layout.size
    if stop > len(payload):
        raise ValueError(f"{len(payload)} bytes are no block of {rows} trades")
    values = iter(layout.unpack_from(payload, _HEAD.size))
    lowest = dict(zip(WITH_LEAST, values, strict=False))
    prices, sizes = list(islice(values, rows)), list(islice(values, rows))
    quotes = list(islice(values, rows)) if has_quotes else list(map(mul, prices, sizes))
    spelled = b"".join(word.to_bytes(at.WORD, "big") for word in islice(values, rows * words)).decode("ascii")
    times, markets, signed, received, lengths, numbers = (
        _column(values, rows, width, lowest.get(kind, 0)) for kind, width in enumerate(widths)
    )
    names = _NAMES(payload[stop:])
    room = words * at.WORD
    if max(markets) >= len(names) or max(lengths) > room:
        raise ValueError(f"trades of {max(markets)} of {len(names)} markets, ids of {max(lengths)} of {room}")
    ids = (
        [spelled[begin : begin + length] for begin, length in zip(count(0, room), lengths, strict=False)]
        if words
        else map(str, numbers)
    )
    return [
        Trade(names[market], time, text, price, size, quote, 1 if fills > 0 else -1, abs(fills), False, came)
        for market, time, text, price, size, quote, fills, came in zip(
            markets, times, ids, prices, sizes, quotes, signed, received, strict=True
        )
    ]


@lru_cache
def _layout(rows: int, words: int, has_quotes: bool, widths: tuple[int, ...]) -> struct.Struct:
    """Everything between the head and the names. ValueError where a width is none."""
    if any(width not in _CODES for width in widths):
        raise ValueError(f"no columns have {widths} bytes")
    columns = [f"{rows}{_CODES[width]}{-rows * width % at.WORD}x" if width else "" for width in widths]
    return struct.Struct(f"<4q{(2 + has_quotes) * rows}d{rows * words}Q{''.join(columns)}")


def _column(values: Iterator[int], rows: int, width: int, least: int) -> list[int]:
    return [least + above for above in islice(values, rows)] if width else [least] * rows


def prepare() -> None:
    """Load the compiled packing from Numba's cache, or compile it."""
    pack(TradeBlock(("",), np.zeros((1, 6), np.int64), np.zeros((1, 1), np.uint64), np.ones((1, 3)), 0, 0))


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
    return sha256(b"".join(Path(file).read_bytes() for file in (at.__file__, __file__))).hexdigest()


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
