"""What only a server can do to the bus: lose everything, die, stall, run full, refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from squeezeflow_plugin.bus import wire
from squeezeflow_plugin.bus.redis import RedisBarBus, connect
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.errors import BusError, BusGapError, SettingsError
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.settings import Settings
from tests.redis_server import RedisServer

T0 = 1_723_161_600


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


def bus_of(server: RedisServer, patience_s: float = 2.0) -> RedisBarBus:
    return RedisBarBus(server.client(patience_s))


def record(second: int, markets: int = 1) -> ClosingRecord:
    bars = tuple(
        Bar(f"EXCHANGE:market{number:03}", second, 1.0, 1.0, 1.0, 1.0, 2.0, 0.5, 3, 1, 0.0, 0.0)
        for number in range(markets)
    )
    return ClosingRecord("main", second, second * 10**9 + 1_400_000_000, bars)


def test_after_flushall_a_reader_goes_on_where_it_stood(server: RedisServer) -> None:
    bus = bus_of(server)
    bus.publish([record(T0)])
    server.client().flushall()
    bus.publish([record(T0 + 1)])
    assert bus.follow("main", T0, 0) == (record(T0 + 1),)
    with pytest.raises(BusGapError):
        bus.follow("main", T0 - 1, 0)


def test_a_killed_server_is_an_error_at_once_and_forgotten_when_it_is_back(server: RedisServer) -> None:
    bus, clock = bus_of(server), SystemClock()
    bus.publish([record(T0), record(T0 + 1)])
    server.kill()
    started = clock.now_ns()
    for call in (lambda: bus.publish([record(T0 + 2)]), lambda: bus.follow("main", T0 + 1, 5)):
        with pytest.raises(BusError, match="Redis"):
            call()
    assert clock.now_ns() - started < 10**9
    server.start()
    bus.publish([record(T0 + 1), record(T0 + 2)])
    assert bus.follow("main", T0 + 1, 0) == (record(T0 + 2),)


def test_a_stalled_server_costs_no_more_than_the_patience(server: RedisServer) -> None:
    bus, clock = bus_of(server, patience_s=0.4), SystemClock()
    bus.publish([record(T0)])
    server.pause()
    started = clock.now_ns()
    with pytest.raises(BusError):
        bus.follow("main", T0, 5)
    assert clock.now_ns() - started < 1.5 * 10**9
    server.resume()
    bus.publish([record(T0 + 1)])
    assert bus.follow("main", T0, 1) == (record(T0 + 1),)


def test_a_full_server_refuses_is_said_and_is_used_again_when_there_is_room(server: RedisServer) -> None:
    bus, client = bus_of(server), server.client()
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 500_000)
    with pytest.raises(BusError, match=r"was refused: .*maxmemory"):
        bus.publish([record(T0 + second, 100) for second in range(2_000)])
    announced = (bus.last_second("main") or T0) - T0 + 1
    assert 10 < announced < 1000
    assert bus.follow("main", T0 - 1, 0)[0] == record(T0, 100)
    client.config_set("maxmemory", 0)
    bus.publish([record(T0 + announced, 100)])
    assert bus.last_second("main") == T0 + announced


@pytest.mark.parametrize(
    ("identity", "fields", "message"),
    [
        (f"{T0 * 1000 + 1}-0", {b"v": b"1"}, f"entry {T0 * 1000 + 1}-0, not with second"),
        (f"{T0 * 1000}-1", {b"v": b"1"}, f"entry {T0 * 1000}-1, not with second"),
        (f"{T0 * 1000}-0", {b"v": b"2", b"r": b""}, "format version b'2'"),
        (f"{T0 * 1000}-0", {b"v": b"1", b"r": b"\xc1"}, "cannot be read"),
        (f"{T0 * 1000}-0", wire.encode(ClosingRecord("main", T0 + 1, 0)), f"holds second {T0 + 1}"),
    ],
)
def test_an_entry_of_another_make_sends_the_reader_to_the_store(
    server: RedisServer, identity: str, fields: dict[Any, Any], message: str
) -> None:
    server.client().xadd(wire.bars_key("main"), fields, id=identity)
    with pytest.raises(BusGapError, match=message):
        bus_of(server).follow("main", T0 - 1, 0)


def test_a_key_of_another_type_is_an_error(server: RedisServer) -> None:
    server.client().set(wire.bars_key("main"), "mine")
    with pytest.raises(BusError, match="WRONGTYPE"):
        bus_of(server).publish([record(T0)])


def test_credentials_come_from_settings_file_or_url(tmp_path: Path) -> None:
    phrase = "s3cret/@:"
    server = RedisServer(tmp_path / "redis", "--requirepass", phrase)
    server.start()
    try:
        secret = tmp_path / "password"
        secret.write_text(phrase + "\n", encoding="utf-8")
        for settings in (
            replace(server.settings, redis_password=phrase),
            replace(server.settings, redis_password_file=str(secret)),
            Settings(redis_url=f"redis://:s3cret%2F%40%3A@127.0.0.1:{server.port}/0"),
        ):
            assert "s3cret" not in repr(settings)
            RedisBarBus(connect(settings, 1.0)).publish([record(T0)])
        with pytest.raises(BusError, match="uthentication"):
            bus_of(server).publish([record(T0)])
    finally:
        server.kill()


def test_settings_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="redis_url cannot be used"):
        connect(Settings(redis_url="http://127.0.0.1"), 1.0)
    with pytest.raises(SettingsError, match=r"redis_password_file .*absent cannot be read"):
        connect(Settings(redis_password_file=str(tmp_path / "absent")), 1.0)
