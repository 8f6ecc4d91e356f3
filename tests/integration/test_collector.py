"""The collector as a process: a live wire, late trades, a locked store, and kill -9.

A small Binance on loopback serves the frames. This file run as a program is the collector on a clock that
runs faster than the machine's, so that minutes of recorded trades pass in seconds at their true spacing.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from aiohttp import WSMsgType, web

from squeezeflow_plugin.bars.columns import bars_of_trades, columns_of_trades
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector import app
from squeezeflow_plugin.collector.stats import Stats
from squeezeflow_plugin.frames import build_bars
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import BAR_FIELDS, NS_PER_SECOND, Bar, ClosingRecord, Trade
from squeezeflow_plugin.settings import Endpoint, Settings, load, process_environ, to_environ
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

SPOT, PERP, COIN = "BINANCE:btcusdt", "BINANCE_FUTURES:btcusdt", "BINANCE_FUTURES:btcusd_perp"
SYMBOLS = {SPOT: "BTCUSDT", PERP: "BTCUSDT", COIN: "BTCUSD_PERP"}
PATHS = {SPOT: "/spot/ws", PERP: "/futures/public/ws", COIN: "/futures/ws"}
TWICE = 500


@dataclass(frozen=True)
class Sent:
    """A trade as the venue sends it: not before ``due_ns``, dated ``time_ms``."""

    due_ns: int
    market: str
    time_ms: int
    trade_id: int
    price: float
    quantity: float
    side: int

    @property
    def frame(self) -> str:
        body = {"e": "trade", "E": self.time_ms, "s": SYMBOLS[self.market], "t": self.trade_id}
        body |= {"p": repr(self.price), "q": repr(self.quantity), "T": self.time_ms, "m": self.side < 0}
        if self.market != SPOT:
            body["X"] = "MARKET"
        return msgspec.json.encode(body).decode()


class Venue:
    """Binance spot, USD-M and COIN-M, as far as the collector asks; ``subscribers`` by market.

    While ``is_maintained``, the futures do not say what their markets are.
    """

    def __init__(self) -> None:
        self.is_maintained = False
        self.subscribers: dict[str, web.WebSocketResponse] = {}
        self.changed = asyncio.Condition()
        self._runner = web.AppRunner(self._app(), shutdown_timeout=1.0)

    async def start(self) -> dict[str, Endpoint]:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return {
            "BINANCE": Endpoint(f"http://{host}", f"ws://{host}/spot"),
            "BINANCE_FUTURES": Endpoint(f"http://{host}", f"ws://{host}/futures"),
        }

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def subscribed(self, *markets: str) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: set(markets) <= self.subscribers.keys())

    async def unsubscribed(self) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: not self.subscribers)

    async def send(self, market: str, text: str) -> bool:
        """Whether the text went to somebody."""
        socket = self.subscribers.get(market)
        if socket is None or socket.closed:
            return False
        try:
            await socket.send_str(text)
        except ConnectionError:
            return False
        return True

    def _app(self) -> web.Application:
        spot = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT"}
        usdm = spot | {"contractType": "PERPETUAL", "marginAsset": "USDT"}
        coinm: dict[str, object] = {
            "symbol": "BTCUSD_PERP",
            "contractStatus": "TRADING",
            "contractType": "PERPETUAL",
        }
        coinm |= {"baseAsset": "BTC", "quoteAsset": "USD", "marginAsset": "BTC", "contractSize": 100}
        application = web.Application()
        for path, symbol in (("/api/v3", spot), ("/fapi/v1", usdm), ("/dapi/v1", coinm)):
            text = msgspec.json.encode({"symbols": [symbol]}).decode()
            application.router.add_get(f"{path}/exchangeInfo", self._info(text, symbol is not spot))
        for path in (*PATHS.values(), "/futures/market/ws"):
            application.router.add_get(path, self._serve)
        return application

    def _info(self, text: str, is_futures: bool) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(_: web.Request) -> web.Response:
            return web.Response(text=text, status=503 if is_futures and self.is_maintained else 200)

        return handler

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        mine = [market for market, path in PATHS.items() if path == request.path]
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                number = msgspec.json.decode(message.data)["id"]
                await socket.send_str(f'{{"result":null,"id":{number}}}')
                await self._change(dict.fromkeys(mine, socket))
        await self._change(dict.fromkeys(m for m in mine if self.subscribers.get(m) is socket))
        return socket

    async def _change(self, update: Mapping[str, web.WebSocketResponse | None]) -> None:
        async with self.changed:
            merged = {**self.subscribers, **update}
            self.subscribers = {market: socket for market, socket in merged.items() if socket is not None}
            self.changed.notify_all()


class FastClock:
    """A clock that runs ``speed`` times as fast; two processes with the same numbers agree."""

    def __init__(self, wall_ns: int, base_ns: int, speed: float) -> None:
        self._wall_ns, self._base_ns, self._speed = wall_ns, base_ns, speed

    def now_ns(self) -> int:
        return self._base_ns + int((time.time_ns() - self._wall_ns) * self._speed)

    def sleep_until(self, when_ns: int) -> None:
        raise AssertionError(f"the collector never blocks, not until {when_ns} either")

    async def wait_until(self, when_ns: int) -> None:
        while (left := when_ns - self.now_ns()) > 0:  # noqa: ASYNC110 - a clock has no event to wait for
            await asyncio.sleep(left / NS_PER_SECOND / self._speed)


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    venue = Venue()
    yield venue
    await venue.stop()


async def wait_for(condition: Callable[[], bool], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is awaited happens in another process
            await asyncio.sleep(0.02)


def reprice(market: str, quantity: float, price: float) -> tuple[float, float]:
    """(size, quote): COIN-M quantities are contracts of 100 USD."""
    return (quantity * 100 / price, quantity * 100) if market == COIN else (quantity, price * quantity)


def expected_bars(trades: Iterable[Trade]) -> list[Bar]:
    return bars_of_trades(columns_of_trades(list(trades))).bars()


def stored_bars(store: EmbeddedBarStore, start: int = 0, stop: int = 2**40) -> list[Bar]:
    """The final view, revisions forgotten."""
    columns = store.bars(start, stop)
    values = (getattr(columns, field).tolist() for field in BAR_FIELDS)
    markets = [columns.names[number] for number in columns.market.tolist()]
    return [Bar(*row) for row in zip(markets, columns.second.tolist(), *values, strict=True)]


def has_no_gap(records: Sequence[ClosingRecord]) -> bool:
    return [r.second for r in records] == list(range(records[0].second, records[0].second + len(records)))


def trade_of(sent: Sent) -> Trade:
    size, quote = reprice(sent.market, sent.quantity, sent.price)
    return Trade(
        sent.market, sent.time_ms * 1_000_000, str(sent.trade_id), sent.price, size, quote, sent.side
    )


def invent(rng: random.Random, sent: Counter[str], now_ns: int, age_ms: int = 0) -> Sent:
    """``sent`` counts each market's trades, whose ids follow each other."""
    market = rng.choice([SPOT, PERP, COIN])
    sent[market] += 1
    number = sent[market]
    price = round(60_000 + rng.gauss(0, 20), 1)
    quantity = float(rng.randint(1, 9)) if market == COIN else round(rng.expovariate(20) + 1e-5, 5)
    return Sent(now_ns, market, now_ns // 1_000_000 - age_ms, number, price, quantity, rng.choice([1, -1]))


async def test_a_live_wire_with_late_doubled_and_broken_frames(tmp_path: Path, venue: Venue) -> None:
    settings = Settings(
        assets=("BTC",), data_dir=tmp_path, endpoints=await venue.start(), api_port=0, health_port=0
    )
    clock, rng, stop = SystemClock(), random.Random(7), asyncio.Event()
    store = EmbeddedBarStore(settings.store_path, busy_timeout_s=0.1)
    reader = EmbeddedBarStore(settings.store_path, readonly=True)
    sent: list[Sent] = []
    numbers: Counter[str] = Counter()
    with TradeJournal(settings.journal_dir) as journal:
        running = asyncio.create_task(app.Collector(settings, clock, store, journal).run(stop))
        await asyncio.wait_for(venue.subscribed(SPOT, PERP, COIN), 30)
        blocker = sqlite3.connect(settings.store_path, isolation_level=None)
        for number in range(1, 301):
            trade = invent(rng, numbers, clock.now_ns())
            if number == 150:
                numbers[SPOT] += 1  # of a trade that comes seconds later
                late = Sent(0, SPOT, trade.time_ms, numbers[SPOT], 61_000.0, 0.5, 1)
            sent.append(trade)
            for _ in range(1 + (number % 20 == 0)):
                await venue.send(trade.market, trade.frame)
            if number % 100 == 0:
                await venue.send(trade.market, '{"e":"trade","s":"BTCUSDT","p":')
                blocker.execute(
                    "BEGIN IMMEDIATE" if number == 100 else "ROLLBACK" if number == 200 else "SELECT 1"
                )
            await asyncio.sleep(0.01)
        blocker.close()
        last = sent[-1].time_ms // 1000
        await wait_for(lambda: (reader.last_second("main") or 0) >= last)
        sent.append(late)
        await venue.send(SPOT, late.frame)
        await wait_for(lambda: (reader.last_second("main") or 0) >= last + 2)
        stop.set()
        await asyncio.wait_for(running, 30)
    records = list(reader.records(0, 2**40))
    assert has_no_gap(records)
    assert stored_bars(reader) == expected_bars(map(trade_of, sent))
    assert [(b.market, b.second, b.revision) for r in records for b in r.revisions if b.high == 61_000.0] == [
        (SPOT, late.time_ms // 1000, 1)
    ]
    assert all(
        r.covered == (SPOT, COIN, PERP) for r in records if sent[99].time_ms // 1000 < r.second <= last
    )
    assert [i.market for i in reader.instruments()] == [SPOT, COIN, PERP]
    stats = msgspec.json.decode((settings.run_dir / "collector.json").read_bytes(), type=Stats)
    assert (stats.trades_received, stats.duplicates, stats.rejected_frames) == (316, 15, 3)
    assert (stats.bars, stats.reconnects, stats.pending_records) == (sum(len(r.bars) for r in records), 0, 0)
    assert stats.store_failures >= 1
    assert stats.closing_delay_ms is not None
    reader.close()
    store.close()


async def test_a_killed_collector_goes_on_without_a_gap(tmp_path: Path, venue: Venue) -> None:
    settings = Settings(
        assets=("BTC",), data_dir=tmp_path, endpoints=await venue.start(), api_port=0, health_port=0
    )
    environ = {**process_environ(), **to_environ(settings)}
    command = [sys.executable, "-m", "squeezeflow_plugin.cli", "collect"]
    reader = EmbeddedBarStore(settings.store_path, readonly=True)
    rng, clock = random.Random(11), SystemClock()
    delivered: list[Sent] = []
    numbers: Counter[str] = Counter()

    async def keep_sending() -> None:
        while True:
            age_ms = rng.randint(1500, 3000) if rng.random() < 0.03 else 0
            trade = invent(rng, numbers, clock.now_ns(), age_ms)
            if await venue.send(trade.market, trade.frame):
                delivered.append(trade)
            await asyncio.sleep(0.002)

    def closed() -> int:
        assert process.returncode is None, "the collector ended by itself"
        return reader.last_second("main") or 0

    def is_whole() -> bool:
        """However long starting took: the newest second has every market."""
        newest = list(reader.records(closed(), closed() + 1))
        return bool(newest) and newest[0].covered == (SPOT, COIN, PERP)

    sending = asyncio.create_task(keep_sending())
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    try:
        await wait_for(lambda: is_whole() and closed() - reader.span()[0] >= 3)  # type: ignore[index]  # whole, so it has a span
        await asyncio.sleep(rng.random())
        process.kill()
        await process.wait()
        before = list(reader.records(0, 2**40))
        arrived = len(delivered)
        process = await asyncio.create_subprocess_exec(*command, env=environ)
        await wait_for(lambda: closed() >= before[-1].second + 6 and is_whole())
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        end = closed()
        await wait_for(lambda: closed() >= end + 2)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        sending.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    after = list(reader.records(0, 2**40))
    assert after[: len(before)] == before
    assert has_no_gap(after)
    with TradeJournal(settings.journal_dir) as journal:
        journalled = list(journal.replay(0))
    known = {(trade.market, trade.trade_id) for trade in journalled}
    read_before_kill = delivered[: arrived - 300]  # the last frames may still have been in a socket
    assert all((each.market, str(each.trade_id)) in known for each in read_before_kill)
    first, last = after[0].second, after[-1].second
    assert stored_bars(reader) == expected_bars(t for t in journalled if first <= t.second <= last)
    interrupted = after[len(before) : len(before) + 2]  # the first is whole by its ids where it had ended
    assert any(record.covered == () for record in interrupted)
    assert interrupted[0].bars
    assert before[-1].covered == after[-3].covered == (SPOT, COIN, PERP)
    assert any(record.revisions for record in after)
    reader.close()


async def test_an_exchange_that_is_missing_at_the_first_start_joins_later(
    tmp_path: Path, venue: Venue
) -> None:
    venue.is_maintained = True
    settings = Settings(
        assets=("BTC",), data_dir=tmp_path, endpoints=await venue.start(), api_port=0, health_port=0
    )
    environ = {**process_environ(), **to_environ(settings)}
    command = [sys.executable, "-m", "squeezeflow_plugin.cli", "collect"]
    reader = EmbeddedBarStore(settings.store_path, readonly=True)
    counted = settings.run_dir / "collector.json"

    def missing() -> tuple[str, ...]:
        assert process.returncode is None, "the collector ended by itself"
        return msgspec.json.decode(counted.read_bytes(), type=Stats).missing_exchanges

    process = await asyncio.create_subprocess_exec(*command, env=environ)
    try:
        await wait_for(lambda: (reader.last_second("main") or 0) > 0 and counted.exists())
        assert missing() == ("BINANCE_FUTURES",)
        assert set(venue.subscribers) == {SPOT}
        venue.is_maintained = False
        await wait_for(lambda: set(venue.subscribers) == {SPOT, PERP, COIN})
        end = reader.last_second("main") or 0
        await wait_for(lambda: (reader.last_second("main") or 0) >= end + 4)
        assert missing() == ()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    records = list(reader.records(0, 2**40))
    assert has_no_gap(records)
    assert {SPOT} == {*records[0].covered, *records[0].uncovered}
    assert records[-1].covered == (SPOT, COIN, PERP)
    reader.close()


def recorded(shared: Path) -> tuple[pd.DataFrame, list[Sent]]:
    """The recorded trades, and when each goes out: after 60 ms, one in fifty up to a minute later."""
    frame = pd.read_parquet(shared / "market_data" / "binance_btc_spot_usdm_coinm_20240808.parquet")
    rng = random.Random(20240808)
    sent = []
    names = ("market", "ts_ms", "trade_id", "price", "size_raw", "side")
    for market, time_ms, number, price, quantity, side in zip(
        *(frame[n].tolist() for n in names), strict=True
    ):
        late_ns = rng.randint(2_000_000_000, 60_000_000_000) if rng.random() < 0.02 else 60_000_000
        due_ns = time_ms * 1_000_000 + late_ns
        sent.append(Sent(due_ns, market, time_ms, number, price, quantity, 1 if side == "buy" else -1))
    return frame, sorted(sent, key=lambda each: each.due_ns)


async def play(venue: Venue, clock: FastClock, trades: Iterable[Sent]) -> None:
    for trade in trades:
        await clock.wait_until(trade.due_ns)
        assert await venue.send(trade.market, trade.frame)


async def test_recorded_trades_through_a_kill_give_the_bars_of_build_bars(
    tmp_path: Path, venue: Venue, shared: Path
) -> None:
    frame, trades = recorded(shared)
    first = int(frame.ts_ms.min()) // 1000
    settings = Settings(
        assets=("BTC",),
        data_dir=tmp_path,
        endpoints=await venue.start(),
        first_second=first,
        revision_horizon_s=3600,
        silence_limit_s=3600.0,
        api_port=0,
        health_port=0,
    )
    environ = {**process_environ(), **to_environ(settings)}
    numbers = (time.time_ns(), (first - 60) * NS_PER_SECOND, 60.0)
    command = [sys.executable, __file__, *map(str, numbers)]
    clock = FastClock(*numbers)
    reader = EmbeddedBarStore(settings.store_path, readonly=True)
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    try:
        await asyncio.wait_for(venue.subscribed(SPOT, PERP, COIN), 30)
        part = len(trades) * 2 // 5
        await play(venue, clock, trades[:part])
        process.kill()
        await process.wait()
        await asyncio.wait_for(venue.unsubscribed(), 30)
        before = list(reader.records(0, 2**40))
        with TradeJournal(settings.journal_dir) as journal:
            received = {(trade.market, trade.trade_id) for trade in journal.replay(0)}
        process = await asyncio.create_subprocess_exec(*command, env=environ)
        await asyncio.wait_for(venue.subscribed(SPOT, PERP, COIN), 30)
        missing = [each for each in trades[:part] if (each.market, str(each.trade_id)) not in received]
        await play(venue, clock, [*missing, *trades[part - TWICE :]])
        sent_by = trades[-1].due_ns // NS_PER_SECOND
        await wait_for(lambda: (reader.last_second("main") or 0) >= sent_by + 12)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    after = list(reader.records(0, 2**40))
    assert after[0].second == first
    assert after[: len(before)] == before
    assert has_no_gap(after)
    assert any(record.revisions for record in after)  # how many are late is the machine's load
    assert any(record.covered == () for record in after[len(before) :])
    built = build_bars(frame)
    bars = stored_bars(reader)
    for field in ("market", "time", *BAR_FIELDS):
        mine = [bar.second if field == "time" else getattr(bar, field) for bar in bars]
        theirs = built[field].tolist()
        if field in {"vbuy", "vsell"}:  # COIN-M: contracts x 100 USD here, price x (100 / price) there
            assert mine == pytest.approx(theirs, rel=1e-12, abs=0)
            pairs = zip(bars, mine, theirs, strict=True)
            assert all(ours == other for bar, ours, other in pairs if bar.market != COIN)
        else:
            assert mine == theirs
    reader.close()


def main() -> None:
    """The collector as the environment says, on a fast clock."""
    wall_ns, base_ns, speed = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    asyncio.run(app._collect_until_stopped(load(), FastClock(wall_ns, base_ns, speed)))


if __name__ == "__main__":
    main()
