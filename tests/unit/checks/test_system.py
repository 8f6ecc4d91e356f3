"""What the collector says about its data becomes findings (the scripts' tests ask real servers)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from squeezeflow_plugin.bus import wire
from squeezeflow_plugin.checks.findings import Finding, Level
from squeezeflow_plugin.checks.system import check_system, data_findings, storage
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.decisions import LoggedDecision
from tests.redis_server import RedisServer


def data(**changes: Any) -> dict[str, Any]:
    market = {"market": "BINANCE:btcusdt", "covered": True}
    return {
        "second": 100,
        "age_s": 0.45,
        "reasons": [],
        "markets": [market],
        "assets": [{"asset": "BTC", "veto": ""}],
    } | changes


def levels(page: dict[str, Any]) -> dict[str, Level]:
    return {finding.part: finding.level for finding in data_findings(page)}


def test_complete_data_is_fine() -> None:
    assert levels(data()) == {"data": Level.OK, "feeds": Level.OK, "coverage": Level.OK}


def test_what_is_late_stale_or_incomplete() -> None:
    assert levels(data(age_s=3.5))["data"] is Level.FAIL
    assert levels(data(assets=[{"asset": "BTC", "veto": "hole_spot_1h"}]))["coverage"] is Level.WARN
    assert levels({"reasons": ["no second is stored yet"], "status": "failing"}) == {"data": Level.FAIL}


def test_many_stale_feeds_are_counted() -> None:
    markets = [{"market": f"X:{number}", "covered": number > 7} for number in range(10)]
    stale = next(finding for finding in data_findings(data(markets=markets)) if finding.part == "feeds")
    assert stale.level is Level.FAIL
    assert stale.text == "stale: X:0 X:1 X:2 X:3 X:4 and 3 more (silent, disconnected or not subscribed)"


def test_servers_that_are_not_used_are_not_asked() -> None:
    assert [finding.level for finding in storage(Settings(), 100)] == [Level.SKIP, Level.SKIP]


async def checked_without_data(settings: Settings) -> list[Finding]:
    """What is found where the collector answers and has stored nothing."""

    async def page(_request: web.Request) -> web.Response:
        return web.json_response({"status": "failing", "reasons": ["no second is stored yet"]}, status=503)

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    async with TestServer(app) as server:
        settings = replace(settings, health_port=server.port or 0, api_port=0)
        return await asyncio.to_thread(lambda: list(check_system(settings, SystemClock(), watch_s=0)))


async def test_a_collector_that_has_stored_nothing_yet_is_told_as_such() -> None:
    told = [(finding.part, finding.level) for finding in await checked_without_data(Settings())]
    assert ("data", Level.FAIL) in told
    assert told[-1] == ("bot", Level.WARN)


async def test_a_bot_elsewhere_is_known_by_its_stream_whoever_else_writes_there(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        with server.client() as client:
            row = LoggedDecision("BTC/USDT", 100, 100, 0, 431.0, (6.5,))
            client.xadd(wire.DECISIONS_KEY, wire.encode_decision(row, ("score",), "engine"))
            for foreign in ({b"hello": b"1"}, {b"d": b"{"}, {b"d": b'{"pair": 1}'}):
                client.xadd(wire.DECISIONS_KEY, foreign)
        found = (await checked_without_data(server.settings))[-1]
    finally:
        server.kill()
    assert (found.part, found.level) == ("bot", Level.OK)
    assert found.text == "1 pairs, newest decision 100, 431 ms after its second"
