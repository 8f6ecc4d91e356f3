"""The live tail of the store: block until the next second has closed, hand on every second that has.

A second is due at its end plus the watermark, in market time. The follower cannot see the exchanges'
clocks, but a record says at which market time it was closed, and nothing arrives before it was
sent: a record that arrives "before" it was closed shows by how much the local clock is behind, and the
smallest delay over the last minute shows by how much it is ahead. Differences below 100 ms are left
alone, because a slow disk looks the same; they count as latency.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.provider.closings import ClosedSecond, closed_seconds, complete_until
from squeezeflow_plugin.store.contract import BarStore

NS_PER_MS = 1_000_000
SKEW_NOTICED_NS = 100 * NS_PER_MS
SKEW_SECONDS = 60


class ClockSkew:
    """How far the local clock is ahead of market time, judged from the arrival of closing records.

    >>> skew = ClockSkew()
    >>> skew.observe(closed_ns=5_000_000_000, arrived_ns=5_020_000_000)
    >>> skew.ns
    0
    >>> skew.observe(closed_ns=6_000_000_000, arrived_ns=5_010_000_000)
    >>> skew.ns
    -990000000
    """

    def __init__(self) -> None:
        self._delays: deque[int] = deque(maxlen=SKEW_SECONDS)

    def observe(self, closed_ns: int, arrived_ns: int) -> None:
        """Note that a record closed at ``closed_ns`` market time was first seen at ``arrived_ns`` local time."""
        self._delays.append(arrived_ns - closed_ns)

    @property
    def ns(self) -> int:
        """Nanoseconds to subtract from local time to get market time; 0 where under 100 ms."""
        smallest = min(self._delays, default=0)
        return smallest if abs(smallest) >= SKEW_NOTICED_NS else 0


@dataclass(frozen=True)
class Arrival:
    """What a wait brought: the complete seconds in order (none where time ran out), and when it ended."""

    seconds: tuple[ClosedSecond, ...]
    at_ns: int


class LiveFollower:
    """Follows the store from ``next_second`` on, polling from each due close.

    ``timeout_ms`` is how long after the due close a wait goes on, ``poll_ms`` the pause between two looks
    at the store.
    """

    def __init__(
        self,
        store: BarStore,
        clock: Clock,
        collectors: Iterable[str],
        next_second: int,
        *,
        watermark_ms: int,
        timeout_ms: int,
        poll_ms: int = 15,
    ) -> None:
        self.next_second = next_second
        self._store = store
        self._clock = clock
        self._collectors = tuple(collectors)
        self._watermark_ns = watermark_ms * NS_PER_MS
        self._timeout_ns = timeout_ms * NS_PER_MS
        self._poll_ns = poll_ms * NS_PER_MS
        self._skew = ClockSkew()
        self._missed: int | None = None

    def market_ns(self) -> int:
        """Market time now: the local clock without its skew."""
        return self._clock.now_ns() - self._skew.ns

    def due_ns(self, second: int) -> int:
        """The local time at which the second's record is due."""
        return (second + 1) * NS_PER_SECOND + self._watermark_ns + self._skew.ns

    def wait(self) -> Arrival:
        """Block until the next second is complete, at most ``timeout_ms`` past its due close.

        Returns every complete second that was not returned before, oldest first; none where the time ran
        out. A second that is late comes with a later wait.
        """
        deadline = max(self.due_ns(self.next_second), self._clock.now_ns()) + self._timeout_ns
        while True:
            arrival = self._look()
            now = self._clock.now_ns()
            if arrival.seconds or now >= deadline:
                return arrival
            due = self.due_ns(self.next_second)
            self._clock.sleep_until(min(max(due, now + self._poll_ns), deadline))

    def _look(self) -> Arrival:
        stop = complete_until(self._store, self._collectors)
        if stop is None or stop <= self.next_second:
            self._missed = self.next_second
            return Arrival((), self._clock.now_ns())
        seconds = tuple(closed_seconds(self._store, self.next_second, stop))
        now = self._clock.now_ns()
        self._note_delay(seconds, now)
        self.next_second = stop
        return Arrival(seconds, now)

    def _note_delay(self, seconds: tuple[ClosedSecond, ...], now_ns: int) -> None:
        """Judge the skew by a record that was looked for in vain before; an older one may have lain there long."""
        closed_ns = seconds[-1].closed_ns
        if closed_ns is not None and (closed_ns > now_ns or self._missed == seconds[-1].second):
            self._skew.observe(closed_ns, now_ns)
