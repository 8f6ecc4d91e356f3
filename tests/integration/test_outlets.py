"""A collector on real sockets: announced on Redis, asked over HTTP, refused a port that is taken."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from squeezeflow_plugin.bus.redis import RedisBarBus
from squeezeflow_plugin.errors import ProcessError
from squeezeflow_plugin.market import NS_PER_SECOND, Trade
from squeezeflow_plugin.settings import Settings
from tests.free_ports import LOOPBACK, free_port
from tests.integration.outlets_job import PERP, SPOT, Job
from tests.redis_server import RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", "--maxmemory", "2gb")
    server.start()
    yield server
    server.kill()


async def get(session: ClientSession, url: str) -> tuple[int, Any]:
    async with asyncio.timeout(10):
        while True:
            try:
                async with session.get(url) as answer:
                    return answer.status, await answer.json()
            except OSError:
                await asyncio.sleep(0.02)


async def test_a_second_reaches_bus_api_and_health(tmp_path: Path, redis_server: RedisServer) -> None:
    settings = replace(
        redis_server.settings, data_dir=tmp_path / "data", api_port=free_port(), health_port=free_port()
    )
    api, health = (f"http://{LOOPBACK}:{port}" for port in (settings.api_port, settings.health_port))
    job = Job(settings)
    reader = RedisBarBus(redis_server.client())
    async with job.running(), ClientSession() as session:
        assert await get(session, f"{api}/products") == (200, [SPOT.market, PERP.market])
        assert (await get(session, f"{health}/readyz"))[0] == 503
        now_ns = job.clock.now_ns()
        job.closer.on_trades([Trade(SPOT.market, now_ns, "1", 60_000.0, 0.01, 600.0, 1)])
        second = now_ns // NS_PER_SECOND
        while (record := await job.close_a_second()).second < second:
            continue
        assert record.bars[0].vbuy == 600.0
        assert await asyncio.to_thread(reader.follow, "main", second - 1, 5.0) == (record,)
        now_ns = job.clock.now_ns()
        job.closer.on_trades([Trade(PERP.market, now_ns, "1", 60_001.0, 0.01, 600.01, -1)])
        status, body = await get(session, f"{api}/historical/{second * 1000}/{(second + 5) * 1000}/1000")
        assert status == 200
        stored, pending = body["results"]
        assert (stored[0], stored[body["columns"]["market"]]) == (second, SPOT.market)
        assert (pending["time"], pending["market"]) == (now_ns // NS_PER_SECOND * 1000, PERP.market)
        assert (await get(session, f"{health}/readyz"))[0] == 200
        status, body = await get(session, f"{health}/health/data/1s")
        assert (status, body["second"]) == (503, second)  # an hour of data is missing
        assert body["reasons"] == ["BTC: hole_spot_5m"]
    reader.close()


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        job = Job(Settings(data_dir=tmp_path, api_port=0, health_port=port))
        async with job.running() as outlets:
            with pytest.raises(ProcessError, match=rf"health cannot listen on 127\.0\.0\.1:{port}: "):
                await asyncio.wait_for(outlets, 10)
