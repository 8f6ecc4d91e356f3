from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.simulator.exchange import Exchange
from squeezeflow_plugin.simulator.venue import Venue
from tests.unit.simulator.markets import ORIGIN, venue_of

NOW_MS = (ORIGIN + 630) * 1000 + 500
Client = TestClient[Any, Any]


@pytest.fixture
def venue() -> Venue:
    venue = venue_of("BTC", "SOL")
    venue.extend(ORIGIN + 700)
    return venue


@pytest.fixture
async def client(venue: Venue) -> AsyncIterator[Client]:
    exchange = Exchange(venue, SteppedClock(NOW_MS * 10**6), ORIGIN)
    async with TestClient(TestServer(exchange.application())) as client:
        yield client


async def get(client: Client, path: str, **params: object) -> Any:
    answer = await client.get(path, params={name: str(value) for name, value in params.items()})
    assert answer.status == 200
    return await answer.json()


SIDES = pytest.mark.parametrize(
    ("base", "market"), [("/api/v3", "BINANCE:btcusdt"), ("/fapi/v1", "BINANCE_FUTURES:btcusdt")]
)


@SIDES
async def test_klines_book_tickers_and_trades_agree(
    client: Client, venue: Venue, base: str, market: str
) -> None:
    trades = venue.tapes[market].trades(NOW_MS)
    klines = await get(client, f"{base}/klines", symbol="BTCUSDT", interval="1m", limit=1000)
    assert [row[0] for row in klines] == [ORIGIN * 1000 + 60_000 * n for n in range(11)]
    assert sum(row[8] for row in klines) == len(trades)
    assert sum(float(row[5]) for row in klines) == pytest.approx(trades.size.sum())
    assert float(klines[-1][4]) == trades.price[-1]
    recent = await get(client, f"{base}/trades", symbol="BTCUSDT", limit=3)
    assert [row["id"] for row in recent] == trades.ids[-3:].tolist()
    book = await get(client, f"{base}/depth", symbol="BTCUSDT", limit=20)
    assert len(book["bids"]) == len(book["asks"]) == 20
    best_bid, best_ask = float(book["bids"][0][0]), float(book["asks"][0][0])
    assert best_bid < best_ask
    assert trades.price[-1] in (best_bid, best_ask)
    assert [float(level[0]) for level in book["asks"]] == sorted(float(level[0]) for level in book["asks"])
    price = await get(client, f"{base}/ticker/price", symbol="BTCUSDT")
    day = await get(client, f"{base}/ticker/24hr", symbol="BTCUSDT")
    quote = await get(client, f"{base}/ticker/bookTicker", symbol="BTCUSDT")
    assert price["price"] == day["lastPrice"] == klines[-1][4]
    assert (quote["bidPrice"], quote["askPrice"]) == (book["bids"][0][0], book["asks"][0][0])
    assert float(day["highPrice"]) == trades.price.max()
    assert day["count"] == len(trades)


async def test_longer_candles_are_made_of_the_minutes(client: Client) -> None:
    minutes = await get(client, "/api/v3/klines", symbol="SOLUSDT", interval="1m")
    (first, *_) = await get(client, "/api/v3/klines", symbol="SOLUSDT", interval="5m")
    assert first[0] == minutes[0][0]
    assert first[8] == sum(row[8] for row in minutes[:5])
    assert (first[1], first[4]) == (minutes[0][1], minutes[4][4])


async def test_klines_are_cut_by_start_end_and_limit(client: Client) -> None:
    path, common = "/api/v3/klines", {"symbol": "SOLUSDT", "interval": "1m"}
    start = ORIGIN * 1000 + 120_000
    assert [row[0] for row in await get(client, path, **common, startTime=start, limit=2)] == [
        start,
        start + 60_000,
    ]
    assert [row[0] for row in await get(client, path, **common, endTime=start, limit=2)] == [
        start - 60_000,
        start,
    ]


@SIDES
async def test_aggregates_and_old_trades_page_without_gap(
    client: Client, venue: Venue, base: str, market: str
) -> None:
    trades = venue.tapes[market].trades(NOW_MS)
    seen: list[int] = []
    start: dict[str, object] = {"startTime": ORIGIN * 1000}
    while rows := await get(client, f"{base}/aggTrades", symbol="BTCUSDT", limit=1000, **start):
        seen += [number for row in rows for number in range(row["f"], row["l"] + 1)]
        start = {"fromId": rows[-1]["a"] + 1}
    assert seen == trades.ids.tolist()
    rows = await get(
        client, f"{base}/historicalTrades", symbol="BTCUSDT", fromId=int(trades.ids[10]), limit=4
    )
    assert [row["id"] for row in rows] == trades.ids[10:14].tolist()


async def test_nothing_from_the_future_is_told(client: Client, venue: Venue) -> None:
    assert venue.second * 1000 > NOW_MS + 10_000
    for base in ("/api/v3", "/fapi/v1"):
        rows = await get(client, f"{base}/aggTrades", symbol="SOLUSDT", limit=5)
        assert rows[-1]["T"] <= NOW_MS


async def test_futures_answer_what_freqtrade_asks_beside(client: Client) -> None:
    rates = await get(client, "/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=0, limit=5)
    assert [row["fundingTime"] for row in rates] == [28_800_000 * n for n in range(5)]
    mark = await get(client, "/fapi/v1/markPriceKlines", symbol="BTCUSDT", interval="1h", limit=10)
    assert len(mark[0]) == 12
    premium = await get(client, "/fapi/v1/premiumIndex")
    assert [row["symbol"] for row in premium] == ["BTCUSDT", "SOLUSDT"]
    interest = await get(client, "/fapi/v1/openInterest", symbol="BTCUSDT")
    assert float(interest["openInterest"]) > 0
    assert (await get(client, "/fapi/v1/time"))["serverTime"] == NOW_MS
    assert await get(client, "/api/v3/ping") == {}


async def test_metadata_names_one_symbol_or_all(client: Client) -> None:
    assert len((await get(client, "/api/v3/exchangeInfo"))["symbols"]) == 2
    one = await get(client, "/fapi/v1/exchangeInfo", symbol="SOLUSDT")
    assert [symbol["symbol"] for symbol in one["symbols"]] == ["SOLUSDT"]
    assert (await get(client, "/dapi/v1/exchangeInfo"))["symbols"] == []


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("klines", {"symbol": "NOPE", "interval": "1m"}, -1121),
        ("klines", {"interval": "1m"}, -1102),
        ("klines", {"symbol": "SOLUSDT", "interval": "7m"}, -1120),
        ("klines", {"symbol": "SOLUSDT", "interval": "1m", "limit": "many"}, -1100),
        ("depth", {"symbol": "SOLUSDT", "limit": 0}, -1100),
        ("trades", {"symbol": "SOLUSDT", "limit": -4}, -1100),
    ],
)
async def test_what_cannot_be_answered_is_refused_as_binance_does(
    client: Client, path: str, params: dict[str, object], code: int
) -> None:
    answer = await client.get(f"/api/v3/{path}", params={name: str(value) for name, value in params.items()})
    assert answer.status == 400
    assert (await answer.json())["code"] == code
