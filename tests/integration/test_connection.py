"""The feed connection against a real websocket server on loopback that plays a script."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiohttp import web

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.connection import FeedConnection
from squeezeflow_plugin.feeds.exchanges.binance import BinanceSpot
from squeezeflow_plugin.feeds.templates import Template
from squeezeflow_plugin.market import Instrument, MarketKind, Trade
from tests.integration.feed_stage import (
    ACK,
    BTC,
    ETH,
    WITHIN_S,
    Sink,
    connected,
    running,
    serving,
    trade,
)


async def test_subscribes_goes_live_on_the_acknowledgement_and_delivers_trades() -> None:
    async def script(websocket: web.WebSocketResponse, _: int) -> None:
        await exchange.play(websocket, ACK, trade(1), trade(2))
        await exchange.hear_all(websocket)

    before_ns = SystemClock().now_ns()
    async with serving(script) as exchange, running(exchange.url) as (connection, sink):
        await sink.until(lambda: len(sink.ids) == 2)
        assert exchange.sent == ['{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}']
        assert [(kind, markets) for kind, markets, _, _ in sink.events] == [("live", (BTC.market,))]
        live_ns = sink.events[0][2]
        assert before_ns < live_ns <= sink.received_ns[0] <= sink.received_ns[1] <= SystemClock().now_ns()
        assert sink.ids == ["1", "2"]
        assert (connection.stats.frames, connection.stats.trades, connection.stats.state) == (3, 2, "")
    assert sink.events[-1][0] == "down"
    assert sink.events[-1][3] == "stopped"


async def test_a_malformed_frame_is_named_and_the_connection_stays() -> None:
    bad = ("{", trade(2).replace('"2.0"', '"NaN"'), b"\xff\x00")

    async def script(websocket: web.WebSocketResponse, _: int) -> None:
        await exchange.play(websocket, ACK, trade(1), *bad, trade(3))
        await exchange.hear_all(websocket)

    async with serving(script) as exchange, running(exchange.url) as (connection, sink):
        await sink.until(lambda: len(sink.ids) == 2)
        assert sink.ids == ["1", "3"]
        assert [frame for _, _, frame in sink.refused] == list(bad)
        assert "field p must be a positive number, was 'NaN'" in sink.refused[1][1]
        assert (exchange.connections, connection.stats.rejected, sink.count("down")) == (1, 3, 0)


async def test_a_close_by_the_server_is_down_and_up_again() -> None:
    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        await exchange.play(websocket, ACK, trade(number))
        if number < 2:
            await websocket.close(code=1001, message=b"maintenance")
        else:
            await exchange.hear_all(websocket)

    async with serving(script) as exchange, running(exchange.url) as (connection, sink):
        await sink.until(lambda: len(sink.ids) == 3)
        assert [event[0] for event in sink.events] == ["live", "down", "live", "down", "live"]
        assert "closed by the server with code 1001 'maintenance'" in sink.events[1][3]
        times = [event[2] for event in sink.events]
        assert times == sorted(times)
        assert connection.stats.opened == 3
        assert +Counter(connection.stats.reopened) == {"announced": 2}


async def test_a_broken_socket_is_down_from_the_last_good_moment() -> None:
    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        await exchange.play(websocket, ACK, trade(number))
        if number == 0:
            await exchange_saw_trade.wait()
            assert websocket._req is not None
            assert websocket._req.transport is not None
            websocket._req.transport.abort()
        await exchange.hear_all(websocket)

    exchange_saw_trade = asyncio.Event()
    async with serving(script) as exchange, running(exchange.url) as (connection, sink):
        await sink.until(lambda: len(sink.ids) == 1)
        exchange_saw_trade.set()
        await sink.until(lambda: len(sink.ids) == 2)
        assert +Counter(connection.stats.reopened) == {"broken": 1}
        kind, markets, at_ns, reason = sink.events[1]
        assert (kind, markets, at_ns) == ("down", (BTC.market,), sink.received_ns[0])
        assert "broke" in reason


async def test_silence_ends_a_connection_that_still_answers_pings() -> None:
    """Acknowledgements, other frames and frames that cannot be read are no sign of life either."""

    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        await exchange.play(websocket, ACK, trade(number))
        while number == 0 and not websocket.closed:
            await websocket.ping()
            await websocket.send_str(ACK)
            await websocket.send_str("{")
            await websocket.send_str('{"e":"24hrTicker"}')
            await asyncio.sleep(0.02)
        await exchange.hear_all(websocket)

    async with serving(script) as exchange, running(exchange.url, silence_limit_s=0.25) as (connection, sink):
        await sink.until(lambda: len(sink.ids) == 2)
        assert +Counter(connection.stats.reopened) == {"silent": 1}
        kind, _, at_ns, reason = sink.events[1]
        assert (kind, at_ns) == ("down", sink.received_ns[0])
        assert "no trade for 0.25 s" in reason
        assert sink.received_ns[1] - sink.received_ns[0] >= 250_000_000


async def test_trades_of_any_market_are_life_for_the_connection() -> None:
    async def script(websocket: web.WebSocketResponse, _: int) -> None:
        await exchange.play(websocket, ACK)
        for trade_id in range(12):
            await websocket.send_str(trade(trade_id, "ETHUSDT"))
            await asyncio.sleep(0.05)
        await exchange.hear_all(websocket)

    async with (
        serving(script) as exchange,
        running(exchange.url, instruments=(BTC, ETH), silence_limit_s=0.4) as (_, sink),
    ):
        await sink.until(lambda: len(sink.ids) == 12)
        assert sink.count("down") == 0


async def test_a_refused_connection_is_tried_again_until_it_opens() -> None:
    async def script(websocket: web.WebSocketResponse, _: int) -> None:
        await exchange.play(websocket, ACK, trade(1))
        await exchange.hear_all(websocket)

    async with serving(script) as exchange:
        url = exchange.url
    async with running(url) as (connection, sink):
        await sink.until(lambda: sink.count("down") >= 3)
        assert connection.stats.opened == 0
        assert f"{url}/ws cannot be opened" in sink.events[0][3]
        assert connection.stats.state == sink.events[-1][3]


async def test_a_handshake_that_is_no_websocket_is_named() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(status=451, text="not from here")

    app = web.Application()
    app.router.add_get("/ws", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with running(f"ws://127.0.0.1:{runner.addresses[0][1]}") as (_, sink):
            await sink.until(lambda: sink.count("down") >= 2)
            assert "451" in sink.events[0][3]
    finally:
        await runner.cleanup()


async def test_a_server_that_never_finishes_the_handshake_is_given_up() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running(f"ws://127.0.0.1:{port}", open_timeout_s=0.1) as (_, sink):
        await sink.until(lambda: sink.count("down") >= 2)
        assert "did not open within 0.1 s" in sink.events[0][3]
    server.close()
    await server.wait_closed()


async def test_subscriptions_that_nobody_acknowledges_end_the_connection() -> None:
    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        await exchange.play(websocket, *([ACK] if number else []), trade(number))
        await exchange.hear_all(websocket)

    async with serving(script) as exchange, running(exchange.url, ack_timeout_s=0.1) as (_, sink):
        await sink.until(lambda: sink.count("live") == 1)
        assert "not acknowledged within 0.1 s" in sink.events[0][3]
        assert exchange.connections == 2


async def test_a_shutdown_announced_by_the_server_is_followed_at_once() -> None:
    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        await exchange.play(
            websocket, ACK, trade(number), *([] if number else ['{"e":"serverShutdown","E":1}'])
        )
        await exchange.hear_all(websocket)

    async with serving(script) as exchange, running(exchange.url) as (_, sink):
        await sink.until(lambda: len(sink.ids) == 2)
        assert "announced its shutdown" in sink.events[1][3]


class ToyAdapter:
    """An exchange of one-word frames, for what Binance does not need: pings, replies, headers, refusals."""

    name = "TOY"
    time_unit_ns = 1
    contiguous_ids: frozenset[MarketKind] = frozenset()
    templates: tuple[Template, ...] = ()

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        return ()

    def parse_instruments(self, _body: bytes, _request: RestRequest) -> tuple[Instrument, ...]:
        return ()

    def plan(self, _instruments: Any) -> tuple[StreamPlan, ...]:
        return ()

    def session(self, _plan: StreamPlan | None = None) -> ToyAdapter:
        return self

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        markets = ("TOY:a", "TOY:b", "TOY:c")
        answers = {
            b"\x01": Parsed(replies=("pong",)),
            "a": Parsed(subscribed=markets[:1]),
            "no b": Parsed(refused=(Refusal(markets[1:2], "no such market"),)),
            "old": Parsed(replayed=(Trade(markets[0], 1, "0", 1.0, 1.0, 1.0, 1),)),
            "half": Parsed(
                (Trade(markets[0], received_ns, "1", 1.0, 1.0, 1.0, 1, received_ns=received_ns),),
                rejected=("item 2 of half",),
            ),
        }
        if frame not in answers:
            raise FeedProtocolError(f"TOY: {frame!r}")
        return answers[frame]


def toy_plan(url: str, **changes: Any) -> StreamPlan:
    fields: dict[str, Any] = {
        "exchange": "TOY",
        "url": f"{url}/ws",
        "instruments": (),
        "markets": ("TOY:a", "TOY:b", "TOY:c"),
        "subscribe": (Subscription("sub 1"), Subscription("sub 2"), Subscription("sub 3")),
        "control_interval_s": 0.03,
        "headers": (("X-Format", "decimal"),),
    }
    return StreamPlan(**{**fields, **changes})


async def test_paces_its_requests_pings_replies_and_sends_its_headers() -> None:
    heard_at: dict[str, float] = {}

    async def script(websocket: web.WebSocketResponse, _: int) -> None:
        await websocket.send_bytes(b"\x01")
        while (text := await exchange.hear(websocket)) is not None:
            heard_at.setdefault(text, asyncio.get_running_loop().time())
            if Counter(exchange.sent)["ping"] == 3:
                await websocket.send_str("a")

    async with serving(script) as exchange:
        plan = toy_plan(exchange.url, ping="ping", ping_interval_s=0.04)
        async with connected(plan, ToyAdapter()) as (_, sink):
            await sink.until(lambda: sink.count("live") == 1)
        assert exchange.headers == ["decimal"]
        assert {"pong", "ping", "sub 1", "sub 2", "sub 3"} == set(exchange.sent)
        assert heard_at["sub 2"] - heard_at["sub 1"] >= 0.02
        assert heard_at["sub 3"] - heard_at["sub 2"] >= 0.02


async def test_refused_and_unanswered_markets_are_down_while_the_others_stay() -> None:
    async def script(websocket: web.WebSocketResponse, _: int) -> None:
        for text in ("a", "no b", "half"):
            await websocket.send_str(text)
        await exchange.hear_all(websocket)

    async with serving(script) as exchange:
        plan = toy_plan(exchange.url, control_interval_s=0.0)
        async with connected(plan, ToyAdapter(), ack_timeout_s=0.1) as (connection, sink):
            await sink.until(lambda: sink.count("down") == 2)
            assert [(kind, markets) for kind, markets, _, _ in sink.events] == [
                ("live", ("TOY:a",)),
                ("down", ("TOY:b",)),
                ("down", ("TOY:c",)),
            ]
            assert [reason for _, reason, _ in sink.refused] == [
                "TOY refuses TOY:b: no such market",
                "item 2 of half",
            ]
            assert sink.ids == ["1"]
            assert connection.stats.state == ""


async def test_a_connection_of_liquidations_alone_may_be_silent_and_tells_nothing_of_coverage() -> None:
    async def script(websocket: web.WebSocketResponse, _: int) -> None:
        await websocket.send_str("a")
        await exchange.hear(websocket)
        await asyncio.sleep(0.3)
        await websocket.send_str("half")
        await exchange.hear_all(websocket)

    async with serving(script) as exchange:
        plan = toy_plan(exchange.url, markets=())
        async with connected(plan, ToyAdapter(), silence_limit_s=0.1, ack_timeout_s=0.1) as (_, sink):
            await sink.until(lambda: sink.ids == ["1"])
            assert exchange.connections == 1
        assert sink.events == []


async def test_replayed_trades_are_delivered_but_are_no_sign_of_life() -> None:
    async def script(websocket: web.WebSocketResponse, _: int) -> None:
        await exchange.play(websocket, "a")
        while not websocket.closed:
            await websocket.send_str("old")
            await asyncio.sleep(0.02)

    async with serving(script) as exchange:
        plan = toy_plan(exchange.url, markets=("TOY:a",), subscribe=(Subscription("sub", ("TOY:a",)),))
        async with connected(plan, ToyAdapter(), silence_limit_s=0.25) as (connection, sink):
            await sink.until(lambda: sink.count("down") == 1)
            assert set(sink.ids) == {"0"}
            assert "no trade for 0.25 s" in sink.events[1][3]
            assert connection.stats.replayed >= 2
            assert connection.stats.trades == 0


async def test_what_the_sink_raises_ends_the_run() -> None:
    class Full(Sink):
        def trades(self, _trades: tuple[Trade, ...]) -> None:
            raise OSError("disk full")

    async def script(websocket: web.WebSocketResponse, _: int) -> None:
        await exchange.play(websocket, ACK, trade(1))
        await exchange.hear_all(websocket)

    async with serving(script) as exchange:
        adapter = BinanceSpot(ws_url=exchange.url)
        sink = Full()
        connection = FeedConnection(adapter.plan([BTC])[0], adapter, SystemClock(), sink)
        with pytest.raises(OSError, match="disk full"):
            await asyncio.wait_for(connection.run(), WITHIN_S)
        assert sink.events[-1][0] == "down"


async def test_cancelling_leaves_no_task_behind() -> None:
    async def script(websocket: web.WebSocketResponse, _: int) -> None:
        await exchange.play(websocket, ACK, trade(1))
        await exchange.hear_all(websocket)

    async with serving(script) as exchange:
        before = asyncio.all_tasks()
        async with running(exchange.url) as (_, sink):
            await sink.until(lambda: sink.ids == ["1"])
        if left := asyncio.all_tasks() - before:  # the server's side of the connection
            _, left = await asyncio.wait(left, timeout=WITHIN_S)
        assert not left
