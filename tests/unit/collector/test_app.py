"""The collector's beginning and end; what it does in between is in tests/integration."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector.app import Collector
from squeezeflow_plugin.errors import ProcessError, SettingsError, StoreCorruptError
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.settings import Endpoint, Settings, process_environ, to_environ
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

BTC = '{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT"}]}'


class FastClock(SystemClock):
    """Forty times as fast: without a trade the first close comes after a grace of ten seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._start_ns = super().now_ns()

    def now_ns(self) -> int:
        return self._start_ns + 40 * (super().now_ns() - self._start_ns)

    async def wait_until(self, when_ns: int) -> None:
        while (left := when_ns - self.now_ns()) > 0:  # noqa: ASYNC110 - a clock has no event to wait for
            await asyncio.sleep(left / 40e9)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """Binance spot's metadata, and no websocket."""

    async def symbols(_: web.Request) -> web.Response:
        return web.Response(text=BTC)

    application = web.Application()
    application.router.add_get("/api/v3/exchangeInfo", symbols)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host = f"127.0.0.1:{runner.addresses[0][1]}"
    yield Endpoint(f"http://{host}", f"ws://{host}")
    await runner.cleanup()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedBarStore]:
    store = EmbeddedBarStore(tmp_path / "store.sqlite")
    yield store
    store.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[TradeJournal]:
    with TradeJournal(tmp_path / "journal") as journal:
        yield journal


def settings(tmp_path: Path, endpoint: Endpoint, **more: object) -> Settings:
    ports = {"api_port": 0, "health_port": 0}
    fields = {"assets": ("BTC",), "exchanges": ("BINANCE",), "data_dir": tmp_path, **ports, **more}
    return Settings(endpoints={"BINANCE": endpoint}, **fields)  # type: ignore[arg-type]  # fields by name


async def test_assets_that_no_exchange_has_are_named(
    tmp_path: Path, endpoint: Endpoint, store: EmbeddedBarStore, journal: TradeJournal
) -> None:
    wrong = settings(tmp_path, endpoint, assets=("NOPE",))
    with pytest.raises(SettingsError, match="none of the assets NOPE has a market on BINANCE"):
        await Collector(wrong, SystemClock(), store, journal).run(asyncio.Event())


async def test_an_unreachable_exchange_can_be_stopped(
    tmp_path: Path, store: EmbeddedBarStore, journal: TradeJournal
) -> None:
    nowhere = Endpoint("http://127.0.0.1:1", "ws://127.0.0.1:1")
    stop = asyncio.Event()
    running = asyncio.create_task(
        Collector(settings(tmp_path, nowhere), SystemClock(), store, journal).run(stop)
    )
    await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(running, 30)
    assert store.span() is None


async def test_a_taken_port_is_named_before_an_exchange_is_asked(
    tmp_path: Path, store: EmbeddedBarStore, journal: TradeJournal
) -> None:
    nowhere = Endpoint("http://127.0.0.1:1", "ws://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = settings(tmp_path, nowhere, health_port=port)
        with pytest.raises(ProcessError, match=rf"health cannot listen on 127\.0\.0\.1:{port}: .*in use"):
            await asyncio.wait_for(Collector(taken, SystemClock(), store, journal).run(asyncio.Event()), 30)


async def test_a_parameter_that_is_no_number_is_named(
    tmp_path: Path, endpoint: Endpoint, store: EmbeddedBarStore, journal: TradeJournal
) -> None:
    for name in ("min_coverage", "min_score"):
        wrong = settings(tmp_path, endpoint, params={name: "much"})
        with pytest.raises(SettingsError, match=f"params: {name} must be a number, was 'much'"):
            await asyncio.wait_for(Collector(wrong, SystemClock(), store, journal).run(asyncio.Event()), 10)


async def test_a_store_that_breaks_ends_the_collector_with_its_error(
    tmp_path: Path, endpoint: Endpoint, store: EmbeddedBarStore, journal: TradeJournal
) -> None:
    now = SystemClock().now_ns() // 10**9
    collector = Collector(settings(tmp_path, endpoint, first_second=now - 60), FastClock(), store, journal)
    raw = sqlite3.connect(tmp_path / "store.sqlite")
    raw.execute("DROP TABLE closings")
    raw.close()
    with pytest.raises(StoreCorruptError, match=str(tmp_path / "store.sqlite")):
        await asyncio.wait_for(collector.run(asyncio.Event()), 30)


async def test_seconds_without_an_exchange_are_closed_as_uncovered(
    tmp_path: Path, endpoint: Endpoint, store: EmbeddedBarStore, journal: TradeJournal
) -> None:
    first = SystemClock().now_ns() // 10**9 - 5000
    stop = asyncio.Event()
    collector = Collector(settings(tmp_path, endpoint, first_second=first), FastClock(), store, journal)
    running = asyncio.create_task(collector.run(stop))
    reader = EmbeddedBarStore(tmp_path / "store.sqlite", readonly=True)
    async with asyncio.timeout(30):
        while (reader.last_second("main") or 0) < first + 5000:  # noqa: ASYNC110 - another thread writes
            await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(running, 10)
    records = list(reader.records(0, 2**40))
    assert [each.second for each in records] == list(range(first, first + len(records)))
    assert {(each.covered, each.uncovered, each.bars) for each in records} == {((), ("BINANCE:btcusdt",), ())}
    reader.close()


async def test_one_line_a_minute_names_the_1s_flow(
    tmp_path: Path,
    endpoint: Endpoint,
    store: EmbeddedBarStore,
    journal: TradeJournal,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop = asyncio.Event()
    with caplog.at_level("INFO"):
        running = asyncio.create_task(
            Collector(settings(tmp_path, endpoint), FastClock(), store, journal).run(stop)
        )
        async with asyncio.timeout(30):
            while "1s flow: second" not in caplog.text:  # noqa: ASYNC110 - the clock is the collector's
                await asyncio.sleep(0.05)
        stop.set()
        await asyncio.wait_for(running, 10)
    assert "0 of 1 markets covered; in the last minute 0 trades, 0 bars" in caplog.text


@pytest.mark.parametrize("level", ["INFO", "WARNING"])
async def test_the_collector_logs_from_the_set_level_on(tmp_path: Path, level: str) -> None:
    quiet = settings(tmp_path, Endpoint("http://127.0.0.1:1", "ws://127.0.0.1:1"), log_level=level)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "squeezeflow_plugin.cli", "collect",
        env={**process_environ(), **to_environ(quiet)}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip  # the command on one line
    assert process.stderr is not None
    first = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
    process.kill()
    await process.communicate()
    assert f" - {level} - markets: BINANCE: " in first
