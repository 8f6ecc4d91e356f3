"""Binance on loopback for a collector: its three markets, trades made for it, and what becomes of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import pytest
from aiohttp import WSMsgType, web

from squeezeflow_plugin.bars.columns import bars_of_trades, columns_of_trades
from squeezeflow_plugin.market import BAR_FIELDS, Bar, ClosingRecord, Trade
from squeezeflow_plugin.settings import Endpoint
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

SPOT, PERP, COIN = "BINANCE:btcusdt", "BINANCE_FUTURES:btcusdt", "BINANCE_FUTURES:btcusd_perp"
SYMBOLS = {SPOT: "BTCUSDT", PERP: "BTCUSDT", COIN: "BTCUSD_PERP"}
PATHS = {SPOT: "/spot/ws", PERP: "/futures/public/ws", COIN: "/futures/ws"}


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
