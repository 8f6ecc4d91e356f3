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
from collections.abc import Iterator
from functools import lru_cache
from itertools import count, islice
from operator import mul
from typing import Final

import msgspec
import numpy as np

from squeezeflow_plugin.feeds import blocks as at
from squeezeflow_plugin.feeds.blocks import TradeBlock
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
    from squeezeflow_plugin.journal.kernels import pack_rows  # noqa: PLC0415 - Numba comes with it, which only a busy collector needs

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
