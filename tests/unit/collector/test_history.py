"""The shapes of aggr-server's answers, each second once, stored or pending."""

from __future__ import annotations

import json
import math
from typing import Any

from squeezeflow_plugin.collector.history import COLUMNS, Query, answer
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.store.memory import MemoryBarStore

T0 = 1_723_161_600


def bar(second: int, market: str = "BINANCE:btcusdt", price: float = 10.0, **more: float) -> Bar:
    fields = {"vbuy": 3.0, "vsell": 1.0, "lbuy": 0.0, "lsell": 0.0} | more
    return Bar(
        market, second, price, price, price, price,
        fields["vbuy"], fields["vsell"], 2, 1, fields["lbuy"], fields["lsell"],
    )  # fmt: skip


def store_of(*bars: Bar) -> MemoryBarStore:
    store = MemoryBarStore()
    seconds = sorted({each.second for each in bars})
    for second in range(seconds[0], seconds[-1] + 1):
        mine = tuple(each for each in bars if each.second == second)
        store.append([ClosingRecord("main", second, second * 10**9, mine)])
    return store


async def ask(store: MemoryBarStore, query: Query, pending: tuple[Bar, ...] = ()) -> Any:
    span = store.span()
    assert span is not None
    body = await answer(store, span, query, pending)
    return None if body is None else json.loads(body)


def span(start: int, stop: int, timeframe_s: int = 1, markets: tuple[str, ...] = ()) -> Query:
    return Query(start * 1000, stop * 1000, timeframe_s, markets)


async def test_points_are_arrays_under_named_columns() -> None:
    body = await ask(store_of(bar(T0), bar(T0 + 1, lsell=5.0)), span(T0, T0 + 2))
    assert body["format"] == "point"
    assert body["columns"] == {name: i for i, name in enumerate(COLUMNS)}
    assert list(body["columns"]) == ["time", *sorted(COLUMNS[1:])]
    assert body["results"] == [
        [T0, 2, 10.0, 1, 10.0, None, 10.0, None, "BINANCE:btcusdt", 10.0, 3.0, 1.0],
        [T0 + 1, 2, 10.0, 1, 10.0, 0.0, 10.0, 5.0, "BINANCE:btcusdt", 10.0, 3.0, 1.0],
    ]


async def test_what_aggr_server_does_not_store_is_null() -> None:
    forced = bar(T0, price=math.nan, vbuy=0.0, vsell=0.0, lbuy=7.0)
    (row,) = (await ask(store_of(forced), span(T0, T0 + 1)))["results"]
    assert dict(zip(COLUMNS, row, strict=True)) == {
        "time": T0,
        "market": "BINANCE:btcusdt",
        "lbuy": 7.0,
        "lsell": 0.0,
    } | dict.fromkeys(("open", "high", "low", "close", "vbuy", "vsell", "cbuy", "csell"))


async def test_pending_seconds_follow_as_objects_and_none_comes_twice() -> None:
    store = store_of(bar(T0), bar(T0 + 1))
    pending = (bar(T0 + 1), bar(T0 + 2), bar(T0 + 3, "BINANCE:ethusdt"), bar(T0 + 9))
    results = (await ask(store, span(T0, T0 + 4), pending))["results"]
    assert [row[0] for row in results[:2]] == [T0, T0 + 1]
    assert [(each["time"], each["market"]) for each in results[2:]] == [
        ((T0 + 2) * 1000, "BINANCE:btcusdt"),
        ((T0 + 3) * 1000, "BINANCE:ethusdt"),
    ]
    assert results[2] == {
        "time": (T0 + 2) * 1000, "market": "BINANCE:btcusdt", "open": 10.0, "high": 10.0, "low": 10.0,
        "close": 10.0, "vbuy": 3.0, "vsell": 1.0, "cbuy": 2, "csell": 1, "lbuy": None, "lsell": None,
    }  # fmt: skip


async def test_longer_bars_hold_the_seconds_they_begin_with_across_pages() -> None:
    store = store_of(*[bar(T0 - 30 + 600 * i, price=float(i + 1)) for i in range(13)])
    results = (await ask(store, span(T0 - 3600, T0 + 7200, 3600)))["results"]
    by_name = [dict(zip(COLUMNS, row, strict=True)) for row in results]
    assert [(row["time"], row["open"], row["close"], row["cbuy"]) for row in by_name] == [
        (T0 - 3600, 1.0, 1.0, 2),
        (T0, 2.0, 7.0, 12),
        (T0 + 3600, 8.0, 13.0, 12),
    ]
    assert await ask(store, span(T0 - 3599, T0 + 1, 3600)) == {
        "format": "point",
        "columns": {name: i for i, name in enumerate(COLUMNS)},
        "results": results[1:2],
    }


async def test_markets_are_chosen_by_their_whole_name() -> None:
    store = store_of(bar(T0), bar(T0, "BINANCE:btcusdc"))
    query = span(T0, T0 + 9, markets=("BINANCE:btcusdc", "BINANCE:btc"))
    results = (await ask(store, query, (bar(T0 + 1),)))["results"]
    assert [row[8] for row in results] == ["BINANCE:btcusdc"]


async def test_nothing_is_none() -> None:
    store = store_of(bar(T0))
    assert await ask(store, span(T0 + 1, T0 + 60)) is None
    assert await ask(store, span(T0 - 60, T0 - 1)) is None
    assert await ask(store, span(T0, T0)) is None
