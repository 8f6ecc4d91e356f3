"""Each question has its own answer, with a sentence for every reason."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from docs import reference
from squeezeflow_plugin.bars.flow import MIN_COVERAGE
from squeezeflow_plugin.bus.memory import MemoryBarBus
from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.collector.announcing import Announcer
from squeezeflow_plugin.collector.bot import BotWatch
from squeezeflow_plugin.collector.families import COUNTERS
from squeezeflow_plugin.collector.health import Health, Sources
from squeezeflow_plugin.collector.metrics import Metrics, StateSource
from squeezeflow_plugin.collector.quality import QualityProbe
from squeezeflow_plugin.collector.stats import Counted, Stats
from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord, Instrument, MarketKind
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.botstatus import STATUS_FILE
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.store.paritystatus import PARITY_FILE
from squeezeflow_plugin.timings import Timings

SPOT = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
PERP = Instrument("BINANCE_FUTURES:btcusdt", "BTCUSDT", MarketKind.PERP, "BTC", "USDT", "USDT")
T0 = 1_723_161_600
LAST = T0 + 3599

STATS = Stats(
    rate_limited={"BINANCE": 2},
    interest_ns={"BINANCE_FUTURES:btcusdt": 5_000_000_000},
    collector="main",
    last_second=LAST,
    markets=2,
    covered=2,
    trades_received=1234,
    bars=77,
    revisions=5,
    late=6,
    duplicates=7,
    conflicts=0,
    beyond_horizon=1,
    ahead=2,
    rejected_frames=3,
    rejected={"BINANCE: no price": 3},
    received={"BINANCE": 1000, "OKEX": 234},
    liquidations={"OKEX": 4},
    reconnects=1,
    reconnect_reasons={"silent": 1, "broken": 0},
    trades_missing=9,
    pending_records=0,
    journal_failures=0,
    store_failures=4,
    closing_delay_ms=(405.0, 460.0),
    offsets_ms={"BINANCE": 12.5},
    skew_ms=12.5,
)


class Bench:
    """A health page over a store of an hour, with everything that can be turned."""

    def __init__(self, directory: Path) -> None:
        self.stats = STATS
        self.clock = SteppedClock((LAST + 1) * NS_PER_SECOND + 450_000_000)
        self.store = MemoryBarStore()
        self.announcer: Announcer | None = None
        self.directory = directory
        for second in range(T0, LAST + 1):
            self.store.append([self.record(second)])

    @staticmethod
    def record(second: int) -> ClosingRecord:
        bars = (Bar(SPOT.market, second, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 2, 1, 0.0, 0.0),)
        return ClosingRecord("main", second, 0, bars, (), (SPOT.market, PERP.market))

    def decide(self, second: int, veto: str = "") -> None:
        log = DecisionLog(self.directory / "decisions.sqlite", ("score",), "engine")
        log.append([LoggedDecision("BTC/USDT", second, second, 0, 431.0, (6.5,), veto)])
        log.close()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[TestClient[Any, Any]]:
        quality = QualityProbe(self.store, [SPOT, PERP], ["USDT"], MIN_COVERAGE)
        bot = BotWatch(self.directory / "decisions.sqlite")
        stats = lambda: self.stats  # noqa: E731 - the newest value, not today's
        settings = Settings(data_dir=self.directory)
        source = StateSource(settings, Counted(stats, {}, Timings(())), quality, bot, self.announcer)
        sources = Sources("main", stats, self.clock.now_ns, quality, bot, self.announcer, Metrics(source))
        async with TestClient(TestServer(Health(sources).application())) as client:
            yield client
        bot.close()

    async def ask(self, path: str) -> tuple[int, Any]:
        async with self.client() as client, client.get(path) as answer:
            return answer.status, await answer.json()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_healthy_collector(bench: Bench) -> None:
    for path in ("/livez", "/readyz"):
        assert await bench.ask(path) == (200, {"status": "ok", "reasons": []})
    status, body = await bench.ask("/health")
    assert (status, body["status"], body["collector"]["trades_received"]) == (200, "ok", 1234)
    status, body = await bench.ask("/health/data/1s")
    assert (status, body["status"], body["reasons"]) == (200, "ok", [])
    assert (body["second"], body["age_s"], body["bot"]) == (LAST, 0.45, None)
    assert body["markets"][0] == {
        "market": SPOT.market, "kind": "spot", "covered": True, "coverage_1h": 1.0, "last_bar": LAST,
        "holes": [],
    }  # fmt: skip
    assert body["assets"][0]["coverage"]["perp"]["15m"] == 1.0


async def test_alive_but_dead(bench: Bench) -> None:
    async with bench.client() as client:
        bench.clock.advance(31 * NS_PER_SECOND)
        async with client.get("/livez") as answer:
            body = await answer.json()
    assert (answer.status, body["reasons"]) == (503, ["no second was closed for 31 s"])


async def test_a_start_is_given_time(bench: Bench) -> None:
    bench.stats = msgspec.structs.replace(STATS, last_second=None)
    bench.clock.advance(1000 * NS_PER_SECOND)
    assert (await bench.ask("/livez"))[0] == 200
    assert (await bench.ask("/readyz"))[1]["reasons"] == ["no second is closed yet"]


async def test_a_store_or_bus_that_takes_nothing_is_not_ready(bench: Bench) -> None:
    bench.stats = msgspec.structs.replace(STATS, pending_records=50)
    assert (await bench.ask("/readyz"))[1]["reasons"] == ["50 closed seconds wait for the store"]
    bench.stats = STATS
    bench.announcer = Announcer(MemoryBarBus(), "main")
    status, body = await bench.ask("/readyz")
    assert (status, body["reasons"]) == (503, ["the bus does not take closed seconds"])
    bench.announcer.announced = LAST
    assert (await bench.ask("/readyz"))[0] == 200


async def test_data_nobody_should_trade_on(bench: Bench) -> None:
    bench.clock.advance(5 * NS_PER_SECOND)
    assert await bench_reasons(bench) == ["the newest stored second ended 5.5 s ago"]
    for second in range(LAST + 1, LAST + 31):
        bench.store.append([ClosingRecord("main", second, 0, (), (), (SPOT.market,), (PERP.market,))])
    bench.clock = SteppedClock((LAST + 31) * NS_PER_SECOND)
    assert await bench_reasons(bench) == ["BTC: hole_perp_5m"]


async def bench_reasons(bench: Bench) -> list[str]:
    status, body = await bench.ask("/health/data/1s")
    assert status == (503 if body["reasons"] else 200)
    return list(body["reasons"])


async def test_an_empty_or_broken_store_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.store = MemoryBarStore()
    assert await bench_reasons(bench) == ["no second is stored yet"]

    def refuse(_collector: str) -> int:
        raise StoreError("bar store x: disk I/O error")

    monkeypatch.setattr(bench.store, "last_second", refuse)
    assert await bench_reasons(bench) == ["bar store x: disk I/O error"]


async def test_files_of_another_user_are_said_and_take_no_page_down(bench: Bench) -> None:
    bench.decide(LAST, "")
    (bench.directory / STATUS_FILE).mkdir()  # a permission would not stop root
    (bench.directory / PARITY_FILE).mkdir()
    assert STATUS_FILE in (await bench_reasons(bench))[0]
    async with bench.client() as client, client.get("/metrics") as answer:
        assert "squeezeflow_store_readable 0.0" in await answer.text()


async def test_a_running_bots_veto_counts_and_a_stopped_bots_does_not(bench: Bench) -> None:
    bench.decide(LAST - 40, "warming_up")
    assert await bench_reasons(bench) == []
    bench.decide(LAST, "reference_stale")
    assert await bench_reasons(bench) == ["BTC/USDT: reference_stale"]


async def test_every_metric_is_in_the_documentation(bench: Bench) -> None:
    bench.announcer = Announcer(MemoryBarBus(), "main")
    bench.decide(LAST - 2, "hole_spot_5m")
    async with bench.client() as client, client.get("/metrics") as answer:
        text = await answer.text()
    ours = [
        family
        for family in text_string_to_metric_families(text)
        # The library tells of each histogram when it was made.
        if family.name.startswith("squeezeflow_") and not family.name.endswith("_created")
    ]
    names = [
        family.name.removeprefix("squeezeflow_") + ("_total" if family.type == "counter" else "")
        for family in ours
    ]
    assert len(names) > 25
    documented = {each.name for each in reference.metric_calls()}
    assert [name for name in names if name not in documented] == []


async def test_metrics_are_valid_and_complete(bench: Bench) -> None:
    bench.announcer = Announcer(MemoryBarBus(), "main")
    bench.announcer.announced = LAST
    bench.decide(LAST - 2, "hole_spot_5m")
    async with bench.client() as client, client.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        text = await answer.text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    values = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families.values()
        for sample in family.samples
    }
    for name, _, field in COUNTERS:
        assert values[f"squeezeflow_{name}_total", ()] == getattr(STATS, field)
    reason = (("exchange", "BINANCE"), ("reason", "no price"))
    assert values["squeezeflow_frames_rejected_total", reason] == 3
    for exchange, kind, count in (
        ("BINANCE", "trade", 1000),
        ("BINANCE", "liquidation", 0),
        ("OKEX", "trade", 230),
        ("OKEX", "liquidation", 4),
    ):
        labels = (("exchange", exchange), ("kind", kind))
        assert values["squeezeflow_trades_received_total", labels] == count
    assert values["squeezeflow_reconnects_total", (("reason", "silent"),)] == 1
    assert values["squeezeflow_rate_limited_total", (("exchange", "BINANCE"),)] == 2
    market = (("market", "BINANCE_FUTURES:btcusdt"),)
    assert values["squeezeflow_open_interest_timestamp_seconds", market] == 5
    assert values["squeezeflow_clock_skew_seconds", (("exchange", "BINANCE"),)] == 0.0125
    spot = (("kind", "spot"), ("market", SPOT.market))
    assert values["squeezeflow_feed_up", spot] == 1
    assert values["squeezeflow_feed_last_trade_timestamp_seconds", spot] == LAST
    window = (("kind", "perp"), ("symbol", "BTC"), ("window", "1h"))
    assert values["squeezeflow_coverage_ratio", window] == 1
    assert values["squeezeflow_bus_sequence", ()] == LAST
    assert values["squeezeflow_bus_consumer_lag_seconds", ()] == 2
    assert values["squeezeflow_spool_oldest_age_seconds", ()] == 0
    assert values["squeezeflow_decision_interval_seconds", ()] == 1
    assert values["squeezeflow_memory_budget_bytes", ()] > 0
    pair = (("symbol", "BTC/USDT"),)
    assert values["squeezeflow_score", pair] == 6.5
    assert values["squeezeflow_score_age_seconds", pair] == 2
    assert values["squeezeflow_entry_veto", (("reason", "hole_spot_5m"), *pair)] == 1
    assert values["squeezeflow_entries_total", pair] == 0
    assert {"squeezeflow_bar_close_delay_seconds", "squeezeflow_event_loop_lag_seconds"} <= set(families)
    assert values["squeezeflow_store_readable", ()] == 1
