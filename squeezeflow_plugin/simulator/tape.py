"""What one market has done: its candles, its trades of the last half hour, and when each trade is sent.

Trades reach the wire in order, 5 to 60 ms after they happened; now and then one is held back for half a
second to three, as happens where an exchange's own gateways disagree. All delays follow from the seed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from squeezeflow_plugin.simulator.candles import INTERVAL_MS, Candle, candle_of, merged
from squeezeflow_plugin.simulator.episodes import MINUTE_S
from squeezeflow_plugin.simulator.profiles import MarketTerms
from squeezeflow_plugin.simulator.trades import IntArray, MarketTrades, concatenate, no_trades

MINUTE_MS = MINUTE_S * 1000
KEPT_MINUTES = 30
KEPT_CANDLES = 4320
_LIQUIDATION_DELAY_MS = 30


@dataclass(frozen=True)
class Delays:
    """How long trades travel, in milliseconds: uniform from ``least`` to ``most``; the share ``late_share``
    of them is late by ``late_least`` to ``late_most``.
    """

    least: float = 5.0
    most: float = 60.0
    late_share: float = 1.0 / 4000.0
    late_least: float = 500.0
    late_most: float = 3000.0

    def sent_ms(self, seed: tuple[int, ...], at_ms: IntArray, floor_ms: float) -> tuple[IntArray, float]:
        """When each trade is sent, int64[n], none before ``floor_ms``; and the floor of what comes after.

        A trade's time depends on it and the trades before it only.
        """
        if not len(at_ms):
            return at_ms, floor_ms
        rng, late_rng = np.random.default_rng((*seed, 0)), np.random.default_rng((*seed, 1))
        travel = self.least + (self.most - self.least) * rng.random(len(at_ms))
        in_order = np.maximum(np.maximum.accumulate(at_ms + travel), floor_ms)
        chance, how_late = late_rng.random((len(at_ms), 2)).T
        late = at_ms + self.late_least + (self.late_most - self.late_least) * how_late
        return np.where(chance < self.late_share, late, in_order).astype(np.int64), float(in_order[-1])


@dataclass(frozen=True, eq=False)
class TapeMinute:
    """One market's minute. ``sent_ms`` int64[n] ascending, ``order`` the rows of ``trades`` in that order;
    ``aggregate`` int64[n] the number of the aggregate trade (same taker order and price) that each row
    belongs to.
    """

    trades: MarketTrades
    sent_ms: IntArray
    order: IntArray
    aggregate: IntArray
    liquidations: MarketTrades
    floor_ms: float


@dataclass(frozen=True, eq=False)
class Due:
    """Rows to send now: ``rows`` of ``minute.trades`` in sending order with their times, ``forced`` of its
    liquidations.
    """

    minute: TapeMinute
    rows: IntArray
    sent_ms: IntArray
    forced: MarketTrades


class Tape:
    """One market's past, and the minute or two ahead that are made already."""

    def __init__(self, profile: MarketTerms, seed: int, key: int, delays: Delays) -> None:
        self.profile = profile
        self._seed = (seed, key, profile.instrument.kind.value == "spot")
        self._delays = delays
        self._minutes: OrderedDict[int, TapeMinute] = OrderedDict()
        self._candles: OrderedDict[int, Candle] = OrderedDict()

    def put(self, second: int, trades: MarketTrades, liquidations: MarketTrades) -> None:
        """Add the minute that starts at ``second``, or replace it; they come in order, none is left out."""
        before = self._minutes.get(second - MINUTE_S)
        seed = (*self._seed, second // MINUTE_S)
        sent, floor_ms = self._delays.sent_ms(seed, trades.at_ms, before.floor_ms if before else 0.0)
        order = np.argsort(sent, kind="stable")
        last = int(before.aggregate[-1]) if before and len(before.aggregate) else 0
        self._minutes[second] = TapeMinute(
            trades, sent[order], order, _aggregate_numbers(trades, last), liquidations, floor_ms
        )
        earlier = self._candles.get(second - MINUTE_S)
        candle = candle_of(second * 1000, trades, earlier.close if earlier else None)
        if candle is not None:
            self._candles[second] = candle
        while len(self._minutes) > KEPT_MINUTES:
            self._minutes.popitem(last=False)
        while len(self._candles) > KEPT_CANDLES:
            self._candles.popitem(last=False)

    def due(self, after_ms: int, until_ms: int) -> Iterator[Due]:
        """What is sent in ``(after_ms, until_ms]``, minute by minute."""
        for second in self._unsent(after_ms):
            minute = self._minutes[second]
            first, last = np.searchsorted(minute.sent_ms, (after_ms, until_ms), side="right")
            forced = minute.liquidations.between(
                after_ms + 1 - _LIQUIDATION_DELAY_MS, until_ms + 1 - _LIQUIDATION_DELAY_MS
            )
            if last > first or len(forced):
                yield Due(minute, minute.order[first:last], minute.sent_ms[first:last], forced)

    def next_due_ms(self, after_ms: int) -> int | None:
        """When the next trade after ``after_ms`` is sent; None where none is made yet."""
        due = []
        for second in self._unsent(after_ms):
            sent = self._minutes[second].sent_ms
            place = int(np.searchsorted(sent, after_ms, side="right"))
            if place < len(sent):
                due.append(int(sent[place]))
        return min(due, default=None)

    def _unsent(self, after_ms: int) -> list[int]:
        """The minutes that may hold something sent after ``after_ms``, in order."""
        reach = MINUTE_MS + int(self._delays.late_most) + 1000
        seconds = []
        for second in reversed(self._minutes):
            if second * 1000 + reach < after_ms:
                break
            seconds.append(second)
        return seconds[::-1]

    def span(self, start_ms: int, stop_ms: int) -> tuple[MarketTrades, MarketTrades]:
        """The trades and the liquidations of ``[start_ms, stop_ms)``, as far as they are kept."""
        minutes = [m for second, m in self._minutes.items() if start_ms < second * 1000 + MINUTE_MS]
        return (
            self._joined([minute.trades for minute in minutes]).between(start_ms, stop_ms),
            self._joined([minute.liquidations for minute in minutes]).between(start_ms, stop_ms),
        )

    def _joined(self, parts: list[MarketTrades]) -> MarketTrades:
        return concatenate(parts) if parts else no_trades(self.profile.price_scale, self.profile.size_scale)

    def trades(self, until_ms: int, minutes: int = KEPT_MINUTES) -> MarketTrades:
        """The trades up to and with ``until_ms`` of the last ``minutes`` minutes that have begun by then."""
        begun = [second for second in self._minutes if second * 1000 <= until_ms][-minutes:]
        return self._joined([self._minutes[second].trades for second in begun]).between(0, until_ms + 1)

    def aggregates(self, until_ms: int) -> tuple[MarketTrades, IntArray]:
        """The trades that are kept, up to and with ``until_ms``, and the number of each one's aggregate
        trade.
        """
        trades = self.trades(until_ms)
        numbers = [m.aggregate for second, m in self._minutes.items() if second * 1000 <= until_ms]
        every = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
        return trades, every[: len(trades)]

    def last_trade(self, until_ms: int) -> MarketTrades:
        """The newest trade up to ``until_ms``; empty where none is kept."""
        trades = self.trades(until_ms, minutes=2)
        return (trades if len(trades) else self.trades(until_ms)).select(slice(-1, None))

    def candles(self, interval: str, now_ms: int) -> list[Candle]:
        """Every candle that began by ``now_ms``, the last one still forming from the trades up to now."""
        length = INTERVAL_MS[interval]
        if length < MINUTE_MS:
            return self._short_candles(length, now_ms)
        minute_ms = now_ms // MINUTE_MS * MINUTE_MS
        minutes = [candle for candle in self._candles.values() if candle.start_ms < minute_ms]
        forming = self._minutes.get(minute_ms // 1000)
        if forming is not None:
            close = minutes[-1].close if minutes else None
            candle = candle_of(minute_ms, forming.trades.between(minute_ms, now_ms + 1), close)
            minutes += [candle] if candle else []
        if length == MINUTE_MS:
            return minutes
        grouped: dict[int, list[Candle]] = {}
        for candle in minutes:
            grouped.setdefault(candle.start_ms // length * length, []).append(candle)
        return [merged(start, parts) for start, parts in grouped.items()]

    def _short_candles(self, length: int, now_ms: int) -> list[Candle]:
        trades = self.trades(now_ms)
        candles: list[Candle] = []
        if not len(trades):
            return candles
        first = int(trades.at_ms[0]) // length * length
        for start in range(first, now_ms + 1, length):
            close = candles[-1].close if candles else None
            candle = candle_of(start, trades.between(start, start + length), close)
            candles += [candle] if candle else []
        return candles


def _aggregate_numbers(trades: MarketTrades, last: int) -> IntArray:
    """The aggregate trade of each row, counted on from ``last``: rows of one time, price and side."""
    if not len(trades):
        return np.empty(0, np.int64)
    starts = np.ones(len(trades), np.int64)
    starts[1:] = (np.diff(trades.at_ms) != 0) | (np.diff(trades.ticks) != 0) | (np.diff(trades.side) != 0)
    return last + np.cumsum(starts)
