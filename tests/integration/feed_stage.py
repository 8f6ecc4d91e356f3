"""A feed connection, a server on loopback that plays a script, and a sink that keeps what it is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.feeds.adapter import LeftOut, StreamPlan
from squeezeflow_plugin.feeds.blocks import TradeBlock
from squeezeflow_plugin.feeds.connection import FeedConnection
from squeezeflow_plugin.feeds.exchanges.binance import BinanceSpot
from squeezeflow_plugin.feeds.reconnect import Backoff
from squeezeflow_plugin.market import Instrument, MarketKind, Trade

BTC = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
ETH = Instrument("BINANCE:ethusdt", "ETHUSDT", MarketKind.SPOT, "ETH", "USDT", "USDT")
ACK = '{"result":null,"id":1}'
WITHIN_S = 30.0

Script = Callable[[web.WebSocketResponse, int], Awaitable[None]]


def trade(trade_id: int, symbol: str = "BTCUSDT") -> str:
    return (
        f'{{"e":"trade","E":1767225600001,"s":"{symbol}","t":{trade_id},"p":"2.0","q":"0.5",'
        f'"T":1767225600000,"m":false,"M":true}}'
    )


class Sink:
    """Keeps what it was told, in order."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.passed_over: list[str] = []
        self.unread_ns: list[int] = []
        self.in_doubt: set[str] = set()
        self.events: list[tuple[str, tuple[str, ...], int, str]] = []
        self.refused: list[tuple[str, str, str | bytes]] = []
        self.received_ns: list[int] = []
        self.blocks: list[int] = []
        self._changed = asyncio.Event()

    def trades(self, trades: tuple[Trade, ...]) -> None:
        self.ids.extend(each.trade_id for each in trades)
        self.received_ns.extend(each.received_ns for each in trades)
        self._changed.set()

    def block(self, block: TradeBlock) -> None:
        self.blocks.append(len(block.ints))
        self.trades(tuple(block.trades()))

    def left_out(self, items: tuple[LeftOut, ...]) -> None:
        self.passed_over.extend(each.trade_id for each in items)

    def unread(self, markets: tuple[str, ...], at_ns: int) -> None:
        self.unread_ns.append(at_ns)
        self.in_doubt.update(markets)

    def live(self, markets: tuple[str, ...], at_ns: int) -> None:
        self.events.append(("live", markets, at_ns, ""))
        self._changed.set()

    def down(self, markets: tuple[str, ...], at_ns: int, reason: str) -> None:
        self.events.append(("down", markets, at_ns, reason))
        self._changed.set()

    def rejected(self, exchange: str, reason: str, frame: str | bytes) -> None:
        self.refused.append((exchange, reason, frame))
        self._changed.set()

    def count(self, kind: str) -> int:
        return sum(event[0] == kind for event in self.events)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


class Exchange:
    """A websocket server; each connection is played by the script, which is told its number from 0."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.connections = 0
        self.url = ""
        self.sent: list[str] = []
        self.headers: list[str | None] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        number, self.connections = self.connections, self.connections + 1
        self.headers.append(request.headers.get("X-Format"))
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await self._script(websocket, number)
        return websocket

    async def hear(self, websocket: web.WebSocketResponse) -> str | None:
        """The next text the client sends, None when it is gone."""
        message = await websocket.receive()
        if message.type is not WSMsgType.TEXT:
            return None
        self.sent.append(message.data)
        return str(message.data)

    async def hear_all(self, websocket: web.WebSocketResponse) -> None:
        while await self.hear(websocket) is not None:
            pass

    async def play(self, websocket: web.WebSocketResponse, *frames: str | bytes) -> None:
        """Wait for the subscription, then send the frames."""
        await self.hear(websocket)
        for frame in frames:
            if isinstance(frame, bytes):
                await websocket.send_bytes(frame)
            else:
                await websocket.send_str(frame)


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Exchange]:
    exchange = Exchange(script)
    app = web.Application()
    app.router.add_get("/ws", exchange.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    exchange.url = f"ws://127.0.0.1:{port}"
    try:
        yield exchange
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(
    url: str, *, instruments: tuple[Instrument, ...] = (BTC,), **options: Any
) -> AsyncIterator[tuple[FeedConnection, Sink]]:
    adapter = BinanceSpot(ws_url=url)
    (plan,) = adapter.plan(instruments)
    async with connected(plan, adapter, **options) as both:
        yield both


@asynccontextmanager
async def connected(
    plan: StreamPlan, adapter: Any, **options: Any
) -> AsyncIterator[tuple[FeedConnection, Sink]]:
    sink = Sink()
    options.setdefault("backoff", Backoff(first_s=0.01, cap_s=0.02, rng=random.Random(1)))
    connection = FeedConnection(plan, adapter, SystemClock(), sink, **options)
    task = asyncio.create_task(connection.run())
    try:
        yield connection, sink
    finally:
        task.cancel()
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(task, return_exceptions=True)
