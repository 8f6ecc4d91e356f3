"""The one feed socket: opens what a plan says, stamps each frame once, and tells a sink what came of it.

aiohttp's client is used rather than ``websockets``: both are kept well and already come with FreqTrade, but
aiohttp reads frames in compiled code (1.3 against 5 microseconds of CPU a frame, measured on loopback) and
stops reading from the socket while its bounded queue is full, so a slow sink costs time, never memory.

A connection that ends, for whatever reason, is opened again after a wait (``reconnect.py``). What ends it:
the server closes it or asks for a new one, the network fails, websocket pings stay unanswered, no
subscription is acknowledged in time, or it is *silent*: it carries markets, and none of them traded for
the silence limit. Pings, pongs, acknowledgements and frames that cannot be read are no sign of life: a server
that only sends those has stopped serving us.

Where the end was not announced, markets are reported down from the last moment that was known to be good, not
from the moment of noticing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, NoReturn, Protocol

import aiohttp
import msgspec

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import FeedConnectionError, FeedProtocolError
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, LeftOut, Parsed, StreamPlan
from squeezeflow_plugin.feeds.reconnect import Backoff
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 4 * 1024 * 1024
PING_EVERY_S = 20.0
CLOSE_WITHIN_S = 2.0


class FeedSink(Protocol):
    """Where a connection delivers; called from the event loop, must not block for long.

    What a method raises is not caught here: it ends ``FeedConnection.run``.
    """

    def trades(self, trades: tuple[Trade, ...]) -> None:
        """Trades of one frame, in the exchange's order."""
        ...

    def left_out(self, items: tuple[LeftOut, ...]) -> None:
        """Trades of one frame that are not counted by design."""
        ...

    def live(self, markets: tuple[str, ...], at_ns: int) -> None:
        """From this local time on, every trade of these markets is delivered."""
        ...

    def down(self, markets: tuple[str, ...], at_ns: int, reason: str) -> None:
        """From this local time on - it may lie back - that no longer holds. May name markets never live."""
        ...

    def rejected(self, exchange: str, reason: str, frame: str | bytes) -> None:
        """A frame, or an item of it, that cannot be read, or a subscription that is refused."""
        ...


class ConnectionStats(msgspec.Struct):
    """What a connection has seen so far. ``state`` is why it is not connected, empty while it is."""

    opened: int = 0
    frames: int = 0
    trades: int = 0
    aggregates: int = 0
    replayed: int = 0
    left_out: int = 0
    rejected: int = 0
    other: int = 0
    state: str = "not opened yet"


class _AnnouncedEndError(FeedConnectionError):
    """The end was announced: everything up to now has been delivered."""


class FeedConnection:
    """One websocket connection of an exchange, kept open until ``run`` is cancelled."""

    def __init__(
        self,
        plan: StreamPlan,
        adapter: ExchangeAdapter,
        clock: Clock,
        sink: FeedSink,
        *,
        silence_limit_s: float = 60.0,
        open_timeout_s: float = 10.0,
        ack_timeout_s: float = 10.0,
        backoff: Backoff | None = None,
    ) -> None:
        self.plan = plan
        self.stats = ConnectionStats()
        self._adapter = adapter
        self._clock = clock
        self._sink = sink
        self._silence_limit_s = silence_limit_s
        self._open_timeout_s = open_timeout_s
        self._ack_timeout_s = ack_timeout_s
        self._backoff = backoff or Backoff()
        self._carried = frozenset(plan.markets)
        self._live: set[str] = set()
        self._refused: set[str] = set()
        self._alive_ns = 0  # the last sign of life; when the connection opened where there was none yet
        self._renewal = ""
        self._good_ns = 0  # the last moment at which the live markets were known to be complete

    def renew(self, reason: str) -> None:
        """Open a new connection in the place of this one."""
        self._renewal = reason

    async def run(self) -> NoReturn:
        """Connect, deliver, reconnect; returns only by cancellation or by what the sink raises."""
        try:
            async with aiohttp.ClientSession() as session:
                while True:
                    wait_s = self._backoff.next_s(await self._attempt(session))
                    log.warning("%s: %s; next try in %.1f s", self.plan.exchange, self.stats.state, wait_s)
                    await asyncio.sleep(wait_s)
        finally:
            self._go_down("stopped", self._clock.now_ns())

    async def _attempt(self, session: aiohttp.ClientSession) -> float:
        """One connection from opening to its end; how many seconds it stood."""
        try:
            websocket = await self._open(session)
        except FeedConnectionError as error:
            self._go_down(str(error), self._clock.now_ns())
            return 0.0
        opened_ns = self._alive_ns = self._good_ns = self._clock.now_ns()
        self.stats.opened += 1
        self.stats.state = ""
        log.info("%s: connected to %s", self.plan.exchange, self.plan.url)
        try:
            await _until_one_fails(
                self._receive(websocket),
                self._subscribe(websocket),
                self._ping(websocket),
                self._watch_silence(),
            )
        except _AnnouncedEndError as error:
            self._go_down(str(error), self._clock.now_ns())
        except FeedConnectionError as error:
            self._go_down(str(error), self._good_ns)
        finally:
            await websocket.close()
        return (self._clock.now_ns() - opened_ns) / NS_PER_SECOND

    def _go_down(self, reason: str, at_ns: int) -> None:
        self.stats.state = reason
        self._live.clear()
        self._refused.clear()
        if self.plan.markets:
            self._sink.down(self.plan.markets, at_ns, reason)

    async def _open(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(self._open_timeout_s):
                return await session.ws_connect(
                    self.plan.url,
                    headers=dict(self.plan.headers),
                    heartbeat=PING_EVERY_S,
                    max_msg_size=MAX_FRAME_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_WITHIN_S),
                )
        except TimeoutError as error:
            raise FeedConnectionError(
                f"{self.plan.url} did not open within {self._open_timeout_s:g} s"
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a url that is none
            raise FeedConnectionError(f"{self.plan.url} cannot be opened: {error}") from error

    async def _receive(self, websocket: aiohttp.ClientWebSocketResponse) -> NoReturn:
        parse = self._adapter.session(self.plan).parse
        while True:
            message = await websocket.receive()
            received_ns = self._clock.now_ns()
            if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                self.stats.frames += 1
                try:
                    parsed = parse(message.data, received_ns)
                except FeedProtocolError as error:
                    self._reject(str(error), message.data)
                    continue
                self._take(parsed, message.data, received_ns)
                for reply in parsed.replies:
                    await _send(websocket, reply)
            elif message.type is aiohttp.WSMsgType.CLOSE:
                raise _AnnouncedEndError(
                    f"{self.plan.url} closed by the server with code {message.data} {message.extra!r}"
                )
            else:
                cause = websocket.exception() or "no close frame came"
                raise FeedConnectionError(f"{self.plan.url} broke: {cause}")

    def _take(self, parsed: Parsed, frame: str | bytes, received_ns: int) -> None:
        """Carry out what a frame said, besides its replies."""
        if parsed.trades:
            self._alive_ns = self._good_ns = received_ns
            self.stats.trades += len(parsed.trades)
            self._sink.trades(parsed.trades)
        if parsed.replayed:
            self.stats.replayed += len(parsed.replayed)
            self._sink.trades(parsed.replayed)
        if parsed.left_out:
            self._alive_ns = self._good_ns = received_ns
            self.stats.left_out += len(parsed.left_out)
            self._sink.left_out(parsed.left_out)
        self.stats.aggregates += len(parsed.aggregates)
        self.stats.other += bool(parsed.other)
        for reason in parsed.rejected:
            self._reject(reason, frame)
        self._acknowledge(parsed.subscribed, received_ns)
        for refusal in parsed.refused:
            reason = (
                f"{self.plan.exchange} refuses {', '.join(refusal.markets) or 'a request'}: {refusal.reason}"
            )
            self._reject(reason, frame)
            if carried := tuple(m for m in refusal.markets if m in self._carried):
                self._refused.update(carried)
                self._sink.down(carried, received_ns, reason)
        if parsed.close:
            raise _AnnouncedEndError(f"{self.plan.url} wants a new connection: {parsed.close}")

    def _acknowledge(self, markets: tuple[str, ...], received_ns: int) -> None:
        new = tuple(m for m in markets if m in self._carried and m not in self._live)
        if new:
            self._live.update(new)
            self._good_ns = received_ns
            self._sink.live(new, received_ns)

    def _reject(self, reason: str, frame: str | bytes) -> None:
        self.stats.rejected += 1
        self._sink.rejected(self.plan.exchange, reason, frame)

    async def _subscribe(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        """Send the control frames at the exchange's pace, then see that they were answered."""
        for position, subscription in enumerate(self.plan.subscribe):
            if position:
                await asyncio.sleep(self.plan.control_interval_s)
            await _send(websocket, subscription.text)
        await asyncio.sleep(self._ack_timeout_s)
        missing = tuple(m for m in self.plan.markets if m not in self._live and m not in self._refused)
        if not missing:
            return
        reason = f"not acknowledged within {self._ack_timeout_s:g} s"
        if len(missing) == len(self.plan.markets):
            raise FeedConnectionError(f"{self.plan.url}: subscriptions were {reason}")
        self._sink.down(missing, self._clock.now_ns(), f"{self.plan.url}: subscription {reason}")

    async def _ping(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        """The exchange's own kind of ping, where it wants one."""
        while self.plan.ping:
            await asyncio.sleep(self.plan.ping_interval_s)
            await _send(websocket, self.plan.ping)

    async def _watch_silence(self) -> None:
        while self.plan.markets:
            left_s = self._silence_limit_s - (self._clock.now_ns() - self._alive_ns) / NS_PER_SECOND
            if left_s <= 0:
                raise FeedConnectionError(f"{self.plan.url}: no trade for {self._silence_limit_s:g} s")
            await asyncio.sleep(left_s)


async def _send(websocket: aiohttp.ClientWebSocketResponse, text: str) -> None:
    try:
        await websocket.send_str(text)
    except (aiohttp.ClientError, OSError) as error:
        raise FeedConnectionError(f"sending failed: {error}") from error


async def _until_one_fails(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them together; when one raises, stop the others and raise that."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failures = [task.exception() for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for failure in failures:
        if failure is not None:
            raise failure
