"""One life of a collector in simulated time: feeds, journal, closer, store and bus as ``collector.app`` joins
them, until it is killed or stopped. The next life takes up the store and the journal."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.collector.announcing import Announcer
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.collector.recovering import Recoverer, continuity_of
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.collector.storing import StoreQueue
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter
from squeezeflow_plugin.feeds.batches import BatchReaders
from squeezeflow_plugin.feeds.reconnect import Backoff
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord, Instrument
from squeezeflow_plugin.settings import Endpoint
from squeezeflow_plugin.simulator.floor import prefix
from tests.soak.inner import TroubledBus, TroubledJournal, TroubledStore, Troubles
from tests.soak.stepped import LoopClock
from tests.soak.wire_exchanges import Exchanges, MemoryConnection

COLLECTOR = "main"
WATERMARK_MS = 400
SILENCE_LIMIT_S = 15.0
HORIZON_S = 600
_CAPACITY = 7200
_LOOK_AGAIN_NS = NS_PER_SECOND // 10
_SOON_NS = 2 * NS_PER_SECOND


@dataclass(frozen=True)
class World:
    """What outlives a collector."""

    exchanges: Exchanges
    instruments: tuple[Instrument, ...]
    clock: LoopClock
    bus: TroubledBus
    troubles: Troubles
    folder: Path
    tally: Tally
    rng: random.Random

    @property
    def store_path(self) -> Path:
        return self.folder / "store.sqlite"

    @property
    def journal_dir(self) -> Path:
        return self.folder / "journal"


class Life:
    """Opens store and journal, and goes on where the life before ended."""

    def __init__(self, world: World) -> None:
        self._world = world
        clock, troubles = world.clock, world.troubles
        self._store = TroubledStore(world.store_path, troubles)
        self._journal = TroubledJournal(world.journal_dir, troubles)
        names = sorted({each.exchange for each in world.instruments})
        adapters = [registry.adapter(name, _endpoint(name)) for name in names]
        pasts = {name: registry.past_trades(name, _endpoint(name)) for name in names}
        self._closer = Closer(
            COLLECTOR,
            [each.market for each in world.instruments],
            started_ns=clock.now_ns(),
            watermark_ms=WATERMARK_MS,
            horizon_s=HORIZON_S,
            silence_limit_s=SILENCE_LIMIT_S,
            continuity=continuity_of(adapters, pasts, world.instruments),
        )
        self._resume()
        intake = self._intake = Intake(self._closer, self._journal, world.tally)
        self._announcer = Announcer(world.bus, COLLECTOR)
        self._queue = StoreQueue(self._store, _CAPACITY, self._announcer.stored, lambda: None)
        self._connections = self._connect(adapters, intake)
        self._recoverer = Recoverer(
            pasts, world.instruments, intake, clock, renew=self._renew, fetch=world.exchanges.fetch
        )
        self._storing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until cancelled, which is what a kill comes to; raises what any of its parts fails with."""
        self._storing = asyncio.create_task(self._queue.run())
        work: list[Coroutine[Any, Any, None]] = [each.run() for each in self._connections]
        work += [self._recoverer.run(), self._close_seconds(), self._announcer.run()]
        tasks = [self._storing, *map(asyncio.create_task, work)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks[1:], return_exceptions=True)

    async def stop(self) -> None:
        """After ``run`` was cancelled: let the store take what is closed."""
        await self._queue.stop()
        if self._storing is not None:
            await self._storing
        self._shut()

    async def kill(self, *, torn: bool) -> None:
        """After ``run`` was cancelled: nothing that waits is kept."""
        if self._storing is not None:
            self._storing.cancel()
            await asyncio.gather(self._storing, return_exceptions=True)
        self._shut()
        if torn:
            self._journal.tear()

    def waits_for(self, second: int) -> bool:
        """Whether what a market missed before that second is about to be asked for, or will be once the
        market is live again."""
        watch = self._closer.watch
        due = watch.due(self._world.clock.now_ns() + _SOON_NS)
        waits = (watch.of(each.market).pending for each in self._world.instruments)
        return any(gap.after_ns < second * NS_PER_SECOND for gap in due) or any(
            each is not None and each.doubts and each.start < second and (each.live_ns < 0 or not each.tries)
            for each in waits
        )

    def _shut(self) -> None:
        self._journal.close()
        self._store.close()

    def _resume(self) -> None:
        last = self._store.last_second(COLLECTOR)
        if last is not None:
            first = last - HORIZON_S + 1
            self._closer.resume(
                self._store.records(first, last + 1, [COLLECTOR]), *self._journal.split(first, last)
            )

    def _connect(self, adapters: list[ExchangeAdapter], intake: Intake) -> list[MemoryConnection]:
        made = []
        readers = BatchReaders(2)  # frames that come together as a block, those that come alone by themselves
        readers.load()
        for adapter in adapters:
            markets = [each for each in self._world.instruments if each.exchange == adapter.name]
            for plan in adapter.plan(markets):
                connection = MemoryConnection(
                    plan,
                    adapter,
                    self._world.clock,
                    intake,
                    silence_limit_s=SILENCE_LIMIT_S,
                    readers=readers,
                    backoff=Backoff(rng=random.Random(self._world.rng.getrandbits(32))),
                )
                connection.stage = self._world.exchanges
                made.append(connection)
        return made

    def _renew(self, market: str, reason: str) -> None:
        for connection in self._connections:
            if market in connection.plan.markets:
                connection.renew(reason)

    async def _close_seconds(self) -> None:
        clock, closer = self._world.clock, self._closer
        while True:
            now_ns, due_ns = clock.now_ns(), closer.due_local_ns()
            if now_ns < due_ns:
                await clock.wait_until(min(due_ns, now_ns + _LOOK_AGAIN_NS))
                continue
            record: ClosingRecord = closer.close(now_ns)
            self._intake.closed(record.second, now_ns)
            closer.take_refused()
            await self._queue.put(record)
            await asyncio.sleep(0)


def _endpoint(name: str) -> Endpoint:
    return Endpoint(rest=f"http://127.0.0.1:1{prefix(name)}", ws=f"ws://127.0.0.1:1{prefix(name)}")
