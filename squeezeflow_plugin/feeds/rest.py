"""Carries an adapter's requests to the exchange over HTTP."""

from __future__ import annotations

import aiohttp

from squeezeflow_plugin.errors import FeedConnectionError
from squeezeflow_plugin.feeds.adapter import RestRequest

MAX_ANSWER_BYTES = 64 * 1024 * 1024  # the largest known, Binance spot's with all permission sets, has 20 MB


async def fetch(session: aiohttp.ClientSession, request: RestRequest, timeout_s: float = 20.0) -> bytes:
    """The body of the answer.

    Raises FeedConnectionError where none comes in time, its status is not 200 or it is far too large.
    """
    try:
        async with session.request(
            request.method,
            request.url,
            params=dict(request.params),
            data=request.body or None,
            headers={"Content-Type": "application/json"} if request.body else None,
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
    if response.status != 200:
        raise FeedConnectionError(f"{request.url} answered status {response.status}: {bytes(chunks[:200])!r}")
    return bytes(chunks)
