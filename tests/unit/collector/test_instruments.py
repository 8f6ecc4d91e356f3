"""Asking for markets: answers, patience, and what is remembered."""

from __future__ import annotations

import logging

import aiohttp
import pytest
from aiohttp import web

from squeezeflow_plugin.collector.instruments import open_markets
from squeezeflow_plugin.errors import RateLimitedError
from squeezeflow_plugin.feeds import registry, rest
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.settings import Endpoint

USDM = (
    '{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","contractType":"PERPETUAL",'
    '"baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT"}]}'
)
OLD_USDM = Instrument("BINANCE_FUTURES:oldusdt", "OLDUSDT", MarketKind.PERP, "OLD", "USDT", "USDT")
SPOT = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")


async def test_answers_are_tried_for_and_what_fails_is_remembered(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []

    async def usdm(_: web.Request) -> web.Response:
        asked.append("usdm")
        return web.Response(text=USDM if len(asked) > 1 else "busy", status=200 if len(asked) > 1 else 503)

    async def coinm(_: web.Request) -> web.Response:
        asked.append("coinm")
        return web.Response(text="not json")

    app = web.Application()
    app.router.add_get("/fapi/v1/exchangeInfo", usdm)
    app.router.add_get("/dapi/v1/exchangeInfo", coinm)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    adapter = registry.adapter("BINANCE_FUTURES", Endpoint(rest=f"http://127.0.0.1:{port}"))
    with caplog.at_level(logging.INFO, logger="squeezeflow_plugin.collector"):
        async with aiohttp.ClientSession() as session:
            found = await open_markets(adapter, [OLD_USDM, SPOT], session)
    await runner.cleanup()
    assert [each.market for each in found] == ["BINANCE_FUTURES:btcusdt", "BINANCE_FUTURES:oldusdt"]
    assert asked == ["usdm", "usdm", "coinm"]
    retry, failure = (each for each in caplog.records if each.name.startswith("squeezeflow_plugin.collector"))
    assert "503" in retry.getMessage()
    assert (failure.levelname, "1 remembered ones fill in" in failure.getMessage()) == ("WARNING", True)


async def test_a_host_that_refused_another_asker_is_not_asked_for_its_markets() -> None:
    asked: list[str] = []

    async def refuse(_: web.Request) -> web.Response:
        asked.append("refused")
        return web.Response(status=429, headers={"Retry-After": "100"})

    app = web.Application()
    app.router.add_get("/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    adapter = registry.adapter("BINANCE_FUTURES", Endpoint(rest=url))
    pauses = rest.HostPauses()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(RateLimitedError):
            await pauses.ask(adapter.name, session, RestRequest("GET", f"{url}/fapi/v1/openInterest"))
        assert await open_markets(adapter, [OLD_USDM], session, pauses) == (OLD_USDM,)
    await runner.cleanup()
    assert asked == ["refused"]
