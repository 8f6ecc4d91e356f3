"""Roll-over and retention of the embedded store beside collecting, in a thread, at quiet moments.

The thread works in small steps and begins each of them in the part of a second that follows a record's way
into the store, so that the next close, a second later, finds the machine free. A failure is said and counted
and tried again at the next turn: the store works on, it only keeps more in SQLite.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TypeVar

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.layout import is_imported
from squeezeflow_plugin.store.rolling import Periods, Rolled, StoreKeeper

_LOG = logging.getLogger(__name__)
MARGIN_S = 300
"""Seconds that a period stays in SQLite after its last bar can no longer change."""
_TURN_S = 60
_DAY_S = 86_400
_QUIET_S = 0.35
_LONGEST_WAIT_S = 2.0
_T = TypeVar("_T")


class StoreKeeping:
    """Keeps the store of ``settings``; ``last_second`` says how far the collector has closed."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        last_second: Callable[[], int | None],
        failed: Callable[[], None],
        periods: Periods | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._last_second = last_second
        self._failed = failed
        self._periods = periods or Periods()
        self._quiet = threading.Event()
        self._stopping = False
        self._done = 0

    def stored(self) -> None:
        """A record is in the store: from now it is quiet for a while. Called on the event loop."""
        self._quiet.set()
        asyncio.get_running_loop().call_later(_QUIET_S, self._quiet.clear)

    async def run(self) -> None:
        """Take a turn whenever another period is over, until cancelled."""
        try:
            while True:
                await self._clock.wait_until(self._clock.now_ns() + _TURN_S * NS_PER_SECOND)
                last = self._last_second()
                if last is None:
                    continue
                before = last - self._settings.revision_horizon_s - MARGIN_S
                before -= before % self._periods.block_s
                if before > self._done:
                    await asyncio.to_thread(self.turn, before)
                    self._done = before
        finally:
            self._stopping = True
            self._quiet.set()

    def turn(self, before: int) -> None:
        """Roll what ended by second ``before``, drop what is older than the retention; logs, never raises.

        Dropping does not wait for what cannot be rolled: where the disk is full it makes the room that
        rolling needs, and a partition that cannot be read must not keep the store growing.
        """
        rolled = self._taken(partial(self._roll, before), Rolled())
        dropped = self._taken(partial(self._retain, before), 0)
        if rolled.partitions or dropped:
            _LOG.info(
                "roll-over: %d records with %d bars into %d partitions, %d older than %d days dropped",
                rolled.records,
                rolled.bars,
                rolled.partitions,
                dropped,
                self._settings.retention_days,
            )

    def _taken(self, step: Callable[[], _T], failed: _T) -> _T:
        """What a step returns; ``failed`` where the store refuses it, which is said and counted."""
        try:
            return step()
        except StoreError as error:
            if not self._stopping:
                self._failed()
                _LOG.error("roll-over: %s; it is tried again when the next period is over", error)
            return failed

    def _retain(self, before: int) -> int:
        if not self._settings.retention_days:
            return 0
        with closing(self._keeper()) as keeper:
            return keeper.retain(before - self._settings.retention_days * _DAY_S, spared=is_imported)

    def _roll(self, before: int) -> Rolled:
        with closing(self._keeper()) as keeper:
            return keeper.roll_over(before)

    def _keeper(self) -> StoreKeeper:
        return StoreKeeper(self._settings.store_path, self._periods, self._pause)

    def _pause(self) -> None:
        """Between two steps: wait for a quiet moment; raises StoreError once the collector stops."""
        if not self._stopping:
            self._quiet.wait(_LONGEST_WAIT_S)
        if self._stopping:
            raise StoreError("the collector stops; what is not rolled stays in SQLite")
