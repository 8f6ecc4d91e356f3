"""How far the local clock is from the exchanges': receive time minus exchange time, at its smallest.

A trade cannot arrive before it happened, so the smallest receive minus exchange time of the last
minutes is the clock difference plus the quickest way here. It is negative where the local clock is
behind. *Market time* is the local clock minus the median of the exchanges' offsets, so a host whose
clock is a second off closes the same seconds.

A date far ahead would pull the minimum down for minutes, so it must prove itself: a lag more than
``TRUST_NS`` below the offset counts for nothing until ``QUORUM`` of them came over at least a second
with no ordinary one between (the exchange's or our clock really moved; then the window starts anew).
At the start, where there is no offset yet, the first ``QUORUM`` lags are taken together, and those
within ``TRUST_NS`` of their median count.
"""

from __future__ import annotations

import statistics
from collections import deque

from squeezeflow_plugin.market import NS_PER_SECOND

TRUST_NS = 2 * NS_PER_SECOND
QUORUM = 5


class ExchangeOffset:
    """The sliding minimum of one exchange's lags, in one-second buckets of receive time.

    O(1) amortised a lag; at most one bucket a second of the window is held.

    >>> offset = ExchangeOffset(window_s=300)
    >>> for second, lag in enumerate([-1200, -1250, -1180, -1249, -1240]):
    ...     offset.observe(lag * 1_000_000, second * NS_PER_SECOND)
    >>> offset.value_ns
    -1250000000
    """

    def __init__(self, window_s: int) -> None:
        self._window_s = window_s
        self._buckets: deque[tuple[int, int]] = deque()
        """(bucket, lag): buckets rise, and so do lags; the first is the minimum."""
        self._doubted: list[int] = []
        self._doubted_since_ns = 0
        self.value_ns: int | None = None

    def observe(self, lag_ns: int, received_ns: int) -> None:
        value = self.value_ns
        if value is None or lag_ns < value - TRUST_NS:
            self._doubt(lag_ns, received_ns)
            return
        if self._doubted:
            self._doubted.clear()
        self._enter(lag_ns, received_ns // NS_PER_SECOND)

    def _enter(self, lag_ns: int, bucket: int) -> None:
        buckets = self._buckets
        if buckets and bucket <= buckets[-1][0] and lag_ns >= buckets[-1][1]:
            return
        while buckets and buckets[-1][1] >= lag_ns:
            buckets.pop()
        if not buckets or bucket > buckets[-1][0]:
            buckets.append((bucket, lag_ns))
        while buckets[0][0] <= bucket - self._window_s:
            buckets.popleft()
        self.value_ns = buckets[0][1]

    def _doubt(self, lag_ns: int, received_ns: int) -> None:
        if not self._doubted:
            self._doubted_since_ns = received_ns
        self._doubted = [*self._doubted[1 - QUORUM :], lag_ns]
        if len(self._doubted) < QUORUM:
            return
        if self.value_ns is not None and received_ns - self._doubted_since_ns < NS_PER_SECOND:
            return
        middle = statistics.median_low(self._doubted)
        agreed = [lag for lag in self._doubted if abs(lag - middle) <= TRUST_NS]
        self._doubted = []
        self._buckets.clear()
        self._enter(min(agreed), received_ns // NS_PER_SECOND)


class ExchangeOffsets:
    """The offsets of all exchanges and the market time they give.

    >>> offsets = ExchangeOffsets()
    >>> offsets.market_ns(5), offsets.market_offset_ns()
    (5, None)
    >>> for _ in range(QUORUM):
    ...     offsets.observe("BINANCE", exchange_ns=3_000_000_000, received_ns=1_750_000_000)
    >>> offsets.market_ns(1_750_000_000)
    3000000000
    """

    def __init__(self, window_s: int = 300) -> None:
        self._window_s = window_s
        self._offsets: dict[str, ExchangeOffset] = {}

    def observe(self, exchange: str, exchange_ns: int, received_ns: int) -> None:
        """Take in one trade's two times, in the order of receipt."""
        offset = self._offsets.get(exchange)
        if offset is None:
            offset = self._offsets[exchange] = ExchangeOffset(self._window_s)
        offset.observe(received_ns - exchange_ns, received_ns)

    def skews_ns(self) -> dict[str, int]:
        """Each known exchange's offset, by name, to be shown."""
        return {
            name: offset.value_ns
            for name, offset in sorted(self._offsets.items())
            if offset.value_ns is not None
        }

    def market_offset_ns(self) -> int | None:
        """The median of the exchanges' offsets; None while none is known."""
        known = list(self.skews_ns().values())
        return int(statistics.median(known)) if known else None

    def market_ns(self, local_ns: int) -> int:
        """Market time at that local time; the local time itself while no offset is known."""
        return local_ns - (self.market_offset_ns() or 0)
