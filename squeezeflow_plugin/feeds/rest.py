"""Carries an adapter's requests to the exchange over HTTP."""

from __future__ import annotations

import math

import aiohttp

from squeezeflow_plugin.errors import FeedConnectionError, RateLimitedError
from squeezeflow_plugin.feeds.adapter import RestRequest

MAX_ANSWER_BYTES = 64 * 1024 * 1024  # the largest known, Binance spot's with all permission sets, has 20 MB
TOO_MANY = frozenset({418, 429})
"""Statuses that ask for fewer requests; Binance bans an address with 418 that went on after 429."""
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
