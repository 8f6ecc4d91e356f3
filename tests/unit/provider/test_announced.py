"""The bus makes a second come earlier, never later, and never another one than the store has."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from squeezeflow_plugin.bus.memory import MemoryBarBus
from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.errors import BusError
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.provider.announced import AnnouncedSeconds
from squeezeflow_plugin.provider.live import LiveFollower
from squeezeflow_plugin.store.memory import MemoryBarStore

T0 = 1_723_161_600
LATE_NS = (T0 + 100) * NS_PER_SECOND


class FailingBus(MemoryBarBus):
    """A bus whose server is down while ``down`` is set; it waits on the stepped clock."""

    down = False
    calls = 0

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__()
        self._clock = clock

    def follow(self, collector: str, after: int, timeout_s: float) -> tuple[ClosingRecord, ...]:
        self.calls += 1
        if self.down:
            raise BusError("bus: Redis: connection refused; the store has everything")
        found = super().follow(collector, after, 0.0)
        if not found:
            self._clock.advance(round(timeout_s * NS_PER_SECOND))
        return found


def record(second: int, collector: str = "main") -> ClosingRecord:
    return ClosingRecord(collector, second, (second + 1) * NS_PER_SECOND + 400_000_000)


def seconds(announced: AnnouncedSeconds, after: int, until_ns: int = LATE_NS) -> Sequence[int]:
    return [closed.second for closed in announced.wait(after, until_ns)]


def test_a_second_is_complete_when_every_collector_has_announced_it() -> None:
    clock = SteppedClock(T0 * NS_PER_SECOND)
    bus = FailingBus(clock)
    announced = AnnouncedSeconds(bus, clock, ["west", "east"], 0.4)
    bus.publish([record(T0 + i, "east") for i in range(3)])
    assert seconds(announced, T0) == []
    bus.publish([record(T0 + i, "west") for i in range(2)])
    first, second = announced.wait(T0, LATE_NS)
    assert [each.collector for each in first.records] == ["east", "west"]
    assert (first.second, second.second) == (T0, T0 + 1)
    bus.publish([record(T0 + 2, "west")])
    assert seconds(announced, T0 + 2) == [T0 + 2]


def test_after_a_gap_it_goes_on_behind_what_the_store_gave() -> None:
    clock = SteppedClock(T0 * NS_PER_SECOND)
    bus = FailingBus(clock)
    announced = AnnouncedSeconds(bus, clock, ["main"], 0.4)
    bus.publish([record(T0), record(T0 + 1), record(T0 + 5), record(T0 + 6)])
    assert seconds(announced, T0) == [T0, T0 + 1]
    assert seconds(announced, T0 + 2) == []
    assert clock.now_ns() == LATE_NS
    assert seconds(announced, T0 + 6) == [T0 + 6]


def test_a_dead_bus_is_asked_rarely_and_only_where_there_is_time(caplog: pytest.LogCaptureFixture) -> None:
    clock = SteppedClock(T0 * NS_PER_SECOND)
    bus = FailingBus(clock)
    announced = AnnouncedSeconds(bus, clock, ["main"], 0.4)
    bus.down = True
    for _ in range(1000):
        assert seconds(announced, T0, clock.now_ns() + NS_PER_SECOND // 50) == []
    assert bus.calls == 1
    for _ in range(60):
        assert seconds(announced, T0, clock.now_ns() + NS_PER_SECOND) == []
    assert bus.calls == 6  # after rests of 1, 2, 4, 8, 16 and 30 s; the first has passed above
    bus.down = False
    bus.publish([record(T0)])
    while not (found := seconds(announced, T0, clock.now_ns() + NS_PER_SECOND)):
        assert clock.now_ns() < LATE_NS
    assert found == [T0]
    assert [line.getMessage().partition(";")[0] for line in caplog.records] == [
        "bus: Redis: connection refused",
        "bus: answers again",
    ]


@pytest.mark.parametrize("announces", [True, False])
def test_the_follower_returns_the_same_seconds_with_and_without_announcements(announces: bool) -> None:
    clock = SteppedClock(T0 * NS_PER_SECOND)
    store, bus = MemoryBarStore(), FailingBus(clock)
    follower = LiveFollower(
        store,
        clock,
        ["main"],
        T0,
        watermark_ms=400,
        timeout_ms=250,
        announced=AnnouncedSeconds(bus, clock, ["main"], 0.4),
    )
    got: list[ClosingRecord] = []
    for i in range(20):
        # The store may be behind the bus (shipping takes a while); never for good.
        store.append([record(T0 + i - 1)] if i else [])
        if announces and i % 5 != 3:
            bus.publish([record(T0 + i)])
        got += [each for closed in follower.wait().seconds for each in closed.records]
    store.append([record(T0 + 19)])
    got += [each for closed in follower.wait().seconds for each in closed.records]
    assert got == [record(T0 + i) for i in range(20)]
