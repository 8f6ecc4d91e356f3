from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError
from aiohttp.test_utils import TestClient, TestServer

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.simulator.exchange import Exchange, endpoints
from squeezeflow_plugin.simulator.faults import Fault, Kind
from squeezeflow_plugin.simulator.peers import echoes
from squeezeflow_plugin.simulator.profiles import asset_profile
from tests.unit.simulator.markets import ORIGIN, venue_of

START_MS = (ORIGIN + 60) * 1000
NAMES = ("COINBASE", "OKEX")


class Stage:
    """Two exchanges whose clock and pump are moved by the test."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        venue = venue_of("BTC", echoes=echoes(NAMES, [asset_profile("BTC")]))
        venue.extend(ORIGIN + 180)
        self.clock = SteppedClock(START_MS * 10**6)
        self.exchange = Exchange(venue, self.clock, ORIGIN, faults=faults)
        self.client: TestClient[Any, Any] = TestClient(TestServer(self.exchange.application()))

    def play(self, milliseconds: int) -> None:
        for _ in range(0, milliseconds, 20):
            self.clock.advance(20 * 10**6)
            self.exchange.step()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    async with stage.client:
        yield stage


async def test_each_exchange_stands_below_its_own_prefix(stage: Stage) -> None:
    found = endpoints(7, NAMES)
    assert (found["OKEX"].rest, found["OKEX"].ws) == ("http://127.0.0.1:7/okex", "ws://127.0.0.1:7/okex")
    answer = await stage.client.get("/okex/api/v5/public/instruments", params={"instType": "SWAP"})
    assert {entry["instId"] for entry in (await answer.json())["data"]} == {"BTC-USDT-SWAP", "BTC-USD-SWAP"}
    refused = await stage.client.get("/okex/nothing")
    assert refused.status == 404


async def test_trades_go_to_those_who_asked_and_heartbeats_in_their_time(stage: Stage) -> None:
    okx = await stage.client.ws_connect("/okex/ws/v5/public")
    coinbase = await stage.client.ws_connect("/coinbase/")
    await okx.send_json({"op": "subscribe", "args": [{"channel": "trades", "instId": "BTC-USDT"}]})
    await coinbase.send_json({"type": "subscribe", "channel": "heartbeats"})
    assert (await okx.receive_json())["event"] == "subscribe"
    assert (await coinbase.receive_json())["channel"] == "subscriptions"
    stage.play(5000)
    await okx.send_str("ping")
    frames = []
    while (message := await okx.receive()).data != "pong":
        frames.append(json.loads(message.data))
    assert (
        sum(int(frame["data"][0]["count"]) for frame in frames)
        == stage.exchange.state()["sent"]["OKEX:BTC-USDT"]
    )
    assert len(frames) > 5
    beats = [(await coinbase.receive_json())["channel"] for _ in range(5)]
    assert beats == ["heartbeats"] * 5
    assert stage.exchange.state()["clients"] == 2


async def test_at_the_end_every_client_is_told(stage: Stage) -> None:
    okx = await stage.client.ws_connect("/okex/ws/v5/public")
    await okx.send_str("ping")
    assert (await okx.receive()).data == "pong"
    await stage.exchange.close()
    assert (await okx.receive()).type is WSMsgType.CLOSE


async def test_faults_are_played_on_their_own_exchange() -> None:
    def fault(kind: Kind, begin_ms: int) -> Fault:
        return Fault(kind, "OKEX", START_MS + begin_ms, START_MS + begin_ms + 1000, 1.0, 1)

    stage = Stage([fault(Kind.CUT, 1000), fault(Kind.RATE_LIMIT, 3000)])
    async with stage.client:
        okx = await stage.client.ws_connect("/okex/ws/v5/public")
        coinbase = await stage.client.ws_connect("/coinbase/")
        stage.play(1000)
        assert (await okx.receive()).type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING}
        with pytest.raises(WSServerHandshakeError, match="503"):
            await stage.client.ws_connect("/okex/ws/v5/public")
        assert not coinbase.closed
        stage.play(2000)
        limited = await stage.client.get("/okex/api/v5/public/instruments")
        assert (limited.status, limited.headers["Retry-After"]) == (429, "3")
        stage.play(1000)
        assert (await stage.client.get("/okex/api/v5/public/instruments")).status == 200
