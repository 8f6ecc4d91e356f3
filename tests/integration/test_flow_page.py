"""The flow page in a browser: numbers change by themselves, a veto appears, a lost connection is said."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, async_playwright, expect

from squeezeflow_plugin.bars.flow import MIN_COVERAGE
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector.bot import BotWatch
from squeezeflow_plugin.collector.flowpage.page import FlowPage, Watched
from squeezeflow_plugin.collector.flowpage.view import FlowView
from squeezeflow_plugin.collector.health import Health, Sources
from squeezeflow_plugin.collector.metrics import Metrics, StateSource
from squeezeflow_plugin.collector.quality import QualityProbe
from squeezeflow_plugin.collector.stats import Counted
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord, Instrument, MarketKind
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.timings import Timings
from tests.unit.collector.test_health import STATS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SPOT = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
PERP = Instrument("BINANCE_FUTURES:btcusdt", "BTCUSDT", MarketKind.PERP, "BTC", "USDT", "USDT")
COLUMNS = (
    "ready",
    "setup",
    "reset_active",
    "regime",
    "entry",
    "score",
    "score_reset",
    "score_bias",
    "divergence",
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium is installed; `make test` as root installs it"
)


class Collector:
    """What a collector and a bot would write each second, and the page over it."""

    def __init__(self, directory: Path) -> None:
        self.store = EmbeddedBarStore(directory / "store.sqlite")
        self.store.put_instruments([SPOT, PERP])
        self.log = DecisionLog(directory / "decisions.sqlite", COLUMNS, "engine")
        self.directory = directory
        self.clock = SystemClock()
        self.last = self.clock.now_ns() // NS_PER_SECOND - 1
        self.perp_covered = True
        self.store.append(self._record(second) for second in range(self.last - 3600, self.last + 1))

    def _record(self, second: int) -> ClosingRecord:
        price = 60_000.0 + second % 50
        bars = (
            Bar(SPOT.market, second, price, price, price, price, 900.0, 400.0, 2, 1, 0.0, 0.0),
            Bar(PERP.market, second, price, price, price, price, 300.0, 800.0, 1, 2, 0.0, 0.0),
        )
        covered = (SPOT.market, PERP.market) if self.perp_covered else (SPOT.market,)
        uncovered = () if self.perp_covered else (PERP.market,)
        return ClosingRecord("main", second, second * NS_PER_SECOND, bars, (), covered, uncovered)

    async def go_on(self) -> None:
        """Close the seconds as they end, and decide each."""
        while True:
            self.last += 1
            await self.clock.wait_until((self.last + 1) * NS_PER_SECOND)
            self.store.append([self._record(self.last)])
            row = (1.0, 1.0, 1.0, 0.0, 0.0, 3.0 + self.last % 7 / 10, 3.0, 0.5, 1.25)
            self.log.append([LoggedDecision("BTC/USDT", self.last, self.last, 0, 12.0, row)])

    def application(self) -> web.Application:
        reader = EmbeddedBarStore(self.directory / "store.sqlite", readonly=True)
        quality = QualityProbe(reader, [SPOT, PERP], ["USDT"], MIN_COVERAGE)
        bot = BotWatch(self.directory / "decisions.sqlite")
        counted = Counted(lambda: STATS, {}, Timings(()))
        source = StateSource(Settings(data_dir=self.directory), counted, quality, bot, None)
        health = Health(
            Sources("main", lambda: STATS, self.clock.now_ns, quality, bot, None, Metrics(source))
        )
        view = FlowView(
            EmbeddedBarStore(self.directory / "store.sqlite", readonly=True),
            DecisionLog(self.directory / "decisions.sqlite", readonly=True),
            [SPOT, PERP],
            ["USDT"],
            {},
        )
        watched = Watched("main", health.data, lambda: {"BINANCE": 12.5}, self.clock.now_ns)
        app = health.application()
        FlowPage(view, watched, self.clock).add_to(app)

        async def close(_app: web.Application) -> None:
            reader.close()
            bot.close()

        app.on_cleanup.append(close)
        return app

    def close(self) -> None:
        self.store.close()
        self.log.close()


@asynccontextmanager
async def opened(server: TestServer, width: int) -> AsyncIterator[tuple[Page, list[str]]]:
    """The page in Chromium, and what the browser complained of."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": width, "height": 900})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        await page.goto(str(server.make_url("/flow")))
        try:
            yield page, complaints
        finally:
            await browser.close()


@asynccontextmanager
async def running(collector: Collector) -> AsyncIterator[TestServer]:
    server = TestServer(collector.application())
    await server.start_server()
    writing = asyncio.create_task(collector.go_on())
    try:
        yield server
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await server.close()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    made = Collector(tmp_path)
    yield made
    made.close()


async def test_numbers_change_and_a_veto_appears(collector: Collector) -> None:
    async with running(collector) as server, opened(server, 1200) as (page, complaints):
        await expect(page.locator("#state")).to_have_text("live", timeout=20_000)
        await expect(page.locator("#entries")).to_have_text("allowed")
        await expect(page.locator("#phase")).to_have_text("reset long")
        await expect(page.locator("#why")).to_contain_text("setup long, divergence 1.25, reset, score 3.")
        await expect(page.locator("#feeds tbody tr")).to_have_count(2)
        for cell in ("#clock", "#price", "#score"):
            before = await page.locator(cell).inner_text()
            await expect(page.locator(cell)).not_to_have_text(before, timeout=20_000)
        assert await page.evaluate(
            "() => document.querySelector('#flow').getContext('2d')"
            ".getImageData(0, 0, 600, 200).data.some((value) => value)"
        )

        collector.perp_covered = False
        await expect(page.locator("#reasons")).to_contain_text("BTC: hole_perp_5m", timeout=30_000)
        await expect(page.locator("#entries")).to_have_text("vetoed")
        await expect(page.locator("#feeds tbody tr").nth(1)).to_contain_text("no")
        assert complaints == []


async def test_a_narrow_screen_needs_no_sideways_scrolling(collector: Collector) -> None:
    async with running(collector) as server, opened(server, 360) as (page, complaints):
        await expect(page.locator("#state")).to_have_text("live", timeout=20_000)
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= 360
        assert complaints == []


async def test_a_lost_connection_is_said(collector: Collector) -> None:
    async with running(collector) as server, opened(server, 1200) as (page, _):
        await expect(page.locator("#state")).to_have_text("live", timeout=20_000)
        await server.close()
        await expect(page.locator("#state")).to_have_attribute("data-state", "stale", timeout=20_000)
