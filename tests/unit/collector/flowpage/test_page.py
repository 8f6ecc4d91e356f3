"""The stream tells a reader the whole state, then each second what changed, revisions included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector.flowpage import page as flowpage
from squeezeflow_plugin.collector.flowpage.page import FlowPage, Watched, feeds
from squeezeflow_plugin.collector.flowpage.view import FlowView
from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord, Instrument, MarketKind
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision, TradeEvent
from squeezeflow_plugin.store.memory import MemoryBarStore

SPOT = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
PERP = Instrument("BINANCE_FUTURES:btcusdt", "BTCUSDT", MarketKind.PERP, "BTC", "USDT", "USDT")
EURO = Instrument("BINANCE:btceur", "BTCEUR", MarketKind.SPOT, "BTC", "EUR", "EUR")
T0 = 1_723_161_600
COLUMNS = ("ready", "setup", "reset_active", "regime", "entry", "score", "score_reset", "score_bias")


def bar(market: Instrument, second: int, vbuy: float, vsell: float, price: float, revision: int = 0) -> Bar:
    return Bar(market.market, second, price, price, price, price, vbuy, vsell, 1, 1, 0.0, 5.0, revision)


class Bench:
    def __init__(self, directory: Path) -> None:
        self.market_ns = (T0 + 10) * NS_PER_SECOND
        self.store = MemoryBarStore()
        self.path = directory / "decisions.sqlite"
        self.log = DecisionLog(self.path, COLUMNS, "engine")
        for second in range(T0, T0 + 10):
            self.close(second)

    def close(self, second: int, *revisions: Bar) -> None:
        bars = (
            bar(SPOT, second, 30.0, 10.0, 100.0),
            bar(PERP, second, 1.0, 4.0, 101.0),
            bar(EURO, second, 9.0, 0.0, 90.0),
        )
        names = (SPOT.market, PERP.market, EURO.market)
        self.store.append(
            [
                ClosingRecord(
                    "main",
                    second,
                    0,
                    tuple(sorted(bars, key=lambda one: one.market)),
                    revisions,
                    tuple(sorted(names)),
                )
            ]
        )

    def decide(self, second: int, score: float) -> None:
        row = (1.0, 1.0, 1.0, 0.0, 0.0, score, score - 0.5, 0.5)
        self.log.append([LoggedDecision("BTC/USDT", second, second, 0, 431.0, row)])

    async def quality(self) -> tuple[list[str], dict[str, Any]]:
        market = {
            "market": SPOT.market,
            "kind": "spot",
            "covered": True,
            "coverage_1h": 0.5,
            "last_bar": T0 + 8,
            "holes": [(1, 2)],
        }
        return ["BTC: hole_perp_5m"], {"markets": [market]}

    @asynccontextmanager
    async def client(self) -> AsyncIterator[TestClient[Any, Any]]:
        view = FlowView(
            self.store,
            DecisionLog(self.path, readonly=True),
            [SPOT, PERP, EURO],
            ["USDT"],
            {"min_score": 5.0},
        )
        watched = Watched("main", self.quality, lambda: {"BINANCE": 12.5}, lambda: self.market_ns)
        app = web.Application()
        FlowPage(view, watched, SystemClock()).add_to(app)
        async with TestClient(TestServer(app)) as client:
            yield client


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def message(answer: ClientResponse) -> tuple[str, Any]:
    async with asyncio.timeout(20):
        kind = (await answer.content.readline()).decode().removeprefix("event: ").strip()
        body = (await answer.content.readline()).decode().removeprefix("data: ")
        await answer.content.readline()
    return kind, msgspec.json.decode(body)


def parts(body: Any) -> tuple[Any, Any]:
    return body["flow"].get("BTC"), [(row["second"], row["score"]) for row in body["scored"]]


async def test_a_reader_is_told_everything_then_what_changed(bench: Bench) -> None:
    bench.decide(T0 + 9, 4.5)
    async with bench.client() as client, client.get("/flow/events") as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        kind, body = await message(answer)
        assert kind == "state"
        assert (body["second"], body["assets"], body["min_score"]) == (T0 + 9, ["BTC"], 5.0)
        flow, scored = parts(body)
        assert flow[-1] == [T0 + 9, 100.0, 20.0, -3.0, 0.0, 10.0]  # the euro market counts nowhere
        assert (len(flow), scored) == (10, [(T0 + 9, 4.5)])
        assert body["scored"][0]["phase"] == "reset_long"
        assert body["scored"][0]["why"] == "setup long, divergence 0.00, reset, score 4.50 < 5.00"
        assert body["reasons"] == ["BTC: hole_perp_5m"]
        assert body["feeds"][0]["last_trade_s"] == 1.0

        bench.close(T0 + 10, bar(SPOT, T0 + 3, 130.0, 10.0, 102.0, 1))
        bench.decide(T0 + 10, 6.0)
        kind, body = await message(answer)
        flow, scored = parts(body)
        assert kind == "news"
        assert [(row[0], row[2]) for row in flow] == [(T0 + 10, 20.0), (T0 + 3, 120.0)]
        assert scored == [(T0 + 10, 6.0)]
        _, body = await message(answer)
        assert (body["flow"], body["scored"], body["second"]) == ({}, [], T0 + 10)


async def test_a_second_reader_takes_nothing_from_the_first(bench: Bench) -> None:
    async with bench.client() as client, client.get("/flow/events") as first:
        await message(first)
        bench.close(T0 + 10)
        async with client.get("/flow/events") as second:
            _, state = await message(second)
            assert parts(state)[0][-1][0] == T0 + 10
            _, news = await message(first)
            assert [row[0] for row in parts(news)[0]] == [T0 + 10]


async def test_open_trades_are_filled_entries_without_a_filled_exit(bench: Bench) -> None:
    for number, kind in ((1, "entry_fill"), (1, "exit_fill"), (2, "entry_order"), (3, "entry_fill")):
        at_ns = (T0 + number) * NS_PER_SECOND
        bench.log.append([], [TradeEvent(kind, "BTC/USDT", number, T0, -1, "sf:5.0", T0, at_ns, 99.0, 50.0)])
    async with bench.client() as client, client.get("/flow/events") as answer:
        _, body = await message(answer)
    assert [(trade["trade_id"], trade["direction"], trade["price"]) for trade in body["trades"]] == [
        (3, -1, 99.0)
    ]


async def test_a_store_that_fails_is_said_and_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_collector: str) -> int:
        raise StoreError("bar store x: disk I/O error")

    async with bench.client() as client, client.get("/flow/events") as answer:
        await message(answer)
        with monkeypatch.context() as patch:
            patch.setattr(bench.store, "last_second", refuse)
            assert (await message(answer))[1]["failure"] == "bar store x: disk I/O error"
        assert "failure" not in (await message(answer))[1]


async def test_readers_are_limited(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flowpage, "MOST_READERS", 1)
    async with bench.client() as client, client.get("/flow/events") as answer:
        await message(answer)
        async with client.get("/flow/events") as refused:
            assert (refused.status, await refused.text()) == (
                503,
                "1 readers are connected, which is the limit",
            )


async def test_the_page_loads_nothing_from_elsewhere(bench: Bench) -> None:
    async with bench.client() as client:
        for path, kind in (
            ("/flow", "text/html"),
            ("/flow/flow.css", "text/css"),
            ("/flow/flow.js", "text/javascript"),
        ):
            async with client.get(path) as answer:
                text = await answer.text()
                assert (answer.status, answer.content_type) == (200, kind)
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
                assert "http:" not in text
                assert "https:" not in text


def test_a_market_that_never_traded_has_no_age() -> None:
    market = {
        "market": "X:y",
        "kind": "perp",
        "covered": False,
        "coverage_1h": 0.0,
        "last_bar": None,
        "holes": [],
    }
    (row,) = feeds([market], {}, 5.0)
    assert (row["lag_ms"], row["last_trade_s"]) == (None, None)
