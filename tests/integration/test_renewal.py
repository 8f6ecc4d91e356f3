"""A connection whose time is up, or whose stream is dead, gets a successor before it goes."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter

import msgspec
import pytest
from aiohttp import web

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector import standing
from squeezeflow_plugin.errors import JournalError
from squeezeflow_plugin.feeds import connection as connection_module
from squeezeflow_plugin.feeds.connection import FeedConnection
from squeezeflow_plugin.feeds.exchanges.binance import BinanceSpot
from squeezeflow_plugin.market import NS_PER_SECOND
from tests.integration.feed_stage import (
    ACK,
    BTC,
    Sink,
    connected,
    running,
    serving,
    trade,
)


async def test_a_second_socket_stands_before_the_first_goes() -> None:
    """Renewed three times, without a moment in which nobody listened."""
    listening: list[int] = []
    least = 10

    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        nonlocal least
        await exchange.play(websocket, ACK, trade(number))
        listening.append(number)
        await exchange.hear_all(websocket)
        listening.remove(number)
        least = min(least, len(listening))

    async with serving(script) as exchange:
        adapter = BinanceSpot(ws_url=exchange.url)
        (plan,) = adapter.plan((BTC,))
        assert plan.lifetime_s == 86_400
        async with connected(msgspec.structs.replace(plan, lifetime_s=0.3), adapter) as (connection, sink):
            await sink.until(lambda: len(sink.ids) >= 4)
            assert [event[0] for event in sink.events] == ["live"] * len(sink.events)
            assert connection.stats.state == ""
            assert least >= 1
            reopened = connection.stats.reopened
            assert reopened["renewed"] == sum(reopened.values()) == connection.stats.opened - 1


async def test_a_successor_that_fails_leaves_the_first_in_its_place() -> None:
    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        if number:
            await exchange.hear(websocket)
            await websocket.close(code=1013)
            renewed.set()
            return
        await exchange.play(websocket, ACK, trade(1))
        await renewed.wait()
        await websocket.send_str(trade(2))
        await exchange.hear_all(websocket)

    renewed = asyncio.Event()
    async with serving(script) as exchange, running(exchange.url) as (connection, sink):
        await sink.until(lambda: sink.ids == ["1"])
        connection.renew("because of a test")
        await sink.until(lambda: sink.ids == ["1", "2"])
        # nobody knows what a stream that was called dead has not brought
        await sink.until(lambda: len(sink.events) == 3)
        assert [event[0] for event in sink.events] == ["live", "down", "live"]
        assert exchange.connections == 2
        assert +Counter(connection.stats.reopened) == {"dead": 1}


async def test_a_link_in_its_time_misses_nothing_where_its_successor_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It still delivers: no market is down, and the next successor is no remedy for a dead stream."""
    monkeypatch.setattr(connection_module, "_RENEW_AGAIN_S", 0.05)

    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        if number == 1:
            await exchange.hear(websocket)
            await websocket.close(code=1013)
            return
        await exchange.play(websocket, ACK, trade(number))
        await exchange.hear_all(websocket)

    async with serving(script) as exchange:
        adapter = BinanceSpot(ws_url=exchange.url)
        (plan,) = adapter.plan((BTC,))
        async with connected(msgspec.structs.replace(plan, lifetime_s=0.3), adapter) as (connection, sink):
            await sink.until(lambda: "2" in sink.ids)
            assert sink.count("down") == 0
            reopened = connection.stats.reopened
            assert reopened["renewed"] == sum(reopened.values()) == connection.stats.opened - 1


async def test_what_the_sink_raises_for_a_successor_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: Sink, markets: tuple[str, ...], at_ns: int) -> None:
        raise JournalError("the disk is full")

    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        if number:
            monkeypatch.setattr(Sink, "unread", full)
            await exchange.play(websocket, "no frame")
        else:
            await exchange.play(websocket, ACK, trade(number))
        await exchange.hear_all(websocket)

    async with serving(script) as exchange:
        adapter = BinanceSpot(ws_url=exchange.url)
        (plan,) = adapter.plan((BTC,))
        sink = Sink()
        connection = FeedConnection(plan, adapter, SystemClock(), sink)
        running = asyncio.create_task(connection.run())
        await sink.until(lambda: sink.ids == ["0"])
        connection.renew("because of a test")
        with pytest.raises(JournalError, match="the disk is full"):
            await asyncio.wait_for(running, 30)


async def test_a_standstill_in_which_the_exchange_hung_up_is_down_from_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last frame is read after it, and only then that nothing follows."""
    monkeypatch.setattr(standing, "BEARABLE_NS", NS_PER_SECOND)
    clock = SystemClock()
    stood_ns: list[int] = []

    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        await exchange.play(websocket, ACK, trade(2 * number))
        if number:
            await exchange.hear_all(websocket)
            return
        await gone_on.wait()
        await websocket.send_str(trade(1))
        connected_by = websocket.get_extra_info("socket")
        connected_by.shutdown(socket.SHUT_RDWR)  # without a word
        stood_ns.append(clock.now_ns())
        time.sleep(1.5)  # noqa: ASYNC251 - nobody is to read meanwhile

    gone_on = asyncio.Event()
    async with serving(script) as exchange, running(exchange.url) as (connection, sink):
        watch = standing.StandstillWatch(clock, [connection], sink)

        async def look() -> None:
            while True:
                await watch.wait_until(clock.now_ns() + NS_PER_SECOND // 100)

        await sink.until(lambda: sink.ids == ["0"])
        looking = asyncio.create_task(look())
        gone_on.set()
        await sink.until(lambda: sink.ids == ["0", "1", "2"])
        looking.cancel()
        (first, *_), last = (event for event in sink.events if event[0] == "down"), sink.events[-1]
        assert first[2] <= stood_ns[0] < sink.received_ns[1]
        assert "the collector stood still for" in first[3]
        assert [event[0] for event in sink.events[:2]] == ["live", "down"]
        assert last[0] == "live"


async def test_a_link_that_ends_while_its_successor_comes_is_down_until_that_is_live() -> None:
    async def script(websocket: web.WebSocketResponse, number: int) -> None:
        if number:
            await exchange.hear(websocket)
            dying.set()
            await dead.wait()
            await websocket.send_str(ACK)
            await websocket.send_str(trade(2))
            await exchange.hear_all(websocket)
            return
        await exchange.play(websocket, ACK, trade(1))
        await dying.wait()
        await websocket.close(code=1001)

    dying, dead = asyncio.Event(), asyncio.Event()
    async with serving(script) as exchange, running(exchange.url) as (connection, sink):
        await sink.until(lambda: sink.ids == ["1"])
        connection.renew("because of a test")
        await sink.until(lambda: sink.count("down") == 1)
        dead.set()
        await sink.until(lambda: sink.ids == ["1", "2"])
        assert [event[0] for event in sink.events] == ["live", "down", "live"]
        assert exchange.connections == 2
