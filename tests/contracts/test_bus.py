"""One suite over every bar bus: what is announced arrives in order, and what does not follow is said."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from squeezeflow_plugin.bus.contract import BarBus
from squeezeflow_plugin.bus.memory import MemoryBarBus
from squeezeflow_plugin.bus.redis import RedisBarBus
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.errors import BusConflictError, BusGapError
from squeezeflow_plugin.market import Bar, ClosingRecord, Interval
from tests.given_servers import GIVEN, GivenRedis
from tests.redis_server import RedisServer

T0 = 1_723_161_600
HOLD = 200

BusMaker = Callable[[], BarBus]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer | GivenRedis]:
    """The database that REDIS_URL names, else a server of the suite's own."""
    server: RedisServer | GivenRedis = GivenRedis()
    if "REDIS_URL" not in GIVEN:
        server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["memory", "redis"])
def make_bus(request: pytest.FixtureRequest) -> Iterator[BusMaker]:
    """Makes any number of handles on one bus, which is empty at first."""
    if request.param == "memory":
        bus = MemoryBarBus(HOLD)
        yield lambda: bus
        return
    server: RedisServer | GivenRedis = request.getfixturevalue("server")
    with server.client() as client:
        client.flushdb()
    made: list[RedisBarBus] = []

    def make() -> BarBus:
        made.append(RedisBarBus(server.client(), HOLD))
        return made[-1]

    yield make
    for each in made:
        each.close()


def record(second: int, collector: str = "main", price: float = 60_000.5) -> ClosingRecord:
    bar = Bar("BINANCE:btcusdt", second, price, price, price, price, 1.5, 0.1 + 0.2, 3, 1, 0.0, 0.0)
    late = Bar(
        "BINANCE:ethusdt", second - 5, math.nan, math.nan, math.nan, math.nan, 0.0, 0.0, 0, 0, 7.0, 0.0, 2
    )
    return ClosingRecord(
        collector,
        second,
        second * 10**9 + 1_400_000_123,
        (bar,),
        (late,),
        ("BINANCE:btcusdt",),
        ("BINANCE:ethusdt",),
        (Interval("BINANCE:ethusdt", second - 9, second - 7),),
    )


def same(found: tuple[ClosingRecord, ...], wanted: list[ClosingRecord]) -> bool:
    """Equal to the bit; a NaN price differs from itself."""
    return msgspec.msgpack.encode(list(found)) == msgspec.msgpack.encode(wanted)


def test_an_empty_bus_knows_nothing_and_waits_no_longer_than_told(make_bus: BusMaker) -> None:
    bus, clock = make_bus(), SystemClock()
    started = clock.now_ns()
    assert bus.last_second("main") is None
    assert bus.follow("main", T0, 0.0) == ()
    assert bus.follow("main", T0, 0.3) == ()
    assert 0.3 <= (clock.now_ns() - started) / 1e9 < 2


def test_records_arrive_whole_in_order_and_from_where_the_reader_stands(make_bus: BusMaker) -> None:
    records = [record(T0 + i) for i in range(5)]
    make_bus().publish(records)
    reader = make_bus()
    assert reader.last_second("main") == T0 + 4
    assert same(reader.follow("main", T0 - 1, 0), records)
    assert same(reader.follow("main", T0 + 2, 0), records[3:])
    assert reader.follow("main", T0 + 4, 0) == ()


def test_collectors_do_not_mix(make_bus: BusMaker) -> None:
    bus = make_bus()
    bus.publish([record(T0, "east")])
    bus.publish([record(T0, "west", 1.0), record(T0 + 1, "west", 1.0)])
    assert bus.last_second("east") == T0
    assert {each.collector for each in bus.follow("west", T0 - 1, 0)} == {"west"}


def test_announcing_again_changes_nothing(make_bus: BusMaker) -> None:
    bus = make_bus()
    records = [record(T0 + i) for i in range(3)]
    bus.publish(records)
    bus.publish(records)
    bus.publish(records[1:2])
    assert same(bus.follow("main", T0 - 1, 0), records)


def test_another_record_of_a_second_is_a_conflict_until_the_stream_is_forgotten(make_bus: BusMaker) -> None:
    bus = make_bus()
    bus.publish([record(T0), record(T0 + 2)])
    with pytest.raises(BusConflictError, match=rf"'main' has passed second {T0} with another record"):
        bus.publish([record(T0, price=1.0)])
    with pytest.raises(BusConflictError, match=rf"second {T0 + 1} with no record"):
        bus.publish([record(T0 + 1)])
    bus.forget("main")
    assert bus.last_second("main") is None
    bus.publish([record(T0, price=1.0)])
    assert same(bus.follow("main", T0 - 1, 0), [record(T0, price=1.0)])


def test_a_hole_ends_what_is_returned_and_is_said_next(make_bus: BusMaker) -> None:
    bus = make_bus()
    bus.publish([record(T0), record(T0 + 1), record(T0 + 3)])
    assert same(bus.follow("main", T0 - 1, 0), [record(T0), record(T0 + 1)])
    with pytest.raises(BusGapError, match=str(T0 + 2)):
        bus.follow("main", T0 + 1, 0)
    assert same(bus.follow("main", T0 + 2, 0), [record(T0 + 3)])


def test_a_slow_reader_gets_all_that_is_held_and_is_told_when_more_is_gone(make_bus: BusMaker) -> None:
    bus, reader = make_bus(), make_bus()
    bus.publish([record(T0 + i) for i in range(3 * HOLD)])
    with pytest.raises(BusGapError):
        reader.follow("main", T0, 0)
    bus.publish([record(T0)])  # no longer held: passed over
    after = T0 + 2 * HOLD
    got: list[ClosingRecord] = []
    while found := reader.follow("main", after, 0):
        got += found
        after = found[-1].second
    assert len(got) == HOLD - 1
    assert all(later.second == earlier.second + 1 for earlier, later in pairwise(got))


def test_a_waiting_reader_is_woken(make_bus: BusMaker) -> None:
    bus, reader = make_bus(), make_bus()
    got: list[tuple[ClosingRecord, ...]] = []
    bus.publish([record(T0)])
    thread = threading.Thread(target=lambda: got.append(reader.follow("main", T0, 60)))
    thread.start()
    bus.publish([record(T0 + 1)])
    thread.join(30)
    assert not thread.is_alive()
    assert same(got[0], [record(T0 + 1)])


def test_a_record_without_a_price_or_a_bar_survives(make_bus: BusMaker, tmp_path: Path) -> None:
    empty = ClosingRecord("main", T0, T0 * 10**9 + 1_400_000_000, uncovered=("BINANCE:btcusdt",))
    bus = make_bus()
    bus.publish([empty])
    assert bus.follow("main", T0 - 1, 0) == (empty,)
