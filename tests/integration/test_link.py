"""One link over a socket whose every message is at hand when the test says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast

import aiohttp
import pytest
from aiohttp import WSMessage, WSMsgType
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.clock import Clock, SteppedClock, SystemClock
from squeezeflow_plugin.errors import FeedConnectionError
from squeezeflow_plugin.feeds.adapter import LeftOut, Parsed, StreamPlan
from squeezeflow_plugin.feeds.batches import BatchReaders
from squeezeflow_plugin.feeds.binance_wire import BinanceSession, Market
from squeezeflow_plugin.feeds.blocks import TradeBlock
from squeezeflow_plugin.feeds.exchanges.binance import BinanceSpot
from squeezeflow_plugin.feeds.link import MOST_GATHERED, AnnouncedEndError, ConnectionStats, Link
from squeezeflow_plugin.feeds.pace import Pace
from squeezeflow_plugin.market import NS_PER_SECOND, Trade
from tests.integration.feed_stage import ACK, BTC, ETH, WITHIN_S, trade

CLOSE = WSMessage(WSMsgType.CLOSE, 1001, "maintenance")
BROKEN = WSMessage(WSMsgType.ERROR, None, None)
START_NS = 1_767_225_600 * NS_PER_SECOND
Burst = Sequence[str | bytes | WSMessage]


class Socket:
    """Gives the messages of a burst without suspending, as aiohttp does with what is in its buffer."""

    def __init__(self, *bursts: Burst) -> None:
        self._bursts = deque(bursts)
        self.ready: deque[str | bytes | WSMessage] = deque()
        self.sent: list[str] = []
        self.closed = False

    async def receive(self) -> WSMessage:
        while not self.ready:
            for _ in range(5):  # the link may do all it wants to do in between
                await asyncio.sleep(0)
            if not self._bursts:
                await asyncio.Event().wait()
            self.ready.extend(self._bursts.popleft())
        given = self.ready.popleft()
        if isinstance(given, WSMessage):
            return given
        kind = WSMsgType.TEXT if isinstance(given, str) else WSMsgType.BINARY
        return WSMessage(kind, given, None)

    async def send_str(self, text: str) -> None:
        self.sent.append(text)

    async def close(self) -> None:
        self.closed = True

    def exception(self) -> None:
        return None


class Log:
    """Keeps what it is told in one list, trade by trade, without the receive times."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.told: list[object] = []
        self.blocks: list[int] = []
        self.received_ns: list[int] = []
        self._fails_at = fails_at
        self._wanted: tuple[int, asyncio.Event] | None = None

    def trades(self, trades: tuple[Trade, ...]) -> None:
        for each in trades:
            if each.trade_id == str(self._fails_at):
                raise OSError("disk full")
            self.told.append((each.market, each.trade_id, each.price, each.size, each.quote, each.side))
            self.received_ns.append(each.received_ns)
        if self._wanted and len(self.ids) >= self._wanted[0]:
            self._wanted[1].set()

    def block(self, block: TradeBlock) -> None:
        self.blocks.append(len(block.ints))
        self.trades(tuple(block.trades()))

    def left_out(self, items: tuple[LeftOut, ...]) -> None:
        self.told.append(items)

    def live(self, markets: tuple[str, ...], _at_ns: int) -> None:
        self.told.append(("live", markets))

    def down(self, markets: tuple[str, ...], _at_ns: int, reason: str) -> None:
        self.told.append(("down", markets, reason))

    def unread(self, markets: tuple[str, ...], _at_ns: int) -> None:
        self.told.append(("unread", markets))

    def rejected(self, exchange: str, reason: str, frame: str | bytes) -> None:
        self.told.append((exchange, reason, frame))

    async def has(self, count: int) -> None:
        self._wanted = count, asyncio.Event()
        await self._wanted[1].wait()

    @property
    def ids(self) -> list[str]:
        return [each[1] for each in self.told if isinstance(each, tuple) and len(each) == 6]


def loaded(least: int) -> BatchReaders:
    made = BatchReaders(least)
    made.load()
    return made


def linked(
    socket: Socket,
    log: Log,
    readers: BatchReaders | None = None,
    adapter: BinanceSpot | None = None,
    *,
    cap_s: float = 60.0,
    clock: Clock | None = None,
) -> Link:
    adapter = adapter or BinanceSpot()
    (plan,) = adapter.plan([BTC, ETH])
    return Link(
        cast(aiohttp.ClientWebSocketResponse, socket),
        plan,
        adapter,
        clock or SystemClock(),
        log,
        ConnectionStats(),
        Pace(cap_s),
        WITHIN_S,
        readers,
    )


async def ended(link: Link) -> BaseException:
    """What a link ends with."""
    async with asyncio.timeout(WITHIN_S):
        (found,) = await asyncio.gather(link.run(), return_exceptions=True)
    assert isinstance(found, BaseException)
    if not isinstance(found, FeedConnectionError | OSError | asyncio.CancelledError):
        raise found
    return found


def burst(first: int, stop: int) -> list[str]:
    return [trade(number) for number in range(first, stop)]


ODD = (
    ACK,
    "{",
    b"\xff",
    trade(5).encode(),
    trade(6, "NEWUSDT"),
    trade(7).replace('"2.0"', '"-2.0"'),
    trade(8).replace('"m":false', '"X":"NA","m":false'),
    trade(9).replace('"e":"trade"', '"e": "trade"'),
    '{"e":"24hrTicker"}',
    '{"error":{"code":2,"msg":"Invalid request"},"id":1}',
)
FRAMES = st.one_of(
    st.integers(10, 10**6).map(trade),
    st.builds(trade, st.integers(10, 10**6), st.sampled_from(["BTCUSDT", "ETHUSDT"])),
    st.sampled_from(ODD),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(FRAMES, max_size=30), max_size=4), st.sampled_from([CLOSE, BROKEN]))
def test_a_sink_is_told_the_same_whatever_is_read_at_once(
    bursts: list[list[str | bytes]], end: WSMessage
) -> None:
    """Order, markets not acknowledged, unknown or refused ones, frames that cannot be read."""

    async def told(least: int | None) -> tuple[object, ...]:
        log = Log()
        link = linked(Socket(*bursts, [end]), log, loaded(least) if least else None)
        error = await ended(link)
        assert log.received_ns == sorted(log.received_ns)
        return log.told, str(error), type(error), link.stats

    one_by_one = asyncio.run(told(None))
    assert asyncio.run(told(1)) == asyncio.run(told(5)) == one_by_one


async def test_what_came_at_once_is_one_block_and_few_frames_are_none() -> None:
    log = Log()
    link = linked(Socket([ACK, *burst(0, 30)], burst(30, 33), burst(33, 60), [CLOSE]), log, loaded(12))
    await ended(link)
    assert log.ids == [str(number) for number in range(60)]
    assert log.blocks == [30, 27]
    assert (link.stats.frames, link.stats.trades) == (61, 60)
    assert link.good_ns == log.received_ns[-1]


@pytest.mark.parametrize(("end", "kind"), [(CLOSE, AnnouncedEndError), (BROKEN, FeedConnectionError)])
async def test_what_came_before_the_end_is_delivered(end: WSMessage, kind: type[Exception]) -> None:
    log, socket = Log(), Socket([ACK, *burst(0, 20), end])
    assert isinstance(await ended(linked(socket, log, loaded(1))), kind)
    assert log.ids == [str(number) for number in range(20)]
    assert socket.closed


async def test_what_came_behind_an_announced_end_is_delivered_too() -> None:
    log = Log()
    notice = '{"e":"serverShutdown","E":1770123456789}'
    error = await ended(linked(Socket([ACK, *burst(0, 5), notice, *burst(5, 9)]), log, loaded(1)))
    assert isinstance(error, AnnouncedEndError)
    assert "announced its shutdown" in str(error)
    assert log.ids == [str(number) for number in range(9)]


class Asking(BinanceSpot):
    """Wants an answer to each frame that is no JSON."""

    def session(self, plan: StreamPlan | None = None) -> BinanceSession:
        class Session(BinanceSession):
            def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
                return Parsed(replies=("pong",)) if frame == "ping" else super().parse(frame, received_ns)

        return Session(self.name, lambda symbol: Market(f"{self.name}:{symbol.lower()}", 0.0), plan)


async def test_frames_are_answered_in_their_order() -> None:
    socket = Socket([ACK, "ping", *burst(0, 3), "ping"], ["ping"], [CLOSE])
    await ended(linked(socket, Log(), loaded(1), Asking()))
    assert socket.sent[1:] == ["pong"] * 3


@pytest.mark.parametrize("end", [[CLOSE], [BROKEN], []])
async def test_what_is_gathered_while_an_answer_hangs_is_delivered_in_the_end(end: Burst) -> None:
    log = Log()

    class Full(Socket):
        async def send_str(self, text: str) -> None:
            if text == "pong":
                await asyncio.Event().wait()

    class Stopping(Full):
        async def receive(self) -> WSMessage:
            if link.stats.frames == 4:
                running.cancel()
            return await super().receive()

    link = linked((Full if end else Stopping)(["ping"], [*burst(0, 3), *end]), log, loaded(1), Asking())
    running = asyncio.create_task(link.run())
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled() or isinstance(running.exception(), FeedConnectionError)
    assert log.ids == ["0", "1", "2"]


@pytest.mark.parametrize("least", [None, 1, 5])
async def test_many_trades_at_once_say_no_more_of_the_pace_than_one(least: int | None) -> None:
    clock = SteppedClock(START_NS)

    class Slow(Socket):
        async def receive(self) -> WSMessage:
            begins = not self.ready
            given = await super().receive()
            clock.advance(8 * NS_PER_SECOND if begins else 1000)
            return given

    ones = [burst(n, n + 1) for n in range(100)]
    link = linked(Slow(*ones, burst(100, 700), [CLOSE]), Log(), loaded(least) if least else None, clock=clock)
    await ended(link)
    assert link.good_ns == clock.now_ns() - 8 * NS_PER_SECOND
    assert link._pace.limit_s() > 30


@pytest.mark.parametrize("fails_at", [7, 25])
async def test_what_the_sink_raises_ends_the_link(fails_at: int) -> None:
    log = Log(fails_at)
    socket = Socket(burst(0, 3), [ACK, *burst(3, 20)], burst(20, 30), burst(30, 40))
    assert str(await ended(linked(socket, log, loaded(1)))) == "disk full"
    assert log.ids == [str(number) for number in range(fails_at)]


async def test_no_more_is_gathered_than_the_cap() -> None:
    log = Log()
    count = 2 * MOST_GATHERED + 100
    await ended(linked(Socket([*burst(0, count), CLOSE]), log, loaded(1)))
    assert log.blocks == [MOST_GATHERED, MOST_GATHERED, 100]
    assert log.ids == [str(number) for number in range(count)]


async def test_frames_are_read_one_by_one_until_the_compiled_code_is_loaded() -> None:
    log, made = Log(), BatchReaders(1)
    running = asyncio.create_task(ended(linked(Socket(burst(0, 5), burst(5, 9), [CLOSE]), log, made)))
    await log.has(5)
    made.load()
    await running
    assert log.blocks == [4]


async def test_frames_at_hand_are_life_though_nobody_has_read_them() -> None:
    """The process stood still: the silence limit and the frames fall due in the same turn of the loop."""
    loop, log = asyncio.get_running_loop(), Log()
    released = asyncio.Event()

    class Late(Socket):
        async def receive(self) -> WSMessage:
            await released.wait()
            return await super().receive()

    def stand_still(until: float) -> None:
        while loop.time() < until:
            pass

    socket = Late([CLOSE])
    socket.ready.extend(burst(0, 3))
    link = linked(socket, log, cap_s=0.05)
    now = loop.time()
    loop.call_at(now + 0.01, stand_still, now + 0.1)
    loop.call_at(now + 0.02, released.set)
    assert isinstance(await ended(link), AnnouncedEndError)
    assert log.ids == ["0", "1", "2"]
