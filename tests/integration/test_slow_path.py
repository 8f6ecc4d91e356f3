"""The slow path over a real socket: what ccxt hands over makes the bars that our own adapter makes.

ccxt's classes and the adapters hear the same simulated exchange at the same time.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from squeezeflow_plugin.bars.builder import BarBuilder
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector.app import Collector
from squeezeflow_plugin.collector.instruments import open_markets
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.link import BROKEN, DEAD
from squeezeflow_plugin.feeds.reconnect import Backoff
from squeezeflow_plugin.feeds.slow import SlowExchange
from squeezeflow_plugin.feeds.slow_connection import SlowConnection
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import Instrument, Trade
from squeezeflow_plugin.settings import Endpoint, Settings, process_environ
from squeezeflow_plugin.simulator.exchange import endpoints, serving
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.integration.test_simulated_exchanges import SECONDS, Sink, Stage, plugged

CCXT = {"BYBIT": "CCXT-BYBIT", "OKEX": "CCXT-OKX"}
COUNTS_LOST = {"OKEX"}
"""A push stands for several fills, and ccxt does not hand over how many."""


class Watched:
    """A simulated exchange, the slow path to it, and what that delivered."""

    def __init__(self, stage: Stage, port: int) -> None:
        self.stage = stage
        self.name = stage.venue.echoes[0].instrument.exchange
        self.endpoint: Endpoint = endpoints(port, [self.name])[self.name]
        slow = registry.adapter(CCXT[self.name], self.endpoint)
        assert isinstance(slow, SlowExchange)
        self.slow = slow
        self.sink = Sink()
        self.instruments: tuple[Instrument, ...] = ()

    async def begin(self, silence_limit_s: float = 3600.0) -> tuple[SlowConnection, asyncio.Task[Any]]:
        """A connection that has brought trades of each market."""
        self.instruments = await open_markets(self.slow, (), None)  # type: ignore[arg-type]  # ccxt asks
        (plan,) = self.slow.plan(self.instruments)
        connection = SlowConnection(
            plan,
            self.slow,
            self.stage.clock,
            self.sink,
            silence_limit_s=silence_limit_s,
            backoff=Backoff(0.01, 0.02),
        )
        task = asyncio.create_task(connection.run())
        await self.live(task)
        return connection, task

    async def live(self, task: asyncio.Task[Any]) -> None:
        """Until trades of each market have come; a subscription is acknowledged to nobody."""
        async with asyncio.timeout(30):
            while len(self.sink.is_live) < len(self.instruments):
                self.stage.play(1)
                await asyncio.sleep(0.05)
                if task.done():
                    task.result()


@pytest.fixture(params=sorted(CCXT))
async def watched(request: pytest.FixtureRequest) -> AsyncIterator[Watched]:
    stage = Stage(str(request.param))
    async with serving(stage.exchange) as running:
        running.sending.cancel()
        yield Watched(stage, running.port)


async def stopped(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_ccxt_says_the_same_of_the_markets(watched: Watched) -> None:
    told = await watched.slow.markets()
    assert sorted(map(meant, told)) == sorted(map(meant, watched.stage.markets))
    assert {i.market for i in told} == {f"{watched.slow.name}:{i.symbol}" for i in told}
    assert {i.exchange for i in told} == {watched.slow.name}


def meant(i: Instrument) -> tuple[str, str, str, str, float, bool]:
    return i.kind.value, i.base, i.quote, i.settle, i.contract_size, i.inverse


async def test_bars_are_those_of_the_exchanges_own_adapter(watched: Watched) -> None:
    stage = watched.stage
    adapter = registry.adapter(watched.name, watched.endpoint)
    own = await plugged(stage, adapter, tuple(stage.markets))
    connection, task = await watched.begin()
    first = stage.clock.now_ns() // 10**9 + 1
    last = first + SECONDS - 5
    stage.play(SECONDS + 5)
    traded = sum(len(stage.venue.tapes[i.market].span(first * 1000, last * 1000)[0]) for i in stage.markets)
    await until(lambda: sum(t.count for t in span(stage.sink.taken, first, last)) == traded)
    expected = bars(stage.sink.taken, first, last, stage.markets, watched.name)
    assert len(expected) > SECONDS
    await until(lambda: bars(watched.sink.taken, first, last, watched.instruments, watched.name) == expected)
    await stopped(task, *own)
    assert not watched.sink.reasons
    assert connection.stats.opened == 1


def span(taken: Sequence[Trade], first: int, last: int) -> list[Trade]:
    """The trades of these seconds; liquidations are told to few."""
    return [trade for trade in taken if first <= trade.second < last and not trade.liquidation]


def bars(
    taken: Sequence[Trade], first: int, last: int, instruments: Sequence[Instrument], name: str
) -> dict[tuple[int, str], str]:
    """As text, the markets by what they trade; without counts where ccxt does not hand them over."""
    builder = BarBuilder(10_000)
    builder.begin(first)
    builder.add_all(span(taken, first, last))
    made = {bar for second in range(first, last) for bar in builder.close(second).bars}
    names = {i.market: f"{i.kind.value} {i.base}/{i.quote}" for i in instruments}
    counts = {"cbuy": 0, "csell": 0} if name in COUNTS_LOST else {}
    return {
        (bar.second, names[bar.market]): str(msgspec.structs.replace(bar, market="", **counts))
        for bar in made
    }


async def test_a_lost_connection_is_told_from_the_last_trades_on_and_opened_anew(watched: Watched) -> None:
    connection, task = await watched.begin()
    stage, sink = watched.stage, watched.sink
    good_ns = {trade.market: trade.received_ns for trade in sink.taken}
    await stage.exchange.close()
    await until(lambda: not sink.is_live)
    for each in watched.instruments:
        assert any(text.startswith(f"{good_ns[each.market]} down {(each.market,)}") for text in sink.said)
    await watched.live(task)
    assert (connection.stats.opened, connection.stats.reopened[BROKEN]) == (2, 1)
    connection.renew("a test")
    await until(lambda: not sink.is_live)
    await watched.live(task)
    assert connection.stats.reopened[DEAD] == 1
    await stopped(task)
    assert not sink.is_live


async def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_a_collector_stores_what_it_watches_through_ccxt(tmp_path: Path) -> None:
    """Beside the exchange's own adapter, from the same simulator, as processes and in real time."""
    state = tmp_path / "state.json"
    arguments = ("simulate", "--port", "0", "--seed", "1", "--assets", "BTC", "--state-file", str(state))
    simulator = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "squeezeflow_plugin.cli", *arguments),
        env=process_environ() | {"SQUEEZEFLOW_EXCHANGES": "BINANCE,BYBIT"},
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        await until(lambda: state.exists() and state.stat().st_size > 0)
        served = msgspec.json.decode(state.read_bytes())["endpoints"]
        told = {name: msgspec.convert(served["BYBIT"], Endpoint) for name in ("BYBIT", "CCXT-BYBIT")}
        settings = Settings(
            data_dir=tmp_path,
            exchanges=("BYBIT", "CCXT-BYBIT"),
            assets=("BTC",),
            endpoints=told,
            interest_interval_s=0,
            api_port=0,
            health_port=0,
        )
        own, slow = ("BYBIT:BTCUSDT", "CCXT-BYBIT:BTC/USDT:USDT")
        with (
            closing(EmbeddedBarStore(settings.store_path)) as store,
            TradeJournal(settings.journal_dir) as kept,
        ):
            stop = asyncio.Event()
            collecting = asyncio.create_task(Collector(settings, SystemClock(), store, kept).run(stop))
            with closing(EmbeddedBarStore(settings.store_path)) as reader:
                await until(lambda: len(both(reader, own, slow)) >= 5 or collecting.done(), 120.0)
            stop.set()
            await collecting
            pairs = both(store, own, slow)
            assert {own, slow} <= {instrument.market for instrument in store.instruments()}
    finally:
        simulator.terminate()
        await simulator.wait()
    assert all(mine == theirs for mine, theirs in pairs[1:-3])


def both(store: EmbeddedBarStore, own: str, slow: str) -> list[tuple[str, str]]:
    """The newest bars of the seconds in which both markets are covered and one of them has traded."""
    records = list(store.records(0, 2**40))
    found: dict[tuple[int, str], str] = {}
    for record in records:
        for bar in (*record.bars, *record.revisions):
            found[bar.second, bar.market] = str(msgspec.structs.replace(bar, market="", revision=0))
    covered = [record.second for record in records if {own, slow} <= set(record.covered)]
    pairs = [(found.get((second, own), ""), found.get((second, slow), "")) for second in covered]
    return [pair for pair in pairs if any(pair)]
