"""The HTTP API of aggr-server, for its page and tools: GET ``/``, ``/products``, ``/historical/...``.

``/historical/{from}/{to}/{timeframe}/{markets}``: milliseconds; the timeframe defaults to one minute, markets
are joined with ``+`` and default to all. Errors have aggr-server's status and words, with two limits of ours
that it lacks: how many bars of all markets together, and how many questions a minute.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from aiohttp import web

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.collector import openapi
from squeezeflow_plugin.collector.history import Query, answer
from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import NS_PER_SECOND, Bar
from squeezeflow_plugin.store.contract import BarStore

_LOG = logging.getLogger(__name__)
MAX_BARS = 100_000  # of one market, as aggr-server's maxFetchLength
MAX_ROWS = 250_000  # of all markets: encoding more would hold up the closing of a second
MAX_SECONDS = 8 * 86_400  # read for one answer
REQUESTS_A_MINUTE = 120
_CLIENTS = 1000
_DEFAULT_TIMEFRAME_MS = 60_000
_MOST_DIGITS = 16  # of milliseconds: no year that a bar is asked of has more
_LEADING_INTEGER = re.compile(r"\s*([+-]?\d+)")


class Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    """The question gets this status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class RateLimit:
    """At most ``limit`` questions of one client within a minute."""

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._asked: dict[str, deque[int]] = {}

    def admits(self, client: str) -> bool:
        """Count a question; False where it is one too many."""
        now_ns = self._clock.now_ns()
        asked = self._asked.setdefault(client, deque(maxlen=self._limit))
        if len(asked) == self._limit and now_ns - asked[0] < 60 * NS_PER_SECOND:
            return False
        asked.append(now_ns)
        if len(self._asked) > _CLIENTS:
            self._asked.pop(next(iter(self._asked)))
        return True


def parse_query(
    from_text: str, to_text: str, timeframe_text: str, markets_text: str, now_ms: int, markets_known: int
) -> Query:
    """The question in numbers. Raises Refused with aggr-server's words.

    >>> parse_query("1723161600000", "1723161660000", "", "BINANCE:btcusdt+BYBIT:BTCUSDT", 0, 2).markets
    ('BINANCE:btcusdt', 'BYBIT:BTCUSDT')
    """
    from_ms, to_ms = _integer(from_text), _integer(to_text)
    if from_ms is None or to_ms is None:
        raise Refused(400, "missing interval")
    timeframe_ms = _integer(timeframe_text) or _DEFAULT_TIMEFRAME_MS
    if timeframe_ms < 1000 or timeframe_ms % 1000:
        raise Refused(400, "timeframe must be a whole number of seconds")
    if (to_ms - from_ms) / timeframe_ms > MAX_BARS:
        raise Refused(400, "too many bars")
    if from_ms > to_ms:
        raise Refused(400, "from > to")
    markets = tuple(dict.fromkeys(name for part in markets_text.split("+") if (name := part.strip())))
    past_ms = min(to_ms, now_ms) - from_ms  # what has not happened yet costs nothing
    if past_ms / timeframe_ms * (len(markets) or markets_known) > MAX_ROWS or past_ms > MAX_SECONDS * 1000:
        raise Refused(400, "too many bars")
    return Query(from_ms, to_ms, timeframe_ms // 1000, markets)


def _integer(text: str) -> int | None:
    """The number a text begins with, as JavaScript's parseInt reads it; None where it does not.

    Raises Refused for one of more digits than a time has.
    """
    found = _LEADING_INTEGER.match(text)
    if found is None:
        return None
    if len(found[1]) > _MOST_DIGITS:
        raise Refused(400, "number too large")
    return int(found[1])


class AggrApi:
    """The three questions over one store.

    ``products`` are the collected markets; ``pending`` gives the bars that are not stored yet. The store is
    read by this object alone, one question after the other.
    """

    def __init__(
        self,
        store: BarStore,
        products: Sequence[str],
        pending: Callable[[], Sequence[Bar]],
        clock: Clock,
        requests_a_minute: int = REQUESTS_A_MINUTE,
    ) -> None:
        self._store = store
        self._products = list(products)
        self._pending = pending
        self._clock = clock
        self._limit = RateLimit(clock, requests_a_minute)
        self._turn = asyncio.Lock()

    def application(self) -> web.Application:
        """The routes, each question's failure turned into its answer."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._hello)
        app.router.add_get("/products", self._list_products)
        app.router.add_get("/openapi.json", openapi.answering(openapi.API))
        path = "/historical/{from}/{to}"
        for tail in ("", "/{timeframe:[^/]*}", "/{timeframe:[^/]*}/{markets:[^/]*}"):
            app.router.add_get(path + tail, self._historical)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            if not self._limit.admits(request.remote or ""):
                raise Refused(429, "too many requests")
            response = await handler(request)
        except Refused as refused:
            response = _json({"error": refused.message}, refused.status)
        except web.HTTPException as error:
            response = _json({"error": error.reason.lower()}, error.status)
        except StoreError as error:
            _LOG.warning("api: %s: %s", request.path, error)
            response = _json({"error": str(error)}, 500)
        # Public market data; aggr's page is served from elsewhere and must be able to read it.
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    async def _hello(self, _request: web.Request) -> web.Response:
        return _json({"message": "hi"})

    async def _list_products(self, _request: web.Request) -> web.Response:
        return _json(self._products)

    async def _historical(self, request: web.Request) -> web.Response:
        asked = request.match_info
        query = parse_query(
            asked["from"],
            asked["to"],
            asked.get("timeframe", ""),
            asked.get("markets", ""),
            self._clock.now_ns() // 1_000_000,
            len(self._products),
        )
        async with self._turn:
            pending = self._pending()
            span = await asyncio.to_thread(self._store.span)
            if span is None:
                raise Refused(501, "no storage")
            body = await answer(self._store, span, query, pending)
        if body is None:
            raise Refused(404, "no results")
        return web.Response(body=body, content_type="application/json")


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
