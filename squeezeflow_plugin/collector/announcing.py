"""Stored records on their way to the bus: at once where it answers, never in the way where it does not.

The store has every record before the bus is told, so nothing that happens here can lose one. The last
minute is kept at hand; after a longer outage the stream goes on with it and the readers, who have polled
the store meanwhile, are told of the gap.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from squeezeflow_plugin.bus.contract import BarBus
from squeezeflow_plugin.errors import BusConflictError, BusError
from squeezeflow_plugin.market import ClosingRecord

_LOG = logging.getLogger(__name__)
_AT_HAND = 60
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Announcer:
    """Announces one collector's records.

    ``announced`` is the newest second the bus has, None before the first; ``failures`` counts the
    times the bus did not take what it was given.
    """

    def __init__(self, bus: BarBus, collector: str) -> None:
        self.announced: int | None = None
        self.failures = 0
        self._bus = bus
        self._collector = collector
        self._at_hand: deque[ClosingRecord] = deque(maxlen=_AT_HAND)
        self._stored = asyncio.Event()
        self._in_touch = False

    def stored(self, records: tuple[ClosingRecord, ...]) -> None:
        """The store has taken these, in order; called from the event loop."""
        self._at_hand.extend(records)
        self._stored.set()

    async def run(self) -> None:
        """Announce what is stored, until cancelled."""
        pause_s = _FIRST_PAUSE_S
        while True:
            await self._stored.wait()
            self._stored.clear()
            try:
                await asyncio.to_thread(self._announce, tuple(self._at_hand))
            except BusError as error:
                self.failures += 1
                self._in_touch = False
                self._stored.set()
                if pause_s == _FIRST_PAUSE_S:
                    _LOG.warning("bus: seconds are not announced: %s", error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            if pause_s > _FIRST_PAUSE_S:
                _LOG.warning("bus: seconds are announced again, up to %s", self.announced)
                pause_s = _FIRST_PAUSE_S

    def _announce(self, records: tuple[ClosingRecord, ...]) -> None:
        """Publish what the bus does not have yet; a stream of another life, or with a hole, makes room."""
        if not self._in_touch:
            self.announced = self._bus.last_second(self._collector)
            self._in_touch = True
        if self.announced is not None and records and self.announced > records[-1].second:
            self._forget(f"it stands at second {self.announced}, the store at {records[-1].second}")
        new = [record for record in records if self.announced is None or record.second > self.announced]
        if not new:
            return
        try:
            self._bus.publish(new)
        except BusConflictError as error:
            self._forget(str(error))
            self._bus.publish(records)
        self.announced = records[-1].second

    def _forget(self, reason: str) -> None:
        _LOG.warning("bus: the stream of %s begins anew: %s", self._collector, reason)
        self._bus.forget(self._collector)
        self.announced = None
