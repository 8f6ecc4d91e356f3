"""Trades as columns: what a batch of frames becomes before anybody needs a trade as an object.

A million trades a second leave no time for an object each. A block holds the trades of one connection in the
order of receipt, as three arrays a row of which is a trade; ``Trade`` values are made of it where somebody
asks for them, and they are what the session's own ``parse`` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.market import NS_PER_SECOND, Trade

IntArray = npt.NDArray[np.int64]
WordArray = npt.NDArray[np.uint64]
FloatArray = npt.NDArray[np.float64]
Rows = IntArray | npt.NDArray[np.bool_]
"""Positions of rows, or for each whether it is meant."""

TIME, MARKET, SIGNED, RECEIVED, ID_LENGTH, NUMBER = range(6)
"""Columns of ``ints``: exchange_ns; position in ``markets``; taker side x fills; received_ns; characters of
the id; the id as a number where it is the usual text of one, of at most 18 digits, else -1."""
PRICE, SIZE, QUOTE = range(3)
"""Columns of ``floats``: quote currency a base unit; base units; notional in quote currency."""
WORD: Final = 8


class TradeBlock(NamedTuple):
    """At least one trade, none of them a liquidation.

    ``ints`` (n, 6) and ``floats`` (n, 3) as above; ``ids`` (n, w) the ids' characters, eight to a word, the
    first one highest, so that words compare as texts of one length do. ``first`` and ``last`` are the
    earliest and the latest second among them.
    """

    markets: tuple[str, ...]
    ints: IntArray
    ids: WordArray
    floats: FloatArray
    first: int
    last: int

    @property
    def received_ns(self) -> int:
        """When the last of them came."""
        return int(self.ints[-1, RECEIVED])

    def trades(self, rows: Rows | None = None) -> list[Trade]:
        """All of them, or those rows, as values."""
        chosen = self if rows is None else self.of(rows)
        floats = chosen.floats
        return [
            Trade(self.markets[market], time, text, price, size, quote, side, count, False, received)
            for market, time, text, price, size, quote, side, count, received in zip(
                chosen.ints[:, MARKET].tolist(),
                chosen.ints[:, TIME].tolist(),
                texts(chosen.ids, chosen.ints[:, ID_LENGTH]),
                floats[:, PRICE].tolist(),
                floats[:, SIZE].tolist(),
                floats[:, QUOTE].tolist(),
                np.sign(chosen.ints[:, SIGNED]).tolist(),
                np.abs(chosen.ints[:, SIGNED]).tolist(),
                chosen.ints[:, RECEIVED].tolist(),
                strict=True,
            )
        ]

    def id_of(self, row: int) -> str:
        """The trade id of that row."""
        number = int(self.ints[row, NUMBER])
        return str(number) if number >= 0 else texts(self.ids[[row]], self.ints[[row], ID_LENGTH])[0]

    def of(self, rows: Rows) -> TradeBlock:
        """A block of those rows."""
        ints = self.ints[rows]
        return block_of(self.markets, ints, self.ids[rows], self.floats[rows])

    def newest(self) -> list[Trade]:
        """The last one of each market, by market."""
        last = np.full(len(self.markets), -1)
        last[self.ints[:, MARKET]] = np.arange(len(self.ints))  # of those given for one place the last stays
        return self.trades(last[last >= 0])

    def by_second(self) -> Iterator[tuple[int, TradeBlock]]:
        """Its trades, second by second."""
        if self.first == self.last:
            yield self.first, self
            return
        seconds = self.ints[:, TIME] // NS_PER_SECOND
        for second in np.unique(seconds).tolist():
            yield second, self.of(seconds == second)


def block_of(markets: tuple[str, ...], ints: IntArray, ids: WordArray, floats: FloatArray) -> TradeBlock:
    """A block of these columns."""
    times = ints[:, TIME]
    first, last = int(times.min()) // NS_PER_SECOND, int(times.max()) // NS_PER_SECOND
    return TradeBlock(markets, ints, ids, floats, first, last)


def joined(blocks: Sequence[TradeBlock]) -> TradeBlock:
    """One of several, all of the same markets."""
    if len(blocks) == 1:
        return blocks[0]
    words = max(block.ids.shape[1] for block in blocks)
    return TradeBlock(
        blocks[0].markets,
        np.concatenate([block.ints for block in blocks]),
        np.concatenate([_widened(block.ids, words) for block in blocks]),
        np.concatenate([block.floats for block in blocks]),
        min(block.first for block in blocks),
        max(block.last for block in blocks),
    )


def _widened(ids: WordArray, words: int) -> WordArray:
    missing = words - ids.shape[1]
    return np.pad(ids, ((0, 0), (0, missing))) if missing else ids


def texts(ids: WordArray, lengths: IntArray) -> list[str]:
    """The ids as texts.

    >>> texts(np.array([[0x3132000000000000]], np.uint64), np.array([2]))
    ['12']
    """
    width = ids.shape[1] * WORD
    raw = ids.astype(">u8").tobytes().decode("ascii")
    return [raw[at : at + size] for at, size in zip(range(0, len(raw), width), lengths.tolist(), strict=True)]


def words(ids: Sequence[str], width: int) -> WordArray:
    """Texts of ASCII as ``TradeBlock.ids`` has them, of ``width`` words each, which must hold the longest.

    >>> [hex(word) for word in words(["12"], 1)[0]]
    ['0x3132000000000000']
    """
    raw = b"".join(text.encode("ascii").ljust(width * WORD, b"\0") for text in ids)
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(len(ids), width)
