"""Bybit v5: spot, linear and inverse. https://bybit-exchange.github.io/docs/v5/websocket/public/trade and
https://bybit-exchange.github.io/docs/v5/market/recent-trade

The trades of a moment come in one frame; REST shows the newest 60 (spot) or 1,000 and no older ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.simulator.dialect import (
    Ask,
    Dialect,
    Frame,
    Row,
    Said,
    Stock,
    inverse,
    json_text,
    linear,
    read,
    refuse,
    spot,
)
from squeezeflow_plugin.simulator.echoes import Echo, Ids, uuid_text
from squeezeflow_plugin.simulator.profiles import AssetProfile

NAME = "BYBIT"
SIDES = {1: "Buy", -1: "Sell"}
MOST = {"spot": 60}
STATUS = {"status": "Trading"}


class Bybit(Dialect):
    """The contract is in ``simulator/dialect.py``."""

    name = NAME
    sockets = ("/v5/public/spot", "/v5/public/linear", "/v5/public/inverse")

    def markets(self, asset: AssetProfile) -> tuple[Echo, ...]:
        """Spot and linear in USDT, inverse in US dollars."""
        base, pair = asset.base, f"{asset.base}USDT"
        price = asset.spot.price_decimals
        return (
            Echo(spot(f"{NAME}:{pair}-SPOT", pair, base, "USDT"), price, 6, Ids.RISING),
            Echo(linear(f"{NAME}:{pair}", pair, base, "USDT"), price, 3, Ids.UUID, share=0.4),
            Echo(inverse(f"{NAME}:{base}USD", f"{base}USD", base), price, 0, Ids.UUID, share=0.1),
        )

    def hear(self, path: str, text: str, stock: Stock) -> Said:
        """``op`` subscribe and ping; one unknown topic refuses the whole request."""
        request = read(text)
        if not isinstance(request, dict):
            return Said((_answer(False, "error:json parse", "", ""),))
        number = str(request.get("req_id", ""))
        if request.get("op") == "ping":
            return Said((_answer(True, "pong", number, "ping"),))
        topics = []
        for topic in request.get("args", []):
            channel, _, symbol = str(topic).partition(".")
            market = stock.find(symbol, lambda each: _category(each) == path.rpartition("/")[2])
            if market is None or channel not in {"publicTrade", "allLiquidation"}:
                return Said((_answer(False, f"error:handler not found,topic:{topic}", number, "subscribe"),))
            topics.append(market.market if channel == "publicTrade" else self.liquidation_topic(market))
        return Said((_answer(True, "", number, "subscribe"),), tuple(topics))

    def trades(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """``publicTrade``; contracts tell the tick direction, spot does not."""
        symbol = market.instrument.symbol
        is_spot = market.instrument.kind is MarketKind.SPOT
        data = [_trade(symbol, row, is_spot) for row in rows]
        return [_push(f"publicTrade.{symbol}", data, sent_ms)]

    def liquidations(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """``allLiquidation`` names the side of the position."""
        symbol = market.instrument.symbol
        data = [
            {"T": row.at_ms, "s": symbol, "S": SIDES[-row.side], "v": row.size, "p": row.price}
            for row in rows
        ]
        return [_push(f"allLiquidation.{symbol}", data, sent_ms)]

    def answer(self, ask: Ask, stock: Stock) -> Any:
        """Instruments, and the newest trades."""
        category = ask.query.get("category", "")
        if ask.path == "/v5/market/instruments-info":
            fitting = [m.instrument for m in stock.markets.values() if _category(m.instrument) == category]
            return _result(category, [_listed(each) for each in fitting])
        if ask.path == "/v5/market/recent-trade":
            symbol = ask.query.get("symbol", "")
            market = stock.find(symbol, lambda each: _category(each) == category)
            if market is None:
                return {"retCode": 10001, "retMsg": "params error: symbol invalid", "result": {}}
            most = MOST.get(category, 1000)
            rows = stock.newest(market, min(ask.number("limit", 60 if category == "spot" else 500), most))
            return _result(category, [_recent(symbol, row, category == "spot") for row in rows])
        return refuse(404, {"retCode": 404, "retMsg": "not found"})


def _category(instrument: Instrument) -> str:
    if instrument.kind is MarketKind.SPOT:
        return "spot"
    return "inverse" if instrument.inverse else "linear"


def _id(row: Row, is_spot: bool) -> str:
    return str(row.number) if is_spot else uuid_text(row.number)


def _trade(symbol: str, row: Row, is_spot: bool) -> dict[str, Any]:
    trade: dict[str, Any] = {"T": row.at_ms, "s": symbol, "S": SIDES[row.side], "v": row.size, "p": row.price}
    if not is_spot:
        trade["L"] = "ZeroPlusTick"
    return trade | {"i": _id(row, is_spot), "BT": False, "RPI": False}


def _recent(symbol: str, row: Row, is_spot: bool) -> dict[str, Any]:
    return {
        "execId": _id(row, is_spot),
        "symbol": symbol,
        "price": row.price,
        "size": row.size,
        "side": SIDES[row.side],
        "time": str(row.at_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
    }


def _listed(instrument: Instrument) -> dict[str, Any]:
    entry = {"symbol": instrument.symbol, "baseCoin": instrument.base, "quoteCoin": instrument.quote} | STATUS
    if instrument.kind is MarketKind.SPOT:
        return entry
    kind = "InversePerpetual" if instrument.inverse else "LinearPerpetual"
    filters = {"lotSizeFilter": {"minOrderQty": "1", "qtyStep": "1"}} if instrument.inverse else {}
    return entry | {"settleCoin": instrument.settle, "contractType": kind} | filters


def _push(topic: str, data: list[dict[str, Any]], sent_ms: int) -> str:
    return json_text({"topic": topic, "type": "snapshot", "ts": sent_ms, "data": data})


def _answer(is_good: bool, message: str, number: str, operation: str) -> str:
    body = {"success": is_good, "ret_msg": message, "conn_id": "simulated", "req_id": number}
    return json_text(body | {"op": operation})


def _result(category: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": {"category": category, "list": entries}}


DIALECT = Bybit
