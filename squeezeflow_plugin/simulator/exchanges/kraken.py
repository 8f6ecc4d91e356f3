"""Kraken spot (v2) and futures. https://docs.kraken.com/api/docs/websocket-v2/trade and
https://docs.kraken.com/api/docs/futures-api/websocket/trade

Spot's ids follow each other, those of futures are UUIDs; a futures trade may be a liquidation.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.simulator.dialect import (
    BUY_SELL,
    Ask,
    Dialect,
    Frame,
    Row,
    Said,
    Stock,
    inverse,
    json_text,
    linear,
    moment,
    read,
    refuse,
    spelled,
    spot,
)
from squeezeflow_plugin.simulator.echoes import Echo, Forced, Ids, is_forced, uuid_text
from squeezeflow_plugin.simulator.profiles import AssetProfile

NAME = "KRAKEN"
OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
SPOT_WS, FUTURES_WS = "/v2", "/ws/v1"
PAGE, FUTURES_PAGE = 1000, 100
SNAPSHOT = 100


class Kraken(Dialect):
    """The contract is in ``simulator/dialect.py``."""

    name = NAME
    sockets = (SPOT_WS, FUTURES_WS)
    heartbeat_s = 1.0

    def markets(self, asset: AssetProfile) -> tuple[Echo, ...]:
        """Spot in US dollars, a flexible and an inverse perpetual."""
        base, price = asset.base, asset.spot.price_decimals
        old = OLD_NAMES.get(base, base)
        flexible, coin = f"PF_{old}USD", f"PI_{old}USD"
        return (
            Echo(spot(f"{NAME}:{old}/USD", f"{base}/USD", base, "USD"), price, 8, Ids.SEQUENCE, share=0.15),
            Echo(
                linear(f"{NAME}:{flexible}", flexible, base, "USD"),
                price,
                4,
                Ids.UUID,
                share=0.1,
                forced=Forced.IN_TRADES,
            ),
            Echo(
                inverse(f"{NAME}:{coin}", coin, base),
                price,
                0,
                Ids.UUID,
                share=0.05,
                forced=Forced.IN_TRADES,
            ),
        )

    def hear(self, path: str, text: str, stock: Stock) -> Said:
        """Spot answers each symbol by itself, futures a whole request."""
        request = read(text)
        return _futures(request, stock) if path == FUTURES_WS else _spot(request, stock)

    def trades(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """All in one frame of spot's, one a frame of the futures'."""
        symbol = market.instrument.symbol
        if market.instrument.kind is MarketKind.SPOT:
            return [_spot_frame(symbol, rows)]
        return [json_text({"feed": "trade"} | _future(symbol, row)) for row in rows]

    def replay(self, market: Echo, stock: Stock) -> list[Frame]:
        """Futures begin with a snapshot; spot was asked for none."""
        if market.instrument.kind is MarketKind.SPOT:
            return []
        symbol = market.instrument.symbol
        rows = [{"feed": "trade"} | _future(symbol, row) for row in stock.newest(market, SNAPSHOT)]
        return [json_text({"feed": "trade_snapshot", "product_id": symbol, "trades": rows})]

    def heartbeat(self, path: str, topics: frozenset[str], now_ms: int) -> list[Frame]:
        """Spot's, once anything is heard."""
        return ['{"channel":"heartbeat"}'] if path == SPOT_WS and topics else []

    def answer(self, ask: Ask, stock: Stock) -> Any:
        """Pairs and instruments, spot's trades from a time on, the futures' before one."""
        listed = [market.instrument for market in stock.markets.values()]
        if ask.path == "/0/public/AssetPairs":
            pairs = {_pair(i): {"wsname": _name(i), "status": "online"} for i in listed if _is_spot(i)}
            return {"error": [], "result": pairs}
        if ask.path == "/derivatives/api/v3/instruments":
            return {"result": "success", "instruments": [_listed(i) for i in listed if not _is_spot(i)]}
        if ask.path == "/0/public/Trades":
            return _since(ask, stock)
        if ask.path == "/derivatives/api/v3/history":
            return _history(ask, stock)
        return refuse(404, {"error": ["EGeneral:Unknown method"]})


def _is_spot(instrument: Instrument) -> bool:
    return instrument.kind is MarketKind.SPOT


def _name(instrument: Instrument) -> str:
    return instrument.market.partition(":")[2]


def _pair(instrument: Instrument) -> str:
    return _name(instrument).replace("/", "")


def _spot(request: Any, stock: Stock) -> Said:
    match request:
        case {"method": "ping"}:
            return Said((json_text({"method": "pong", "req_id": request.get("req_id", 0)}),))
        case {"method": "subscribe", "params": {"channel": "trade", "symbol": list() as symbols}}:
            number = request.get("req_id", 0)
            found = [(symbol, stock.find(str(symbol), _is_spot)) for symbol in symbols]
            frames = tuple(_spot_answer(symbol, number, market is not None) for symbol, market in found)
            return Said(frames, tuple(market.market for _, market in found if market))
    return Said((json_text({"error": "Malformed request", "success": False, "method": "subscribe"}),))


def _spot_answer(symbol: object, number: object, is_known: bool) -> str:
    body: dict[str, Any] = {"method": "subscribe", "req_id": number, "success": is_known}
    if is_known:
        return json_text(body | {"result": {"channel": "trade", "snapshot": False, "symbol": symbol}})
    return json_text(body | {"error": f"Currency pair not supported {symbol}", "symbol": symbol})


def _futures(request: Any, stock: Stock) -> Said:
    match request:
        case {"event": "subscribe", "feed": "trade", "product_ids": list() as symbols}:
            found = [stock.find(str(symbol)) for symbol in symbols]
            names = tuple(market.market for market in found if market)
            if len(names) < len(found):
                return Said((json_text({"event": "error", "message": "Invalid product id"}),))
            answer = {"event": "subscribed", "feed": "trade", "product_ids": symbols}
            return Said((json_text(answer),), names, names)
    return Said((json_text({"event": "error", "message": "Json Error"}),))


def _spot_frame(symbol: str, rows: Sequence[Row]) -> str:
    """Prices and sizes are numbers there, spelled as they are."""
    data = [
        {
            "symbol": symbol,
            "side": BUY_SELL[row.side],
            "price": msgspec.Raw(row.price.encode()),
            "qty": msgspec.Raw(row.size.encode()),
            "ord_type": "market",
            "trade_id": row.number,
            "timestamp": moment(row.at_ms),
        }
        for row in rows
    ]
    return json_text({"channel": "trade", "type": "update", "data": data})


def _future(symbol: str, row: Row) -> dict[str, Any]:
    return {
        "product_id": symbol,
        "uid": uuid_text(row.number),
        "side": BUY_SELL[row.side],
        "type": _kind(row),
        "seq": row.at_ms % 1_000_000_000,
        "time": row.at_ms,
        "qty": msgspec.Raw(row.size.encode()),
        "price": msgspec.Raw(row.price.encode()),
    }


def _kind(row: Row) -> str:
    return "liquidation" if is_forced(np.array([row.number]))[0] else "fill"


def _since(ask: Ask, stock: Stock) -> dict[str, Any]:
    """``since``: nanoseconds of the last trade that is known; the oldest ``count`` after it."""
    pair = ask.query.get("pair", "")
    names = [m for m in stock.markets.values() if _is_spot(m.instrument)]
    market = next(
        (m for m in names if pair in {_pair(m.instrument), _name(m.instrument), m.instrument.symbol}), None
    )
    if market is None:
        return {"error": ["EQuery:Unknown asset pair"]}
    past, count = stock.past(market), min(ask.number("count", PAGE), PAGE)
    since = ask.number("since", 0)
    inside = past.select(past.at_ms * 1_000_000 > since) if since else past.select(slice(-count, None))
    rows = spelled(market, inside.select(slice(0, count)))
    last = rows[-1].at_ms * 1_000_000 if rows else since
    trades = [[r.price, r.size, r.at_ms / 1000, BUY_SELL[r.side][0], "m", "", r.number] for r in rows]
    return {"error": [], "result": {_pair(market.instrument): trades, "last": str(last)}}


def _history(ask: Ask, stock: Stock) -> dict[str, Any]:
    """``lastTime``: the hundred trades before it, newest first."""
    market = stock.find(ask.query.get("symbol", ""))
    if market is None:
        return {"result": "error", "error": "symbol unknown"}
    past, text = stock.past(market), ask.query.get("lastTime")
    if text is not None:
        try:
            before_ms = datetime.fromisoformat(text).timestamp() * 1000
        except ValueError:
            return {"result": "error", "error": "lastTime unreadable"}
        past = past.select(past.at_ms < before_ms)
    rows = spelled(market, past.select(slice(max(len(past) - FUTURES_PAGE, 0), None)))[::-1]
    return {"result": "success", "history": [_past(row, number) for number, row in enumerate(rows)]}


def _past(row: Row, number: int) -> dict[str, Any]:
    return {
        "time": moment(row.at_ms).replace("000Z", "Z"),
        "trade_id": FUTURES_PAGE - number,
        "price": msgspec.Raw(row.price.encode()),
        "size": msgspec.Raw(row.size.encode()),
        "side": BUY_SELL[row.side],
        "type": _kind(row),
        "uid": uuid_text(row.number),
    }


def _listed(instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "type": "futures_inverse" if instrument.inverse else "flexible_futures",
        "tradeable": True,
        "contractSize": 1,
        "base": instrument.base,
        "quote": "USD",
    }


DIALECT = Kraken
