"""The exchanges of a wire schedule: sockets and REST answers in memory, troubled by a script of faults."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from typing import cast
from urllib.parse import urlsplit

import aiohttp
import msgspec
import numpy as np

from squeezeflow_plugin.errors import FeedConnectionError, RateLimitedError
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.connection import FeedConnection
from squeezeflow_plugin.simulator.conversation import Conversation
from squeezeflow_plugin.simulator.dialect import Ask, Frame, Refused, Stock
from squeezeflow_plugin.simulator.faults import Fault, Kind, Line, retry_after_s
from squeezeflow_plugin.simulator.floor import prefix
from squeezeflow_plugin.simulator.trades import MarketTrades
from tests.soak.stepped import LoopClock
from tests.soak.wire_judge import Played
from tests.soak.wire_market import DIALECTS, START

_NS_PER_MS = 1_000_000


class MemorySocket:
    """What ``FeedConnection`` needs of a websocket, over a conversation and a line with faults."""

    def __init__(self, stage: Exchanges, exchange: str, path: str, seed: int) -> None:
        faults = [fault for fault in stage.faults if fault.exchange == exchange]
        self.exchange = exchange
        self.line = Line(faults, seed)
        self.talk = Conversation(DIALECTS[exchange], path, stage.stocks[exchange])
        self._stage = stage
        self._waiting: deque[aiohttp.WSMessage] = deque()
        self._came = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def receive(self) -> aiohttp.WSMessage:
        while not self._waiting:
            self._came.clear()
            await self._came.wait()
        return self._waiting.popleft()

    async def send_str(self, text: str) -> None:
        self.line.answer(self.talk.hear(text), self._stage.now_ms)
        self._arrive()

    def send(self, frames: Sequence[Frame]) -> None:
        """The exchange sends these."""
        self.line.send(frames, self._stage.now_ms)
        self._arrive()

    def end(self, fault: Fault) -> None:
        """The connection is cut; what is under way is lost."""
        self._quit()
        if fault.seed % 2:
            message = aiohttp.WSMessage(aiohttp.WSMsgType.CLOSE, 1001, "going away")
        else:
            message = aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)
        self._put(message)

    async def close(self) -> None:
        self._quit()

    def exception(self) -> None:
        return None

    def _quit(self) -> None:
        self._stage.sockets.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()

    def _put(self, message: aiohttp.WSMessage) -> None:
        self._waiting.append(message)
        self._came.set()

    def _arrive(self) -> None:
        for frame in self.line.take(self._stage.now_ms):
            kind = aiohttp.WSMsgType.TEXT if isinstance(frame, str) else aiohttp.WSMsgType.BINARY
            self._put(aiohttp.WSMessage(kind, frame, None))
        if self._timer is not None:
            self._timer.cancel()
        if (at_ms := self.line.next_ms()) is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later((at_ms - self._stage.now_ms) / 1000, self._arrive)


class MemoryConnection(FeedConnection):
    """The real connection with an exchange in memory at its other end."""

    stage: Exchanges

    async def _connect(
        self,
        session: aiohttp.ClientSession,  # noqa: ARG002 - the network is not needed
    ) -> aiohttp.ClientWebSocketResponse:
        await asyncio.sleep(0.05)
        return cast(aiohttp.ClientWebSocketResponse, self.stage.connect(self.plan.exchange, self.plan.url))


class Exchanges:
    """What they send, and what they answer; ``rng`` decides how long an answer takes."""

    def __init__(self, played: Played, rng: random.Random) -> None:
        made, self.faults = played.made, played.faults
        self.sockets: dict[MemorySocket, None] = {}  # in the order of their opening
        self._rng = rng
        self._events, self._trades = played.shown
        self._time = asyncio.get_running_loop().time
        self.stocks = {
            name: Stock(
                [e for e in made.echoes if e.instrument.exchange == name], self._past, lambda: self.now_ms
            )
            for name in made.exchanges
        }

    @property
    def now_ms(self) -> int:
        """The exchanges' time."""
        return START * 1000 + int(self._time() * 1000 + 1e-6)

    def connect(self, exchange: str, url: str) -> MemorySocket:
        """A new connection, or FeedConnectionError while there is none to be had."""
        path = urlsplit(url).path.removeprefix(prefix(exchange))
        socket = MemorySocket(self, exchange, path, self._rng.getrandbits(32))
        if socket.line.is_cut(self.now_ms):
            raise FeedConnectionError(f"{url} refuses connections")
        self.sockets[socket] = None
        return socket

    async def fetch(self, _session: aiohttp.ClientSession, request: RestRequest) -> bytes:
        """The exchange's answer, or what stands in its way."""
        await asyncio.sleep(0.05 + 0.1 * self._rng.random())
        parts = urlsplit(request.url).path.split("/", 2)
        dialect = next(each for each in DIALECTS.values() if prefix(each.name) == f"/{parts[1]}")
        faults = [fault for fault in self.faults if fault.exchange == dialect.name]
        if wait_s := retry_after_s(faults, self.now_ms):
            raise RateLimitedError(f"{request.url} answered status 429", float(wait_s))
        body = msgspec.json.decode(request.body) if request.body else None
        try:
            answer = dialect.answer(
                Ask(f"/{parts[2]}", dict(request.params), body), self.stocks[dialect.name]
            )
        except Refused as refused:
            raise FeedConnectionError(f"{request.url} answered status {refused.status}") from refused
        return msgspec.json.encode(answer)

    async def send(self) -> None:
        """Every event at its time, and the exchanges' heartbeats."""
        for event in self._events:
            await self._until(event.at_ms)
            for socket in tuple(self.sockets):
                if event.topic in socket.talk.topics and socket.exchange == event.market.instrument.exchange:
                    socket.send(event.frames)

    async def trouble(self, clock: LoopClock) -> None:
        """The faults that are not a line's own."""
        for fault in self.faults:
            if fault.kind not in {Kind.CUT, Kind.CLOCK_JUMP}:
                continue
            await self._until(fault.start_ms)
            if fault.kind is Kind.CLOCK_JUMP:
                clock.jump(fault.jump_ms * _NS_PER_MS)
                continue
            for socket in [each for each in self.sockets if each.exchange == fault.exchange]:
                socket.end(fault)

    def _past(self, name: str) -> MarketTrades:
        trades = self._trades[name]
        return trades.select(slice(0, int(np.searchsorted(trades.at_ms, self.now_ms, side="right"))))

    async def _until(self, at_ms: int) -> None:
        if (left := at_ms - self.now_ms) > 0:
            await asyncio.sleep(left / 1000)
