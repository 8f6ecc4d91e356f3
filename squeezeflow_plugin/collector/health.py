"""Whether the collector lives, is ready, and delivers data that may be traded on.

==================  ================================================================================
``/livez``          200 while seconds are being closed; 503 means: start it again
``/readyz``         200 once closed seconds reach the store (and bus and InfluxDB, where these are used)
``/health/data/1s`` 200 while entries would be allowed on this data; 503 with the reasons otherwise
``/health``         the three together with the collector's counts; 503 where any of them is
``/metrics``        the counts for Prometheus
``/openapi.json``   all of these in OpenAPI's terms
==================  ================================================================================

Every answer but the last two is JSON with ``status`` and, on 503, ``reasons``: one sentence each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from squeezeflow_plugin.collector import openapi
from squeezeflow_plugin.collector.announcing import Announcer
from squeezeflow_plugin.collector.bot import BotState, BotWatch
from squeezeflow_plugin.collector.metrics import Metrics
from squeezeflow_plugin.collector.quality import Quality, QualityProbe
from squeezeflow_plugin.collector.shipping import Shipper
from squeezeflow_plugin.collector.stats import Stats
from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import NS_PER_SECOND

_LOG = logging.getLogger(__name__)
STUCK_S = 30.0  # no second closed for so long: the process is alive but dead
STALE_S = 3.0  # the newest stored second is older: nothing may be entered on it
UNANNOUNCED_S = 5
_BACKLOG = 10


@dataclass(frozen=True)
class Sources:
    """What the answers are made of. ``market_ns`` is market time now."""

    collector: str
    stats: Callable[[], Stats]
    market_ns: Callable[[], int]
    quality: QualityProbe
    bot: BotWatch
    announcer: Announcer | None
    metrics: Metrics
    shipper: Shipper | None = None


class Health:
    """The answers over one collector; the store is asked from a thread, one question after the other."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._started_ns = sources.market_ns()
        self._turn = asyncio.Lock()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/health", self._health)
        app.router.add_get("/health/data/1s", self._data)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/openapi.json", openapi.answering(openapi.HEALTH))
        return app

    def alive(self) -> list[str]:
        """Why the collector is stuck; empty where it is not."""
        last = self._sources.stats().last_second
        since_ns = self._started_ns if last is None else max((last + 1) * NS_PER_SECOND, self._started_ns)
        idle_s = (self._sources.market_ns() - since_ns) / NS_PER_SECOND
        return [f"no second was closed for {idle_s:.0f} s"] if idle_s > STUCK_S else []

    def ready(self) -> list[str]:
        """Why closed seconds do not reach their readers; empty where they do."""
        stats, announcer = self._sources.stats(), self._sources.announcer
        if stats.last_second is None:
            return ["no second is closed yet"]
        reasons = []
        if stats.pending_records > _BACKLOG:
            reasons.append(f"{stats.pending_records} closed seconds wait for the store")
        if announcer is not None:
            behind = stats.last_second - (announcer.announced or 0)
            if behind > UNANNOUNCED_S:
                reasons.append("the bus does not take closed seconds")
        shipper = self._sources.shipper
        if shipper is not None and shipper.status.failure is not None:
            reasons.append(f"InfluxDB does not take closed seconds: {shipper.status.failure}")
        return reasons

    async def data(self) -> tuple[list[str], dict[str, Any]]:
        """Why nothing would be entered on the stored data, and the figures behind it."""
        async with self._turn:
            try:
                quality = await asyncio.to_thread(self._sources.quality.look, self._sources.collector)
                bot = await asyncio.to_thread(self._sources.bot.look)
            except StoreError as error:
                _LOG.warning("health: %s", error)
                return [str(error)], {}
        if quality is None:
            return ["no second is stored yet"], {}
        age_s = self._sources.market_ns() / NS_PER_SECOND - (quality.second + 1)
        reasons = [f"the newest stored second ended {age_s:.1f} s ago"] if age_s > STALE_S else []
        reasons += [f"{asset.asset}: {asset.veto}" for asset in quality.assets if asset.veto]
        reasons += _bot_reasons(bot, quality)
        figures = {"age_s": round(age_s, 3), **msgspec.to_builtins(quality), "bot": msgspec.to_builtins(bot)}
        return reasons, figures

    async def _livez(self, _request: web.Request) -> web.Response:
        return _answer(self.alive())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer(self.alive() + self.ready())

    async def _data(self, _request: web.Request) -> web.Response:
        reasons, figures = await self.data()
        return _answer(reasons, figures)

    async def _health(self, _request: web.Request) -> web.Response:
        reasons, _ = await self.data()
        stats = msgspec.to_builtins(self._sources.stats())
        return _answer(self.alive() + self.ready() + reasons, {"collector": stats})

    async def _metrics(self, _request: web.Request) -> web.Response:
        async with self._turn:
            body = await asyncio.to_thread(self._sources.metrics.exposition)
        return web.Response(body=body, headers={"Content-Type": self._sources.metrics.content_type})


def _bot_reasons(bot: BotState | None, quality: Quality) -> list[str]:
    """The vetoes of a bot that runs; one that does not has no say."""
    if bot is None or quality.second - bot.second > STUCK_S:
        return []
    return [f"{pair.pair}: {pair.veto}" for pair in bot.pairs if pair.veto]


def _answer(reasons: Sequence[str], figures: dict[str, Any] | None = None) -> web.Response:
    body = {"status": "failing" if reasons else "ok", "reasons": list(reasons), **(figures or {})}
    return web.Response(
        body=msgspec.json.encode(body), status=503 if reasons else 200, content_type="application/json"
    )
