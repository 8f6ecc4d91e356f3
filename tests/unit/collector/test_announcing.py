"""Whatever happens to the bus, what is stored is announced again as soon as it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from squeezeflow_plugin.bus.memory import MemoryBarBus
from squeezeflow_plugin.collector.announcing import Announcer
from squeezeflow_plugin.errors import BusError
from squeezeflow_plugin.market import ClosingRecord

T0 = 1_723_161_600


class FailingBus(MemoryBarBus):
    """A bus whose server is down while ``down`` is set."""

    down = False

    def publish(self, records: Sequence[ClosingRecord]) -> None:
        self._check()
        super().publish(records)

    def last_second(self, collector: str) -> int | None:
        self._check()
        return super().last_second(collector)

    def _check(self) -> None:
        if self.down:
            raise BusError("bus: Redis: connection refused; the store has everything")


def record(second: int, closed_ns: int = 0) -> ClosingRecord:
    return ClosingRecord("main", second, closed_ns)


def held(bus: MemoryBarBus, after: int) -> list[int]:
    return [each.second for each in bus.follow("main", after, 0)]


@asynccontextmanager
async def running(announcer: Announcer) -> AsyncIterator[None]:
    task = asyncio.create_task(announcer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a state of the object under test, no event
            await asyncio.sleep(0.005)


async def test_what_is_stored_is_announced() -> None:
    bus = MemoryBarBus()
    announcer = Announcer(bus, "main")
    async with running(announcer):
        for second in range(T0, T0 + 5):
            announcer.stored((record(second),))
            await until(lambda second=second: announcer.announced == second)  # type: ignore[misc]  # the loop's own value
    assert held(bus, T0 - 1) == list(range(T0, T0 + 5))


async def test_an_outage_is_made_good_from_what_is_at_hand(caplog: pytest.LogCaptureFixture) -> None:
    bus = FailingBus()
    announcer = Announcer(bus, "main")
    async with running(announcer):
        announcer.stored((record(T0),))
        await until(lambda: announcer.announced == T0)
        bus.down = True
        for second in range(T0 + 1, T0 + 11):
            announcer.stored((record(second),))
        await until(lambda: announcer.failures >= 2)
        bus.down = False
        await until(lambda: announcer.announced == T0 + 10)
    assert held(bus, T0 - 1) == list(range(T0, T0 + 11))
    assert [line.levelname for line in caplog.records] == ["WARNING", "WARNING"]


async def test_after_a_long_outage_the_stream_goes_on_with_the_last_minute() -> None:
    bus = FailingBus()
    announcer = Announcer(bus, "main")
    bus.down = True
    async with running(announcer):
        announcer.stored(tuple(record(T0 + i) for i in range(600)))
        await until(lambda: announcer.failures >= 1)
        bus.down = False
        await until(lambda: announcer.announced == T0 + 599)
    assert held(bus, T0 + 539) == list(range(T0 + 540, T0 + 600))


@pytest.mark.parametrize(
    "left_behind",
    [[record(T0 + 10_000)], [record(T0, 7), record(T0 + 1, 7)], [record(T0 - 1), record(T0 + 1)]],
    ids=["ahead", "different", "holed"],
)
async def test_a_stream_of_another_life_begins_anew(left_behind: list[ClosingRecord]) -> None:
    bus = MemoryBarBus()
    bus.publish(left_behind)
    announcer = Announcer(bus, "main")
    async with running(announcer):
        announcer.stored((record(T0), record(T0 + 1), record(T0 + 2)))
        await until(lambda: announcer.announced == T0 + 2)
    assert held(bus, T0 + 1) == [T0 + 2]
