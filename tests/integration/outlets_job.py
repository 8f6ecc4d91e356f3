"""A collector without exchanges: closer, queue, store and outlets wired as the collector wires them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector.outlets import Outlets
from squeezeflow_plugin.collector.stats import Counted, Stats, Tally
from squeezeflow_plugin.collector.storing import StoreQueue
from squeezeflow_plugin.market import ClosingRecord, Instrument, MarketKind, Trade
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.timings import Timings

SPOT = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
PERP = Instrument("BINANCE_FUTURES:btcusdt", "BTCUSDT", MarketKind.PERP, "BTC", "USDT", "USDT")


class Job:
    """Closer, queue, store and outlets as the collector wires them, without exchanges."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.store = EmbeddedBarStore(settings.store_path)
        self.store.put_instruments([SPOT, PERP])
        self.closer = Closer(
            "main", [SPOT.market, PERP.market], started_ns=self.clock.now_ns(), watermark_ms=50, grace_s=0.0
        )
        self.queue = StoreQueue(self.store, 100, self._stored, lambda: None)
        counted = Counted(self._stats, {}, Timings(()))
        self.outlets = Outlets(settings, self.clock, [SPOT, PERP], self.closer, self.queue, counted)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        tasks = [asyncio.create_task(work) for work in (self.queue.run(), self.outlets.run())]
        try:
            yield tasks[1]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.store.close()

    async def keep_closing(self) -> None:
        """A trade in every second, and every second closed."""
        while True:
            now_ns = self.clock.now_ns()
            self.closer.on_trades([Trade(SPOT.market, now_ns, str(now_ns), 60_000.0, 0.01, 600.0, 1)])
            await self.close_a_second()

    async def close_a_second(self) -> ClosingRecord:
        while self.clock.now_ns() < self.closer.due_local_ns():
            await self.clock.wait_until(self.closer.due_local_ns())
        record = self.closer.close(self.clock.now_ns())
        await self.queue.put(record)
        return record

    def _stored(self, records: tuple[ClosingRecord, ...]) -> None:
        self.outlets.stored(records, [60.0] * len(records))

    def _stats(self) -> Stats:
        return Tally().snapshot(
            collector="main",
            last_second=self.closer.last_second,
            markets=2,
            counts=self.closer.builder.counts,
            reconnects={},
            pending_records=len(self.queue),
            offsets_ns={},
            skew_ns=None,
        )
