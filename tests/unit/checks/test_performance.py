"""Figures and limits follow from two looks at the same metrics."""

from __future__ import annotations

import asyncio
import math
import sys

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from squeezeflow_plugin.checks.findings import Level
from squeezeflow_plugin.checks.pages import Pages
from squeezeflow_plugin.checks.performance import (
    Look,
    Usage,
    figures,
    limits,
    look,
    program_of,
    programs,
    quantile,
    samples,
)
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.errors import ProcessError
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import Settings

DELAY = "squeezeflow_bar_close_delay_seconds"
DATA = {"second": 100, "age_s": 0.4, "bot": {"pairs": [{"pair": "BTC/USDT", "latency_ms": 431.0}]}}


def page(trades: int, within_half: int, within_one: int, total: int, free: float = 5e9) -> str:
    return f"""
# TYPE squeezeflow_trades_received_total counter
squeezeflow_trades_received_total{{exchange="BINANCE",kind="trade"}} {trades - 40}
squeezeflow_trades_received_total{{exchange="OKEX",kind="liquidation"}} 40
# TYPE {DELAY} histogram
{DELAY}_bucket{{le="0.5"}} {within_half}
{DELAY}_bucket{{le="1.0"}} {within_one}
{DELAY}_bucket{{le="+Inf"}} {total}
{DELAY}_count {total}
{DELAY}_sum 1
# TYPE squeezeflow_disk_free_bytes gauge
squeezeflow_disk_free_bytes {free}
# TYPE squeezeflow_data_bytes gauge
squeezeflow_data_bytes 3e6
# TYPE squeezeflow_store_bytes gauge
squeezeflow_store_bytes 2e6
# TYPE squeezeflow_store_span_seconds gauge
squeezeflow_store_span_seconds 8640
"""


def looks(first: str, second: str) -> tuple[Look, Look]:
    return (
        Look(0, samples(first), {"collector": Usage({7: 1.0, 8: 9.0}, 100 << 20)}, 1_000_000),
        Look(
            10 * NS_PER_SECOND, samples(second), {"collector": Usage({7: 1.5, 9: 3.0}, 120 << 20)}, 1_020_000
        ),
    )


def test_figures() -> None:
    before, after = looks(page(100, 50, 50, 50), page(600, 60, 60, 60))
    text = "\n".join(figures(before, after, DATA))
    for part in (
        "newest stored second 100, 0.4 s old",
        "50.0 trades/s",
        "half within 500 ms, 95 % within 500 ms",
        "decision BTC/USDT: 431 ms",
        "collector   5.0 % of a processor, 120 MiB",
        "2.0 kB/s",
        "3.0 MB of data, of it 2.0 MB bars, 20 MB per day; 5.0 GB free",
    ):
        assert part in text


def test_a_good_run_has_no_findings() -> None:
    before, after = looks(page(100, 50, 50, 50), page(600, 60, 60, 60))
    assert list(limits(before, after, DATA)) == []


@pytest.mark.parametrize(
    ("second", "part"),
    [
        (page(600, 55, 60, 60), "95 % of seconds are stored within 1.0 s"),
        (page(600, 50, 50, 50), "within nan s"),  # no second was stored at all
        (page(600, 60, 60, 60, free=1e8), "100 MB are free"),
    ],
)
def test_limits(second: str, part: str) -> None:
    before, after = looks(page(100, 50, 50, 50), second)
    (finding,) = limits(before, after, DATA)
    assert finding.level is Level.FAIL
    assert part in finding.text


def test_a_late_decision_is_a_warning() -> None:
    before, after = looks(page(100, 50, 50, 50), page(600, 60, 60, 60))
    late = {"bot": {"pairs": [{"pair": "BTC/USDT", "latency_ms": 1200.0}]}}
    assert [finding.level for finding in limits(before, after, late)] == [Level.WARN]


def test_a_quantile_of_nothing_is_unknown() -> None:
    assert math.isnan(quantile({}, {}, DELAY, 0.5))


async def test_another_programs_page_holds_no_metrics() -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!DOCTYPE HTML>")

    app = web.Application()
    app.router.add_get("/metrics", page)
    async with TestServer(app) as server:
        pages = Pages(Settings(health_port=server.port or 0))
        with pytest.raises(ProcessError, match=r"/metrics answers 200 with no metrics: b'<!DOCTYPE HTML>'"):
            await asyncio.to_thread(look, pages, SystemClock())


def test_programs_are_told_by_their_command_lines() -> None:
    assert program_of([sys.executable, "-m", "freqtrade", "trade", "--userdir", "x"]) == "freqtrade"
    assert program_of(["/bin/squeezeflow", "simulate"]) == "simulator"
    assert program_of(["python", "-m", "pytest"]) is None
    assert all(usage.rss_bytes >= 0 for usage in programs().values())
