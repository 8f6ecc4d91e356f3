"""Following InfluxDB alone: a second client sees each record as it was written, whole or put together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from squeezeflow_plugin.clock import SteppedClock, SystemClock
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.provider.live import LiveFollower
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.influx import InfluxBarStore
from squeezeflow_plugin.store.influx_setup import set_up_policies
from tests.given_servers import GivenInflux
from tests.influx_server import InfluxDaemon

MARKETS = tuple(f"BINANCE:coin{i:02d}usdt" for i in range(5))
COUNT = 30


@pytest.fixture
def settings(influx_databases: InfluxDaemon | GivenInflux) -> Settings:
    return influx_databases.settings()


@pytest.fixture
def writer(settings: Settings) -> Iterator[InfluxBarStore]:
    store = InfluxBarStore(settings)
    store.set_up()
    yield store
    store.close()


@pytest.fixture
def reader(settings: Settings, writer: InfluxBarStore) -> Iterator[InfluxBarStore]:
    store = InfluxBarStore(settings, readonly=True)
    yield store
    store.close()


def now() -> int:
    return SystemClock().now_ns() // 10**9


def make_record(second: int, first: int) -> ClosingRecord:
    """Bars of changing markets; each revises the first market's bar of three seconds ago."""
    bars = tuple(make_bar(market, second) for market in MARKETS[: second % len(MARKETS)])
    late = (make_bar(MARKETS[0], second - 3, 1 + second % 2),) if second - 3 >= first else ()
    return ClosingRecord("main", second, (second + 1) * 10**9, bars, late, MARKETS[:-1], MARKETS[-1:])


def make_bar(market: str, second: int, revision: int = 0) -> Bar:
    price = 100.0 + second % 7 + revision
    return Bar(market, second, price, price, price, price, second % 11 + 0.5, 0.0, 1, 0, 0.0, 0.0, revision)


def test_the_follower_gets_every_record_as_it_was_written(
    settings: Settings, writer: InfluxBarStore, reader: InfluxBarStore
) -> None:
    first = now() - COUNT
    records = [make_record(first + i, first) for i in range(COUNT)]
    clock = SteppedClock((first + COUNT) * 10**9)
    follower = LiveFollower(reader, clock, ["main"], first, watermark_ms=400, timeout_ms=250, poll_ms=50)
    for record in records:
        writer.append([record])
        assert [second.records for second in follower.wait().seconds] == [(record,)]
    assert list(reader.records(first, first + COUNT)) == records


def test_records_are_put_together_where_they_were_not_kept_whole(
    settings: Settings, writer: InfluxBarStore, reader: InfluxBarStore
) -> None:
    first = now() - COUNT
    records = [make_record(first + i, first) for i in range(COUNT)]
    writer.append(records)
    writer.reader.server.command("DELETE FROM records_1s WHERE collector = 'main'")
    assert list(reader.records(first, first + COUNT)) == records


def test_only_recent_records_are_kept_whole(settings: Settings, writer: InfluxBarStore) -> None:
    old = now() - 7200
    writer.append([make_record(old, old), make_record(now(), now())])
    source = f'"{settings.influx_database}"."squeezeflow_live"."records_1s"'
    assert writer.reader.column(" ".join(("SELECT count(record) FROM", source)), "count") == [1]


def test_a_server_that_is_emptied_stands_at_nothing(
    settings: Settings, writer: InfluxBarStore, reader: InfluxBarStore
) -> None:
    second = now()
    writer.append([make_record(second, second)])
    assert reader.last_second("main") == second
    server = writer.reader.server
    server.command(f'DROP DATABASE "{settings.influx_database}"')
    set_up_policies(server, settings)
    assert reader.last_second("main") is None
    assert list(reader.records(second, second + 1)) == []
