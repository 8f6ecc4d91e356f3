"""The flow page's routes: ``/flow``, its two files, and ``/flow/events``, the stream it lives on.

The stream is server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). The first
message of a connection is the whole state, each following one, once a second, what changed; rows are
addressed by their second, so a message twice does no harm. Nothing is read while nobody looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import msgspec
from aiohttp import web

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.collector.flowpage.view import SHOWN_S, FlowView
from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import NS_PER_SECOND

_LOG = logging.getLogger(__name__)
MOST_READERS = 20
_EVERY_S = 1.0
_MATRIX_EVERY = 3  # messages: the coverage of an hour costs more than the rest together
_UNREAD = 30  # messages a slow reader may be behind
_FILES = {
    "": ("flow.html", "text/html"),
    "flow.css": ("flow.css", "text/css"),
    "flow.js": ("flow.js", "text/javascript"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Watched:
    """What the page asks besides its stores.

    ``quality`` gives the reasons against entries and the figures behind them, as ``/health/data/1s`` does;
    ``offsets_ms`` each exchange's smallest receive minus exchange time; ``market_ns`` market time now.
    """

    collector: str
    quality: Callable[[], Awaitable[tuple[list[str], dict[str, Any]]]]
    offsets_ms: Callable[[], Mapping[str, float]]
    market_ns: Callable[[], int]


class FlowPage:
    """One page over one view; any number of readers up to ``MOST_READERS`` share what is read."""

    def __init__(self, view: FlowView, watched: Watched, clock: Clock) -> None:
        self._view = view
        self._watched = watched
        self._clock = clock
        self._readers: set[asyncio.Queue[bytes]] = set()
        self._turn = asyncio.Lock()
        self._shown = self._scored = 0  # up to which second the readers have been told
        self._messages = 0

    def add_to(self, app: web.Application) -> None:
        """Serve the page in the application."""
        for name in _FILES:
            app.router.add_get(f"/flow/{name}" if name else "/flow", self._file)
        app.router.add_get("/flow/events", self._events)
        app.cleanup_ctx.append(self._telling)
        app.on_shutdown.append(self._dismiss)

    async def _file(self, request: web.Request) -> web.Response:
        name, kind = _FILES[request.path.removeprefix("/flow").removeprefix("/")]
        body = files(__package__).joinpath(name).read_bytes()
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=_HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._readers) >= MOST_READERS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_READERS} readers are connected, which is the limit")
        unread: asyncio.Queue[bytes] = asyncio.Queue(_UNREAD)
        answer = web.StreamResponse(headers=_HEADERS | {"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        self._readers.add(unread)
        try:
            await answer.write(await self._state())
            while unread in self._readers:
                await answer.write(await unread.get())
        except ConnectionError:
            pass  # the reader has left
        finally:
            self._readers.discard(unread)
        return answer

    async def _dismiss(self, _app: web.Application) -> None:
        """End every stream, which would hold up the server's end otherwise."""
        for unread in tuple(self._readers):
            self._readers.discard(unread)
            with contextlib.suppress(asyncio.QueueFull):
                unread.put_nowait(b"")

    async def _telling(self, _app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._tell())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self.close()

    def close(self) -> None:
        """Close what it reads; for one that was never served, too."""
        self._view.close()

    async def _tell(self) -> None:
        """Once a second, tell every reader what changed."""
        while True:
            await self._clock.wait_until(self._clock.now_ns() + int(_EVERY_S * NS_PER_SECOND))
            if not self._readers:
                continue
            message = await self._news()
            for unread in tuple(self._readers):
                try:
                    unread.put_nowait(message)
                except asyncio.QueueFull:
                    self._readers.discard(unread)  # its connection ends, the browser opens another one

    async def _state(self) -> bytes:
        """The whole state, for a reader that begins."""
        async with self._turn:
            stored = await self._asked(self._whole)
        return _message("state", stored | await self._matrix())

    async def _news(self) -> bytes:
        """What came since the last message."""
        async with self._turn:
            stored = await self._asked(self._since)
        self._messages += 1
        matrix = await self._matrix() if self._messages % _MATRIX_EVERY == 0 else {}
        return _message("news", stored | matrix)

    async def _asked(self, question: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(question)
        except StoreError as error:
            _LOG.warning("flow page: %s", error)
            return {"now": self._now_s(), "failure": str(error)}

    def _whole(self) -> dict[str, Any]:
        last = self._view.store.last_second(self._watched.collector)
        stop = int(self._now_s()) if last is None else last + 1
        scored = self._view.scored(stop - SHOWN_S, stop + 1)
        if len(self._readers) == 1:  # nobody else is told anything from further back
            self._shown, self._scored = stop, scored[-1].second if scored else stop - 1
        return {
            "now": self._now_s(),
            "second": last,
            "span_s": SHOWN_S,
            "min_score": self._view.min_score,
            "assets": [asset.asset for asset in self._view.assets],
            "flow": self._view.flow(stop - SHOWN_S, stop),
            "scored": scored,
            "trades": self._view.open_trades(),
        }

    def _since(self) -> dict[str, Any]:
        last = self._view.store.last_second(self._watched.collector)
        stop = self._shown if last is None else last + 1
        start = max(self._shown, stop - SHOWN_S)
        flow = self._view.changed(start, stop) if start < stop else {}
        scored = self._view.scored(max(self._scored + 1, stop - SHOWN_S), stop + 1)
        self._shown, self._scored = stop, max((one.second for one in scored), default=self._scored)
        return {
            "now": self._now_s(),
            "second": last,
            "flow": flow,
            "scored": scored,
            "trades": self._view.open_trades(),
        }

    async def _matrix(self) -> dict[str, Any]:
        reasons, figures = await self._watched.quality()
        return {
            "reasons": reasons,
            "feeds": feeds(figures.get("markets", ()), self._watched.offsets_ms(), self._now_s()),
        }

    def _now_s(self) -> float:
        return self._watched.market_ns() / NS_PER_SECOND


def feeds(
    markets: Iterable[Mapping[str, Any]], offsets_ms: Mapping[str, float], now_s: float
) -> list[dict[str, Any]]:
    """A row of the feed matrix for each market of ``/health/data/1s``; ``now_s`` is market time now.

    ``lag_ms`` is its exchange's smallest receive minus exchange time, None before the first trade;
    ``last_trade_s`` the age of its newest second with a trade, None without one in the last five minutes.
    """
    return [
        {
            "market": each["market"],
            "kind": each["kind"],
            "covered": each["covered"],
            "coverage_1h": each["coverage_1h"],
            "lag_ms": offsets_ms.get(each["market"].partition(":")[0]),
            "last_trade_s": None if each["last_bar"] is None else max(now_s - each["last_bar"] - 1, 0.0),
            "holes": each["holes"],
        }
        for each in markets
    ]


def _message(kind: str, body: Mapping[str, Any]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(body) + b"\n\n"
