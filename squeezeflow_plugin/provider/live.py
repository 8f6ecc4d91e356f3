"""The live tail of the store: block until the next second has closed, hand on every second that has.

A second is due at its end plus the watermark, in market time. The follower cannot see the exchanges'
clocks, but a record says at which market time it was closed, and what was seen of it is never earlier than
that: the smallest delay of the last minute is how far the local clock is ahead of market time (or behind,
where it is negative). Differences below 100 ms are left alone, because a slow disk looks the same; they count
as latency. The look begins a little before the due time, so that each delay is measured closely.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.provider.announced import AnnouncedSeconds
from squeezeflow_plugin.provider.closings import ClosedSecond, closed_seconds, complete_until
from squeezeflow_plugin.store.contract import BarStore

NS_PER_MS = 1_000_000
SKEW_NOTICED_NS = 100 * NS_PER_MS
SKEW_SECONDS = 60
LEAD_NS = 30 * NS_PER_MS


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

    @property
    def known(self) -> bool:
        """Whether any arrival was observed."""
        return bool(self._delays)

    def observe(self, closed_ns: int, arrived_ns: int, *, close: bool = True) -> None:
        """Note that a record closed at ``closed_ns`` market time was there at ``arrived_ns`` local time.

        ``close`` says that it was not there shortly before; without that the delay is an upper bound only and
        counts where it lowers the estimate.
        """
        delay = arrived_ns - closed_ns
        if close or delay < min(self._delays, default=0):
            self._delays.append(delay)

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
    at the store. ``announced`` listens to the bus during those pauses.
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
        announced: AnnouncedSeconds | None = None,
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
        self._announced = announced

    def market_ns(self) -> int:
        """Market time now: the local clock without its skew."""
        return self._clock.now_ns() - self._skew.ns

    @property
    def skew_ns(self) -> int:
        """How far the local clock is ahead of market time, negative where behind; 0 below 100 ms."""
        return self._skew.ns

    @property
    def wall_skew_ns(self) -> int:
        """The same of the machine's wall clock, which FreqTrade goes by and others may have put right."""
        skew_ns = self._skew.ns + self._clock.wall_lead_ns()
        return skew_ns if abs(skew_ns) >= SKEW_NOTICED_NS else 0

    def due_ns(self, second: int) -> int:
        """The local time at which the second's record is due."""
        return (second + 1) * NS_PER_SECOND + self._watermark_ns + self._skew.ns

    def wait(self) -> Arrival:
        """Block until the next second is complete, at most ``timeout_ms`` past its due close.

        Returns every complete second that was not returned before, oldest first; none where the time ran
        out. A second that is late comes with a later wait.
        """
        now = self._clock.now_ns()
        due, patience = self.due_ns(self.next_second), self._timeout_ns
        if not self._skew.known:
            # The due time may be hours off then: look all through one second and its watermark.
            due, patience = now, NS_PER_SECOND + self._watermark_ns + self._timeout_ns
        deadline = max(due, now) + patience
        while True:
            arrival = self._look()
            now = self._clock.now_ns()
            if arrival.seconds or now >= deadline:
                return arrival
            until_ns = min(max(due - LEAD_NS, now + self._poll_ns), deadline)
            if self._announced is None:
                self._clock.sleep_until(until_ns)
            elif seconds := self._announced.wait(self.next_second, until_ns):
                return self._arrived(seconds)

    def _look(self) -> Arrival:
        stop = complete_until(self._store, self._collectors)
        if stop is None or stop <= self.next_second:
            self._missed = self.next_second
            return Arrival((), self._clock.now_ns())
        return self._arrived(tuple(closed_seconds(self._store, self.next_second, stop)))

    def _arrived(self, seconds: tuple[ClosedSecond, ...]) -> Arrival:
        now = self._clock.now_ns()
        self._note_delay(seconds, now)
        self.next_second = seconds[-1].second + 1
        return Arrival(seconds, now)

    def _note_delay(self, seconds: tuple[ClosedSecond, ...], now_ns: int) -> None:
        """Judge the skew by the newest record, closely where it was looked for in vain shortly before."""
        closed_ns = seconds[-1].closed_ns
        if closed_ns is not None:
            self._skew.observe(closed_ns, now_ns, close=self._missed == seconds[-1].second)
