"""The live follower on a clock that goes only where it is told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.provider.live import NS_PER_MS, Arrival, LiveFollower
from squeezeflow_plugin.store.memory import MemoryBarStore

S = 1_000


class Scene(SteppedClock):
    """A clock on which things happen: each action runs as soon as its local time is reached."""

    def __init__(self, now_ns: int) -> None:
        super().__init__(now_ns)
        self._actions: list[tuple[int, Callable[[], None]]] = []
        self.stepped_ns = 0

    def wall_lead_ns(self) -> int:
        return self.stepped_ns

    def at(self, when_ns: int, action: Callable[[], None]) -> None:
        self._actions.append((when_ns, action))

    def sleep_until(self, when_ns: int) -> None:
        super().sleep_until(when_ns)
        due = [item for item in self._actions if item[0] <= self.now_ns()]
        self._actions = [item for item in self._actions if item not in due]
        for _, action in sorted(due, key=lambda item: item[0]):
            action()


class Stage:
    """A store, a clock and a collector that is ``skew_ms`` behind the local clock."""

    def __init__(self, skew_ms: int = 0, closed_after_ms: int = 405) -> None:
        self.store = MemoryBarStore()
        self.skew_ns = skew_ms * NS_PER_MS
        self._after_ns = closed_after_ms * NS_PER_MS
        self.clock = Scene(S * NS_PER_SECOND + self.skew_ns)
        self.follower = LiveFollower(
            self.store, self.clock, ["main"], S, watermark_ms=400, timeout_ms=250, poll_ms=15
        )

    def local_ns(self, second: int, ms: int = 0) -> int:
        return second * NS_PER_SECOND + ms * NS_PER_MS + self.skew_ns

    def close(self, second: int, late_ms: int = 0) -> None:
        """Let the second's record be written ``closed_after_ms + late_ms`` after its end, market time."""
        market_ns = (second + 1) * NS_PER_SECOND + self._after_ns + late_ms * NS_PER_MS
        record = ClosingRecord("main", second, market_ns)
        self.clock.at(market_ns + self.skew_ns, partial(self.store.append, [record]))


def test_a_second_is_seen_within_one_poll_of_its_closing() -> None:
    stage = Stage()
    for second in range(S, S + 5):
        stage.close(second)
    for second in range(S, S + 5):
        arrival = stage.follower.wait()
        assert [item.second for item in arrival.seconds] == [second]
        assert 405 <= (arrival.at_ns - (second + 1) * NS_PER_SECOND) / NS_PER_MS <= 420


def test_a_late_second_ends_the_wait_and_comes_with_the_next() -> None:
    stage = Stage()
    stage.close(S)
    stage.close(S + 1, late_ms=300)
    stage.close(S + 2)
    assert stage.follower.wait().seconds
    arrival = stage.follower.wait()
    assert (arrival.seconds, arrival.at_ns) == ((), stage.local_ns(S + 2, 650))
    stage.clock.sleep_until(stage.local_ns(S + 3, 500))
    assert [item.second for item in stage.follower.wait().seconds] == [S + 1, S + 2]


def test_a_wait_long_after_the_close_looks_for_the_timeout_only() -> None:
    stage = Stage()
    stage.close(S)
    assert stage.follower.wait().seconds
    stage.clock.sleep_until(stage.local_ns(S + 100))
    arrival = stage.follower.wait()
    assert (arrival.seconds, arrival.at_ns) == ((), stage.local_ns(S + 100, 250))


def test_the_first_wait_gives_up_too() -> None:
    stage = Stage()
    assert stage.follower.wait() == Arrival((), stage.local_ns(S + 1, 650))


@pytest.mark.parametrize("skew_ms", [-1_000, -3_600_000])
def test_a_local_clock_that_is_behind_costs_one_second_only(skew_ms: int) -> None:
    stage = Stage(skew_ms)
    for second in range(S, S + 5):
        stage.close(second)
    late = []
    for second in range(S, S + 5):
        stage.clock.sleep_until(stage.local_ns(second, 900))
        arrival = next(found for _ in range(10) if (found := stage.follower.wait()).seconds)
        late += [arrival.at_ns - stage.local_ns(item.second + 1, 405) for item in arrival.seconds]
    assert all(0 <= ns <= 20 * NS_PER_MS for ns in late[-2:])
    assert abs(stage.follower.market_ns() - (stage.clock.now_ns() - stage.skew_ns)) <= 20 * NS_PER_MS


def test_a_local_clock_that_is_ahead_is_noticed() -> None:
    stage = Stage(skew_ms=1_500)
    for second in range(S, S + 8):
        stage.close(second)
    empty = []
    for second in range(S, S + 8):
        stage.clock.sleep_until(stage.local_ns(second, 450))  # the bot's own pace
        for _ in range(10):
            if stage.follower.wait().seconds:
                break
            empty.append(second)
    assert set(empty) <= {S}
    assert abs(stage.follower.market_ns() - (stage.clock.now_ns() - stage.skew_ns)) <= 20 * NS_PER_MS


def test_a_wall_clock_that_was_put_right_is_right_and_one_put_wrong_is_wrong() -> None:
    stage = Stage(skew_ms=-5_000)
    for second in range(S, S + 3):
        stage.close(second)
    while not stage.follower.wait().seconds:
        pass
    assert abs(stage.follower.wall_skew_ns + 5_000 * NS_PER_MS) <= 20 * NS_PER_MS
    stage.clock.stepped_ns = 5_000 * NS_PER_MS
    assert stage.follower.wall_skew_ns == 0
    assert abs(stage.follower.skew_ns + 5_000 * NS_PER_MS) <= 20 * NS_PER_MS
    stage.clock.stepped_ns = 65_000 * NS_PER_MS
    assert abs(stage.follower.wall_skew_ns - 60_000 * NS_PER_MS) <= 20 * NS_PER_MS


def test_a_slow_store_is_latency_and_no_skew() -> None:
    stage = Stage(closed_after_ms=405)
    for second in range(S, S + 3):
        record = ClosingRecord("main", second, (second + 1) * NS_PER_SECOND + 405 * NS_PER_MS)
        stage.clock.at(stage.local_ns(second + 1, 480), partial(stage.store.append, [record]))
    for _ in range(3):
        assert stage.follower.wait().seconds
    assert stage.follower.market_ns() == stage.clock.now_ns()


def test_records_that_lay_there_say_nothing_about_the_clock() -> None:
    stage = Stage()
    for second in range(S, S + 60):
        stage.close(second)
    stage.clock.sleep_until(stage.local_ns(S + 3_600))
    assert len(stage.follower.wait().seconds) == 60
    assert stage.follower.market_ns() == stage.clock.now_ns()
