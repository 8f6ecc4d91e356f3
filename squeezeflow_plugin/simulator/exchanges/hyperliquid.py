"""Hyperliquid: perpetuals and spot. https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api

A block's trades come in one frame. A subscription begins with a frame of older trades that nothing marks.
Ids are hashes. REST shows the newest ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from squeezeflow_plugin.market import MarketKind
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
from squeezeflow_plugin.simulator.echoes import Echo, Forced, Ids
from squeezeflow_plugin.simulator.profiles import AssetProfile

NAME = "HYPERLIQUID"
SIDES = {1: "B", -1: "A"}
REPLAYED = 10
USERS = ["0x0000000000000000000000000000000000000001", "0x0000000000000000000000000000000000000002"]


class Hyperliquid(Dialect):
    """The contract is in ``simulator/dialect.py``."""

    name = NAME
    sockets = ("/ws",)

    def markets(self, asset: AssetProfile) -> tuple[Echo, ...]:
        """A perpetual, and spot by the number of its pair."""
        base, price = asset.base, asset.spot.price_decimals
        pair = f"@{100 + asset.key % 900}"
        return (
            Echo(
                linear(f"{NAME}:{base}", base, base, "USDC"), price, 5, Ids.HASH, 0.25, forced=Forced.UNTOLD
            ),
            Echo(spot(f"{NAME}:{pair}", pair, base, "USDC"), price, 5, Ids.HASH, share=0.1),
        )

    def hear(self, path: str, text: str, stock: Stock) -> Said:
        """A subscription to one coin, or a ping."""
        match read(text):
            case {"method": "ping"}:
                return Said(('{"channel":"pong"}',))
            case {"method": "subscribe", "subscription": {"type": "trades", "coin": str() as coin} as asked}:
                market = stock.find(coin)
                if market is None:
                    return Said((_error(f"Invalid subscription {json_text(asked)}"),))
                data = {"method": "subscribe", "subscription": asked}
                answer = json_text({"channel": "subscriptionResponse", "data": data})
                return Said((answer,), (market.market,), (market.market,))
        return Said((_error(f"Error parsing JSON into valid websocket request: {text[:80]}"),))

    def trades(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """``trades``."""
        data = [_trade(market.instrument.symbol, row) for row in rows]
        return [json_text({"channel": "trades", "data": data})]

    def replay(self, market: Echo, stock: Stock) -> list[Frame]:
        """The last trades, newest first as they come."""
        rows = stock.newest(market, REPLAYED)
        return self.trades(market, rows, stock.now_ms) if rows else []

    def answer(self, ask: Ask, stock: Stock) -> Any:
        """``/info``: what there is, and the newest trades of a coin."""
        if ask.path != "/info":
            return refuse(404, "not found")
        match ask.body:
            case {"type": "meta"}:
                perps = [m for m in stock.markets.values() if m.instrument.kind is MarketKind.PERP]
                return {"universe": [{"name": m.instrument.symbol, "szDecimals": 5} for m in perps]}
            case {"type": "spotMeta"}:
                return _spot_meta(stock)
            case {"type": "recentTrades", "coin": str() as coin}:
                market = stock.find(coin)
                return [] if market is None else [_trade(coin, r) for r in stock.newest(market, REPLAYED)]
        return refuse(422, "Failed to deserialize the JSON body into the target type")


def _spot_meta(stock: Stock) -> dict[str, Any]:
    pairs = [m.instrument for m in stock.markets.values() if m.instrument.kind is MarketKind.SPOT]
    tokens = [{"name": "USDC", "index": 0}]
    tokens += [{"name": pair.base, "index": n} for n, pair in enumerate(pairs, 1)]
    universe = [{"name": pair.symbol, "tokens": [n, 0], "index": n} for n, pair in enumerate(pairs, 1)]
    return {"tokens": tokens, "universe": universe}


def _trade(coin: str, row: Row) -> dict[str, Any]:
    return {
        "coin": coin,
        "side": SIDES[row.side],
        "px": row.price,
        "sz": row.size,
        "time": row.at_ms,
        "hash": f"0x{row.number:064x}",
        "tid": row.number,
        "users": USERS,
    }


def _error(reason: str) -> str:
    return json_text({"channel": "error", "data": reason})


DIALECT = Hyperliquid
