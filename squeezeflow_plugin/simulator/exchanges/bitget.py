"""Bitget v3 streams: spot, and perpetuals in USDT and coins. https://www.bitget.com/api-doc/uta/websocket

One path carries all kinds; ``instType`` tells them apart. A subscription begins with a ``snapshot`` of older
trades. REST's sizes of coin-margined perpetuals are base units in v2 and US dollars in v3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    read,
    refuse,
    spelled,
    spot,
)
from squeezeflow_plugin.simulator.echoes import Echo, Ids
from squeezeflow_plugin.simulator.profiles import AssetProfile
from squeezeflow_plugin.simulator.trades import MarketTrades

NAME = "BITGET"
SNAPSHOT = 50
COIN = "coin-futures"
PERPETUAL = {"symbolType": "perpetual", "symbolStatus": "normal"}
V2_MOST, V3_MOST = 1000, 100


class Bitget(Dialect):
    """The contract is in ``simulator/dialect.py``."""

    name = NAME
    sockets = ("/v3/ws/public",)

    def markets(self, asset: AssetProfile) -> tuple[Echo, ...]:
        """Spot and a perpetual in USDT, one in USDC, a coin-margined one in US dollars."""
        base, pair, price = asset.base, f"{asset.base}USDT", asset.spot.price_decimals
        coin = inverse(f"{NAME}:{base}USD", f"{base}USD_CM", base)
        return (
            Echo(spot(f"{NAME}:{pair}-SPOT", pair, base, "USDT"), price, 6, Ids.RISING, share=0.2),
            Echo(linear(f"{NAME}:{pair}", pair, base, "USDT"), price, 4, Ids.RISING, share=0.3),
            Echo(linear(f"{NAME}:{base}PERP", f"{base}PERP", base, "USDC"), price, 4, Ids.RISING, share=0.05),
            Echo(coin, price, 0, Ids.RISING, share=0.05),
        )

    def hear(self, path: str, text: str, stock: Stock) -> Said:
        """Each argument is answered by itself; a text ``ping`` by a text ``pong``."""
        if text == "ping":
            return Said(("pong",))
        request = read(text)
        if not isinstance(request, dict) or request.get("op") != "subscribe":
            return Said((_error(30003, "invalid op", {}),))
        frames: list[Frame] = []
        topics: list[str] = []
        replayed: list[str] = []
        for argument in request.get("args", []):
            match argument:
                case {"instType": str() as kind, "topic": "publicTrade", "symbol": str() as symbol}:
                    market = _market(stock, kind, symbol)
                    if market is None:
                        frames.append(_error(30001, f"{symbol} does not exist", argument))
                        continue
                    replayed.append(market.market)
                    topics.append(market.market)
                case {"instType": str() as kind, "topic": "liquidation"}:
                    topics.append(_forced_topic(kind))
                case _:
                    frames.append(_error(30001, "topic does not exist", argument))
                    continue
            frames.append(json_text({"event": "subscribe", "arg": argument}))
        return Said(tuple(frames), tuple(topics), tuple(replayed))

    def trades(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """``publicTrade``."""
        return [_push("update", market, rows, sent_ms)]

    def replay(self, market: Echo, stock: Stock) -> list[Frame]:
        """The last trades, newest first."""
        return [_push("snapshot", market, stock.newest(market, SNAPSHOT), stock.now_ms)]

    def liquidations(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """``liquidation`` of a whole type: the position's side, the amount in quote currency."""
        is_inverse = market.instrument.inverse
        data = [
            {
                "symbol": market.instrument.symbol,
                "side": BUY_SELL[-row.side],
                "price": row.price,
                "amount": row.size if is_inverse else repr(float(row.size) * float(row.price)),
                "ts": str(row.at_ms),
            }
            for row in rows
        ]
        argument = {"instType": _type(market.instrument), "topic": "liquidation"}
        return [json_text({"action": "update", "arg": argument, "data": data, "ts": sent_ms})]

    def liquidation_topic(self, market: Echo) -> str:
        return _forced_topic(_type(market.instrument))

    def answer(self, ask: Ask, stock: Stock) -> Any:
        """Symbols, contracts, and trades by id or time, newest first."""
        listed = [market.instrument for market in stock.markets.values()]
        kind = ask.query.get("productType", ask.query.get("category", "spot")).lower()
        match ask.path:
            case "/api/v2/spot/public/symbols":
                return _data([_symbol(each) for each in listed if _type(each) == "spot"])
            case "/api/v2/mix/market/contracts":
                return _data([_symbol(each) | PERPETUAL for each in listed if _type(each) == kind])
            case "/api/v2/spot/market/fills" | "/api/v2/spot/market/fills-history":
                return _v2(ask, stock, "spot")
            case "/api/v2/mix/market/fills" | "/api/v2/mix/market/fills-history":
                return _v2(ask, stock, kind)
            case "/api/v3/market/fills":
                return _v3(ask, stock, kind)
        return refuse(404, {"code": "40404", "msg": "Request URL NOT FOUND"})


def _type(instrument: Instrument) -> str:
    if instrument.kind is MarketKind.SPOT:
        return "spot"
    return COIN if instrument.inverse else f"{instrument.settle.lower()}-futures"


def _market(stock: Stock, kind: str, symbol: str) -> Echo | None:
    """By the symbol with or without the ending of coin-margined ones, which only v3 has."""
    known = stock.find(symbol, lambda each: _type(each) == kind)
    if known is None and kind == COIN:
        return stock.find(f"{symbol}_CM", lambda each: _type(each) == kind)
    return known


def _forced_topic(kind: str) -> str:
    return f"liquidations of {kind}"


def _push(action: str, market: Echo, rows: Sequence[Row], sent_ms: int) -> str:
    argument = {
        "instType": _type(market.instrument),
        "topic": "publicTrade",
        "symbol": market.instrument.symbol,
    }
    data = [
        {
            "i": str(row.number),
            "L": str(row.number + 1),
            "p": row.price,
            "v": row.size,
            "S": BUY_SELL[row.side],
            "T": str(row.at_ms),
            "isRPI": "no",
        }
        for row in rows
    ]
    return json_text({"action": action, "arg": argument, "data": data, "ts": sent_ms})


def _chosen(ask: Ask, stock: Stock, kind: str, most: int) -> tuple[Echo, list[Row]]:
    market = _market(stock, kind, ask.query.get("symbol", ""))
    if market is None:
        return refuse(400, {"code": "40034", "msg": "Parameter does not exist"})
    trades: MarketTrades = stock.between(market, -1, ask.number("idLessThan", 2**63 - 1))
    first, last = ask.number("startTime", 0), ask.number("endTime", 2**50)
    low, high = np.searchsorted(trades.at_ms, (first, last + 1))
    trades = trades.select(slice(int(low), int(high)))
    count = min(ask.number("limit", most), most)
    return market, spelled(market, trades.select(slice(max(len(trades) - count, 0), None)))[::-1]


def _v2(ask: Ask, stock: Stock, kind: str) -> dict[str, Any]:
    market, rows = _chosen(ask, stock, kind, V2_MOST)
    is_inverse = market.instrument.inverse
    return _data(
        [
            {
                "symbol": ask.query.get("symbol", ""),
                "tradeId": str(row.number),
                "side": BUY_SELL[row.side],
                "price": row.price,
                "size": repr(float(row.size) / float(row.price)) if is_inverse else row.size,
                "ts": str(row.at_ms),
            }
            for row in rows
        ]
    )


def _v3(ask: Ask, stock: Stock, kind: str) -> dict[str, Any]:
    _, rows = _chosen(ask, stock, kind, V3_MOST)
    return _data(
        [
            {
                "execId": str(row.number),
                "execLinkId": str(row.number + 1),
                "price": row.price,
                "size": row.size,
                "side": BUY_SELL[row.side],
                "ts": str(row.at_ms),
                "isRPI": "no",
            }
            for row in rows
        ]
    )


def _symbol(instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol.removesuffix("_CM"),
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "status": "online",
    }


def _data(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"code": "00000", "msg": "success", "data": entries}


def _error(code: int, message: str, argument: Any) -> str:
    return json_text({"event": "error", "arg": argument, "code": str(code), "msg": message})


DIALECT = Bitget
