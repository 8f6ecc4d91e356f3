"""Requests against a real HTTP server on loopback: answers, and what goes wrong by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.errors import FeedConnectionError, RateLimitedError
from squeezeflow_plugin.feeds import rest
from squeezeflow_plugin.feeds.adapter import RestRequest


async def answer(request: web.Request) -> web.StreamResponse:
    match request.match_info["kind"]:
        case "echo":
            body = await request.text()
            return web.Response(text=f"{request.method} {dict(request.query)} {request.content_type} {body}")
        case "slow":
            await asyncio.sleep(5)
        case "drop":
            assert request.transport is not None
            request.transport.abort()
        case "banned":
            return web.Response(status=418, text="too many requests")
        case "limited":
            return web.Response(status=429, headers={"Retry-After": "12"})
        case "broken":
            return web.Response(status=500, text="sorry")
    return web.Response(text="x" * 1000)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    app = web.Application()
    app.router.add_route("*", "/{kind}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", session
    finally:
        await runner.cleanup()


async def test_parameters_and_body_reach_the_server() -> None:
    async with serving() as (url, session):
        get = RestRequest("GET", f"{url}/echo", (("a", "1"), ("b", "x y")))
        assert await rest.fetch(session, get) == b"GET {'a': '1', 'b': 'x y'} application/octet-stream "
        post = RestRequest("POST", f"{url}/echo", body=b'{"type":"meta"}')
        assert await rest.fetch(session, post) == b'POST {} application/json {"type":"meta"}'


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("slow", "/slow did not answer within 0.2 s"),
        ("drop", "/drop cannot be asked"),
        ("broken", "/broken answered status 500: b'sorry'"),
        ("banned", "/banned answered status 418: b'too many requests'"),
    ],
)
async def test_what_goes_wrong_is_named(kind: str, message: str) -> None:
    async with serving() as (url, session):
        with pytest.raises(FeedConnectionError, match=message):
            await rest.fetch(session, RestRequest("GET", f"{url}/{kind}"), timeout_s=0.2)


async def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_ANSWER_BYTES", 500)
    async with serving() as (url, session):
        with pytest.raises(FeedConnectionError, match="more than 500 bytes"):
            await rest.fetch(session, RestRequest("GET", f"{url}/long"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "nonsense"])
async def test_nobody_there(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(FeedConnectionError, match="cannot be asked"):
            await rest.fetch(session, RestRequest("GET", url))


@pytest.mark.parametrize(("kind", "seconds"), [("limited", 12.0), ("banned", 60.0)])
async def test_an_exchange_that_wants_fewer_requests_says_for_how_long(kind: str, seconds: float) -> None:
    async with serving() as (url, session):
        with pytest.raises(RateLimitedError) as caught:
            await rest.fetch(session, RestRequest("GET", f"{url}/{kind}"))
    assert caught.value.retry_after_s == seconds


async def test_a_refusal_of_one_is_a_pause_for_all_who_ask_the_host() -> None:
    clock = SteppedClock(10**18)
    refused: list[str] = []
    pauses = rest.HostPauses(clock, refused.append)
    async with serving() as (url, session):
        with pytest.raises(RateLimitedError, match="answered status 429"):
            await pauses.ask("X", session, RestRequest("GET", f"{url}/limited"))
        clock.advance(4 * 10**9)
        with pytest.raises(RateLimitedError, match="left alone for 8 s more") as caught:
            await pauses.ask("X", session, RestRequest("GET", f"{url}/echo"))
        assert caught.value.retry_after_s == 8.0
        elsewhere = RestRequest("GET", f"{url.replace('127.0.0.1', 'localhost')}/echo")
        assert await pauses.ask("X", session, elsewhere), "another host of the exchange"
        assert await pauses.ask("Y", session, RestRequest("GET", f"{url}/echo")), "another exchange"
        clock.advance(8 * 10**9)
        assert await pauses.ask("X", session, RestRequest("GET", f"{url}/echo"))
    assert refused == ["X"], "what was not asked was not refused"


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    clock, waits = SteppedClock(10**18), iter([60.0, 5.0])
    pauses = rest.HostPauses(clock)
    asked = asyncio.Event()

    async def refuse(_session: aiohttp.ClientSession, _request: RestRequest) -> bytes:
        wait_s = next(waits)
        await asked.wait()
        raise RateLimitedError("too many", wait_s)

    async with aiohttp.ClientSession() as session:
        request = RestRequest("GET", "http://x/y")
        both = [asyncio.create_task(pauses.ask("X", session, request, refuse)) for _ in range(2)]
        await asyncio.sleep(0)
        asked.set()
        await asyncio.gather(*both, return_exceptions=True)
        clock.advance(6 * 10**9)
        with pytest.raises(RateLimitedError, match="is not asked"):
            await pauses.ask("X", session, request, refuse)
