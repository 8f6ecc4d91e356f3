"""Trades as columns whose prices and sizes are whole numbers of decimal units.

``ticks`` and ``lots`` count units of ``1 / price_scale`` and ``1 / size_scale`` (powers of ten), so the
text on the wire is exact and the float next to it is the nearest one: an exact integer divided by a power
of ten up to 10^22 is rounded once, which is what reading the decimal text gives.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@functools.lru_cache(maxsize=1 << 15)  # the same prices are spelled again and again
def decimal_text(units: int, scale: int, places: int | None = None) -> str:
    """The decimal number ``units / scale``, padded with zeros to ``places``; None leaves no trailing zeros.

    >>> decimal_text(6501025, 100, 8), decimal_text(6500000000000, 10**8), decimal_text(5, 1000)
    ('65010.25000000', '65000', '0.005')
    """
    digits = len(str(scale)) - 1
    whole, part = divmod(units, scale)
    fraction = f"{part:0{digits}d}" if digits else ""
    fraction = fraction.rstrip("0") if places is None else fraction.ljust(places, "0")
    return f"{whole}.{fraction}" if fraction else str(whole)


@dataclass(frozen=True, eq=False)
class MarketTrades:
    """Trades of one market, ordered by (``at_ms``, ``ids``); all arrays have one length n.

    ``at_ms`` int64[n] exchange time in milliseconds since the epoch; ``ids`` int64[n]; ``ticks`` and
    ``lots`` int64[n]; ``side`` int8[n], +1 where the taker bought, -1 where the taker sold.
    """

    at_ms: IntArray
    ids: IntArray
    ticks: IntArray
    lots: IntArray
    side: npt.NDArray[np.int8]
    price_scale: int
    size_scale: int

    def __len__(self) -> int:
        return len(self.at_ms)

    @property
    def price(self) -> FloatArray:
        """float64[n] quote currency for one base unit."""
        return self.ticks / float(self.price_scale)

    @property
    def size(self) -> FloatArray:
        """float64[n] base units."""
        return self.lots / float(self.size_scale)

    @property
    def signed_quote(self) -> FloatArray:
        """float64[n] quote currency, negative where the taker sold."""
        return self.price * self.size * self.side

    def select(self, rows: slice | npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> MarketTrades:
        return MarketTrades(
            self.at_ms[rows],
            self.ids[rows],
            self.ticks[rows],
            self.lots[rows],
            self.side[rows],
            self.price_scale,
            self.size_scale,
        )

    def between(self, start_ms: int, stop_ms: int) -> MarketTrades:
        """The trades of ``[start_ms, stop_ms)``."""
        first, last = np.searchsorted(self.at_ms, (start_ms, stop_ms))
        return self.select(slice(int(first), int(last)))

    def rescaled(self, price_scale: int, size_scale: int) -> MarketTrades:
        """The same trades counted in finer units; both scales are multiples of the present ones."""
        return MarketTrades(
            self.at_ms,
            self.ids,
            self.ticks * (price_scale // self.price_scale),
            self.lots * (size_scale // self.size_scale),
            self.side,
            price_scale,
            size_scale,
        )


def concatenate(parts: Sequence[MarketTrades]) -> MarketTrades:
    """One after the other; all parts share their scales, and there is at least one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return MarketTrades(
        np.concatenate([part.at_ms for part in parts]),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.ticks for part in parts]),
        np.concatenate([part.lots for part in parts]),
        np.concatenate([part.side for part in parts]),
        first.price_scale,
        first.size_scale,
    )


def no_trades(price_scale: int, size_scale: int) -> MarketTrades:
    """An empty table.

    >>> len(no_trades(100, 1000))
    0
    """
    none = np.empty(0, np.int64)
    return MarketTrades(none, none, none, none, np.empty(0, np.int8), price_scale, size_scale)


@dataclass(frozen=True, eq=False)
class AssetMinute:
    """All that happened to one asset in the minute ``[second, second + 60)``, by market name.

    ``liquidations`` are forced orders, kept apart from the trades; their ids count from 0 in each minute.
    """

    second: int
    trades: dict[str, MarketTrades]
    liquidations: dict[str, MarketTrades]
