"""Every simulated exchange over a real socket: what the feeds make of its wire is what was traded there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from squeezeflow_plugin.bars.builder import BarBuilder
from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.collector.instruments import open_markets
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, LeftOut
from squeezeflow_plugin.feeds.batches import BatchReaders
from squeezeflow_plugin.feeds.blocks import TradeBlock
from squeezeflow_plugin.feeds.connection import FeedConnection
from squeezeflow_plugin.market import Bar, Instrument, Trade
from squeezeflow_plugin.simulator.episodes import BUILD_S, Episode, Script
from squeezeflow_plugin.simulator.exchange import Exchange, endpoints, serving
from squeezeflow_plugin.simulator.history import bars_by_second
from squeezeflow_plugin.simulator.peers import dialects, echoes
from squeezeflow_plugin.simulator.profiles import asset_profile
from squeezeflow_plugin.simulator.tape import Delays
from squeezeflow_plugin.simulator.trades import MarketTrades
from squeezeflow_plugin.simulator.venue import Venue
from tests.unit.simulator.markets import ORIGIN, venue_of

ASSETS = ("BTC", "SOL")
SECONDS = 20
START = ORIGIN + 60
SPAN = range(START, START + SECONDS)
DELAYS = Delays(late_share=0.01)


class Sink:
    """Keeps what the connections deliver; ``fills`` counts those of the judged span, each once."""

    def __init__(self) -> None:
        self.taken: list[Trade] = []
        self.fills = 0
        self.is_live: set[str] = set()
        self.said: list[str] = []
        self.blocks = 0
        self.reasons: list[str] = []
        self.changed = asyncio.Event()
        self._known: set[tuple[str, str]] = set()

    def trades(self, trades: tuple[Trade, ...]) -> None:
        for trade in trades:
            identity = trade.market, trade.trade_id
            if not trade.liquidation and identity not in self._known and trade.second in SPAN:
                self._known.add(identity)
                self.fills += trade.count
        self.taken += trades
        self.changed.set()

    def block(self, block: TradeBlock) -> None:
        self.blocks += 1
        self.trades(tuple(block.trades()))

    def left_out(self, items: tuple[LeftOut, ...]) -> None:
        self.said += [f"left out {each.trade_id}" for each in items]

    def unread(self, markets: tuple[str, ...], at_ns: int) -> None:
        self.said.append(f"{at_ns} unread {markets}")

    def live(self, markets: tuple[str, ...], at_ns: int) -> None:
        self.said.append(f"{at_ns} live {markets}")
        self.is_live.update(markets)
        self.changed.set()

    def down(self, markets: tuple[str, ...], at_ns: int, reason: str) -> None:
        self.said.append(f"{at_ns} down {markets} {reason}")
        self.is_live.difference_update(markets)

    def rejected(self, exchange: str, reason: str, frame: str | bytes) -> None:
        self.reasons.append(f"{exchange}: {reason}: {frame!r}")

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not enough():
                self.changed.clear()
                await self.changed.wait()


class Stage:
    """One exchange's wire, with a clock and a pump that the test moves."""

    def __init__(self, name: str) -> None:
        profiles = [asset_profile(base) for base in ASSETS]
        squeeze = Script((Episode(1, ORIGIN - BUILD_S, START + 3),))
        self.venue: Venue = venue_of(*ASSETS, script=squeeze, delays=DELAYS, echoes=echoes([name], profiles))
        self.venue.extend(START + SECONDS + 90)
        self.clock = SteppedClock(START * 10**9)
        self.sent: dict[str, list[MarketTrades]] = {}
        self.exchange = Exchange(self.venue, self.clock, START)
        self.sink = Sink()
        self.markets = [e.instrument for e in self.venue.echoes]

    def play(self, seconds: int) -> None:
        for _ in range(seconds * 50):
            self.clock.advance(20 * 10**6)
            self.exchange.step()

    def truth(self) -> dict[tuple[int, str], Bar]:
        """The bars of what was traded from START on."""
        parts = []
        for each in self.markets:
            tape = self.venue.tapes[each.market]
            trades, forced = tape.span(START * 1000, (START + SECONDS) * 1000)
            parts += [(tape.profile, trades, False), (tape.profile, forced, True)]
        bars = bars_by_second(parts)
        return {(bar.second, bar.market): bar for made in bars.values() for bar in made}


async def plugged(
    stage: Stage, adapter: ExchangeAdapter, instruments: tuple[Instrument, ...]
) -> list[asyncio.Task[Any]]:
    readers = BatchReaders(1)  # what can be read as a block is
    readers.load()
    connections = [
        FeedConnection(plan, adapter, stage.clock, stage.sink, silence_limit_s=3600.0, readers=readers)
        for plan in adapter.plan(instruments)
    ]
    tasks = [asyncio.create_task(connection.run()) for connection in connections]
    wanted = {each.market for each in instruments}
    await stage.sink.until(lambda: stage.sink.is_live >= wanted)
    # a connection that carries liquidations alone is acknowledged to nobody
    async with asyncio.timeout(30):
        while any(c.stats.frames == 0 for c in connections):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    return tasks


@pytest.fixture(params=sorted(dialects()))
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Stage, ExchangeAdapter]]:
    name = str(request.param)
    stage = Stage(name)
    async with serving(stage.exchange) as running:
        running.sending.cancel()
        yield stage, registry.adapter(name, endpoints(running.port, [name])[name])


async def test_its_metadata_say_what_its_markets_are(stage: tuple[Stage, ExchangeAdapter]) -> None:
    one, adapter = stage
    async with aiohttp.ClientSession() as session:
        told = await open_markets(adapter, (), session)
    assert list(told) == sorted(one.markets, key=lambda each: each.market)
    assert {each.kind.value for each in told} == {"spot", "perp"}


async def test_bars_of_its_wire_are_the_generators(stage: tuple[Stage, ExchangeAdapter]) -> None:
    one, adapter = stage
    async with aiohttp.ClientSession() as session:
        told = await open_markets(adapter, (), session)
    tasks = await plugged(one, adapter, told)
    truth = one.truth()
    one.play(SECONDS + 5)
    fills = sum(bar.cbuy + bar.csell for bar in truth.values())
    await one.sink.until(lambda: one.sink.fills >= fills)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not one.sink.reasons
    assert bool(one.sink.blocks) == bool(adapter.templates)
    builder = BarBuilder(10_000)
    builder.begin(START)
    builder.add_all(one.sink.taken)
    built = {(b.second, b.market): b for s in SPAN for b in builder.close(s).bars}
    assert len(truth) > SECONDS * len(one.markets) / 4
    assert {each.market for each in built.values()} == {each.market for each in one.markets}
    told_of = {"BYBIT", "OKEX", "KRAKEN", "BITGET", "HUOBI"}
    assert any(bar.lbuy + bar.lsell for bar in built.values()) == (adapter.name in told_of)
    if adapter.name == "OKEX":  # pushes are sums of fills, whose rounding differs
        built, truth = ({key: rounded(bar) for key, bar in bars.items()} for bars in (built, truth))
    # compared as text, because NaN prices (liquidations alone) equal nothing
    assert {key: str(bar) for key, bar in built.items()} == {key: str(bar) for key, bar in truth.items()}


def rounded(bar: Bar) -> Bar:
    names = ("vbuy", "vsell", "lbuy", "lsell")
    values = {name: float(f"{getattr(bar, name):.9g}") for name in names}
    return Bar(
        bar.market,
        bar.second,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        values["vbuy"],
        values["vsell"],
        bar.cbuy,
        bar.csell,
        values["lbuy"],
        values["lsell"],
        bar.revision,
    )
