"""A plan is its load times constants; retention, InfluxDB and Redis each add their part."""

from __future__ import annotations

from typing import Any

import pytest

from squeezeflow_plugin.checks.planning import CONSTANTS, Load, assumed_load, lines, measured_load, plan
from squeezeflow_plugin.market import Bar, ClosingRecord, Instrument, MarketKind
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.memory import MemoryBarStore

T0 = 1_767_225_600
MARKET = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
LOAD = Load(6, 200.0, 5.0, "made up")
INFLUX: dict[str, Any] = {"influx_url": "http://127.0.0.1:8086"}


def filled(seconds: int) -> MemoryBarStore:
    """Every other second has a bar of three buys and two sells."""
    store = MemoryBarStore()
    store.put_instruments([MARKET])
    for second in range(T0, T0 + seconds):
        bar = Bar(MARKET.market, second, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 3, 2, 0.0, 0.0)
        store.append([ClosingRecord("main", second, 0, (bar,) * (second % 2), (), (MARKET.market,))])
    return store


def test_the_load_is_that_of_the_stores_last_hour() -> None:
    load = measured_load(filled(4000))
    assert load is not None
    assert (load.markets, load.bars_per_s, load.trades_per_s) == (1, 0.5, 2.5)
    assert load.source == "the last 60 minutes of the store"


def test_a_store_of_minutes_tells_no_load() -> None:
    assert measured_load(filled(300)) is None
    assert measured_load(MemoryBarStore()) is None


def test_an_assumed_load_counts_markets() -> None:
    settings = Settings(assets=("BTC", "ETH"), exchanges=("BINANCE", "BYBIT", "OKEX"))
    assert assumed_load(settings).markets == 6
    assert assumed_load(Settings(markets=("BYBIT:BTCUSDT",))).markets == 1
    assert assumed_load(settings, markets=40).markets == 40
    load = assumed_load(settings, trades_per_s=3.0)
    assert (load.trades_per_s, load.bars_per_s) == (3.0, 3.0)  # no more bars than trades


def test_the_parts_of_the_disk() -> None:
    disk = plan(Settings(retention_days=10, journal_hours=2), LOAD).disk
    assert disk["embedded store"] == round(5 * 10 * 86_400 * CONSTANTS["store_bar"].value)
    assert disk["journal"] == round(200 * 7200 * CONSTANTS["journal_trade"].value)
    assert disk["decisions"] == 3 * 7 * 86_400 * CONSTANTS["decision"].value
    assert set(disk) == {"embedded store", "open hours", "journal", "write-ahead logs", "decisions"}


def test_a_longer_retention_costs_disk_and_nothing_else() -> None:
    short, long = (plan(Settings(retention_days=days), LOAD) for days in (30, 60))
    assert long.disk["embedded store"] == pytest.approx(2 * short.disk["embedded store"])
    assert (long.memory, long.cores, long.network_bytes_per_s) == (
        short.memory,
        short.cores,
        short.network_bytes_per_s,
    )


def test_for_ever_is_planned_as_a_year_and_said() -> None:
    found = plan(Settings(retention_days=0), LOAD)
    assert found.disk == plan(Settings(retention_days=365), LOAD).disk
    assert any("for ever" in note for note in found.notes)


def test_servers_add_their_parts() -> None:
    bare = plan(Settings(), LOAD)
    both = plan(Settings(bus="redis", **INFLUX), LOAD)
    assert set(both.memory) - set(bare.memory) == {"influxd", "redis"}
    assert both.disk["InfluxDB 1s"] == round(5 * 86_400 * CONSTANTS["influx_bar"].value)
    assert both.disk["InfluxDB above"] > both.disk["InfluxDB 1s"]  # years of minutes
    assert sum(both.cores.values()) > sum(bare.cores.values())
    week = plan(Settings(bus="redis", influx_retention_1s="7d", **INFLUX), LOAD)
    assert week.memory["influxd"] > 5 * both.memory["influxd"]


def test_a_bot_that_reads_influxdb_takes_more_than_one_beside_it() -> None:
    beside, reading = (plan(Settings(store=store, **INFLUX), LOAD).memory for store in ("embedded", "influx"))
    assert reading["freqtrade"] - beside["freqtrade"] == CONSTANTS["bot_influx"].value * 1e6
    assert {**reading, "freqtrade": 0} == {**beside, "freqtrade": 0}


def test_redis_holds_an_hour_of_bars_and_of_each_pairs_decisions() -> None:
    one, four = (plan(Settings(bus="redis", max_symbols=pairs), LOAD).memory["redis"] for pairs in (1, 4))
    assert four - one == 3 * 3600 * CONSTANTS["bus_decision"].value
    empty = plan(Settings(bus="redis", max_symbols=1), Load(6, 0.0, 0.0, "nothing")).memory["redis"]
    assert one - empty == 5 * 3600 * CONSTANTS["bus_bar"].value


def test_the_regular_mode_logs_a_decision_in_five_minutes() -> None:
    each_second, regular = (plan(Settings(enable_1s_mode=mode), LOAD).disk for mode in (True, False))
    assert each_second["decisions"] == 300 * regular["decisions"]


def test_decisions_that_are_kept_for_ever_grow() -> None:
    found = plan(Settings(decision_days=0), LOAD)
    assert "decisions" not in found.disk
    assert found.growing == {"decisions": 3 * 86_400 * CONSTANTS["decision"].value}
    assert plan(Settings(), LOAD).growing == {}


def test_the_text_names_every_part_and_where_each_constant_comes_from() -> None:
    found = plan(Settings(decision_days=0, **INFLUX), LOAD)
    text = "\n".join(lines(found))
    for name in (*found.disk, *found.memory, *found.cores, *found.growing):
        assert name in text
    for constant in CONSTANTS.values():
        assert constant.source in text
