from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.errors import SimulatorError
from squeezeflow_plugin.feeds.registry import adapter
from squeezeflow_plugin.simulator.episodes import waiting_script, whole_minute
from squeezeflow_plugin.simulator.exchange import Exchange, Serving, bot_exchange, endpoints, serving
from squeezeflow_plugin.simulator.generator import first_state
from squeezeflow_plugin.simulator.profiles import asset_profile
from squeezeflow_plugin.simulator.sources import GeneratedAsset
from squeezeflow_plugin.simulator.venue import Venue

CLOCK = SystemClock()


@pytest.fixture
async def served() -> AsyncIterator[tuple[Exchange, Serving]]:
    """An hour of the SOL market up to now, then live."""
    now = CLOCK.now_ns() // 10**9
    profile, start = asset_profile("SOL"), whole_minute(now - 3600)
    script = waiting_script(1, profile.key, 1, now)
    venue = Venue([GeneratedAsset(profile, 1, first_state(profile, start), script)], 1)
    venue.extend(now + 1)
    exchange = Exchange(venue, CLOCK, now + 3)
    async with serving(exchange) as running:
        yield exchange, running


async def call(method: str, port: int, path: str) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{port}{path}") as answer,
    ):
        assert answer.status == 200
        return await answer.json()


async def test_the_word_counts_once_and_not_before_live_collection(served: tuple[Exchange, Serving]) -> None:
    exchange, running = served
    before = await call("GET", running.port, "/control/state")
    assert [episode["second"] for episode in before["episodes"]] == [None]
    told = await call("POST", running.port, "/control/start")
    assert told["second"] >= before["first_second"]
    assert (told["asset"], told["direction"]) == ("SOL", 1)
    again = await call("POST", running.port, "/control/start")
    assert again["second"] == told["second"]
    state = await call("GET", running.port, "/control/state")
    assert [episode["second"] for episode in state["episodes"]] == [told["second"]]
    assert state["sent"].keys() == {"BINANCE:solusdt", "BINANCE_FUTURES:solusdt"}
    assert not running.sending.done()
    assert exchange.start() is not None


async def test_a_port_that_is_taken_is_named(served: tuple[Exchange, Serving]) -> None:
    exchange, running = served
    with pytest.raises(SimulatorError, match=f"port {running.port} cannot be used"):
        async with serving(exchange, running.port):
            pass


@pytest.mark.parametrize(("types", "pair"), [(["spot"], "SOL/USDT"), (["linear"], "SOL/USDT:USDT")])
async def test_ccxt_takes_it_for_binance(
    served: tuple[Exchange, Serving], types: list[str], pair: str
) -> None:
    # imported here: ccxt takes most of a second
    import ccxt.async_support

    config = bot_exchange(served[1].port)["ccxt_config"]
    options = {"fetchMarkets": {"types": types}, "defaultType": "spot" if types == ["spot"] else "swap"}
    async with ccxt.async_support.binance({**config, "options": options}) as exchange:
        markets = await exchange.load_markets()
        assert pair in markets
        candles = await exchange.fetch_ohlcv(pair, "1m", limit=1000)
        book = await exchange.fetch_order_book(pair, 5)
        trades = await exchange.fetch_trades(pair, limit=10)
    assert len(candles) in (61, 62)
    assert candles[-1][0] // 1000 == whole_minute(CLOCK.now_ns() / 1e9)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert book["bids"][0][0] == pytest.approx(trades[-1]["price"], rel=1e-3)
    assert markets[pair]["precision"]["price"] == 0.01


def test_both_exchanges_are_led_here() -> None:
    assert {name: endpoint.ws for name, endpoint in endpoints(7).items()} == {
        "BINANCE": "ws://127.0.0.1:7/spot",
        "BINANCE_FUTURES": "ws://127.0.0.1:7/futures",
    }
    for name, endpoint in endpoints(7).items():
        (request, *_) = adapter(name, endpoint).instrument_requests()
        assert request.url.startswith("http://127.0.0.1:7/")
