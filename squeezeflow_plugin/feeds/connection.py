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
import random
from typing import NoReturn

import aiohttp

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import FeedConnectionError
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter, StreamPlan
from squeezeflow_plugin.feeds.batches import BatchReaders
from squeezeflow_plugin.feeds.link import (
    ANNOUNCED,
    BROKEN,
    DEAD,
    RENEWED,
    SILENT,
    AnnouncedEndError,
    ConnectionStats,
    FeedSink,
    Link,
    SilentLinkError,
)
from squeezeflow_plugin.feeds.pace import Pace
from squeezeflow_plugin.feeds.reconnect import Backoff
from squeezeflow_plugin.market import NS_PER_SECOND

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 4 * 1024 * 1024
PING_EVERY_S = 20.0
CLOSE_WITHIN_S = 2.0
RENEW_AT = (0.90, 0.95)
"""When, in parts of its lifetime, a connection gets its successor: drawn, so that not all come together."""
_RENEW_AGAIN_S = 30.0


class FeedConnection:
    """One websocket connection of an exchange, kept open until ``run`` is cancelled.

    ``readers`` read what came at once; without them every frame is read by itself.
    """

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
        readers: BatchReaders | None = None,
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.plan = plan
        self.stats = ConnectionStats()
        self._adapter = adapter
        self._clock = clock
        self._sink = sink
        self._open_timeout_s = open_timeout_s
        self._ack_timeout_s = ack_timeout_s
        self._readers = readers
        self._backoff = backoff or Backoff()
        self._rng = rng or random.Random()  # noqa: S311  # spreads renewals, guards nothing
        self._pace = Pace(silence_limit_s)
        self._renewal = asyncio.Event()
        self._cause = BROKEN  # of the next opening

    def renew(self, reason: str) -> None:
        """Put a new websocket in the place of the present one, without a gap where that still delivers."""
        log.warning("%s: %s: %s", self.plan.exchange, self.plan.url, reason)
        self._renewal.set()

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
        """From opening a link to the end of its last successor; how many seconds that one stood."""
        try:
            link = await self._open(session)
        except FeedConnectionError as error:
            self._go_down(str(error), self._clock.now_ns())
            return 0.0
        self._renewal.clear()
        running = asyncio.create_task(link.run())
        try:
            while not running.done():
                if await self._is_renewal_due(link, running):
                    link, running = await self._succeed(session, link, running)
            self._note_end(link, running)
        finally:
            await _ended(running)
        return (self._clock.now_ns() - link.opened_ns) / NS_PER_SECOND

    def _note_end(self, link: Link, running: asyncio.Task[None]) -> None:
        try:
            running.result()
        except AnnouncedEndError as error:
            self._cause = ANNOUNCED
            self._go_down(str(error), self._clock.now_ns())
        except FeedConnectionError as error:
            self._cause = SILENT if isinstance(error, SilentLinkError) else BROKEN
            self._go_down(str(error), link.good_ns)

    async def _is_renewal_due(self, link: Link, running: asyncio.Task[None]) -> bool:
        """Wait for the end of the link or of the time it may stand; whether it is the latter."""
        left_s = None
        if self.plan.lifetime_s:
            stood_s = (self._clock.now_ns() - link.opened_ns) / NS_PER_SECOND
            left_s = max(self.plan.lifetime_s * self._rng.uniform(*RENEW_AT) - stood_s, 0.0)
        asked = asyncio.create_task(self._renewal.wait())
        try:
            await asyncio.wait((running, asked), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        return not running.done()

    async def _succeed(
        self, session: aiohttp.ClientSession, link: Link, running: asyncio.Task[None]
    ) -> tuple[Link, asyncio.Task[None]]:
        """Open a second link; once its markets are live the first one goes. What both bring comes twice."""
        self._cause = DEAD if self._renewal.is_set() else RENEWED
        if self._renewal.is_set() and self.plan.markets:  # what the link has not brought, nobody has
            self._sink.down(self.plan.markets, link.good_ns, "its stream is dead")
        self._renewal.clear()
        try:
            successor = await self._open(session)
        except FeedConnectionError as error:
            log.warning("%s: no successor: %s", self.plan.exchange, error)
            return await self._keep(link, running)
        successor.leads = False
        taking_over = asyncio.create_task(successor.run())
        live = asyncio.create_task(successor.is_live.wait())
        try:
            await asyncio.wait((running, taking_over, live), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _ended(taking_over)
            raise
        finally:
            live.cancel()
        if running.done():
            self._note_end(link, running)
            self.stats.state = ""
            successor.lead()
            return successor, taking_over
        if taking_over.done():
            try:
                taking_over.result()  # raises what the sink raised
            except FeedConnectionError as error:
                log.warning("%s: its successor failed: %s", self.plan.exchange, error)
            return await self._keep(link, running)
        successor.leads = True
        await _ended(running)
        log.info("%s: renewed %s", self.plan.exchange, self.plan.url)
        return successor, taking_over

    async def _keep(self, link: Link, running: asyncio.Task[None]) -> tuple[Link, asyncio.Task[None]]:
        """The link a while longer, until another successor is tried.

        One that was called dead is called so again then, and what it brings until then is taken; one whose
        time is nearly up has missed nothing.
        """
        is_dead = self._cause == DEAD
        if is_dead:
            link.lead()
        await asyncio.wait((running,), timeout=_RENEW_AGAIN_S)
        if is_dead:
            self._renewal.set()
        return link, running

    def _go_down(self, reason: str, at_ns: int) -> None:
        self.stats.state = reason
        if self.plan.markets:
            self._sink.down(self.plan.markets, at_ns, reason)

    async def _open(self, session: aiohttp.ClientSession) -> Link:
        websocket = await self._connect(session)
        if self.stats.opened:
            self.stats.reopened[self._cause] += 1
        self.stats.opened += 1
        self.stats.state = ""
        log.info("%s: connected to %s", self.plan.exchange, self.plan.url)
        return Link(
            websocket,
            self.plan,
            self._adapter,
            self._clock,
            self._sink,
            self.stats,
            self._pace,
            self._ack_timeout_s,
            self._readers,
        )

    async def _connect(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
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


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel it and wait for it; what it ended with is nobody's business any more."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
