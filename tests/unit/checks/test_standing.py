"""What runs is read from the health pages; what does not is said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from squeezeflow_plugin.checks.planning import CONSTANTS
from squeezeflow_plugin.checks.standing import known_load, lines, look
from squeezeflow_plugin.settings import Settings
from tests.free_ports import free_port

PAIR = {"pair": "BTC/USDT", "second": 99, "latency_ms": 431.0, "score": 6.5, "veto": ""}
DATA = {
    "second": 100,
    "age_s": 0.45,
    "markets": [{"market": "BINANCE:btcusdt", "covered": True}, {"market": "X:y", "covered": False}],
    "bot": {"second": 99, "pairs": [PAIR, {**PAIR, "pair": "ETH/USDT", "score": None, "veto": "warming_up"}]},
}


def serving(health: dict[str, Any], data: dict[str, Any]) -> TestServer:
    async def answer(request: web.Request) -> web.Response:
        body = {"/livez": {"status": "ok"}, "/health": health, "/health/data/1s": data}[request.path]
        return web.json_response(body, status=503 if body.get("reasons") else 200)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    return TestServer(app)


async def test_a_running_system() -> None:
    health = {"reasons": ["ETH/USDT: warming_up"], "collector": {"markets": 2, "trades_received": 77}}
    async with serving(health, DATA) as server:
        standing = await asyncio.to_thread(look, Settings(health_port=server.port or 0))
    assert standing.running
    assert (standing.second, standing.age_s, standing.markets, standing.covered) == (100, 0.45, 2, 1)
    assert [pair.veto for pair in standing.pairs] == ["", "warming_up"]
    text = "\n".join(lines(standing))
    for part in (
        "collector  failing, 77 trades received",
        "second 100, ended 0.5 s ago; 1 of 2 markets covered",
        "BTC/USDT score 6.5, decided after 431 ms, may be entered",
        "ETH/USDT no score, decided after 431 ms, vetoed: warming_up",
    ):
        assert part in text or part.replace("0.5 s", "0.4 s") in text


async def test_before_the_first_second() -> None:
    health = {"reasons": ["no second is stored yet"], "collector": {"markets": 2, "trades_received": 0}}
    async with serving(health, {"reasons": ["no second is stored yet"]}) as server:
        standing = await asyncio.to_thread(look, Settings(health_port=server.port or 0))
    assert (standing.second, standing.age_s, standing.pairs) == (None, None, ())
    assert "second None; 0 of 2 markets covered" in "\n".join(lines(standing))


def test_silence_and_a_page_that_is_off() -> None:
    silent = look(Settings(health_port=free_port()))
    assert not silent.running
    assert "refused" in silent.reasons[0]
    assert "not running" in next(iter(lines(silent)))
    assert "switched off" in look(Settings(health_port=0)).reasons[0]


def test_without_a_store_the_load_is_assumed(tmp_path: Path) -> None:
    load = known_load(Settings(data_dir=tmp_path, assets=("BTC",), exchanges=("BINANCE",)))
    assert (load.markets, load.trades_per_s) == (1, CONSTANTS["market_trades"].value)
