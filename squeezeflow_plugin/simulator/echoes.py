"""The markets of other exchanges: what happens on Binance's, thinned, priced and counted their own way.

An echo takes a share of its source's taker orders at their very milliseconds, with sizes of its own and a
price a few basis points aside, so that all markets of an asset move together and squeeze together. It is a
pure function of (seed, market, minute of its source), and nothing in it depends on what comes later in the
minute: a squeeze that is told late changes no earlier trade of it.

Ids have the shape they have on the exchange: a sequence without gaps, rising numbers with gaps, numbers in
no order, or UUIDs of 60 bits, whose texts compare as the numbers do.
"""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.simulator.profiles import MarketTerms
from squeezeflow_plugin.simulator.trades import IntArray, MarketTrades

_MIX = np.uint64(0x2545F4914F6CDD1D)  # odd, so multiplying by it permutes the numbers of any count of bits
_HASH_BITS, _UUID_BITS = 50, 60
_ORDINALS = 1_000_000
_SIZE_SPREAD = 0.4
_PREMIUM_BP = 3.0
_FORCED_EVERY = 211


class Ids(enum.Enum):
    """What a market's trade ids are."""

    SEQUENCE = "sequence"
    """Each follows the last one."""
    RISING = "rising"
    """Made of the time and a counter."""
    HASH = "hash"
    """50 bits in no order."""
    UUID = "uuid"
    """60 bits in no order, spelled by ``uuid_text``."""


class Forced(enum.Enum):
    """How an exchange tells of liquidations."""

    APART = "apart"
    """On a channel of their own."""
    IN_TRADES = "in trades"
    """A trade says that it is one."""
    UNTOLD = "untold"


@dataclass(frozen=True)
class Echo(MarketTerms):
    """One market that echoes another of its asset and kind.

    ``share`` of the source's orders are taken, at ``size_factor`` times their size.
    """

    ids: Ids
    share: float = 0.3
    size_factor: float = 0.5
    forced: Forced = Forced.APART
    key: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", zlib.crc32(self.instrument.market.encode()))

    def minute(
        self, seed: int, second: int, source: MarketTrades, forced: MarketTrades, made: int
    ) -> tuple[MarketTrades, MarketTrades]:
        """Trades and liquidations of the minute that starts at ``second``, in the order (time, id).

        ``source`` and ``forced`` are those of the source; ``made`` counts the trades of earlier minutes.
        """
        seeds = (seed, self.key, second)
        trades = self._taken(source, np.random.default_rng((*seeds, 0)), made)
        if self.forced is Forced.IN_TRADES:
            return trades, trades.select(is_forced(trades.ids))
        if self.forced is Forced.UNTOLD:
            return trades, forced.select(slice(0, 0))
        return trades, self._taken(forced, np.random.default_rng((*seeds, 1)), 0)

    def _taken(self, source: MarketTrades, rng: np.random.Generator, made: int) -> MarketTrades:
        """One draw a source row and purpose, in the source's order, so that the start of it stays."""
        chance, spread = rng.random(2 * len(source)).reshape(-1, 2).T
        rows = np.flatnonzero(chance[_order_starts(source)] < self.share)
        factor = self.size_factor * np.exp(_SIZE_SPREAD * (2.0 * spread[rows] - 1.0))
        premium = 1.0 + _PREMIUM_BP * 1e-4 * (self.key % 1000 / 500.0 - 1.0)
        ticks = np.maximum(np.rint(source.price[rows] * premium * self.price_scale), 1.0).astype(np.int64)
        base = source.size[rows] * factor
        counted = base * (ticks / self.price_scale) if self.instrument.inverse else base
        lots = np.rint(counted / self.instrument.contract_size * self.size_scale)
        trades = MarketTrades(
            source.at_ms[rows],
            self._numbers(source.at_ms[rows], made),
            ticks,
            np.maximum(lots, 1.0).astype(np.int64),
            source.side[rows],
            self.price_scale,
            self.size_scale,
        )
        if self.ids in {Ids.SEQUENCE, Ids.RISING}:
            return trades
        return trades.select(np.lexsort((trades.ids, trades.at_ms)))

    def _numbers(self, at_ms: IntArray, made: int) -> IntArray:
        ordinal = np.arange(made + 1, made + 1 + len(at_ms), dtype=np.int64)
        if self.ids is Ids.SEQUENCE:
            return ordinal + self.key
        if self.ids is Ids.RISING:
            return at_ms * _ORDINALS + ordinal % _ORDINALS
        bits = _HASH_BITS if self.ids is Ids.HASH else _UUID_BITS
        mixed = (ordinal + self.key).astype(np.uint64) * _MIX
        return (mixed & np.uint64((1 << bits) - 1)).astype(np.int64)


def is_forced(ids: IntArray) -> npt.NDArray[np.bool_]:
    """Which trades are liquidations where the exchange says so of its trades: about one in two hundred.

    >>> is_forced(np.array([1, 211, 422])).tolist()
    [False, True, True]
    """
    return np.equal(ids % _FORCED_EVERY, 0)


def uuid_text(number: int) -> str:
    """A UUID that holds 60 bits; texts compare as numbers do.

    >>> uuid_text(0x123456789ABCDEF)
    '12345678-9abc-5def-9112-a178eb6023af'
    """
    digits = f"{number:015x}"
    return f"{digits[:8]}-{digits[8:12]}-5{digits[12:]}-9112-a178eb6023af"


def _order_starts(source: MarketTrades) -> IntArray:
    """int64[n]: for each fill the row at which its taker order begins (same time and side)."""
    if not len(source):
        return np.empty(0, np.int64)
    begins = np.ones(len(source), np.bool_)
    begins[1:] = (np.diff(source.at_ms) != 0) | (np.diff(source.side) != 0)
    return np.maximum.accumulate(np.where(begins, np.arange(len(source)), 0))
