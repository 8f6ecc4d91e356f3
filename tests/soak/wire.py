"""Wire faults in simulated time: the real feeds, gaps, recovery and bars over exchanges in memory.

What stands in is the socket and the HTTP client; the frames that go over them are the simulator's, troubled
by a script of faults that follows from the seed. In the end every bar is compared with what was traded:

- *twice*: a bar that counts more than there was;
- *unflagged*: a bar that is not what was traded, in a second that is called covered;
- *unrepaired*: the same in a second that is flagged as a hole, though the exchange still shows the trades;
- *holes*: seconds flagged as holes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import tempfile
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import msgspec
import numpy as np

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.collector.recovering import Recoverer, continuity_of
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.errors import FeedConnectionError, RateLimitedError
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, RestRequest
from squeezeflow_plugin.feeds.connection import FeedConnection
from squeezeflow_plugin.feeds.reconnect import Backoff
from squeezeflow_plugin.feeds.recovery import Continuity
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord, Instrument, MarketKind
from squeezeflow_plugin.settings import Endpoint
from squeezeflow_plugin.simulator.conversation import Conversation
from squeezeflow_plugin.simulator.dialect import Ask, Frame, Refused, Stock
from squeezeflow_plugin.simulator.echoes import Ids
from squeezeflow_plugin.simulator.faults import Fault, Kind, Line, retry_after_s, script
from squeezeflow_plugin.simulator.floor import prefix
from squeezeflow_plugin.simulator.trades import MarketTrades
from squeezeflow_plugin.store.memory import MemoryBarStore
from tests.soak import wire_market
from tests.soak.stepped import LoopClock, run_stepped
from tests.soak.wire_market import DIALECTS, RUN_S, START, Market

MARKETS = 4
"""So many markets are made; the seeds share them."""
FAULTS_S = (15, 75)
JUDGED_S = (5, 95)
WATERMARK_MS = 400
SILENCE_LIMIT_S = 30.0
_NS_PER_MS = 1_000_000


class MemorySocket:
    """What ``FeedConnection`` needs of a websocket, over a conversation and a line with faults."""

    def __init__(self, stage: WireStage, exchange: str, path: str, seed: int) -> None:
        faults = [fault for fault in stage.faults if fault.exchange == exchange]
        self.exchange = exchange
        self.line = Line(faults, seed)
        self.talk = Conversation(DIALECTS[exchange], path, stage.stocks[exchange])
        self._stage = stage
        self._waiting: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None

    async def receive(self) -> aiohttp.WSMessage:
        return await self._waiting.get()

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
        self._waiting.put_nowait(message)

    async def close(self) -> None:
        self._quit()

    def exception(self) -> None:
        return None

    def _quit(self) -> None:
        self._stage.sockets.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def _arrive(self) -> None:
        for frame in self.line.take(self._stage.now_ms):
            kind = aiohttp.WSMsgType.TEXT if isinstance(frame, str) else aiohttp.WSMsgType.BINARY
            self._waiting.put_nowait(aiohttp.WSMessage(kind, frame, None))
        if self._timer is not None:
            self._timer.cancel()
        if (at_ms := self.line.next_ms()) is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later((at_ms - self._stage.now_ms) / 1000, self._arrive)


class MemoryConnection(FeedConnection):
    """The real connection with an exchange in memory at its other end."""

    stage: WireStage

    async def _connect(
        self,
        session: aiohttp.ClientSession,  # noqa: ARG002 - the network is not needed
    ) -> aiohttp.ClientWebSocketResponse:
        await asyncio.sleep(0.05)
        return cast(aiohttp.ClientWebSocketResponse, self.stage.connect(self.plan.exchange, self.plan.url))


@dataclass(frozen=True)
class WireOutcome:
    """What a schedule came to; see the module's text. ``worst`` names one bar of each kind that is wrong."""

    seed: int
    faults: Mapping[str, int] = field(default_factory=dict)
    bars: int = 0
    holes: int = 0
    twice: int = 0
    unflagged: int = 0
    unrepaired: int = 0
    recovered: int = 0
    rejected: int = 0
    worst: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        return self.twice == 0 and self.unflagged == 0 and self.unrepaired == 0

    @property
    def replay(self) -> str:
        """The command that plays the same schedule again."""
        return f"python -m tests.soak --seed {self.seed} --schedule wire"

    def line(self) -> str:
        """One JSON line."""
        body = {"schedule": "wire"} | asdict(self) | {"ok": self.is_ok}
        return msgspec.json.encode(body | {"faults": dict(self.faults)}).decode()


class WireStage:
    """One schedule: the exchanges, their faults, and a collector's insides over them."""

    def __init__(self, seed: int, made: Market, faults: Sequence[Fault], folder: Path) -> None:
        self.faults = tuple(faults)
        self.sockets: set[MemorySocket] = set()
        self.records: list[ClosingRecord] = []
        self.tally = Tally()
        self._folder = folder
        self._made = made
        self._rng = random.Random(seed)
        self._events, self._trades = made.shown(faults)
        self.stocks = {
            name: Stock(
                [e for e in made.echoes if e.instrument.exchange == name], self._past, lambda: self.now_ms
            )
            for name in DIALECTS
        }

    @property
    def now_ms(self) -> int:
        """The exchanges' time."""
        return START * 1000 + int(asyncio.get_running_loop().time() * 1000 + 1e-6)

    def connect(self, exchange: str, url: str) -> MemorySocket:
        """A new connection, or FeedConnectionError while there is none to be had."""
        path = urlsplit(url).path.removeprefix(prefix(exchange))
        socket = MemorySocket(self, exchange, path, self._rng.getrandbits(32))
        if socket.line.is_cut(self.now_ms):
            raise FeedConnectionError(f"{url} refuses connections")
        self.sockets.add(socket)
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

    async def play(self) -> None:
        """From the first connection to the end of the last second."""
        clock = LoopClock(START * NS_PER_SECOND)
        adapters = [registry.adapter(name, _endpoint(name)) for name in sorted(DIALECTS)]
        pasts = {name: registry.past_trades(name, _endpoint(name)) for name in sorted(DIALECTS)}
        instruments = self._made.instruments
        with TradeJournal(self._folder) as journal:
            closer = self._closer(continuity_of(adapters, pasts, instruments), clock)
            intake = Intake(closer, journal, self.tally)
            connections = self._connections(adapters, intake, clock)

            def renew(market: str, reason: str) -> None:
                for connection in connections:
                    if market in connection.plan.markets:
                        connection.renew(reason)

            recoverer = Recoverer(pasts, instruments, intake, clock, renew=renew, fetch=self.fetch)
            work: list[Coroutine[Any, Any, None]] = [each.run() for each in connections]
            work += [recoverer.run(), self._close(closer, clock), self._send(), self._trouble(clock)]
            tasks = [asyncio.ensure_future(each) for each in work]
            finished = asyncio.create_task(asyncio.sleep(RUN_S - 5))
            try:
                done, _ = await asyncio.wait(
                    (finished, *tasks), return_when=asyncio.FIRST_EXCEPTION, timeout=RUN_S - 4
                )
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _past(self, name: str) -> MarketTrades:
        trades = self._trades[name]
        return trades.select(slice(0, int(np.searchsorted(trades.at_ms, self.now_ms, side="right"))))

    def _closer(self, continuity: Mapping[str, Continuity], clock: LoopClock) -> Closer:
        return Closer(
            "main",
            [each.market for each in self._made.instruments],
            started_ns=clock.now_ns(),
            watermark_ms=WATERMARK_MS,
            silence_limit_s=SILENCE_LIMIT_S,
            continuity=continuity,
        )

    def _connections(
        self, adapters: Sequence[ExchangeAdapter], intake: Intake, clock: LoopClock
    ) -> list[MemoryConnection]:
        made = []
        for adapter in adapters:
            for plan in adapter.plan([i for i in self._made.instruments if i.exchange == adapter.name]):
                backoff = Backoff(rng=random.Random(self._rng.getrandbits(32)))
                connection = MemoryConnection(
                    plan, adapter, clock, intake, silence_limit_s=SILENCE_LIMIT_S, backoff=backoff
                )
                connection.stage = self
                made.append(connection)
        return made

    async def _close(self, closer: Closer, clock: LoopClock) -> None:
        while True:
            now_ns, due_ns = clock.now_ns(), closer.due_local_ns()
            if now_ns < due_ns:
                await clock.wait_until(min(due_ns, now_ns + NS_PER_SECOND // 10))
                continue
            self.records.append(closer.close(now_ns))
            closer.take_refused()

    async def _send(self) -> None:
        """Every event at its time, and the exchanges' heartbeats."""
        for event in self._events:
            await self._until(event.at_ms)
            for socket in tuple(self.sockets):
                if event.topic in socket.talk.topics and socket.exchange == event.market.instrument.exchange:
                    socket.send(event.frames)

    async def _trouble(self, clock: LoopClock) -> None:
        for fault in self.faults:
            if fault.kind not in {Kind.CUT, Kind.CLOCK_JUMP}:
                continue
            await self._until(fault.start_ms)
            if fault.kind is Kind.CLOCK_JUMP:
                clock.jump(fault.jump_ms * _NS_PER_MS)
                continue
            for socket in [each for each in self.sockets if each.exchange == fault.exchange]:
                socket.end(fault)

    async def _until(self, at_ms: int) -> None:
        if (left := at_ms - self.now_ms) > 0:
            await asyncio.sleep(left / 1000)


def _endpoint(name: str) -> Endpoint:
    return Endpoint(rest=f"http://127.0.0.1:1{prefix(name)}", ws=f"ws://127.0.0.1:1{prefix(name)}")


def play_wire(seed: int, faults: Sequence[Fault] | None = None) -> WireOutcome:
    """One schedule from its beginning to its verdict."""
    made = wire_market.market(seed % MARKETS)
    if faults is None:
        first, last = ((START + second) * 1000 for second in FAULTS_S)
        sequenced = sorted({e.instrument.exchange for e in made.echoes if e.ids is Ids.SEQUENCE})
        faults = script(seed, sorted(DIALECTS), first, last, sequenced=sequenced)
    with tempfile.TemporaryDirectory() as folder, _quiet():

        async def work() -> WireStage:
            stage = WireStage(seed, made, faults, Path(folder))
            await stage.play()
            return stage

        stage = run_stepped(work())
    return judged(seed, made, faults, stage)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Every fault is logged by those it meets; here that is thousands of lines."""
    logger = logging.getLogger("squeezeflow_plugin")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def judged(seed: int, made: Market, faults: Sequence[Fault], stage: WireStage) -> WireOutcome:
    """Every second of every market against what was traded."""
    store = MemoryBarStore()
    store.append(stage.records)
    span = range(START + JUDGED_S[0], START + JUDGED_S[1])
    final: dict[tuple[int, str], Bar] = {}
    for record in stage.records:
        for bar in (*record.bars, *record.revisions):
            final[bar.second, bar.market] = bar
    covered = {
        (second, each.market)
        for each in store.coverage(span.start, span.stop)
        for second in range(each.start, each.stop)
    }
    _, shown = made.shown(faults)
    found, worst = Counter[str](), []
    for each in made.instruments:
        gone, torn = _gone(made.trades[each.market], shown[each.market]), _torn(each, faults)
        for second in span:
            key = second, each.market
            is_gone = second in gone or _is_shallow(each) or second in torn
            what = _verdict(made.bars.get(key), final.get(key), key in covered, is_gone)
            found["bars"] += key in made.bars
            found["holes"] += key not in covered
            if what and what not in found:
                worst.append(f"{what}: {second - START} {made.bars.get(key)} was {final.get(key)}")
            found[what] += bool(what)
    return WireOutcome(
        seed,
        dict(Counter(fault.kind.value for fault in faults)),
        **{name: found[name] for name in ("bars", "holes", "twice", "unflagged", "unrepaired")},
        recovered=stage.tally.trades_recovered,
        rejected=sum(stage.tally.rejected.values()),
        worst=tuple(worst),
    )


def _is_shallow(instrument: Instrument) -> bool:
    """Whether what was missed may stay a hole.

    The exchange shows its newest trades alone (Hyperliquid ten; Bybit sixty of spot, 1,000 of contracts),
    pages by time where a millisecond may hold more than a page (Kraken's futures), or shows other sizes than
    its stream's (Bitget's coin-margined).
    """
    match instrument.exchange:
        case "KRAKEN":
            return instrument.kind is MarketKind.PERP
        case "BITGET":
            return instrument.inverse
    return instrument.exchange in {"HYPERLIQUID", "BYBIT"}


def _torn(instrument: Instrument, faults: Sequence[Fault]) -> set[int]:
    """The seconds about the end of a connection to Binance, which shows older trades as aggregates: one of
    which some fills were heard and others not cannot be told apart."""
    if not instrument.exchange.startswith("BINANCE"):
        return set()
    ends = [f for f in faults if f.exchange == instrument.exchange and f.kind in {Kind.CUT, Kind.SILENCE}]
    return {second for f in ends for second in range(f.start_ms // 1000 - 4, f.start_ms // 1000 + 1)}


def _gone(every: MarketTrades, shown: MarketTrades) -> set[int]:
    """The seconds in which trades are missing for good."""
    return set((every.at_ms[~np.isin(every.ids, shown.ids)] // 1000).tolist())


def _verdict(truth: Bar | None, bar: Bar | None, is_covered: bool, is_gone: bool) -> str:
    """What is wrong with a bar; empty where nothing is."""
    counts = (bar.cbuy, bar.csell) if bar is not None else (0, 0)
    wanted = (truth.cbuy, truth.csell) if truth is not None else (0, 0)
    if counts[0] > wanted[0] or counts[1] > wanted[1]:
        return "twice"
    if counts == wanted and _same(truth, bar):
        return ""
    if is_covered:
        return "unflagged"
    return "" if is_gone else "unrepaired"


def _same(truth: Bar | None, bar: Bar | None) -> bool:
    """Liquidations are told by no id and recovered by nobody, so they are not compared."""
    if truth is None or bar is None:
        return (truth is None or not truth.cbuy + truth.csell) and (bar is None or not bar.cbuy + bar.csell)
    if not truth.cbuy + truth.csell:
        return True
    exact = ("open", "high", "low", "close")
    return all(getattr(truth, name) == getattr(bar, name) for name in exact) and all(
        math.isclose(getattr(truth, name), getattr(bar, name), rel_tol=1e-9, abs_tol=1e-9)
        for name in ("vbuy", "vsell")
    )
