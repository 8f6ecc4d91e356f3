from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.simulator.exchange import Exchange
from squeezeflow_plugin.simulator.tape import Delays
from squeezeflow_plugin.simulator.venue import Venue
from tests.unit.simulator.markets import ORIGIN, venue_of

START_MS = (ORIGIN + 60) * 1000


class Stage:
    """An exchange whose clock and pump are moved by the test."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.clock = SteppedClock(START_MS * 10**6)
        self.exchange = Exchange(venue, self.clock, ORIGIN)
        self.client: TestClient[Any, Any] = TestClient(TestServer(self.exchange.application()))

    async def listen(self, path: str, *streams: str) -> ClientWebSocketResponse:
        socket = await self.client.ws_connect(path)
        if streams:
            await socket.send_json({"method": "SUBSCRIBE", "params": list(streams), "id": 1})
            assert await socket.receive_json() == {"result": None, "id": 1}
        return socket

    def play(self, milliseconds: int, step: int = 20) -> None:
        for _ in range(0, milliseconds, step):
            self.clock.advance(step * 10**6)
            self.exchange.step()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    venue = venue_of("BTC", delays=Delays(late_share=0.01))
    venue.extend(ORIGIN + 121)
    stage = Stage(venue)
    async with stage.client:
        yield stage


async def drained(socket: ClientWebSocketResponse) -> list[Any]:
    """All that has been sent to the socket: what comes before the answer to a last question."""
    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 99})
    frames = []
    while (frame := await socket.receive_json()).get("id") != 99:
        frames.append(frame)
    return frames


@pytest.mark.parametrize(
    ("path", "market"),
    [
        ("/spot/ws", "BINANCE:btcusdt"),
        ("/futures/public/ws", "BINANCE_FUTURES:btcusdt"),
        ("/futures/ws", "BINANCE_FUTURES:btcusdt"),
    ],
)
async def test_every_trade_is_sent_once_when_it_is_due(stage: Stage, path: str, market: str) -> None:
    socket = await stage.listen(path, "btcusdt@trade")
    stage.play(20_000)
    frames = await drained(socket)
    expected = [
        int(number)
        for due in stage.venue.tapes[market].due(START_MS, START_MS + 20_000)
        for number in due.minute.trades.ids[due.rows]
    ]
    assert sorted(frame["t"] for frame in frames) == sorted(expected)
    assert len(expected) > 200
    assert all(frame["T"] < frame["E"] <= START_MS + 20_000 for frame in frames)
    assert stage.exchange.state()["sent"][market] == len(expected)


async def test_combined_streams_wrap_each_event(stage: Stage) -> None:
    socket = await stage.listen("/spot/stream?streams=btcusdt@trade/btcusdt@aggTrade")
    stage.play(5000)
    frames = await drained(socket)
    assert {frame["stream"] for frame in frames} == {"btcusdt@trade", "btcusdt@aggTrade"}
    fills = [f["data"] for f in frames if f["stream"].endswith("@trade")]
    sums = [f["data"] for f in frames if f["stream"].endswith("@aggTrade")]
    covered = {number for event in sums for number in range(event["f"], event["l"] + 1)}
    assert {event["t"] for event in fills} <= covered
    assert sum(event["l"] - event["f"] + 1 for event in sums) == len(covered)


async def test_streams_in_the_path_need_no_subscription(stage: Stage) -> None:
    socket = await stage.listen("/spot/ws/btcusdt@trade")
    stage.play(3000)
    assert len(await drained(socket)) > 10


async def test_the_split_futures_paths_carry_their_own_streams_only(stage: Stage) -> None:
    public = await stage.listen("/futures/public/ws", "btcusdt@aggTrade", "btcusdt@kline_1m")
    market = await stage.listen("/futures/market/ws", "btcusdt@trade", "btcusdt@kline_1m")
    stage.play(3000)
    assert await drained(public) == []
    assert {frame["e"] for frame in await drained(market)} == {"kline"}


async def test_the_forming_candle_is_sent_each_second_and_closed_once(stage: Stage) -> None:
    socket = await stage.listen("/spot/ws", "btcusdt@kline_1m")
    stage.play(62_000)
    candles = [frame["k"] for frame in await drained(socket)]
    closed = [candle for candle in candles if candle["x"]]
    assert [candle["t"] for candle in closed] == [START_MS]
    trades = stage.venue.tapes["BINANCE:btcusdt"].span(START_MS, START_MS + 60_000)[0]
    assert closed[0]["n"] == len(trades)
    assert len(candles) >= 62


async def test_liquidations_of_a_squeeze_are_sent(stage: Stage) -> None:
    orders = (
        stage.venue.tapes["BINANCE_FUTURES:btcusdt"].span(START_MS, START_MS + 60_000)[0].select(slice(0, 9))
    )
    trades, _ = stage.venue.tapes["BINANCE_FUTURES:btcusdt"].span(START_MS, START_MS + 60_000)
    stage.venue.tapes["BINANCE_FUTURES:btcusdt"].put(ORIGIN + 60, trades, orders)
    socket = await stage.listen("/futures/market/ws", "btcusdt@forceOrder")
    stage.play(10_000)
    assert [frame["o"]["T"] for frame in await drained(socket)] == orders.at_ms.tolist()


async def test_unsubscribing_ends_a_stream(stage: Stage) -> None:
    socket = await stage.listen("/spot/ws", "btcusdt@trade")
    await socket.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
    assert await socket.receive_json() == {"result": None, "id": 2}
    stage.play(3000)
    assert await drained(socket) == []
    assert stage.exchange.state()["streams"] == []


@pytest.mark.parametrize(("text", "code"), [("{", 3), ('{"method":"DANCE","id":1}', 2), ('{"id":1}', 3)])
async def test_a_control_frame_that_cannot_be_read_is_answered(stage: Stage, text: str, code: int) -> None:
    socket = await stage.listen("/spot/ws")
    await socket.send_str(text)
    assert (await socket.receive_json())["error"]["code"] == code


async def test_a_client_that_goes_is_forgotten(stage: Stage) -> None:
    socket = await stage.listen("/spot/ws", "btcusdt@trade")
    assert stage.exchange.state()["clients"] == 1
    await socket.close()
    async with asyncio.timeout(5):
        while stage.exchange.state()["clients"]:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0)
    stage.play(1000)


async def test_at_the_end_every_client_is_told(stage: Stage) -> None:
    socket = await stage.listen("/spot/ws", "btcusdt@trade")
    await stage.exchange.close()
    assert (await socket.receive()).type is WSMsgType.CLOSE
    assert json.dumps(stage.exchange.state())
