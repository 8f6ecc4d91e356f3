"""Binance's wire for the schedules in memory: the simulator's own texts behind the contract of a dialect.

The simulator itself serves Binance over aiohttp, with its candles and books; here trades, liquidations and
their REST answers are enough.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np

from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.simulator.dialect import (
    Ask,
    Dialect,
    Frame,
    Row,
    Said,
    Stock,
    json_text,
    linear,
    read,
    refuse,
    spot,
)
from squeezeflow_plugin.simulator.echoes import Echo, Ids
from squeezeflow_plugin.simulator.profiles import AssetProfile
from squeezeflow_plugin.simulator.trades import MarketTrades
from squeezeflow_plugin.simulator.wire import Spelling

MOST = 1000


class Binance(Dialect):
    """Spot."""

    name = "BINANCE"
    sockets: ClassVar[tuple[str, ...]] = ("/ws",)
    api = "/api/v3"

    def markets(self, asset: AssetProfile) -> tuple[Echo, ...]:
        """The pair with USDT."""
        return (
            _echo(spot(f"{self.name}:{asset.base.lower()}usdt", f"{asset.base}USDT", asset.base, "USDT")),
        )

    def hear(self, path: str, text: str, stock: Stock) -> Said:
        """SUBSCRIBE; every path answers, and carries what is its own."""
        request = read(text)
        topics = []
        for stream in request["params"]:
            symbol, _, channel = stream.partition("@")
            market = stock.find(symbol.upper())
            if market is not None and (channel == "trade") != path.startswith("/market"):
                topics.append(market.market if channel == "trade" else self.liquidation_topic(market))
        return Said((json_text({"result": None, "id": request["id"]}),), tuple(topics))

    def trades(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """``@trade``, one a frame."""
        return list(Spelling(market).trade_frames(_table(market, rows), [sent_ms] * len(rows)))

    def liquidations(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """``@forceOrder``."""
        events = Spelling(market).liquidation_events(_table(market, rows), sent_ms)
        return [json_text(event) for event in events]

    def answer(self, ask: Ask, stock: Stock) -> Any:
        """``trades`` and ``aggTrades``, whose aggregates are numbered by their last fill here."""
        market = stock.find(ask.query.get("symbol", ""))
        if market is None:
            return refuse(400, {"code": -1121, "msg": "Invalid symbol."})
        past, spelling = stock.past(market), _spelling(market)
        most = min(ask.number("limit", 500), MOST)
        if ask.path == f"{self.api}/trades":
            newest = past.select(slice(-most, None))
            columns = (newest.at_ms, newest.ids, newest.ticks, newest.lots, newest.side)
            trades = zip(*(column.tolist() for column in columns), strict=True)
            scales = newest.price_scale, newest.size_scale
            return [_trade_row(spelling, each, scales) for each in trades]
        if ask.path == f"{self.api}/aggTrades":
            wanted = _aggregates(past, ask.number("startTime", 0), ask.number("fromId", 0))[:most]
            return [spelling.aggregate(each, int(each.ids[-1])) for each in map(past.select, wanted)]
        return refuse(404, {"code": -1, "msg": "no such path"})


class BinanceFutures(Binance):
    """USD-M."""

    name = "BINANCE_FUTURES"
    sockets = ("/public/ws", "/market/ws")
    api = "/fapi/v1"

    def markets(self, asset: AssetProfile) -> tuple[Echo, ...]:
        """The perpetual in USDT."""
        return (
            _echo(linear(f"{self.name}:{asset.base.lower()}usdt", f"{asset.base}USDT", asset.base, "USDT")),
        )


DIALECTS: dict[str, Dialect] = {each.name: each() for each in (Binance, BinanceFutures)}


def _echo(instrument: Instrument) -> Echo:
    return Echo(instrument, 4, 1 if instrument.kind is MarketKind.SPOT else 0, Ids.SEQUENCE, 0.5, 1.0)


@functools.cache
def _spelling(market: Echo) -> Spelling:
    return Spelling(market)


@functools.lru_cache(maxsize=1 << 15)  # the newest trades are asked for again and again, in every schedule
def _trade_row(spelling: Spelling, numbers: tuple[int, ...], scales: tuple[int, int]) -> msgspec.Raw:
    """One row of ``/trades`` as JSON; ``numbers`` are time, id, ticks, lots and side."""
    at_ms, ids, ticks, lots, side = (np.array([number]) for number in numbers)
    (row,) = spelling.trade_rows(MarketTrades(at_ms, ids, ticks, lots, side, *scales))
    return msgspec.Raw(msgspec.json.encode(row))


def _table(market: Echo, rows: Sequence[Row]) -> MarketTrades:
    """Spelled rows as units again."""
    return MarketTrades(
        np.array([row.at_ms for row in rows]),
        np.array([row.number for row in rows]),
        np.array([round(float(row.price) * market.price_scale) for row in rows]),
        np.array([round(float(row.size) * market.size_scale) for row in rows]),
        np.array([row.side for row in rows], np.int8),
        market.price_scale,
        market.size_scale,
    )


def _aggregates(past: MarketTrades, start_ms: int, least_id: int) -> list[slice]:
    """Where the fills of one time, price and side follow each other; those from a time and an id on."""
    if not len(past):
        return []
    breaks = np.flatnonzero(
        (np.diff(past.at_ms) != 0)
        | (np.diff(past.ticks) != 0)
        | (np.diff(past.side) != 0)
        | (np.diff(past.ids) != 1)
    )
    firsts, stops = np.append(0, breaks + 1), np.append(breaks + 1, len(past))
    is_wanted = (past.at_ms[firsts] >= start_ms) & (past.ids[stops - 1] >= least_id)
    bounds = zip(firsts[is_wanted].tolist(), stops[is_wanted].tolist(), strict=True)
    return [slice(first, stop) for first, stop in bounds]
