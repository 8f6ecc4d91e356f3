"""The bus in front of the store: closed seconds as soon as they are announced.

It replaces only the pauses between two looks at the store. Whatever goes wrong with it - a gap, an
unreachable server, an announcement that never comes - the follower looks at the store at the same times as
without it, so the bus can make a decision earlier and never later; a server that stalls is tried again only
where there is time to lose.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from squeezeflow_plugin.bus.contract import BarBus
from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import BusError, BusGapError
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.provider.closings import ClosedSecond

_LOG = logging.getLogger(__name__)
_FIRST_REST_NS = NS_PER_SECOND
_LONGEST_REST_NS = 30 * NS_PER_SECOND


class AnnouncedSeconds:
    """The announcements of the collectors that a second needs.

    ``patience_s`` is how long the bus may take to say that it does not answer.
    """

    def __init__(self, bus: BarBus, clock: Clock, collectors: Iterable[str], patience_s: float) -> None:
        self._bus = bus
        self._clock = clock
        self._held: dict[str, tuple[ClosingRecord, ...]] = dict.fromkeys(sorted(set(collectors)), ())
        self._patience_ns = int(patience_s * NS_PER_SECOND)
        self._rest_ns = 0
        self._resume_ns = 0

    def wait(self, next_second: int, until_ns: int) -> tuple[ClosedSecond, ...]:
        """The complete seconds from ``next_second`` on, as soon as there is one; none at ``until_ns``."""
        now_ns = self._clock.now_ns()
        if self._rest_ns and (now_ns < self._resume_ns or until_ns - now_ns < self._patience_ns):
            self._clock.sleep_until(until_ns)
            return ()
        try:
            complete = self._collect(next_second, until_ns)
        except BusGapError as gap:
            _LOG.info("%s", gap)
            self._clock.sleep_until(until_ns)
            return ()
        except BusError as error:
            self._rest(error)
            self._clock.sleep_until(until_ns)
            return ()
        if self._rest_ns:
            _LOG.warning("bus: answers again")
            self._rest_ns = 0
        return complete

    def _collect(self, next_second: int, until_ns: int) -> tuple[ClosedSecond, ...]:
        for collector, held in self._held.items():
            kept = tuple(record for record in held if record.second >= next_second)
            if not kept or kept[0].second != next_second:  # a reader that began again stands further back
                left_s = max(until_ns - self._clock.now_ns(), 0) / NS_PER_SECOND
                kept = self._bus.follow(collector, next_second - 1, left_s)
            self._held[collector] = kept
            if not kept:
                return ()
        by_second = zip(*self._held.values(), strict=False)  # the shortest run says how far all have come
        return tuple(ClosedSecond(records[0].second, records) for records in by_second)

    def _rest(self, error: BusError) -> None:
        if not self._rest_ns:
            _LOG.warning("%s; it is polled until the bus answers again", error)
        self._rest_ns = min(2 * self._rest_ns or _FIRST_REST_NS, _LONGEST_REST_NS)
        self._resume_ns = self._clock.now_ns() + self._rest_ns
