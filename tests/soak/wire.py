"""Schedules in simulated time: a collector from its sockets to its bus, over exchanges in memory.

Adapters, connections, recovery, journal, bars, store and bus are the real ones; what stands in is the socket
and the HTTP client. The frames that go over them are the simulator's, troubled by a script of faults of the
wire (``simulator.faults``) and by one of faults behind the feeds (``inner``), both of which follow from the
seed. In the end the store is compared with what was traded (``wire_judge``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.simulator.echoes import Ids
from squeezeflow_plugin.simulator.faults import Fault, script
from tests.soak import wire_market
from tests.soak.inner import Inner, InnerFault, TroubledBus, Troubles, inner_script
from tests.soak.stepped import LoopClock, run_stepped
from tests.soak.wire_exchanges import Exchanges
from tests.soak.wire_judge import JUDGED_S, Played, WireOutcome, judged
from tests.soak.wire_life import COLLECTOR, Life, World
from tests.soak.wire_market import RUN_S, START
from tests.soak.wire_reader import WireReader

MARKETS = 32
"""So many markets are made; the seeds share them, so many at a time."""
SHARED_BY = 8
FAULTS_S = (8, 36)
CLOSING_S = 3
"""What was recovered last is in the store so many seconds later."""
LONGEST_S = RUN_S + 30
"""A connection that was down again and again tries seldom: until then what it missed may be asked for."""
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a random name is made in it


def play_wire(
    seed: int, faults: Sequence[Fault] | None = None, inner: Sequence[InnerFault] | None = None
) -> WireOutcome:
    """One schedule from its beginning to its verdict."""
    made = wire_market.market(seed // SHARED_BY % MARKETS)
    if faults is None:
        first, last = ((START + second) * 1000 for second in FAULTS_S)
        sequenced = sorted({e.instrument.exchange for e in made.echoes if e.ids is Ids.SEQUENCE})
        faults = script(seed, made.exchanges, first, last, sequenced=sequenced)
    if inner is None:
        inner = inner_script(seed, *FAULTS_S)
    shared = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="soak-wire-", dir=shared) as folder, _quiet():
        played = Played(seed, made, tuple(faults), tuple(inner), Path(folder) / "store.sqlite")
        misread, tally = run_stepped(_play(played, Path(folder)))
        return replace(
            judged(played),
            misread=misread,
            recovered=tally.trades_recovered,
            rejected=sum(tally.rejected.values()),
        )


async def _play(played: Played, folder: Path) -> tuple[int, Tally]:
    """The lives of a collector one after the other, up to the end of the last second."""
    rng = random.Random(played.seed)
    clock = LoopClock(START * NS_PER_SECOND)
    troubles = Troubles(played.inner, asyncio.get_running_loop().time)
    bus = TroubledBus(troubles)
    exchanges = Exchanges(played, rng)
    world = World(exchanges, played.made.instruments, clock, bus, troubles, folder, Tally(), rng)
    reader = WireReader(COLLECTOR, bus, world.store_path, troubles)
    around = [
        asyncio.ensure_future(each)
        for each in (exchanges.send(), exchanges.trouble(clock), reader.run(), _empty(bus, troubles))
    ]
    try:
        for fault in troubles.of(Inner.KILL):
            life = Life(world)
            await _until(fault.start_s, life.run(), around)
            await life.kill(torn=fault.torn)
            await _until(fault.stop_s, None, around)
        life = Life(world)
        around.append(asyncio.ensure_future(life.run()))
        await _until(RUN_S - 5 - CLOSING_S, None, around)
        while life.waits_for(START + JUDGED_S[1]) and troubles.now_s() < LONGEST_S:
            await _until(troubles.now_s() + 1, None, around)
        await _until(troubles.now_s() + CLOSING_S, None, around)
        await _end(around.pop())
        await life.stop()
        reader.read()
    finally:
        for task in around:
            task.cancel()
        await asyncio.gather(*around, return_exceptions=True)
        misread = reader.misread()
        reader.close()
    return misread, world.tally


async def _until(
    at_s: float, life: Coroutine[Any, Any, None] | None, around: Sequence[asyncio.Future[None]]
) -> None:
    """Wait for that time and then end the life; what fails before is raised."""
    left_s = max(at_s - asyncio.get_running_loop().time(), 0.0)
    living = [] if life is None else [asyncio.ensure_future(life)]
    try:
        waited = [asyncio.create_task(asyncio.sleep(left_s)), *living]
        ended, _ = await asyncio.wait((*waited, *around), timeout=left_s, return_when=asyncio.FIRST_EXCEPTION)
        for task in ended:
            task.result()
    finally:
        for task in living:
            await _end(task)


async def _end(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _empty(bus: TroubledBus, troubles: Troubles) -> None:
    for fault in troubles.of(Inner.FLUSH):
        await asyncio.sleep(max(fault.start_s - troubles.now_s(), 0.0))
        bus.forget(COLLECTOR)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Every fault is logged by those it meets; here that is thousands of lines."""
    logger = logging.getLogger("squeezeflow_plugin")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
