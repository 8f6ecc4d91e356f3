"""Closed records on their way into the store: in order, off the event loop, patient with a failing store."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from squeezeflow_plugin.errors import StoreConflictError, StoreCorruptError, StoreError
from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.store.contract import BarStore

_LOG = logging.getLogger(__name__)
_BATCH_RECORDS = 600
_ENOUGH_WAITING = 2400
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class StoreQueue:
    """Records wait here until the store has them; a store that is locked or full is tried again.

    At most ``capacity`` records wait for a store that fails; then the collector has to stop and say so.
    ``stored`` is called with each batch the store has taken and ``wrote`` with the seconds that it took for
    it, ``failed`` at each failure.
    """

    def __init__(
        self,
        store: BarStore,
        capacity: int,
        stored: Callable[[tuple[ClosingRecord, ...]], None],
        failed: Callable[[], None],
        wrote: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._capacity = capacity
        self._stored = stored
        self._failed = failed
        self._wrote = wrote
        self._waiting: deque[ClosingRecord] = deque()
        self._changed = asyncio.Condition()
        self._stopping = False
        self._failing = False

    def __len__(self) -> int:
        return len(self._waiting)

    def waiting(self) -> tuple[ClosingRecord, ...]:
        """The records that the store does not have yet, oldest first."""
        return tuple(self._waiting)

    async def put(self, record: ClosingRecord) -> None:
        """Queue one record; after an outage of hours, wait for a store that works but has much to take.

        Raises StoreError where the store fails and the queue is full.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._failing or len(self._waiting) < _ENOUGH_WAITING)
            if len(self._waiting) >= self._capacity:
                raise StoreError(
                    f"the store has taken no record for {len(self._waiting)} seconds; the collector stops,"
                    " and what the journal holds is recovered at the next start"
                )
            self._waiting.append(record)
            self._changed.notify_all()

    async def run(self) -> None:
        """Store what waits until ``stop``.

        Raises what trying again cannot mend, StoreCorruptError and StoreConflictError, and any StoreError
        after ``stop``.
        """
        pause_s = _FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting or self._stopping)
            if not self._waiting:
                return
            batch = tuple(self._waiting[i] for i in range(min(len(self._waiting), _BATCH_RECORDS)))
            began_s = loop.time()
            try:
                await asyncio.to_thread(self._store.append, batch)
            except (StoreConflictError, StoreCorruptError):
                raise
            except StoreError as error:
                self._failed()
                if self._stopping:
                    raise
                async with self._changed:
                    self._failing = True
                    self._changed.notify_all()  # whoever waits for a store that works need not any more
                if pause_s == _FIRST_PAUSE_S:
                    _LOG.error("store: %s; %d records wait and are tried again", error, len(self._waiting))
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            self._wrote(loop.time() - began_s)
            async with self._changed:
                for _ in batch:
                    self._waiting.popleft()
                self._changed.notify_all()
            if self._failing:
                _LOG.warning("store: takes records again; %d wait", len(self._waiting))
                self._failing, pause_s = False, _FIRST_PAUSE_S
            self._stored(batch)

    async def stop(self) -> None:
        """Let ``run`` return once nothing waits; a store that fails then is not tried again."""
        async with self._changed:
            self._stopping = True
            self._changed.notify_all()

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until ``stop``."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: self._stopping), seconds)
            except TimeoutError:
                return
