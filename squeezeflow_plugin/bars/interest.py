"""Open interest: what a collector keeps of it, and its change over an hour as the method wants it.

An exchange publishes open interest at its own pace, a few seconds to minutes apart, so what is known at a
second is the newest reading, which has an age. A reading older than ``MAX_AGE_S`` is not used. Readings are
known from the second of the closing record that carried them on and are never revised: live, replay and
backtest find the same change for a second.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.market import NS_PER_SECOND, DerivativeTicker

HOUR_S = 3600
MAX_AGE_S = 600
MEMORY_S = HOUR_S + MAX_AGE_S
"""How far before a second the readings lie that its change depends on."""
_WAITING = 64

KnownTicker = tuple[int, DerivativeTicker]
"""The second of the closing record that carried it, and the ticker."""


class TickerBoard:
    """The newest tickers of each market, for every ``every_s``-th closing record to carry; 0: for none.

    >>> board = TickerBoard(30)
    >>> board.put(DerivativeTicker("X:a", 60_200_000_000, 1.0, 2.0, 0.0001))
    >>> board.put(DerivativeTicker("X:a", 61_200_000_000, 1.0, 2.0, 0.0001))
    >>> board.take(59), [ticker.exchange_ns for ticker in board.take(60)]
    ((), [60200000000])
    """

    def __init__(self, every_s: int) -> None:
        self._every_s = every_s
        self._waiting: dict[str, deque[DerivativeTicker]] = {}

    def put(self, ticker: DerivativeTicker) -> None:
        """Take note of a reading; one older than the market's newest is passed over."""
        waiting = self._waiting.setdefault(ticker.market, deque(maxlen=_WAITING))
        if not waiting or ticker.exchange_ns > waiting[-1].exchange_ns:
            waiting.append(ticker)

    def take(self, second: int) -> tuple[DerivativeTicker, ...]:
        """What was so at the end of the second, by market: nothing of a later time, nothing too old."""
        if not self._every_s or second % self._every_s:
            return ()
        stop_ns = (second + 1) * NS_PER_SECOND
        taken = []
        for market in sorted(self._waiting):
            waiting = self._waiting[market]
            while len(waiting) > 1 and waiting[1].exchange_ns < stop_ns:
                waiting.popleft()
            if stop_ns - MAX_AGE_S * NS_PER_SECOND <= waiting[0].exchange_ns < stop_ns:
                taken.append(waiting[0])
        return tuple(taken)


class _Reading(NamedTuple):
    known: int
    exchange_ns: int
    usd: float


class InterestChange:
    """The fractional change of an asset's open interest over the last hour, second after second.

    ``markets`` in their order; each counts where its open interest in US dollars is known both now and an
    hour ago, so that an exchange that falls silent changes nothing.

    >>> change = InterestChange(["X:a"])
    >>> change.add(0, DerivativeTicker("X:a", 0, 1.0, 200.0, 0.0))
    >>> change.add(3600, DerivativeTicker("X:a", 3_600_000_000_000, 1.0, 220.0, 0.0))
    >>> round(change.at(3600), 9), change.at(9000)
    (0.1, nan)
    """

    def __init__(self, markets: Iterable[str]) -> None:
        self._readings: dict[str, deque[_Reading]] = {market: deque() for market in markets}

    def add(self, known: int, ticker: DerivativeTicker) -> None:
        """A ticker of the closing record of second ``known``; in the order of the records."""
        readings = self._readings.get(ticker.market)
        if readings is None or not ticker.interest_usd > 0:  # NaN, too
            return
        if not readings or ticker.exchange_ns > readings[-1].exchange_ns:
            readings.append(_Reading(known, ticker.exchange_ns, ticker.interest_usd))

    def at(self, second: int) -> float:
        """The change as known at the end of ``second``, NaN where unknown; never ask for an earlier one."""
        now = then = 0.0
        for readings in self._readings.values():
            while len(readings) > 1 and readings[1].known <= second - HOUR_S:
                readings.popleft()
            if (
                readings
                and readings[0].known <= second - HOUR_S
                and _is_fresh(readings[0], second - HOUR_S)
                and _is_fresh(readings[-1], second)
            ):
                then += readings[0].usd
                now += readings[-1].usd
        return now / then - 1.0 if then > 0.0 else math.nan


def interest_changes(
    markets: Iterable[str], tickers: Iterable[KnownTicker], start: int, stop: int
) -> npt.NDArray[np.float64]:
    """float64[stop - start]: what ``InterestChange.at`` gives for each second.

    ``tickers`` are those that records of ``[start - MEMORY_S, stop)`` carried, in order. Between the seconds
    at which one comes in or grows too old, now or an hour ago, nothing changes.
    """
    change = InterestChange(markets)
    known = list(tickers)
    turns = {start}
    for second, ticker in known:
        too_old = ticker.exchange_ns // NS_PER_SECOND + MAX_AGE_S
        turns |= {second, second + HOUR_S, too_old, too_old + HOUR_S}
    inside = sorted(turn for turn in turns if start <= turn < stop)
    values = np.full(stop - start, np.nan)
    place = 0
    for turn, until in zip(inside, [*inside[1:], stop], strict=True):
        while place < len(known) and known[place][0] <= turn:
            change.add(*known[place])
            place += 1
        values[turn - start : until - start] = change.at(turn)
    return values


def _is_fresh(reading: _Reading, second: int) -> bool:
    return reading.exchange_ns >= (second + 1 - MAX_AGE_S) * NS_PER_SECOND
