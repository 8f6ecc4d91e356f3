"""The API's routes, words and limits, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.collector.api import MAX_SECONDS, AggrApi
from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord
from squeezeflow_plugin.store.contract import BarColumns
from squeezeflow_plugin.store.memory import MemoryBarStore

T0 = 1_723_161_600
MARKET = "BINANCE:btcusdt"


def bar(second: int, market: str = MARKET) -> Bar:
    return Bar(market, second, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 2, 1, 0.0, 0.0)


def filled_store() -> MemoryBarStore:
    store = MemoryBarStore()
    store.append(
        ClosingRecord("main", second, second * 10**9, (bar(second, "KRAKEN:XBT/USD"), bar(second)))
        for second in range(T0, T0 + 120)
    )
    return store


@asynccontextmanager
async def client_of(
    store: MemoryBarStore, clock: SteppedClock | None = None, pending: Callable[[], tuple[Bar, ...]] = tuple
) -> AsyncIterator[TestClient[Any, Any]]:
    clock = clock or SteppedClock((T0 + 120) * NS_PER_SECOND)
    api = AggrApi(store, [MARKET, "KRAKEN:XBT/USD"], pending, clock, requests_a_minute=50)
    async with TestClient(TestServer(api.application())) as client:
        yield client


async def get(client: TestClient[Any, Any], path: str) -> tuple[int, Any]:
    async with client.get(path) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


async def test_the_simple_questions() -> None:
    async with client_of(filled_store()) as client:
        assert await get(client, "/") == (200, {"message": "hi"})
        assert await get(client, "/products") == (200, [MARKET, "KRAKEN:XBT/USD"])
        assert await get(client, "/alert") == (404, {"error": "not found"})


@pytest.mark.parametrize(
    ("path", "starts", "markets"),
    [
        (f"{T0 * 1000}/{(T0 + 120) * 1000}", [T0, T0 + 60], {MARKET, "KRAKEN:XBT/USD"}),
        (
            f"{T0 * 1000}/{(T0 + 120) * 1000}/30000",
            [T0 + 30 * i for i in range(4)],
            {MARKET, "KRAKEN:XBT/USD"},
        ),
        (f"{T0 * 1000}/{(T0 + 120) * 1000}/0/{MARKET}", [T0, T0 + 60], {MARKET}),
        (f"{T0 * 1000}/{(T0 + 2) * 1000}/1000/KRAKEN:XBT%2FUSD", [T0, T0 + 1], {"KRAKEN:XBT/USD"}),
        (
            f"{T0 * 1000}/{(T0 + 2) * 1000}/1000/{MARKET}+KRAKEN:XBT%2FUSD",
            [T0, T0 + 1],
            {MARKET, "KRAKEN:XBT/USD"},
        ),
    ],
)
async def test_history(path: str, starts: list[int], markets: set[str]) -> None:
    async with client_of(filled_store()) as client:
        status, body = await get(client, f"/historical/{path}")
    assert status == 200
    assert sorted({row[0] for row in body["results"]}) == starts
    assert {row[8] for row in body["results"]} == markets


async def test_the_pending_second_is_included() -> None:
    async with client_of(filled_store(), pending=lambda: (bar(T0 + 120),)) as client:
        _, body = await get(client, f"/historical/{(T0 + 60) * 1000}/{(T0 + 121) * 1000}/60000/{MARKET}")
    assert [row[0] for row in body["results"][:-1]] == [T0 + 60]
    assert body["results"][-1]["time"] == (T0 + 120) * 1000


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("then/now", 400, "missing interval"),
        (f"{T0}000/", 404, "not found"),
        (f"{T0}000/{T0 - 1}000", 400, "from > to"),
        (f"0/{T0}000/1000", 400, "too many bars"),
        (f"{T0 + 120 - MAX_SECONDS - 1}000/{T0 + 200}000/86400000", 400, "too many bars"),
        (f"{T0 + 120 - 126_000}000/{T0 + 120}000/1000", 400, "too many bars"),
        (f"{T0}000/{T0 + 9}000/1500", 400, "timeframe must be a whole number of seconds"),
        (f"{T0}000/{T0 + 9}000/-1000", 400, "timeframe must be a whole number of seconds"),
        (f"{T0 + 500}000/{T0 + 600}000/1000", 404, "no results"),
        (f"{T0}000/{T0 + 60}000/1000/BINANCE:dogeusdt", 404, "no results"),
    ],
)
async def test_refusals(path: str, status: int, error: str) -> None:
    async with client_of(filled_store()) as client:
        assert await get(client, f"/historical/{path}") == (status, {"error": error})


async def test_an_empty_store_is_no_storage() -> None:
    async with client_of(MemoryBarStore()) as client:
        assert await get(client, f"/historical/{T0}000/{T0 + 60}000") == (501, {"error": "no storage"})


async def test_a_store_in_trouble_says_what_it_is() -> None:
    class LockedStore(MemoryBarStore):
        def bars(self, *_args: Any, **_kwargs: Any) -> BarColumns:
            raise StoreError("bar store x: database is locked")

    store = LockedStore()
    store.append([ClosingRecord("main", T0, 0, (bar(T0),))])
    async with client_of(store) as client:
        found = await get(client, f"/historical/{T0}000/{T0 + 60}000")
    assert found == (500, {"error": "bar store x: database is locked"})


async def test_too_many_questions_wait_a_minute() -> None:
    clock = SteppedClock((T0 + 120) * NS_PER_SECOND)
    async with client_of(filled_store(), clock) as client:
        for _ in range(50):
            assert (await get(client, "/"))[0] == 200
        assert await get(client, "/") == (429, {"error": "too many requests"})
        clock.advance(60 * NS_PER_SECOND)
        assert (await get(client, "/"))[0] == 200


async def test_other_methods_are_refused() -> None:
    async with client_of(filled_store()) as client, client.post("/products") as answer:
        assert (answer.status, await answer.json()) == (405, {"error": "method not allowed"})
