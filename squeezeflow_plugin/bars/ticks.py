"""One market's trades of one second: put in order, freed of duplicates, folded into a bar.

The order is (exchange_ns, length of the id, id), which is numeric order for decimal ids. Identity
within a second is the id; a repeated id is one trade. Where two deliveries of an id differ in
content, the first by (exchange_ns, length, id, price, quote, side x count) stays, so that the result
is a function of the set of deliveries and not of their order. An id that comes back in another
second is another trade: no memory of all ids is needed and batch and stream agree.

Trades and liquidations are kept apart; both are ``Ticks``. Volumes are added one after the other in
that order, which ``columns`` repeats, so that both give the same bits.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from operator import ge
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from squeezeflow_plugin.market import Bar, Trade

NAN = float("nan")

Row = tuple[int, int, str, float, float, int]
"""(exchange_ns, length of the id, id, price, quote, side x count): its natural order is ours."""

_FIVE_LISTS, _COLUMNS = 0x95, 0x01
"""What packed ticks begin with, as MessagePack and as columns; what zlib made of them begins with 0x78."""
_HEAD = struct.Struct("<BIq")
# Two sums of the same volumes in another order differ by less; a missing trade by more.
_SUM_SLACK = 1e-9
_PACK = msgspec.msgpack.Encoder().encode
_UNPACK = msgspec.msgpack.Decoder(tuple[list[int], list[str], list[float], list[float], list[int]]).decode


class Ticks(NamedTuple):
    """Columns of one market's trades (or liquidations) in one second, ordered and unique.

    ``times`` exchange_ns; ``prices``; ``quotes`` notional in quote currency; ``signed`` taker side x
    number of fills: positive bought, negative sold.
    """

    times: list[int]
    ids: list[str]
    prices: list[float]
    quotes: list[float]
    signed: list[int]

    def rows(self) -> list[Row]:
        return list(
            zip(
                self.times,
                map(len, self.ids),
                self.ids,
                self.prices,
                self.quotes,
                self.signed,
                strict=True,
            )
        )


class Sorted(NamedTuple):
    """What ``ticks_of`` found: the unique trades, how many repeats, how many of those differed."""

    ticks: Ticks
    duplicates: int
    conflicts: int


class TickColumns(NamedTuple):
    """Ticks as arrays, ordered and unique.

    Nanoseconds after the second's begin, how many characters the id has, price, quote, side x count; and all
    ids in ASCII, one after the other.
    """

    after_ns: NDArray[np.uint32]
    lengths: NDArray[np.uint8]
    prices: NDArray[np.float64]
    quotes: NDArray[np.float64]
    signed: NDArray[np.int32]
    ids: NDArray[np.uint8]

    def of(self, rows: slice, ids: slice) -> TickColumns:
        """Those rows, whose ids stand there."""
        return TickColumns(
            self.after_ns[rows],
            self.lengths[rows],
            self.prices[rows],
            self.quotes[rows],
            self.signed[rows],
            self.ids[ids],
        )


EMPTY = Ticks([], [], [], [], [])


def row_of(trade: Trade) -> Row:
    return (
        trade.exchange_ns,
        len(trade.trade_id),
        trade.trade_id,
        trade.price,
        trade.quote,
        trade.side * trade.count,
    )


def ticks_of(trades: Sequence[Trade]) -> Sorted:
    """Order the trades of one market and second; repeats of an id are left out and counted.

    >>> late, early = (Trade("X:a", ns, str(ns), 2.0, 1.0, 2.0, 1) for ns in (9, 3))
    >>> ticks, duplicates, conflicts = ticks_of([late, early, late])
    >>> ticks.ids, duplicates, conflicts
    (['3', '9'], 1, 0)
    """
    times = [trade.exchange_ns for trade in trades]
    ids = [trade.trade_id for trade in trades]
    ticks = Ticks(
        times,
        ids,
        [trade.price for trade in trades],
        [trade.quote for trade in trades],
        [trade.side * trade.count for trade in trades],
    )
    return Sorted(ticks, 0, 0) if _is_ordered(times, ids) else unique(ticks.rows())


def _is_ordered(times: list[int], ids: list[str]) -> bool:
    """The usual case, told without building keys: ids of one length that rise, times that do not fall.

    A third of the cost of sorting rows; rising ids are unique ids.
    """
    return (
        len(set(map(len, ids))) == 1
        and not any(map(ge, ids, islice(ids, 1, None)))
        and times == sorted(times)
    )


def unique(rows: Iterable[Row]) -> Sorted:
    """Sort rows and keep the first of each id."""
    ordered = sorted(rows)
    if not ordered:
        return Sorted(EMPTY, 0, 0)
    if len({row[2] for row in ordered}) < len(ordered):
        return _first_of_each(ordered)
    return Sorted(_columns(ordered), 0, 0)


def _columns(rows: Iterable[Row]) -> Ticks:
    times, _, ids, prices, quotes, signed = map(list, zip(*rows, strict=True))
    return Ticks(times, ids, prices, quotes, signed)


def _first_of_each(ordered: Iterable[Row]) -> Sorted:
    kept: dict[str, Row] = {}
    duplicates = conflicts = 0
    for row in ordered:
        first = kept.setdefault(row[2], row)
        if first is not row:
            duplicates += 1
            conflicts += first != row
    return Sorted(_columns(kept.values()), duplicates, conflicts)


def bar_of(market: str, second: int, trades: Ticks, liquidations: Ticks, revision: int = 0) -> Bar:
    """Fold a second into its bar. Prices are NaN where there were liquidations only.

    >>> ticks = Ticks([1, 2], ["1", "2"], [10.0, 11.0], [20.0, 33.0], [1, -2])
    >>> bar = bar_of("X:a", 7, ticks, EMPTY)
    >>> bar.open, bar.high, bar.low, bar.close, bar.vbuy, bar.vsell, bar.cbuy, bar.csell
    (10.0, 11.0, 10.0, 11.0, 20.0, 33.0, 1, 2)
    """
    prices = trades.prices
    ohlc = (prices[0], max(prices), min(prices), prices[-1]) if prices else (NAN, NAN, NAN, NAN)
    vbuy, vsell, cbuy, csell = _sums(trades)
    lbuy, lsell, _, _ = _sums(liquidations)
    return Bar(market, second, *ohlc, vbuy, vsell, cbuy, csell, lbuy, lsell, revision)


def _sums(ticks: Ticks) -> tuple[float, float, int, int]:
    # A plain loop: sum() compensates from Python 3.12 on and would change the last bits.
    bought = sold = 0.0
    buys = sells = 0
    for signed, quote in zip(ticks.signed, ticks.quotes, strict=True):
        if signed > 0:
            bought += quote
            buys += signed
        else:
            sold += quote
            sells -= signed
    return bought, sold, buys, sells


def pack(ticks: Ticks) -> bytes:
    """Ticks at rest: 28 bytes and the id a trade, some 39 with ten-digit ids; structs take eight times that.

    One MessagePack text: a third less memory is to be had with arrays of 32-bit offsets, at three times the
    cost a trade.

    >>> ticks = Ticks([5], ["1"], [10.0], [20.0], [-1])
    >>> unpack(pack(ticks)) == ticks
    True
    """
    return _PACK(ticks)


def shrink(packed: bytes | None) -> bytes | None:
    """The same ticks in less than half the room, for those that are hardly looked at any more."""
    return zlib.compress(packed, 1) if packed and packed[0] in {_FIVE_LISTS, _COLUMNS} else packed


def unpack(packed: bytes | None) -> Ticks:
    """The ticks again, bit by bit, shrunk or not; none for None.

    >>> ticks = Ticks([5], ["1"], [10.0], [20.0], [-1])
    >>> unpack(shrink(shrink(pack(ticks)))) == ticks
    True
    """
    if packed is None:
        return EMPTY
    if packed[0] not in {_FIVE_LISTS, _COLUMNS}:
        packed = zlib.decompress(packed)
    return Ticks(*_UNPACK(packed)) if packed[0] == _FIVE_LISTS else _unpack_columns(packed)


def pack_columns(second_ns: int, columns: TickColumns) -> bytes:
    """Ticks at rest that were no lists before, of the second that begins then: 25 bytes and the id a trade.

    >>> kinds = np.uint32, np.uint8, float, float, np.int32, np.uint8
    >>> columns = TickColumns(*map(np.array, ([7], [1], [2], [4], [-1], [49]), kinds))
    >>> unpack(pack_columns(10**9, columns))
    Ticks(times=[1000000007], ids=['1'], prices=[2.0], quotes=[4.0], signed=[-1])
    """
    head = _HEAD.pack(_COLUMNS, len(columns.lengths), second_ns)
    return b"".join((head, *(column.tobytes() for column in columns)))


def _unpack_columns(packed: bytes) -> Ticks:
    _, rows, second_ns = _HEAD.unpack_from(packed)
    columns, at = [], _HEAD.size
    for kind in ("<u4", "<u1", "<f8", "<f8", "<i4"):
        columns.append(np.frombuffer(packed, kind, rows, at))
        at += columns[-1].nbytes
    after_ns, lengths, prices, quotes, signed = columns
    text = packed[at:].decode("ascii")
    stops = np.cumsum(lengths, dtype=np.int64).tolist()
    ids = [text[begin:stop] for begin, stop in pairwise([0, *stops])]
    times = (after_ns.astype(np.int64) + second_ns).tolist()
    return Ticks(times, ids, prices.tolist(), quotes.tolist(), signed.tolist())


def has_less(bar: Bar, than: Bar) -> bool:
    """Whether the bar lacks trades that the other one had."""
    return (
        bar.cbuy < than.cbuy
        or bar.csell < than.csell
        or bar.vbuy < than.vbuy * (1 - _SUM_SLACK)
        or bar.vsell < than.vsell * (1 - _SUM_SLACK)
        or bar.lbuy < than.lbuy * (1 - _SUM_SLACK)
        or bar.lsell < than.lsell * (1 - _SUM_SLACK)
    )


def same_bar(bar: Bar, other: Bar) -> bool:
    """Equal but for the revision; NaN equals NaN."""
    return _PACK(msgspec.structs.replace(bar, revision=other.revision)) == _PACK(other)
