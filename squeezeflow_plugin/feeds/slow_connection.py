"""Watches an exchange through ccxt.pro and delivers to the same sink as ``connection.py``.

One of ccxt's exchanges at a time, one task a market. What ends it: ccxt says that the network failed, no
market brings a trade for the silence limit, or a renewal is asked for. Then it is closed as a whole and
another is opened after a wait. A market that the exchange refuses is down until then; the others go on.

A market is live from its first trades on, because ccxt does not tell when a subscription is acknowledged; and
since it does not tell either when the end was announced, a market is down from its last trades.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, NoReturn

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import FeedConnectionError, FeedProtocolError
from squeezeflow_plugin.feeds import slow
from squeezeflow_plugin.feeds.adapter import Parsed, StreamPlan
from squeezeflow_plugin.feeds.link import BROKEN, DEAD, SILENT, ConnectionStats, FeedSink, SilentLinkError
from squeezeflow_plugin.feeds.pace import Pace
from squeezeflow_plugin.feeds.reconnect import Backoff
from squeezeflow_plugin.market import NS_PER_SECOND, Instrument

log = logging.getLogger(__name__)
_EXCERPT = 3


class SlowConnection:
    """The markets of one exchange, watched through ccxt until ``run`` is cancelled."""

    def __init__(
        self,
        plan: StreamPlan,
        adapter: slow.SlowExchange,
        clock: Clock,
        sink: FeedSink,
        *,
        silence_limit_s: float = 60.0,
        open_timeout_s: float = 60.0,
        backoff: Backoff | None = None,
    ) -> None:
        self.plan = plan
        self.stats = ConnectionStats()
        self._adapter = adapter
        self._clock = clock
        self._sink = sink
        self._open_timeout_s = open_timeout_s
        self._backoff = backoff or Backoff()
        self._pace = Pace(silence_limit_s)
        self._renewal = asyncio.Event()
        self._cause = BROKEN  # of the next opening
        self._good_ns: dict[str, int] = {}  # of the live markets, when their last trades came
        self._alive_ns = 0

    def renew(self, reason: str) -> None:
        """Open everything anew."""
        log.warning("%s: %s", self.plan.exchange, reason)
        self._renewal.set()

    async def run(self) -> NoReturn:
        """Watch, deliver, open anew; returns only by cancellation or by what the sink raises."""
        log.warning("%s is watched through ccxt, the slow path", self.plan.exchange)
        try:
            while True:
                wait_s = self._backoff.next_s(await self._attempt())
                log.warning("%s: %s; next try in %.1f s", self.plan.exchange, self.stats.state, wait_s)
                await asyncio.sleep(wait_s)
        finally:
            self._go_down("stopped", self._clock.now_ns())

    async def _attempt(self) -> float:
        """From opening to the end; for how many seconds it delivered."""
        self._renewal.clear()
        begun_ns = 0
        exchange = self._adapter.opened()
        try:
            await self._load(exchange)
            if self.stats.opened:
                self.stats.reopened[self._cause] += 1
            self.stats.opened += 1
            self.stats.state = ""
            begun_ns = self._alive_ns = self._clock.now_ns()
            self._pace.interrupted()
            await self._watch(exchange)
        except FeedConnectionError as error:
            self._cause = SILENT if isinstance(error, SilentLinkError) else self._cause_of_end()
            self._go_down(str(error), None)
        finally:
            await exchange.close()
        return (self._clock.now_ns() - begun_ns) / NS_PER_SECOND if begun_ns else 0.0

    def _cause_of_end(self) -> str:
        return DEAD if self._renewal.is_set() else BROKEN

    async def _load(self, exchange: Any) -> None:
        try:
            async with asyncio.timeout(self._open_timeout_s):
                await exchange.load_markets()
        except (slow.errors().BaseError, OSError, TimeoutError) as error:
            raise FeedConnectionError(f"its markets cannot be asked for: {error!r}") from error

    async def _watch(self, exchange: Any) -> None:
        """Until one of them fails; raises FeedConnectionError, or what the sink raises."""
        session = self._adapter.session(self.plan)
        followers = [
            asyncio.create_task(self._follow(exchange, session, instrument))
            for instrument in self.plan.instruments
        ]
        others = [asyncio.create_task(self._watch_silence()), asyncio.create_task(self._await_renewal())]
        try:
            await _first_failure((*followers, *others), followers)
        finally:
            for task in (*followers, *others):
                task.cancel()
            await asyncio.gather(*followers, *others, return_exceptions=True)

    async def _follow(self, exchange: Any, session: slow.SlowSession, instrument: Instrument) -> None:
        """Deliver a market's trades; returns where the exchange refuses it."""
        errors = slow.errors()
        while True:
            try:
                rows = await exchange.watch_trades(instrument.symbol)
            except (errors.NetworkError, OSError, TimeoutError) as error:
                raise FeedConnectionError(f"{instrument.market} broke: {error!r}") from error
            except errors.BaseError as error:
                reason = f"ccxt refuses {instrument.market}: {error!r}"
                self._reject(reason, "")
                self._down((instrument.market,), reason, None)
                return
            self._take(instrument.market, session, rows)

    def _take(self, market: str, session: slow.SlowSession, rows: list[Any]) -> None:
        received_ns = self._clock.now_ns()
        self.stats.frames += 1
        try:
            parsed = session.read(list(rows), received_ns)
        except FeedProtocolError as error:
            self._reject(str(error), repr(rows[:_EXCERPT]))
            self._sink.unread((market,), received_ns)
            return
        if parsed.trades:
            self._deliver(market, parsed, received_ns)
        rejected = parsed.rejected
        if len(rows) >= slow.TRADES_KEPT:
            rejected += (f"{market}: ccxt keeps {slow.TRADES_KEPT} trades, and there may have been more",)
        for reason in rejected:
            self._reject(reason, repr(rows[:_EXCERPT]))
        if rejected:
            self._sink.unread((market,), received_ns)

    def _deliver(self, market: str, parsed: Parsed, received_ns: int) -> None:
        self.stats.trades += len(parsed.trades)
        self._alive_ns = received_ns
        self._pace.sign(received_ns)
        self._sink.trades(parsed.trades)
        if market not in self._good_ns:
            self._sink.live((market,), received_ns)
        self._good_ns[market] = received_ns

    async def _watch_silence(self) -> None:
        while True:
            limit_s = self._pace.limit_s()
            left_s = limit_s - (self._clock.now_ns() - self._alive_ns) / NS_PER_SECOND
            if left_s <= 0:
                raise SilentLinkError(f"no trade for {limit_s:g} s")
            await asyncio.sleep(left_s)

    async def _await_renewal(self) -> None:
        await self._renewal.wait()
        raise FeedConnectionError("it was asked to open anew")

    def _go_down(self, reason: str, at_ns: int | None) -> None:
        self.stats.state = reason
        self._down(self.plan.markets, reason, at_ns)

    def _down(self, markets: Iterable[str], reason: str, at_ns: int | None) -> None:
        """From ``at_ns`` on, or from when each market's last trades came."""
        now_ns = self._clock.now_ns()
        for market in markets:
            good_ns = self._good_ns.pop(market, now_ns)
            self._sink.down((market,), good_ns if at_ns is None else at_ns, reason)

    def _reject(self, reason: str, frame: str) -> None:
        self.stats.rejected += 1
        self._sink.rejected(self.plan.exchange, reason, frame)


async def _first_failure(
    tasks: Iterable[asyncio.Task[None]], followers: Iterable[asyncio.Task[None]]
) -> None:
    """Wait until a task fails and raise that; FeedConnectionError where no market is followed any more.

    ccxt cancels what waits for a client that it closes: a task that was cancelled by nobody here is broken.
    """
    running = set(tasks)
    while running:
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.cancelled():
                raise FeedConnectionError("ccxt dropped a connection")
            if (error := task.exception()) is not None:
                raise error
        if all(task.done() for task in followers):
            raise FeedConnectionError("none of its markets is served")
