"""Stored and pending bars in the shape in which aggr-server's HTTP API gives them.

``{"format": "point", "columns": {"time": 0, "cbuy": 1, ...}, "results": [[...], ...]}``: columns in the
order of InfluxQL's ``SELECT *``, time in seconds, null where aggr-server stores no field (prices of a bar
without a trade, volumes and counts where nothing was bought or sold). What is not stored yet follows as
objects with time in milliseconds, bars of one second whatever the timeframe. Every second is in one of the
two, once.

https://github.com/Tucsky/aggr-server (src/server.js, src/storage/influx.js)
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from squeezeflow_plugin.market import Bar
from squeezeflow_plugin.store.contract import BarColumns, BarStore
from squeezeflow_plugin.store.resample import join, resample

COLUMNS = (
    "time",
    "cbuy",
    "close",
    "csell",
    "high",
    "lbuy",
    "low",
    "lsell",
    "market",
    "open",
    "vbuy",
    "vsell",
)
PAGE_S = 3600


@dataclass(frozen=True)
class Query:
    """Bars that begin in ``[from_ms, to_ms)``; no ``markets`` means all."""

    from_ms: int
    to_ms: int
    timeframe_s: int
    markets: tuple[str, ...] = ()

    @property
    def start(self) -> int:
        """The first second of the first bar."""
        return -(-self.from_ms // (1000 * self.timeframe_s)) * self.timeframe_s

    @property
    def stop(self) -> int:
        """The second after the last bar's last."""
        return -(-self.to_ms // (1000 * self.timeframe_s)) * self.timeframe_s


async def answer(
    store: BarStore, span: tuple[int, int], query: Query, pending: Sequence[Bar]
) -> bytes | None:
    """The answer's body as JSON; None where there is no bar.

    ``span`` is what the store holds, ``pending`` the bars not stored yet as of just before that was asked.
    The store is read in pages of an hour from a thread, so that a long question keeps neither the event loop
    nor the store for itself.
    """
    first = max(query.start, span[0] // query.timeframe_s * query.timeframe_s)
    parts: list[BarColumns] = []
    for page in range(first, min(query.stop, span[1]), PAGE_S):
        stop = min(page + PAGE_S, query.stop, span[1])
        parts.append(await asyncio.to_thread(_page, store, query, page, stop))
    open_bars = [
        bar
        for bar in pending
        if max(query.start, span[1]) <= bar.second < query.stop
        and (not query.markets or bar.market in query.markets)
    ]
    return await asyncio.to_thread(_encode, parts, query.timeframe_s, open_bars)


def _page(store: BarStore, query: Query, start: int, stop: int) -> BarColumns:
    return resample(store.bars(start, stop, query.markets or None), query.timeframe_s)


def _encode(parts: Sequence[BarColumns], timeframe_s: int, pending: Sequence[Bar]) -> bytes | None:
    results: list[Any] = list(_rows(resample(join(parts), timeframe_s))) if parts else []
    results += map(_object, pending)
    if not results:
        return None
    columns = {name: position for position, name in enumerate(COLUMNS)}
    return msgspec.json.encode({"format": "point", "columns": columns, "results": results})


def _rows(columns: BarColumns) -> Iterator[list[Any]]:
    numbers = {name: getattr(columns, name).tolist() for name in COLUMNS if name not in ("time", "market")}
    names = [columns.names[number] for number in columns.market.tolist()]
    for i, second in enumerate(columns.second.tolist()):
        bar = {name: values[i] for name, values in numbers.items()} | {"market": names[i]}
        _omit_absent(bar)
        yield [second, *(bar[name] for name in COLUMNS[1:])]


def _object(bar: Bar) -> dict[str, Any]:
    made: dict[str, Any] = {name: getattr(bar, name) for name in COLUMNS if name != "time"}
    _omit_absent(made)
    return {"time": bar.second * 1000} | made


def _omit_absent(bar: dict[str, Any]) -> None:
    """Null where aggr-server writes no field."""
    if math.isnan(bar["close"]):
        bar.update(open=None, high=None, low=None, close=None)
    if not bar["vbuy"] and not bar["vsell"]:
        bar.update(vbuy=None, vsell=None, cbuy=None, csell=None)
    if not bar["lbuy"] and not bar["lsell"]:
        bar.update(lbuy=None, lsell=None)
