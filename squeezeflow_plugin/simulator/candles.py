"""Candles of one market, built from its very trades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from squeezeflow_plugin.simulator.trades import MarketTrades

# Binance's fixed-length intervals, https://developers.binance.com/docs/binance-spot-api-docs/enums
INTERVAL_MS = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
}


@dataclass(frozen=True, slots=True)
class Candle:
    """What a market did from ``start_ms`` on. Prices in ticks, volumes in lots, quote volumes in quote
    currency; ``taker_*`` is the part that takers bought, ``first_id last_id`` the trades it is made of (-1
    where none).
    """

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    lots: int
    quote: float
    count: int
    taker_lots: int
    taker_quote: float
    first_id: int
    last_id: int


def candle_of(start_ms: int, trades: MarketTrades, previous_close: int | None) -> Candle | None:
    """The candle of these trades; a flat one at ``previous_close`` where there are none, None where that is
    unknown.
    """
    if not len(trades):
        if previous_close is None:
            return None
        flat = (previous_close,) * 4
        return Candle(start_ms, *flat, 0, 0.0, 0, 0, 0.0, -1, -1)
    ticks, lots, bought = trades.ticks, trades.lots, trades.side > 0
    quote = trades.price * trades.size
    return Candle(
        start_ms,
        int(ticks[0]),
        int(ticks.max()),
        int(ticks.min()),
        int(ticks[-1]),
        int(lots.sum()),
        float(quote.sum()),
        len(trades),
        int(lots[bought].sum()),
        float(quote[bought].sum()),
        int(trades.ids[0]),
        int(trades.ids[-1]),
    )


def merged(start_ms: int, parts: Sequence[Candle]) -> Candle:
    """Candles that follow each other as one that starts at ``start_ms``; there is at least one.

    >>> first = Candle(0, 10, 12, 9, 11, 5, 55.0, 2, 5, 55.0, 1, 2)
    >>> second = Candle(60_000, 11, 11, 8, 8, 1, 8.0, 1, 0, 0.0, 3, 3)
    >>> both = merged(0, [first, second])
    >>> (both.open, both.high, both.low, both.close, both.lots, both.count, both.last_id)
    (10, 12, 8, 8, 6, 3, 3)
    """
    traded = [part for part in parts if part.count]
    return Candle(
        start_ms,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.lots for part in parts),
        sum(part.quote for part in parts),
        sum(part.count for part in parts),
        sum(part.taker_lots for part in parts),
        sum(part.taker_quote for part in parts),
        traded[0].first_id if traded else -1,
        traded[-1].last_id if traded else -1,
    )
