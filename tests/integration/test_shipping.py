"""Shipping to a real InfluxDB that fails in every way it can: nothing is lost, doubled or waited for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector.shipping import Shipper, open_shipper
from squeezeflow_plugin.errors import StoreUnavailableError
from squeezeflow_plugin.market import Bar, ClosingRecord, Instrument, Interval, MarketKind
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.admin import Comparison, verify_database
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.influx import InfluxBarStore
from tests.fault_proxy import Fault, FaultProxy
from tests.influx_server import InfluxDaemon

MARKETS = tuple(f"BINANCE:coin{i:02d}usdt" for i in range(8))
T0 = 1_767_225_600 + 30
FOREVER = 2**40
WRITE_FAULTS = [fault for fault in Fault if fault is not Fault.SLOW]


def make_records(seed: int, start: int, count: int, collector: str = "main") -> Iterator[ClosingRecord]:
    """Seconds with and without bars, late bars, revisions of minutes ago, feeds that go and come, repairs."""
    rng = random.Random(seed)
    own: dict[tuple[int, str], int] = {}
    for second in range(start, start + count):
        bars = tuple(make_bar(rng, market, second, 0) for market in MARKETS if rng.random() < 0.6)
        own |= {(second, bar.market): 0 for bar in bars}
        revised = {
            (rng.randint(max(start, second - 90), second - 1), rng.choice(MARKETS))
            for _ in range(rng.choice((0, 0, 0, 1, 3)))
            if second > start
        }
        revisions = []
        for at, market in sorted(revised):
            own[at, market] = own.get((at, market), -1) + 1
            revisions.append(make_bar(rng, market, at, own[at, market]))
        covered = MARKETS if rng.random() < 0.9 else MARKETS[: rng.randint(0, len(MARKETS))]
        repaired = (Interval(MARKETS[-1], second - 5, second),) if rng.random() < 0.05 else ()
        yield ClosingRecord(
            collector, second, second * 10**9 + 1_400_000_000, bars, tuple(revisions), covered,
            tuple(m for m in MARKETS if m not in covered), repaired,
        )  # fmt: skip  # the record's fields in their order


def make_bar(rng: random.Random, market: str, second: int, revision: int) -> Bar:
    low, high = sorted(rng.uniform(10, 20) for _ in range(2))
    return Bar(
        market, second, low, high, low, high, rng.expovariate(1e-4), rng.expovariate(1e-4),
        rng.randrange(1, 9), rng.randrange(9), rng.choice((0.0, rng.random())), 0.0, revision,
    )  # fmt: skip  # one line a group of fields


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    clock = SystemClock()
    deadline = clock.now_ns() + int(seconds * 10**9)
    while not condition():
        assert clock.now_ns() < deadline, "it did not come to that in time"
        clock.sleep_until(clock.now_ns() + 10**7)


@pytest.fixture
def proxy(influx: InfluxDaemon) -> Iterator[FaultProxy]:
    proxy = FaultProxy(influx.port)
    yield proxy
    proxy.close()


@pytest.fixture
def settings(influx: InfluxDaemon, proxy: FaultProxy, tmp_path: Path) -> Settings:
    return influx.settings(influx_url=proxy.url, data_dir=tmp_path, influx_timeout_s=2.0)


@pytest.fixture
def embedded(settings: Settings) -> Iterator[EmbeddedBarStore]:
    store = EmbeddedBarStore(settings.store_path)
    yield store
    store.close()


@pytest.fixture
def shipper(settings: Settings) -> Iterator[Shipper]:
    shipper = open_shipper(settings, SystemClock())
    assert shipper is not None
    yield shipper
    shipper.stop()


def ship_all(shipper: Shipper, embedded: EmbeddedBarStore) -> None:
    last = {name: embedded.last_second(name) for name in embedded.collectors()}
    shipper.wake()
    wait_for(lambda: dict(shipper.status.positions) == last)


def check_equal(settings: Settings) -> Comparison:
    result = verify_database(settings, 0, FOREVER)
    assert result.named == ()
    assert (result.differences, result.waiting) == (0, 0)
    return result


def test_everything_arrives_with_its_revisions_and_its_higher_bars(
    settings: Settings, embedded: EmbeddedBarStore, shipper: Shipper
) -> None:
    records = list(make_records(1, T0, 700))
    coin = Instrument(MARKETS[0], "COIN00USDT", MarketKind.SPOT, "COIN00", "USDT", "USDT")
    embedded.append(records[:600])
    embedded.put_instruments([coin])
    shipper.start()
    ship_all(shipper, embedded)
    for record in records[600:620]:
        embedded.append([record])
        shipper.wake()
    embedded.append(records[620:])
    ship_all(shipper, embedded)
    result = check_equal(settings)
    assert result.records == 700
    assert result.higher_bars > 80
    store = InfluxBarStore(settings, readonly=True)
    assert store.instruments() == (coin,)
    assert list(store.records(T0, T0 + 700)) == records
    store.close()
    assert (shipper.status.lag_s, shipper.status.failure, shipper.status.failures) == (0, None, 0)


@pytest.mark.parametrize("seed", range(4))
def test_a_seeded_schedule_of_faults_loses_and_doubles_nothing(
    settings: Settings, embedded: EmbeddedBarStore, proxy: FaultProxy, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    records = list(make_records(seed, T0, 160))
    shipper = Shipper(
        EmbeddedBarStore(settings.store_path, readonly=True), InfluxBarStore(settings), "it",
        tmp_path / "position.json", SystemClock(), longest_pause_s=0.01,
    )  # fmt: skip  # what it needs, in its order
    shipper.start()
    at = 0
    while at < len(records):
        step = rng.choice((1, 1, 3, 20))
        writes = rng.choices([*[Fault.NONE] * 6, *WRITE_FAULTS], k=4)
        queries = rng.choices([*[Fault.NONE] * 12, Fault.ERROR_500, Fault.HANG_UP], k=8)
        proxy.order(writes, queries)
        embedded.append(records[at : at + step])
        shipper.wake()
        at += step
    ship_all(shipper, embedded)
    shipper.stop()
    proxy.forget()
    assert check_equal(settings).records == len(records)
    assert sum(proxy.met.values()) > proxy.met[Fault.NONE]


def test_a_dead_server_blocks_nothing_and_is_caught_up_with(
    settings: Settings, embedded: EmbeddedBarStore, shipper: Shipper, proxy: FaultProxy
) -> None:
    records = list(make_records(7, T0, 660))
    embedded.append(records[:60])
    shipper.start()
    ship_all(shipper, embedded)
    proxy.always(Fault.HANG_UP)
    clock = SystemClock()
    slowest = 0
    for record in records[60:]:
        began = clock.now_ns()
        embedded.append([record])
        shipper.wake()
        slowest = max(slowest, clock.now_ns() - began)
    wait_for(lambda: shipper.status.lag_s == 600)
    assert "cannot be reached" in str(shipper.status.failure)
    assert slowest < 10**9
    proxy.always(None)
    ship_all(shipper, embedded)
    assert check_equal(settings).records == 660
    assert shipper.status.failure is None


def test_a_server_killed_while_it_takes_records_has_them_all_in_the_end(tmp_path: Path) -> None:
    daemon = InfluxDaemon(tmp_path / "influxd")
    daemon.start()
    settings = daemon.settings(data_dir=tmp_path, influx_timeout_s=2.0)
    embedded = EmbeddedBarStore(settings.store_path)
    shipper = open_shipper(settings, SystemClock())
    assert shipper is not None
    shipper.start()
    try:
        embedded.append(make_records(11, T0, 300))
        for batch in range(1, 4):
            shipper.wake()
            wait_for(lambda: shipper.status.records > 0)
            daemon.kill()
            embedded.append(make_records(11 + batch, T0 + 300 * batch, 300))
            daemon.start()
        ship_all(shipper, embedded)
        assert check_equal(settings).records == 1200
    finally:
        shipper.stop()
        daemon.kill()
        embedded.close()


def test_a_call_that_fails_halfway_shows_nothing_and_is_completed_by_the_same_call(
    settings: Settings, proxy: FaultProxy
) -> None:
    """The contract's clause on stores without transactions."""
    records = list(make_records(12, T0, 20))
    store = InfluxBarStore(settings)
    store.set_up()
    proxy.order([Fault.NONE, Fault.NONE, *[Fault.HALF] * 20])  # the list of markets, the bars, then nothing
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        store.append(records)
    reader = InfluxBarStore(settings, readonly=True)
    held = list(reader.records(T0, T0 + 20))
    assert held == records[: len(held)]
    assert len(held) < len(records)
    proxy.forget()
    store.append(records)
    assert list(reader.records(T0, T0 + 20)) == records
    store.close()
    reader.close()


def test_a_stop_leaves_a_position_and_the_next_life_goes_on(
    settings: Settings, embedded: EmbeddedBarStore, proxy: FaultProxy
) -> None:
    records = list(make_records(8, T0, 100))
    embedded.append(records[:50])
    first = open_shipper(settings, SystemClock())
    assert first is not None
    first.start()
    first.stop(20)
    assert dict(first.status.positions) == {"main": T0 + 49}
    embedded.append(records[50:])
    second = open_shipper(settings, SystemClock())
    assert second is not None
    second.start()
    second.stop(20)
    assert second.status.records == 50
    check_equal(settings)


def test_a_server_that_lost_everything_is_filled_again(
    settings: Settings, embedded: EmbeddedBarStore, shipper: Shipper, proxy: FaultProxy
) -> None:
    records = list(make_records(9, T0, 80))
    embedded.append(records[:60])
    shipper.start()
    ship_all(shipper, embedded)
    store = InfluxBarStore(settings)
    store.reader.server.command(f'DROP DATABASE "{settings.influx_database}"')
    store.close()
    embedded.append(records[60:])
    shipper.wake()
    wait_for(lambda: shipper.status.records >= 140)
    assert check_equal(settings).records == 80


def test_what_the_server_would_refuse_for_its_age_is_passed_over_and_counted(
    influx: InfluxDaemon, tmp_path: Path
) -> None:
    now = SystemClock().now_ns() // 10**9
    settings = influx.settings(data_dir=tmp_path, influx_retention_1s="1h")
    embedded = EmbeddedBarStore(settings.store_path)
    old, new = now - 7200, now - 60
    embedded.append(make_records(3, old, 10))
    embedded.append(make_records(4, new, 10))
    (tmp_path / "shipped.json").write_text(
        f'{{"target":"InfluxDB {settings.influx_url}, database {settings.influx_database}",'
        f'"positions":{{"main":{old - 1}}}}}'
    )
    server = InfluxBarStore(settings)
    server.set_up()
    # A server that once held the second before: the position is believed.
    server.append([ClosingRecord("main", now - 30, (now - 29) * 10**9)])
    server.close()
    shipper = open_shipper(settings, SystemClock())
    assert shipper is not None
    shipper.start()
    wait_for(lambda: shipper.status.records == 10)
    shipper.stop(10)
    assert 4000 < shipper.status.expired < 7200
    embedded.close()


def test_a_refused_password_is_said_and_mended_without_a_restart(
    influx: InfluxDaemon, settings: Settings, embedded: EmbeddedBarStore, caplog: pytest.LogCaptureFixture
) -> None:
    embedded.append(make_records(5, T0, 5))
    refused = replace(settings, influx_password="wrong")  # noqa: S106 - it is wrong
    shipper = open_shipper(refused, SystemClock())
    assert shipper is not None
    shipper.start()
    wait_for(lambda: shipper.status.failure is not None)
    shipper.stop(10)
    assert "refuses user 'squeezeflow': 401" in str(shipper.status.failure)
    assert "wrong" not in caplog.text
    assert embedded.last_second("main") == T0 + 4
