"""Opened where the settings want it; decisions pass through it and nothing is needed to close it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from squeezeflow_plugin.bus import wire
from squeezeflow_plugin.bus.redis import RedisBarBus
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.provider.announced import AnnouncedSeconds
from squeezeflow_plugin.provider.fastpath import open_fast_path
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.decisions import LoggedDecision
from tests.redis_server import RedisServer

T0 = 1_723_161_600


def wait(announced: AnnouncedSeconds, next_second: int) -> Sequence[int]:
    until_ns = SystemClock().now_ns() + 30 * NS_PER_SECOND
    return [closed.second for closed in announced.wait(next_second, until_ns)]


def test_there_is_none_without_a_bus() -> None:
    assert open_fast_path(Settings(), ("score",), "engine") is None


def test_it_listens_and_tells(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        path = open_fast_path(server.settings, ("score",), "engine")
        assert path is not None
        announced = path.listen(["main"], SystemClock())
        RedisBarBus(server.client()).publish([ClosingRecord("main", T0 + i, 0) for i in range(3)])
        assert wait(announced, T0 + 1) == [T0 + 1, T0 + 2]
        # A reader that began again from the store may stand a second further back.
        assert wait(announced, T0) == [T0, T0 + 1, T0 + 2]
        path.tell([])
        path.tell([LoggedDecision("BTC/USDT", T0, T0, 0, 430.0, (4.5,))])
        path.close()
        assert server.client().xlen(wire.DECISIONS_KEY) == 1
    finally:
        server.kill()


def test_closing_does_not_wait_for_a_dead_server(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    path = open_fast_path(server.settings, ("score",), "engine")
    assert path is not None
    path.tell([LoggedDecision("BTC/USDT", T0, T0, 0, 430.0, (4.5,))])
    clock = SystemClock()
    started = clock.now_ns()
    path.close()
    assert clock.now_ns() - started < 3 * NS_PER_SECOND
