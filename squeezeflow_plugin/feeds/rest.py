"""Carries an adapter's requests to the exchange over HTTP, and leaves alone a host that wants fewer."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp

from squeezeflow_plugin.clock import Clock, SystemClock
from squeezeflow_plugin.errors import FeedConnectionError, RateLimitedError
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.market import NS_PER_SECOND

MAX_ANSWER_BYTES = 64 * 1024 * 1024  # the largest known, Binance spot's with all permission sets, has 20 MB
TOO_MANY = frozenset({418, 429})
"""Statuses that ask for fewer requests; Binance bans an address with 418 that went on after 429."""
Fetch = Callable[[aiohttp.ClientSession, RestRequest], Awaitable[bytes]]
"""Asks an exchange; raises as ``fetch`` does."""
_JSON = {"Content-Type": "application/json"}
_LEAVE_ALONE_S = 60.0
_LEAVE_ALONE_AT_MOST_S = 3 * 24 * 3600.0  # Binance's longest ban


async def fetch(session: aiohttp.ClientSession, request: RestRequest, timeout_s: float = 20.0) -> bytes:
    """The body of the answer.

    Raises FeedConnectionError where none comes in time, its status is not 200 or it is far too large;
    RateLimitedError, which is one, where the exchange wants fewer requests.
    """
    try:
        async with session.request(
            request.method,
            request.url,
            params=dict(request.params),
            data=request.body or None,
            headers=_JSON | dict(request.headers) if request.body else dict(request.headers),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as response:
            chunks = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                chunks += chunk
                if len(chunks) > MAX_ANSWER_BYTES:
                    raise FeedConnectionError(f"{request.url} answered more than {MAX_ANSWER_BYTES} bytes")
    except TimeoutError as error:
        raise FeedConnectionError(f"{request.url} did not answer within {timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a url that is none
        raise FeedConnectionError(f"{request.url} cannot be asked: {error}") from error
    if response.status in TOO_MANY:
        wait_s = retry_after_s(response.headers.get("Retry-After", ""))
        raise RateLimitedError(
            f"{request.url} answered status {response.status}: {bytes(chunks[:200])!r}; it is left alone for"
            f" {wait_s:g} s",
            wait_s,
        )
    if response.status != 200:
        raise FeedConnectionError(f"{request.url} answered status {response.status}: {bytes(chunks[:200])!r}")
    return bytes(chunks)


def retry_after_s(header: str) -> float:
    """The seconds a ``Retry-After`` header asks for; a minute where it is absent, a date or no sound number.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after

    >>> retry_after_s("7"), retry_after_s(""), retry_after_s("-1")
    (7.0, 60.0, 60.0)
    """
    try:
        seconds = float(header)
    except ValueError:
        return _LEAVE_ALONE_S
    if not math.isfinite(seconds) or seconds < 0:
        return _LEAVE_ALONE_S
    return min(seconds, _LEAVE_ALONE_AT_MOST_S)


class HostPauses:
    """The hosts that want to be left alone, shared by all that asks the exchanges.

    A refusal of one is a pause for each; ``limited`` is told the exchange of every refusal.

    Exchanges are told apart even on one host, because a test server or a proxy may speak for several.
    """

    def __init__(
        self, clock: Clock | None = None, limited: Callable[[str], None] = lambda _exchange: None
    ) -> None:
        self._clock = clock or SystemClock()
        self._limited = limited
        self._until_ns: dict[tuple[str, str], int] = {}

    async def ask(
        self,
        exchange: str,
        session: aiohttp.ClientSession,
        request: RestRequest,
        fetch: Fetch = fetch,
    ) -> bytes:
        """What ``fetch`` gives or raises; RateLimitedError, and no request, while the host is left alone."""
        host = (exchange, _host(request.url))
        left_ns = self._until_ns.get(host, 0) - self._clock.now_ns()
        if left_ns > 0:
            left_s = left_ns / NS_PER_SECOND
            raise RateLimitedError(
                f"{request.url} is not asked: its host wants to be left alone for {left_s:.3g} s more", left_s
            )
        try:
            return await fetch(session, request)
        except RateLimitedError as error:
            self._limited(exchange)
            until_ns = self._clock.now_ns() + int(error.retry_after_s * NS_PER_SECOND)
            self._until_ns[host] = max(until_ns, self._until_ns.get(host, 0))
            raise


def _host(url: str) -> str:
    """The host of a URL, the URL itself where it is none: asking for it says so.

    >>> _host("https://api.x.com/v1"), _host("http://[")
    ('api.x.com', 'http://[')
    """
    try:
        return urlsplit(url).netloc
    except ValueError:
        return url
