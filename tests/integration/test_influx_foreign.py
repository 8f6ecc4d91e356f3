"""What a real aggr-server has written: read as it means it, or refused with the reason."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from squeezeflow_plugin.errors import StoreCorruptError, StoreIncompleteError, StoreMissingError
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.influx import InfluxBarStore
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_schema import select, span
from squeezeflow_plugin.store.influx_setup import set_up_policies
from tests.given_servers import GivenInflux
from tests.influx_server import InfluxDaemon

T0 = 1_767_225_600


@pytest.fixture
def settings(influx_databases: InfluxDaemon | GivenInflux) -> Settings:
    return influx_databases.settings()


@pytest.fixture
def server(settings: Settings) -> Iterator[InfluxServer]:
    server = InfluxServer(settings)
    server.command(f'CREATE DATABASE "{settings.influx_database}"')
    yield server
    server.close()


def make_policy(server: InfluxServer, name: str) -> None:
    server.command(f'CREATE RETENTION POLICY "{name}" ON "{server.database}" DURATION INF REPLICATION 1')


def test_sparse_bars_read_as_zeros_and_missing_prices(settings: Settings, server: InfluxServer) -> None:
    """aggr-server leaves out what is zero, prices of a second with liquidations only, and closing records."""
    make_policy(server, "aggr_1s")
    server.write(
        "aggr_1s",
        [
            f"trades_1s,market=BINANCE:btcusdt cbuy=2,vbuy=30.5,open=1,high=2,low=1,close=2 {T0}",
            f"trades_1s,market=BINANCE:btcusdt lsell=900.25 {T0 + 1}",
            f"trades_1s,market=BYBIT:BTCUSDT csell=1,vsell=7,open=5,high=5,low=5,close=5 {T0 + 1}",
        ],
    )
    store = InfluxBarStore(settings, readonly=True)
    bars = store.bars(T0, T0 + 60)
    assert bars.names == ("BINANCE:btcusdt", "BYBIT:BTCUSDT")
    assert bars.second.tolist() == [T0, T0 + 1, T0 + 1]
    assert bars.known.tolist() == bars.second.tolist()
    assert bars.vbuy.tolist() == [30.5, 0.0, 0.0]
    assert bars.cbuy.tolist() == [2, 0, 0]
    assert bars.lsell.tolist() == [0.0, 900.25, 0.0]
    assert [None if math.isnan(price) else price for price in bars.close.tolist()] == [2.0, None, 5.0]
    assert store.bars(T0, T0 + 60, ["BYBIT:BTCUSDT"]).vsell.tolist() == [7.0]
    assert (store.span(), store.collectors(), store.coverage(T0, T0 + 60)) == (None, (), ())
    assert list(store.records(T0, T0 + 60)) == []
    with pytest.raises(StoreIncompleteError, match="when bars became known cannot be told"):
        store.bars(T0, T0 + 60, known_at=T0 + 60)
    store.close()


def test_ten_second_bars_are_refused_by_name(settings: Settings, server: InfluxServer) -> None:
    """aggr-server's default timeframe."""
    make_policy(server, "aggr_10s")
    server.write("aggr_10s", [f"trades_10s,market=BINANCE:btcusdt vbuy=1 {T0}"])
    store = InfluxBarStore(settings, readonly=True)
    with pytest.raises(StoreMissingError, match=r"it holds aggr_10s, .* set influxTimeframe to 1000"):
        store.bars(T0, T0 + 60)
    store.close()


def test_points_between_seconds_are_refused(settings: Settings, server: InfluxServer) -> None:
    make_policy(server, "aggr_1s")
    source = '"aggr_1s"."elsewhere"'
    columns = f'count(vbuy) AS vbuy INTO "{server.database}"."aggr_1s"."trades_1s"'
    half_seconds = "GROUP BY time(1s, 500ms), market fill(none)"
    server.write("aggr_1s", [f"elsewhere,market=A:b vbuy=1 {T0}"])
    server.command(f"{select(columns, source, span(T0, T0 + 1))} {half_seconds}")
    store = InfluxBarStore(settings, readonly=True)
    with pytest.raises(StoreCorruptError, match="no whole second"):
        store.bars(T0 - 60, T0 + 60)
    store.close()


def test_our_bars_beside_an_aggr_servers(settings: Settings, server: InfluxServer) -> None:
    """Its own markets stay readable; as known is told only where every bar has a record."""
    set_up_policies(server, settings)
    bar = Bar("BINANCE:btcusdt", T0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 1, 1, 0.0, 0.0)
    store = InfluxBarStore(settings)
    store.append([ClosingRecord("main", T0, T0 * 10**9 + 1, (bar,))])
    assert store.bars(T0, T0 + 1, known_at=T0).vbuy.tolist() == [3.0]
    server.write("aggr_1s", [f"trades_1s,market=BYBIT:BTCUSDT vbuy=7 {T0}"])
    assert store.bars(T0, T0 + 1).vbuy.tolist() == [3.0, 7.0]
    assert next(store.records(T0, T0 + 1)).bars == (bar,)
    with pytest.raises(StoreIncompleteError, match=f"second {T0} holds 2 bars of one version"):
        store.bars(T0, T0 + 1, known_at=T0)
    store.close()


def test_a_lost_bar_is_never_passed_over(settings: Settings, server: InfluxServer) -> None:
    """A record that announces more than is there is refused, not shortened."""
    set_up_policies(server, settings)
    bars = tuple(
        Bar(market, T0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 1, 1, 0.0, 0.0) for market in ("A:x", "A:y", "A:z")
    )
    store = InfluxBarStore(settings)
    store.append([ClosingRecord("main", T0, T0 * 10**9 + 1, bars)])
    server.command("DELETE FROM trades_1s WHERE market = 'A:y'")
    with pytest.raises(
        StoreIncompleteError, match=f"the 2 bars of collector 'main', second {T0} are not those"
    ):
        list(store.records(T0, T0 + 1))
    with pytest.raises(StoreIncompleteError, match=r"holds 2 bars of one version, .* announce 3"):
        store.bars(T0, T0 + 1, known_at=T0)
    store.close()
