"""One opened websocket: reads, subscribes, pings, and knows when it was last known to be good.

It ends by raising: FeedConnectionError where the network or the exchange failed, AnnouncedEndError where the
end was announced. A link that carries markets and brings no trade for longer than its own pace allows has
failed, whatever pings, pongs and acknowledgements it still answers.

Frames are stamped and gathered as long as the socket's buffer holds any, then delivered in the order of
receipt: nothing waits for more to come, and what came at once is read at once (``batches``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, NoReturn, Protocol

import aiohttp
import msgspec

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import FeedConnectionError, FeedProtocolError
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, LeftOut, Parsed, StreamPlan
from squeezeflow_plugin.feeds.batches import BatchReader, BatchReaders
from squeezeflow_plugin.feeds.blocks import RECEIVED, TradeBlock
from squeezeflow_plugin.feeds.pace import Pace
from squeezeflow_plugin.market import NS_PER_SECOND, Trade


class FeedSink(Protocol):
    """Where a connection delivers; called from the event loop, must not block for long.

    What a method raises is not caught here: it ends ``FeedConnection.run``.
    """

    def trades(self, trades: tuple[Trade, ...]) -> None:
        """Trades of one frame, in the exchange's order."""
        ...

    def block(self, block: TradeBlock) -> None:
        """Trades of many frames: at least one, in the order of receipt, none a liquidation."""
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

    def unread(self, markets: tuple[str, ...], at_ns: int) -> None:
        """At this local time came what cannot be read; it may have been trades of any of these markets."""
        ...

    def rejected(self, exchange: str, reason: str, frame: str | bytes) -> None:
        """A frame, or an item of it, that cannot be read, or a subscription that is refused."""
        ...


MOST_GATHERED = 4096
"""Frames that are delivered before more are received; aiohttp's buffer rarely holds a quarter of them."""
ANNOUNCED, BROKEN, SILENT, DEAD, RENEWED = REASONS = ("announced", "broken", "silent", "dead", "renewed")
"""Why a websocket gets a successor: the server said so, it failed, no trade came, others were seen to have
trades that it did not bring, its time was up."""


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
    reopened: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    """How often a websocket was opened in the place of another, by what ended that one."""


class AnnouncedEndError(FeedConnectionError):
    """The end was announced: everything up to now has been delivered."""


class SilentLinkError(FeedConnectionError):
    """No trade came for longer than the link's own pace allows."""


class Link:
    """One websocket of a plan, from its opening to its end.

    ``pace`` is that of the plan's connections, one after the other. ``good_ns`` is the last moment at which
    the live markets were known to be complete; ``opened_ns`` when it opened.
    """

    def __init__(
        self,
        websocket: aiohttp.ClientWebSocketResponse,
        plan: StreamPlan,
        adapter: ExchangeAdapter,
        clock: Clock,
        sink: FeedSink,
        stats: ConnectionStats,
        pace: Pace,
        ack_timeout_s: float,
        readers: BatchReaders | None = None,
    ) -> None:
        self.plan = plan
        self.stats = stats
        self.opened_ns = self.good_ns = clock.now_ns()
        self.is_live = asyncio.Event()
        """Set once every market is acknowledged or refused."""
        self.leads = True
        """Whether what it does not carry is down; another link may still carry it."""
        self._websocket = websocket
        self._adapter = adapter
        self._clock = clock
        self._sink = sink
        self._pace = pace
        self._ack_timeout_s = ack_timeout_s
        self._readers = readers
        self._reader: BatchReader | None = None
        self._parse = adapter.session(plan).parse
        self._frames: list[str | bytes] = []
        self._received: list[int] = []
        self._came = asyncio.Event()
        self._announced = ""  # why the exchange wants another connection
        self._carried = frozenset(plan.markets)
        self._live: set[str] = set()
        self._refused: set[str] = set()
        self._alive_ns = self.opened_ns  # the last sign of life; its opening where there was none yet
        self._is_paced = False  # whether what is being delivered has given a sign
        pace.interrupted()

    async def run(self) -> None:
        """Deliver until it ends; raises why it ended, or what the sink raises.

        All that came before it was noticed is delivered, unless it is the sink that failed.
        """
        try:
            await _until_one_fails(
                self._receive(self._websocket),
                self._deliver(self._websocket),
                self._subscribe(self._websocket),
                self._ping(self._websocket),
                self._watch_silence(self._websocket),
            )
        except (FeedConnectionError, asyncio.CancelledError):
            self._carry_out()
            raise
        finally:
            await self._websocket.close()

    async def _receive(self, websocket: aiohttp.ClientWebSocketResponse) -> NoReturn:
        # ``receive`` does not suspend while aiohttp holds messages, so that _deliver runs when it holds none
        while True:
            message = await websocket.receive()
            received_ns = self._clock.now_ns()
            if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                self.stats.frames += 1
                self._frames.append(message.data)
                self._received.append(received_ns)
                self._came.set()
                if len(self._frames) >= MOST_GATHERED:
                    await self._pass_on(websocket)
            elif message.type is aiohttp.WSMsgType.CLOSE:
                raise AnnouncedEndError(
                    f"{self.plan.url} closed by the server with code {message.data} {message.extra!r}"
                )
            else:
                cause = websocket.exception() or "no close frame came"
                raise FeedConnectionError(f"{self.plan.url} broke: {cause}")

    async def _deliver(self, websocket: aiohttp.ClientWebSocketResponse) -> NoReturn:
        while True:
            await self._came.wait()
            await self._pass_on(websocket)

    async def _pass_on(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        """Deliver what is gathered, and answer it."""
        for reply in self._carry_out():
            await _send(websocket, reply)

    def _carry_out(self) -> list[str]:
        """Do what the gathered frames say, in the order of receipt; the replies that they ask for."""
        frames, received = self._frames, self._received
        self._frames, self._received = [], []
        self._came.clear()
        replies: list[str] = []
        self._is_paced = False
        for found in self._read(frames, received):
            if isinstance(found, int):
                replies += self._take_frame(frames[found], received[found])
            else:
                self._take_block(found)
        if self._is_paced:
            self._pace.sign(self._alive_ns)
        if self._announced:
            raise AnnouncedEndError(f"{self.plan.url} wants a new connection: {self._announced}")
        return replies

    def _read(self, frames: list[str | bytes], received: list[int]) -> Iterator[TradeBlock | int]:
        """Blocks, and the positions of the frames that the session reads."""
        if frames and self._reader is None and self._readers is not None:
            self._reader = self._readers.reader(self._adapter, self.plan, len(frames), received[-1])
        return iter(range(len(frames))) if self._reader is None else self._reader.read(frames, received)

    def _take_frame(self, frame: str | bytes, received_ns: int) -> tuple[str, ...]:
        """Let the session read a frame; the replies it asks for."""
        try:
            parsed = self._parse(frame, received_ns)
        except FeedProtocolError as error:
            self._reject(str(error), frame)
            self._sink.unread(self.plan.markets, received_ns)
            return ()
        self._take(parsed, frame, received_ns)
        return parsed.replies

    def _take_block(self, block: TradeBlock) -> None:
        self._sign(int(block.ints[0, RECEIVED]))
        self._sign(block.received_ns)
        self.stats.trades += len(block.ints)
        self._sink.block(block)

    def _take(self, parsed: Parsed, frame: str | bytes, received_ns: int) -> None:
        """Carry out what a frame said, besides its replies."""
        if parsed.trades:
            self._sign(received_ns)
            self.stats.trades += len(parsed.trades)
            self._sink.trades(parsed.trades)
        if parsed.replayed:
            self.stats.replayed += len(parsed.replayed)
            self._sink.trades(parsed.replayed)
        if parsed.left_out:
            self._sign(received_ns)
            self.stats.left_out += len(parsed.left_out)
            self._sink.left_out(parsed.left_out)
        self.stats.aggregates += len(parsed.aggregates)
        self.stats.other += bool(parsed.other)
        for reason in parsed.rejected:
            self._reject(reason, frame)
        if parsed.rejected:
            self._sink.unread(self.plan.markets, received_ns)
        self._acknowledge(parsed.subscribed, received_ns)
        for refusal in parsed.refused:
            reason = (
                f"{self.plan.exchange} refuses {', '.join(refusal.markets) or 'a request'}: {refusal.reason}"
            )
            self._reject(reason, frame)
            if carried := tuple(m for m in refusal.markets if m in self._carried):
                self._refused.update(carried)
                self._down(carried, reason)
                self._note_answers()
        self._announced = self._announced or parsed.close

    def _acknowledge(self, markets: tuple[str, ...], received_ns: int) -> None:
        new = tuple(m for m in markets if m in self._carried and m not in self._live)
        if new:
            self._live.update(new)
            self.good_ns = received_ns
            self._sink.live(new, received_ns)
            self._note_answers()

    def lead(self) -> None:
        """Take over from a link that is down: say again which markets are live here."""
        self.leads = True
        if self._live:
            self._sink.live(tuple(sorted(self._live)), self._clock.now_ns())

    def _down(self, markets: tuple[str, ...], reason: str) -> None:
        if self.leads:
            self._sink.down(markets, self._clock.now_ns(), reason)

    def _note_answers(self) -> None:
        if self._live | self._refused >= self._carried:
            self.is_live.set()

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
        await self._pass_on(websocket)
        missing = tuple(m for m in self.plan.markets if m not in self._live and m not in self._refused)
        if not missing:
            return
        reason = f"not acknowledged within {self._ack_timeout_s:g} s"
        if len(missing) == len(self.plan.markets) or not self.leads:
            raise FeedConnectionError(f"{self.plan.url}: subscriptions were {reason}")
        self._down(missing, f"{self.plan.url}: subscription {reason}")

    async def _ping(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        """The exchange's own kind of ping, where it wants one."""
        while self.plan.ping:
            await asyncio.sleep(self.plan.ping_interval_s)
            await _send(websocket, self.plan.ping)

    def _sign(self, received_ns: int) -> None:
        """Of what came at once the first and the last one tell the pace: the pauses between are none."""
        self._alive_ns = self.good_ns = received_ns
        if not self._is_paced:
            self._is_paced = True
            self._pace.sign(received_ns)

    async def _watch_silence(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        while self.plan.markets:
            limit_s = self._pace.limit_s()
            left_s = limit_s - (self._clock.now_ns() - self._alive_ns) / NS_PER_SECOND
            if left_s > 0:
                await asyncio.sleep(left_s)
            elif self._frames:  # after a pause of our own they may have come just now
                await self._pass_on(websocket)
            else:
                raise SilentLinkError(f"{self.plan.url}: no trade for {limit_s:g} s")


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
