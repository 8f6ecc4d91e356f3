"""Open interest from an exchange on loopback: readings arrive; who wants fewer requests is left alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector.interest import InterestPollers
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.rest import HostPauses
from squeezeflow_plugin.market import DerivativeTicker, Instrument
from squeezeflow_plugin.settings import Endpoint

PERP, COIN = "BINANCE_FUTURES:btcusdt", "BINANCE_FUTURES:btcusd_perp"


class Exchange:
    """Binance's three answers; the first request for open interest is refused where ``limits`` says so."""

    def __init__(self, limits: bool = False, broken: bool = False) -> None:
        self.asked: Counter[str] = Counter()
        self._limits = limits
        self._broken = broken

    async def answer(self, request: web.Request) -> web.Response:
        self.asked[request.path] += 1
        if self._broken and request.path.startswith("/dapi"):
            return web.Response(text="<html>maintenance</html>")
        if request.path.endswith("premiumIndex"):
            return web.json_response([{"symbol": "BTCUSDT", "markPrice": "50", "lastFundingRate": "0.0002"}])
        if self._limits and self.asked[request.path] == 1:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return web.json_response({"symbol": request.query["symbol"], "openInterest": "4", "time": 5_000})


@asynccontextmanager
async def polling(
    exchange: Exchange, markets: tuple[str, ...], every_s: float
) -> AsyncIterator[tuple[asyncio.Queue[DerivativeTicker], Counter[str]]]:
    app = web.Application()
    app.router.add_get("/{path:.*}", exchange.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found: asyncio.Queue[DerivativeTicker] = asyncio.Queue()
    limited: Counter[str] = Counter()
    pollers = InterestPollers(
        [instrument(market) for market in markets],
        {"BINANCE_FUTURES": Endpoint(rest=f"http://127.0.0.1:{runner.addresses[0][1]}")},
        SystemClock(),
        found.put_nowait,
        every_s=every_s,
        pauses=HostPauses(SystemClock(), lambda name: limited.update([name])),
    )
    task = asyncio.create_task(pollers.run())
    try:
        yield found, limited
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await runner.cleanup()


def instrument(market: str) -> Instrument:
    found = registry.classify(market)
    assert found is not None
    return found


async def test_readings_arrive_with_price_and_funding_of_other_answers() -> None:
    exchange = Exchange()
    async with polling(exchange, (PERP, "BINANCE:btcusdt"), every_s=0.2) as (found, _):
        ticker = await asyncio.wait_for(found.get(), 10)
        await asyncio.wait_for(found.get(), 10)
    assert ticker == DerivativeTicker(PERP, 5_000_000_000, 4.0, 200.0, 0.0002)
    assert not any(path.startswith("/dapi") for path in exchange.asked), "no COIN-M market was wanted"


async def test_an_exchange_that_wants_fewer_requests_is_left_alone_as_long_as_it_says() -> None:
    exchange = Exchange(limits=True)
    loop = asyncio.get_running_loop()
    async with polling(exchange, (PERP,), every_s=0.2) as (found, limited):
        began = loop.time()
        await asyncio.wait_for(found.get(), 10)
        assert loop.time() - began >= 1.0, "Retry-After said a second"
    assert limited == {"BINANCE_FUTURES": 1}
    assert exchange.asked["/fapi/v1/openInterest"] == 2


async def test_answers_that_cannot_be_read_do_not_end_the_others() -> None:
    async with polling(Exchange(broken=True), (COIN, PERP), every_s=0.2) as (found, limited):
        tickers = [await asyncio.wait_for(found.get(), 10) for _ in range(2)]
    assert {ticker.market for ticker in tickers} == {PERP}
    assert not limited
