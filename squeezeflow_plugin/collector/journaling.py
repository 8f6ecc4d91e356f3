"""The journal on its disk beside collecting: synced and cut short in a thread, for a disk may take long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.errors import JournalError
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND

_LOG = logging.getLogger(__name__)


class JournalKeeping:
    """Keeps ``hours`` of a journal; ``waiting`` says how many records the store has not taken yet."""

    def __init__(
        self, journal: TradeJournal, tally: Tally, clock: Clock, hours: float, waiting: Callable[[], int]
    ) -> None:
        self._journal = journal
        self._tally = tally
        self._clock = clock
        self._kept_ns = int(hours * 3600 * NS_PER_SECOND)
        self._waiting = waiting

    async def turn(self, *, prune: bool) -> None:
        """Put on the disk what is appended, and give up what is too old; a failure is counted and said."""
        try:
            await asyncio.to_thread(self._journal.syncing())
            # Nothing is given up while records wait: a restart would need the trades again.
            if prune and not self._waiting():
                oldest_ns = self._clock.now_ns() - self._kept_ns
                await asyncio.to_thread(self._journal.prune, oldest_ns // NS_PER_SECOND)
        except JournalError as error:
            self._tally.journal_failures += 1
            _LOG.error("journal: %s", error)
