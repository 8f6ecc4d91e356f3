"""Both scripts are content with a healthy run and name what is wrong with another.

The collector here has no exchanges: its feeds are told to be live, its seconds are closed as they end.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import Settings, process_environ, to_environ
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.store.influx import InfluxBarStore
from tests.free_ports import free_port
from tests.influx_server import InfluxDaemon
from tests.integration.outlets_job import PERP, SPOT, Job
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
TEST = "test_implementation.sh"
MONITOR = "monitor_performance.sh"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", "--maxmemory", "2gb")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", api_port=free_port(), health_port=free_port())


async def run(script: str, settings: Settings, seconds: int = 2) -> tuple[int, str]:
    """Exit status and output; the scripts find the program of this interpreter's environment."""
    environ = {**process_environ(), **to_environ(settings)}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "scripts" / script), "--seconds", str(seconds),
        env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


@asynccontextmanager
async def collecting(
    settings: Settings, live: tuple[str, ...] = (SPOT.market, PERP.market)
) -> AsyncIterator[Job]:
    """A running job that has stored some seconds with the given feeds live."""
    job = Job(settings)
    job.closer.on_live(live, job.clock.now_ns() - NS_PER_SECOND)
    async with job.running():
        closing = asyncio.create_task(job.keep_closing())
        async with asyncio.timeout(20):
            while stored_seconds(job) < 3:  # noqa: ASYNC110 - a state of the store, no event
                await asyncio.sleep(0.05)
        try:
            yield job
        finally:
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)


def stored_seconds(job: Job) -> int:
    span = job.store.span()
    return 0 if span is None else span[1] - span[0]


async def test_a_healthy_run_passes(settings: Settings, redis_server: RedisServer) -> None:
    settings = replace(settings, bus="redis", redis_port=redis_server.port)
    async with collecting(settings) as job:
        last = job.closer.last_second
        assert last is not None
        log = DecisionLog(settings.decisions_path, ("score",), "engine")
        log.append([LoggedDecision("BTC/USDT", last, last, 0, 431.0, (6.5,))])
        log.close()
        (test_status, test), (monitor_status, monitor) = await asyncio.gather(
            run(TEST, settings), run(MONITOR, settings)
        )
    assert (test_status, monitor_status) == (0, 0), f"{test}\n{monitor}"
    for part in (
        "ok   collector",
        "ok   data",
        "ok   feeds",
        "ok   1s flow",
        "ok   api",
        "ok   redis",
        "ok   bot",
    ):
        assert part in test
    assert "warn coverage   nothing is entered yet: BTC hole_spot_5m" in test
    for line in ("freshness", "rates", "latency", "network", "disk"):
        assert f"\n{line}" in f"\n{monitor}"
    assert "decision BTC/USDT: 431 ms" in monitor
    assert "MB per day" in monitor


@pytest.mark.parametrize("script", [TEST, MONITOR])
async def test_no_collector(settings: Settings, script: str) -> None:
    status, out = await run(script, settings)
    assert status == 1
    assert f"FAIL collector  nothing answers on http://127.0.0.1:{settings.health_port}/" in out
    assert "refused" in out


@pytest.mark.parametrize("script", [TEST, MONITOR])
async def test_a_stale_feed(settings: Settings, script: str) -> None:
    async with collecting(settings, live=(SPOT.market,)):
        status, out = await run(script, settings)
    assert status == 1, out
    assert f"FAIL feeds      stale: {PERP.market}" in out


@pytest.mark.parametrize("script", [TEST, MONITOR])
async def test_redis_gone(settings: Settings, redis_server: RedisServer, script: str) -> None:
    settings = replace(settings, bus="redis", redis_port=redis_server.port)
    async with collecting(settings):
        redis_server.kill()
        status, out = await run(script, settings)
    assert status == 1, out
    assert "FAIL redis      bus: Redis: " in out
    assert "refused" in out


@pytest.mark.parametrize("script", [TEST, MONITOR])
async def test_influxdb_with_the_wrong_retention_or_password(
    settings: Settings, influx: InfluxDaemon, script: str
) -> None:
    theirs = influx.settings(influx_retention_1s="48h")
    store = InfluxBarStore(theirs, verify=False)
    await asyncio.to_thread(store.set_up)
    store.close()
    names = ("influx_url", "influx_user", "influx_password", "influx_database")
    settings = replace(settings, **{name: getattr(theirs, name) for name in names}, influx_retention_1s="24h")
    # The collector itself runs without InfluxDB: what is asked here is what the scripts see of the server.
    async with collecting(replace(settings, influx_url="")):
        status, out = await run(script, settings)
        assert status == 1, out
        assert "FAIL retention  policy aggr_1s keeps 48 h, the settings say 24 h" in out
        status, out = await run(script, replace(settings, influx_password=settings.influx_password + "!"))
        assert status == 1, out
        assert "FAIL influxdb" in out
        assert "authorization failed" in out
