"""The machine is compared with a plan; ports, disk and exchanges are really tried, on loopback."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from squeezeflow_plugin.checks.findings import Finding, Level
from squeezeflow_plugin.checks.machine import (
    Answer,
    ask_exchanges,
    capacity,
    clock_finding,
    disk,
    exchange_findings,
    ports,
)
from squeezeflow_plugin.checks.planning import Load, Plan, plan
from squeezeflow_plugin.clock import SteppedClock, SystemClock
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import Endpoint, Settings
from tests.free_ports import free_port

NOW_S = 1_767_225_600
SMALL = plan(Settings(retention_days=1), Load(1, 1.0, 1.0, "made up"))


def levels(found: list[Finding]) -> dict[str, Level]:
    return {finding.part: finding.level for finding in found}


def planned(**changes: object) -> Plan:
    return msgspec.structs.replace(SMALL, **changes)


def test_memory_that_does_not_suffice_fails_and_is_remedied() -> None:
    assert levels(list(capacity(planned(memory={"bot": 1}))))["memory"] is Level.OK
    found = list(capacity(planned(memory={"bot": 10**15}, cores={"bot": 1000.0})))
    assert levels(found) == {"cores": Level.WARN, "memory": Level.FAIL}
    assert all(finding.remedy for finding in found)


def test_the_disk_is_written_timed_and_left_as_it_was(tmp_path: Path) -> None:
    found = list(disk(tmp_path / "new" / "data", SMALL, SystemClock()))
    assert list(tmp_path.iterdir()) == []
    assert set(levels(found)) == {"disk speed", "disk"}
    assert levels(found)["disk"] is not Level.FAIL


def test_a_plan_that_does_not_fit_on_the_disk_is_a_warning(tmp_path: Path) -> None:
    found = list(disk(tmp_path, planned(disk={"embedded store": 10**18}), SystemClock()))
    assert levels(found)["disk"] is Level.WARN


def test_a_folder_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    (found,) = disk(tmp_path / "file" / "data", SMALL, SystemClock())
    assert found.level is Level.FAIL
    assert "SQUEEZEFLOW_DATA_DIR" in found.remedy


def test_a_port_is_free_or_off() -> None:
    settings = Settings(health_port=free_port(), api_port=0)
    assert [finding.level for finding in ports(settings)] == [Level.OK, Level.SKIP]


async def test_a_port_is_our_own_or_somebody_elses() -> None:
    async def ours(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def theirs(_request: web.Request) -> web.Response:
        return web.Response(text="<html>")

    app = web.Application()
    app.router.add_get("/livez", ours)
    app.router.add_get("/products", theirs)
    async with TestServer(app) as server:
        settings = Settings(health_port=server.port or 0, api_port=server.port or 0)
        found = await asyncio.to_thread(lambda: list(ports(settings)))
    assert [finding.level for finding in found] == [Level.OK, Level.FAIL]
    assert "SQUEEZEFLOW_API_PORT" in found[1].remedy


async def test_exchanges_are_asked_for_their_time() -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(status=404, headers={"Date": formatdate(NOW_S + 5, usegmt=True)})

    app = web.Application()
    app.router.add_route("*", "/", page)
    clock = SteppedClock(NOW_S * NS_PER_SECOND)
    async with TestServer(app) as server:
        settings = Settings(
            exchanges=("BINANCE", "BYBIT"),
            endpoints={
                "BINANCE": Endpoint(rest=f"http://127.0.0.1:{server.port}"),
                "BYBIT": Endpoint(rest=f"http://127.0.0.1:{free_port()}"),
            },
        )
        answers = await asyncio.to_thread(ask_exchanges, settings, clock)
    assert answers[0] == Answer("BINANCE", 0.0, 5.5)
    assert "refused" in answers[1].failure
    assert [finding.level for finding in exchange_findings(answers)] == [Level.OK, Level.FAIL]
    assert clock_finding(settings, answers, None).level is Level.FAIL


async def test_a_date_that_is_none_tells_no_time() -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(headers={"Date": "soon"})

    app = web.Application()
    app.router.add_route("*", "/", page)
    clock = SteppedClock(NOW_S * NS_PER_SECOND)
    async with TestServer(app) as server:
        endpoint = Endpoint(rest=f"http://127.0.0.1:{server.port}")
        settings = Settings(exchanges=("BINANCE",), endpoints={"BINANCE": endpoint})
        assert await asyncio.to_thread(ask_exchanges, settings, clock) == (Answer("BINANCE"),)


def test_a_far_exchange_is_a_warning() -> None:
    (found,) = exchange_findings((Answer("BYBIT", 800.0),))
    assert found.level is Level.WARN


@pytest.mark.parametrize(
    ("ahead_s", "skew_ms", "level"),
    [
        ((), None, Level.SKIP),
        ((0.4, -0.6, 0.1), None, Level.OK),  # an HTTP date names whole seconds
        ((3.0, 3.1, 0.0), None, Level.FAIL),  # one exchange's clock is not the others'
        ((0.0, 0.0, 3.0), None, Level.OK),
        ((0.0,), 400.0, Level.WARN),  # what the collector measures counts more
        ((9.0,), -20.0, Level.OK),
        ((), -1500.0, Level.FAIL),
    ],
)
def test_the_clock(ahead_s: tuple[float, ...], skew_ms: float | None, level: Level) -> None:
    answers = tuple(Answer(str(number), 10.0, ahead) for number, ahead in enumerate(ahead_s))
    assert clock_finding(Settings(), answers, skew_ms).level is level
