"""A simulated exchange on the network: a dialect's websockets and REST below the exchange's own prefix.

With P the port, both base URLs of an exchange are ``127.0.0.1:P/<its name in lower case>``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.simulator.clients import CLOSE_WITHIN_S, Client
from squeezeflow_plugin.simulator.conversation import Conversation, published
from squeezeflow_plugin.simulator.dialect import Ask, Dialect, Refused, Stock, read
from squeezeflow_plugin.simulator.echoes import Echo, Ids
from squeezeflow_plugin.simulator.faults import Fault, Line, Veil, retry_after_s
from squeezeflow_plugin.simulator.tape import Due
from squeezeflow_plugin.simulator.trades import MarketTrades
from squeezeflow_plugin.simulator.venue import Venue

PING_INTERVAL_S = 20.0
_NS_PER_MS = 1_000_000


@dataclass(eq=False, kw_only=True)
class Guest(Client):
    """A client, its conversation, and the line that its frames come by."""

    conversation: Conversation
    line: Line


class Floor:
    """One exchange and everyone connected to it."""

    def __init__(self, dialect: Dialect, venue: Venue, clock: Clock, faults: Sequence[Fault] = ()) -> None:
        self.dialect = dialect
        self._faults = tuple(fault for fault in faults if fault.exchange == dialect.name)
        self._served = 0
        self.guests: set[Guest] = set()
        self._clock = clock
        self._veil = Veil(self._faults)
        self._stock = stock_of(dialect, venue, self._now_ms, self._veil)
        self._beat_ms = self._now_ms()

    @property
    def prefix(self) -> str:
        return prefix(self.dialect.name)

    def routes(self) -> list[web.RouteDef]:
        """The websockets, and any other path as a question."""
        sockets = [web.get(self.prefix + path, self._socket(path)) for path in self.dialect.sockets]
        return [*sockets, web.route("*", self.prefix + "/{path:.*}", self._answer)]

    def carries(self, market: str) -> bool:
        return market in self._stock.markets

    def publish(self, market: str, due: Due, now_ms: int) -> None:
        """Send what is due to everyone who asked for it."""
        echo: Echo = self._stock.markets[market]
        if not any(
            topic in guest.conversation.topics for guest in self.guests for topic in self._topics(echo)
        ):
            return
        for topic, frames in published(self.dialect, echo, _seen(echo, due, self._veil), now_ms):
            for guest in [each for each in self.guests if topic in each.conversation.topics]:
                guest.line.send(frames, now_ms)
                self._pass_on(guest, now_ms)

    def beat(self, now_ms: int) -> None:
        """Send the heartbeats whose time has come, and what was held up; cut what is to be cut."""
        for guest in tuple(self.guests):
            self._pass_on(guest, now_ms)
        every_ms = int(self.dialect.heartbeat_s * 1000)
        if not every_ms or now_ms - self._beat_ms < every_ms:
            return
        self._beat_ms = now_ms
        for guest in tuple(self.guests):
            if frames := guest.conversation.heartbeat():
                guest.line.send(frames, now_ms)
                self._pass_on(guest, now_ms)

    async def close(self) -> None:
        """End every connection, as a server that goes away does."""
        await asyncio.gather(
            *(guest.socket.close(code=WSCloseCode.GOING_AWAY) for guest in tuple(self.guests))
        )

    def _topics(self, market: Echo) -> tuple[str, str]:
        return market.market, self.dialect.liquidation_topic(market)

    def _pass_on(self, guest: Guest, now_ms: int) -> None:
        """Queue what has arrived; a client that does not keep up, or whose line is cut, must go."""
        frames = guest.line.take(now_ms)
        if guest.line.is_cut(now_ms) or (frames and not guest.put(frames)):
            self._drop(guest)

    def _drop(self, guest: Guest) -> None:
        """Forget a client; its connection is cut."""
        self.guests.discard(guest)
        if guest.transport is not None:
            guest.transport.close()

    def _now_ms(self) -> int:
        return self._clock.now_ns() // _NS_PER_MS

    def _socket(self, path: str) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.WebSocketResponse:
            return await self._serve(request, path)

        return handle

    async def _serve(self, request: web.Request, path: str) -> web.WebSocketResponse:
        self._served += 1
        line = Line(self._faults, self._served)
        if line.is_cut(self._now_ms()):
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse(timeout=CLOSE_WITHIN_S, heartbeat=PING_INTERVAL_S, compress=False)
        await socket.prepare(request)
        talk = Conversation(self.dialect, path, self._stock)
        guest = Guest(socket=socket, transport=request.transport, conversation=talk, line=line)
        self.guests.add(guest)
        writer = asyncio.create_task(guest.write())
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and (frames := talk.hear(message.data)):
                    line.answer(frames, self._now_ms())
                    self._pass_on(guest, self._now_ms())
        finally:
            self.guests.discard(guest)
            writer.cancel()
        return socket

    async def _answer(self, request: web.Request) -> web.Response:
        if wait_s := retry_after_s(self._faults, self._now_ms()):
            raise web.HTTPTooManyRequests(headers={"Retry-After": str(wait_s)})
        path = "/" + request.match_info["path"]
        ask = Ask(path, dict(request.query), read(await request.text()))
        try:
            body, status, headers = self.dialect.answer(ask, self._stock), 200, {}
        except Refused as refused:
            body, status, headers = refused.body, refused.status, refused.headers
        return web.Response(
            body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json"
        )


def prefix(name: str) -> str:
    """The part of the path that is the exchange's.

    >>> prefix("BYBIT")
    '/bybit'
    """
    return f"/{name.lower()}"


def stock_of(dialect: Dialect, venue: Venue, now_ms: Callable[[], int], veil: Veil) -> Stock:
    """The exchange's markets in a venue, as they have traded up to now but for what is missing for good."""

    def past(market: str) -> MarketTrades:
        trades = venue.tapes[market].trades(now_ms())
        if stock.markets[market].ids is not Ids.SEQUENCE:
            return trades
        return trades.select(veil.shown(trades.at_ms, trades.ids))

    stock = Stock([e for e in venue.echoes if e.instrument.exchange == dialect.name], past, now_ms)
    return stock


def _seen(echo: Echo, due: Due, veil: Veil) -> Due:
    """What is due without what is missing for good."""
    if echo.ids is not Ids.SEQUENCE:
        return due
    trades = due.minute.trades
    seen = veil.shown(trades.at_ms[due.rows], trades.ids[due.rows])
    return due if seen.all() else replace(due, rows=due.rows[seen], sent_ms=due.sent_ms[seen])
