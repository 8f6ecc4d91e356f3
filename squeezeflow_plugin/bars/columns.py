"""Many trades as columns to bars, vectorised; the same bits as ``BarBuilder`` gives one by one.

The rows may come in any order and any number of times. They are brought into the trade order
(exchange_ns, length of the id, id) within their market, repeats of an id within a market's second are
left out, and volumes are added one after the other in that order (``numpy.bincount`` adds in the
order of its rows), so that no bit depends on how the trades arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.market import BAR_FIELDS, NS_PER_SECOND, Bar, Trade

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

# Longer decimal ids may not fit 64 bits; they are ranked as text.
_DECIMAL_DIGITS = 18


@dataclass(frozen=True, eq=False)
class TradeColumns:
    """n trades, in any order. ``market`` indexes ``names``; ``rank`` orders the ids (``id_ranks``).

    ``exchange_ns`` nanoseconds; ``price``; ``quote`` notional in quote currency; ``signed`` taker side x
    number of fills (positive bought); ``liquidation`` whether it is a forced order. No NaN anywhere.
    """

    names: tuple[str, ...]
    market: npt.NDArray[Any]
    exchange_ns: Integers
    rank: Integers
    price: Floats
    quote: Floats
    signed: Integers
    liquidation: Booleans

    def __len__(self) -> int:
        return len(self.exchange_ns)

    def take(self, rows: npt.NDArray[Any]) -> TradeColumns:
        """The rows at these positions, or where the mask is true."""
        return TradeColumns(
            self.names,
            self.market[rows],
            self.exchange_ns[rows],
            self.rank[rows],
            self.price[rows],
            self.quote[rows],
            self.signed[rows],
            self.liquidation[rows],
        )


@dataclass(frozen=True, eq=False)
class BarTable:
    """n bars ordered by (second, market name); fields as in ``market.Bar``, NaN prices where no trade was.

    ``market`` indexes ``names``, which are sorted.
    """

    names: tuple[str, ...]
    market: Integers
    second: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    vbuy: Floats
    vsell: Floats
    cbuy: Integers
    csell: Integers
    lbuy: Floats
    lsell: Floats

    def __len__(self) -> int:
        return len(self.second)

    def bars(self) -> list[Bar]:
        """The rows as ``Bar`` values, revision 0."""
        columns = (getattr(self, name).tolist() for name in BAR_FIELDS)
        markets = (self.names[index] for index in self.market.tolist())
        return [Bar(*row) for row in zip(markets, self.second.tolist(), *columns, strict=True)]


def id_ranks(ids: Sequence[str] | npt.NDArray[Any]) -> Integers:
    """Whole numbers that compare as the ids do: by (length, text). Only ranks of one call compare.

    Non-negative integers are their own rank, and so are decimal texts without leading zeros.

    >>> id_ranks(["9", "10", "9"]).tolist(), id_ranks(["b", "a", "aa"]).tolist()
    ([9, 10, 9], [1, 0, 2])
    """
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
        if not len(ids) or int(ids.min()) >= 0:
            return ids.astype(np.int64, copy=False)
        ids = ids.astype(str)
    texts = [str(each) for each in ids]
    if all(map(_is_plain_decimal, texts)):
        return np.array([int(text) for text in texts], dtype=np.int64)
    ranks = {text: rank for rank, text in enumerate(sorted(set(texts), key=lambda text: (len(text), text)))}
    return np.array([ranks[text] for text in texts], dtype=np.int64)


def _is_plain_decimal(text: str) -> bool:
    return (
        0 < len(text) <= _DECIMAL_DIGITS
        and text.isascii()
        and text.isdecimal()
        and (text[0] != "0" or len(text) == 1)
    )


def columns_of_trades(trades: Sequence[Trade]) -> TradeColumns:
    """The same trades as columns."""
    names = tuple(sorted({trade.market for trade in trades}))
    places = {name: place for place, name in enumerate(names)}
    return TradeColumns(
        names,
        np.array([places[trade.market] for trade in trades], dtype=np.int64),
        np.array([trade.exchange_ns for trade in trades], dtype=np.int64),
        id_ranks([trade.trade_id for trade in trades]),
        np.array([trade.price for trade in trades], dtype=np.float64),
        np.array([trade.quote for trade in trades], dtype=np.float64),
        np.array([trade.side * trade.count for trade in trades], dtype=np.int64),
        np.array([trade.liquidation for trade in trades], dtype=np.bool_),
    )


def bars_of_trades(trades: TradeColumns) -> BarTable:
    """Every second's bar of every market that had a trade or a liquidation in it.

    >>> second, first = Trade("X:a", 5, "2", 11.0, 2.0, 22.0, -1), Trade("X:a", 3, "1", 10.0, 1.0, 10.0, 1)
    >>> [bar] = bars_of_trades(columns_of_trades([second, first, second])).bars()
    >>> bar.open, bar.close, bar.vbuy, bar.vsell, bar.cbuy, bar.csell
    (10.0, 11.0, 10.0, 22.0, 1, 1)
    """
    trades = _with_sorted_names(trades)
    if not trades.liquidation.any():
        return _assembled(trades.names, _Groups(trades), None)
    forced = trades.take(trades.liquidation)
    return _assembled(trades.names, _Groups(trades.take(~trades.liquidation)), _Groups(forced))


def _with_sorted_names(trades: TradeColumns) -> TradeColumns:
    """Market numbers that sort as the names do, in 16 bits: a radix sort and a lighter gather."""
    names = tuple(sorted(set(trades.names)))
    place_of = {name: place for place, name in enumerate(names)}
    kind = np.uint16 if len(names) <= np.iinfo(np.uint16).max else np.int64
    places = np.array([place_of[name] for name in trades.names], dtype=kind)
    return TradeColumns(**{**vars(trades), "names": names, "market": places[trades.market]})


def _ordered(trades: TradeColumns) -> TradeColumns:
    """By (market, exchange_ns, rank), repeats of an id within a market's second left out."""
    if len(trades.names) > 1:
        trades = trades.take(np.argsort(trades.market, kind="stable"))
    if _is_ordered(trades):
        return trades
    trades = trades.take(np.lexsort((trades.rank, trades.exchange_ns, trades.market)))
    if _is_ordered(trades):
        return trades
    # Something is there twice or an id does not rise with time; the content settles which repeat is first.
    by_content = (trades.signed, trades.quote, trades.price, trades.rank, trades.exchange_ns, trades.market)
    trades = trades.take(np.lexsort(by_content))
    second = trades.exchange_ns // NS_PER_SECOND
    by_id = np.lexsort((trades.rank, second, trades.market))
    first = np.empty(len(trades), dtype=np.bool_)
    first[by_id] = _changes(trades.market[by_id], second[by_id], trades.rank[by_id])
    return trades if first.all() else trades.take(first)


def _is_ordered(trades: TradeColumns) -> bool:
    """The usual case: within each market ids only rise and times do not fall, so nothing is there twice."""
    before, after = slice(None, -1), slice(1, None)
    risen = (trades.rank[after] > trades.rank[before]) & (
        trades.exchange_ns[after] >= trades.exchange_ns[before]
    )
    return bool((risen | (trades.market[after] != trades.market[before])).all())


def _changes(*keys: npt.NDArray[Any]) -> Booleans:
    """Where a row differs from the one before it in any key; the first row does."""
    changed = np.ones(len(keys[0]), dtype=np.bool_)
    changed[1:] = False
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return changed


class _Groups:
    """Trades (or liquidations) of one (market, second) after the other, summed."""

    def __init__(self, trades: TradeColumns) -> None:
        trades = _ordered(trades)
        second = trades.exchange_ns // NS_PER_SECOND
        begins = _changes(trades.market, second)
        self.starts = np.flatnonzero(begins)
        self.price = trades.price
        self.market = trades.market[self.starts]
        self.second = second[self.starts]
        group = np.cumsum(begins) - 1
        bought = trades.signed > 0
        sold = ~bought
        # The other side's trades add 0.0, which changes no bit; counts stay whole in float64 up to 2^53.
        self.buys = self._sum(group, trades.quote * bought)
        self.sells = self._sum(group, trades.quote * sold)
        self.buy_count = self._sum(group, trades.signed * bought).astype(np.int64)
        self.sell_count = -self._sum(group, trades.signed * sold).astype(np.int64)

    def _sum(self, group: Integers, weights: npt.NDArray[Any]) -> Floats:
        sums: Floats = np.bincount(group, weights=weights, minlength=len(self.starts)).astype(np.float64)
        return sums

    def __len__(self) -> int:
        return len(self.starts)


def _assembled(names: tuple[str, ...], trades: _Groups, forced: _Groups | None) -> BarTable:
    """Both kinds on the seconds that had either, ordered by (second, market)."""
    market, second = trades.market, trades.second
    if forced is not None:
        market = np.concatenate([market, forced.market])
        second = np.concatenate([second, forced.second])
    order = np.lexsort((market, second))
    is_new = _changes(market[order], second[order])
    row = np.empty(len(order), dtype=np.int64)
    row[order] = np.cumsum(is_new) - 1
    count = int(is_new.sum())

    def spread(values: npt.NDArray[Any], rows: Integers, empty: float) -> npt.NDArray[Any]:
        column = np.full(count, empty, dtype=values.dtype)
        column[rows] = values
        return column

    price, starts = trades.price, trades.starts
    rows = row[: len(trades)]
    ends = np.append(starts[1:], len(price))[: len(starts)] - 1
    nothing = np.zeros(0)
    high = np.maximum.reduceat(price, starts) if len(starts) else nothing
    low = np.minimum.reduceat(price, starts) if len(starts) else nothing
    forced_rows = row[len(trades) :]
    return BarTable(
        names,
        market[order][is_new].astype(np.int64),
        second[order][is_new],
        *(spread(each, rows, np.nan) for each in (price[starts], high, low, price[ends])),
        *(spread(each, rows, 0.0) for each in (trades.buys, trades.sells)),
        *(spread(each, rows, 0) for each in (trades.buy_count, trades.sell_count)),
        *(
            spread(each, forced_rows, 0.0)
            for each in ((nothing, nothing) if forced is None else (forced.buys, forced.sells))
        ),
    )
