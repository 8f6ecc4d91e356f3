"""Choosing from an exchange on loopback: volumes where they matter, a change of the metadata, shards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from squeezeflow_plugin.collector.choosing import MarketChoice
from squeezeflow_plugin.collector.instruments import open_markets
from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.market import Instrument
from squeezeflow_plugin.settings import Endpoint, Settings


class Binance:
    """Spot metadata and the tickers of a day; ``quotes`` of BTC are listed."""

    def __init__(self) -> None:
        self.quotes = ["USDT", "USDC", "FDUSD"]
        self.asked: Counter[str] = Counter()
        self.is_down = False

    async def answer(self, request: web.Request) -> web.Response:
        self.asked[request.path] += 1
        if self.is_down:
            return web.Response(status=404)
        if request.path.endswith("24hr"):
            volumes = {"BTCUSDT": "5", "BTCUSDC": "9", "BTCFDUSD": "1", "ETHUSDT": "99"}
            return web.json_response([{"symbol": s, "quoteVolume": v} for s, v in volumes.items()])
        symbols = [
            {"symbol": f"BTC{q}", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": q}
            for q in self.quotes
        ]
        return web.json_response({"symbols": symbols})


@pytest.fixture
async def venue() -> AsyncIterator[tuple[Binance, Settings]]:
    binance = Binance()
    application = web.Application()
    application.router.add_get("/{path:.*}", binance.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = Endpoint(rest=f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield (
        binance,
        Settings(
            assets=("BTC",), exchanges=("BINANCE",), endpoints={"BINANCE": endpoint}, data_dir=Path("unused")
        ),
    )
    await runner.cleanup()


async def known_of(settings: Settings) -> dict[str, tuple[Instrument, ...]]:
    adapter = registry.adapter("BINANCE", settings.endpoints["BINANCE"])
    async with aiohttp.ClientSession() as session:
        return {"BINANCE": await open_markets(adapter, (), session)}


async def test_volumes_are_asked_where_there_are_too_many_markets(venue: tuple[Binance, Settings]) -> None:
    binance, settings = venue
    known = await known_of(settings)
    everything = await MarketChoice(settings).choose(known)
    assert [i.quote for i in everything] == ["FDUSD", "USDC", "USDT"]
    assert "/api/v3/ticker/24hr" not in binance.asked
    choice = MarketChoice(replace(settings, markets_per_asset=2))
    assert [i.quote for i in await choice.choose(known)] == ["USDC", "USDT"]
    assert [i.quote for i in await choice.choose(known)] == ["USDC", "USDT"]
    assert binance.asked["/api/v3/ticker/24hr"] == 1


async def test_an_exchange_that_tells_no_volumes_is_named(
    venue: tuple[Binance, Settings], caplog: pytest.LogCaptureFixture
) -> None:
    binance, settings = venue
    known = await known_of(settings)
    binance.is_down = True
    chosen = await MarketChoice(replace(settings, markets_per_asset=1)).choose(known)
    assert [i.quote for i in chosen] == ["FDUSD"]
    assert "these markets rank last" in caplog.text


async def test_a_change_of_the_metadata_is_noticed_and_a_silent_exchange_is_none(
    venue: tuple[Binance, Settings],
) -> None:
    binance, settings = venue
    choice = MarketChoice(settings, refresh_s=0.05)
    known = await known_of(settings)
    chosen = await choice.choose(known)
    adapters = [registry.adapter("BINANCE", settings.endpoints["BINANCE"])]
    waiting = asyncio.create_task(choice.until_changed(adapters, known, chosen))
    asked = binance.asked["/api/v3/exchangeInfo"]
    async with asyncio.timeout(20):
        while binance.asked["/api/v3/exchangeInfo"] < asked + 2:  # noqa: ASYNC110 - the server counts
            await asyncio.sleep(0.01)
    assert not waiting.done()
    binance.quotes.remove("FDUSD")
    said = await asyncio.wait_for(waiting, 20)
    assert [i.quote for i in await choice.choose(said)] == ["USDC", "USDT"]


async def test_shards_take_their_parts_and_one_without_markets_says_so(
    venue: tuple[Binance, Settings],
) -> None:
    _, settings = venue
    known = await known_of(settings)
    taken: list[str] = []
    for part in range(1, 51):
        try:
            chosen = await MarketChoice(replace(settings, shard=f"{part}/50")).choose(known)
        except SettingsError as error:
            assert f"no market falls to shard {part}/50" in str(error)  # noqa: PT017 - or it has some
        else:
            taken += [i.market for i in chosen]
    assert sorted(taken) == [i.market for i in known["BINANCE"]]


async def test_markets_that_are_not_open_are_named(venue: tuple[Binance, Settings]) -> None:
    _, settings = venue
    wrong = replace(settings, markets=("BINANCE:gone",))
    with pytest.raises(SettingsError, match="none of the markets BINANCE:gone is open on BINANCE"):
        await MarketChoice(wrong).choose(await known_of(settings))
