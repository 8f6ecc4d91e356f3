"""Coinbase: spot of Coinbase Exchange, perpetuals of International through Advanced Trade.

https://docs.cdp.coinbase.com/exchange/websocket-feed/channels and
https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket. Both streams stand on one path
here, as both have the root for theirs; what is asked tells them apart. ``side`` is the maker's everywhere.
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
    json_text,
    linear,
    moment,
    read,
    refuse,
    spelled,
    spot,
)
from squeezeflow_plugin.simulator.echoes import Echo, Forced, Ids
from squeezeflow_plugin.simulator.profiles import AssetProfile

NAME = "COINBASE"
PERP = "-PERP-INTX"
MAKER = {1: "sell", -1: "buy"}
HEARTBEATS = "heartbeats"
SNAPSHOT = 50


class Coinbase(Dialect):
    """The contract is in ``simulator/dialect.py``."""

    name = NAME
    sockets = ("/",)
    heartbeat_s = 1.0

    def markets(self, asset: AssetProfile) -> tuple[Echo, ...]:
        """Spot in US dollars, a perpetual in USDC."""
        base, price = asset.base, asset.spot.price_decimals
        pair, perp = f"{base}-USD", f"{base}{PERP}"
        return (
            Echo(spot(f"{NAME}:{pair}", pair, base, "USD"), price, 8, Ids.SEQUENCE),
            Echo(
                linear(f"{NAME}:{perp}", perp, base, "USDC"), price, 4, Ids.RISING, 0.1, forced=Forced.UNTOLD
            ),
        )

    def hear(self, path: str, text: str, stock: Stock) -> Said:
        """``channels`` is Exchange's way of asking, ``channel`` Advanced Trade's."""
        match read(text):
            case {"type": "subscribe", "channels": list() as channels}:
                return _exchange(channels, stock)
            case {"type": "subscribe", "channel": "heartbeats"}:
                return Said((_subscriptions(stock, {HEARTBEATS: [HEARTBEATS]}),), (HEARTBEATS,))
            case {"type": "subscribe", "channel": "market_trades", "product_ids": list() as symbols}:
                found = [market for symbol in symbols if (market := stock.find(str(symbol)))]
                answer = _subscriptions(stock, {"market_trades": [m.instrument.symbol for m in found]})
                names = tuple(market.market for market in found)
                return Said((answer,), names, names)
        return Said((_error("Failed to subscribe", "malformed JSON"),))

    def trades(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """One ``match`` a frame, or one ``market_trades`` for all."""
        if market.instrument.kind is MarketKind.SPOT:
            return [json_text(_match("match", market.instrument.symbol, row)) for row in rows]
        return [_market_trades("update", market, rows, sent_ms)]

    def replay(self, market: Echo, stock: Stock) -> list[Frame]:
        """``last_match``, or a ``snapshot`` of the last trades."""
        if market.instrument.kind is MarketKind.SPOT:
            last = stock.newest(market, 1)
            return [json_text(_match("last_match", market.instrument.symbol, row)) for row in last]
        return [_market_trades("snapshot", market, stock.newest(market, SNAPSHOT), stock.now_ms)]

    def heartbeat(self, path: str, topics: frozenset[str], now_ms: int) -> list[Frame]:
        """Advanced Trade's, where it was asked for."""
        if HEARTBEATS not in topics:
            return []
        event = {"current_time": moment(now_ms), "heartbeat_counter": now_ms // 1000}
        return [_advanced(HEARTBEATS, [event], now_ms)]

    def answer(self, ask: Ask, stock: Stock) -> Any:
        """Products of both, and trades of both, newest first."""
        match ask.path.split("/"):
            case ["", "products"]:
                return [_product(m.instrument) for m in stock.markets.values() if _is_spot(m.instrument)]
            case ["", "products", symbol, "trades"]:
                return _pages(ask, stock, _known(stock, symbol))
            case ["", "api", "v3", "brokerage", "market", "products"]:
                perps = [m.instrument for m in stock.markets.values() if not _is_spot(m.instrument)]
                return {"products": [_perpetual(each) for each in perps]}
            case ["", "api", "v3", "brokerage", "market", "products", symbol, "ticker"]:
                return _ticker(ask, stock, _known(stock, symbol))
        return refuse(404, {"message": "NotFound"})


def _is_spot(instrument: Instrument) -> bool:
    return instrument.kind is MarketKind.SPOT


def _known(stock: Stock, symbol: str) -> Echo:
    market = stock.find(symbol)
    return refuse(404, {"message": "NotFound"}) if market is None else market


def _exchange(channels: list[Any], stock: Stock) -> Said:
    names: list[str] = []
    answered: list[dict[str, Any]] = []
    for channel in channels:
        match channel:
            case {"name": "matches", "product_ids": list() as symbols}:
                for symbol in symbols:
                    market = stock.find(str(symbol), _is_spot)
                    if market is None:
                        return Said((_error("Failed to subscribe", f"{symbol} is not a valid product"),))
                    names.append(market.market)
                answered.append({"name": "matches", "product_ids": symbols, "account_ids": None})
            case _:
                return Said((_error("Failed to subscribe", f"{channel} is not a valid channel"),))
    frame = json_text({"type": "subscriptions", "channels": answered})
    return Said((frame,), tuple(names), tuple(names))


def _match(kind: str, symbol: str, row: Row) -> dict[str, Any]:
    return {
        "type": kind,
        "trade_id": row.number,
        "maker_order_id": f"maker-{row.number}",
        "taker_order_id": f"taker-{row.at_ms}",
        "side": MAKER[row.side],
        "size": row.size,
        "price": row.price,
        "product_id": symbol,
        "sequence": row.number * 3,
        "time": moment(row.at_ms),
    }


def _market_trades(kind: str, market: Echo, rows: Sequence[Row], sent_ms: int) -> str:
    trades = [_advanced_trade(market.instrument.symbol, row) for row in rows]
    return _advanced("market_trades", [{"type": kind, "trades": trades}], sent_ms)


def _advanced_trade(symbol: str, row: Row) -> dict[str, str]:
    return {
        "trade_id": str(row.number),
        "product_id": symbol,
        "price": row.price,
        "size": row.size,
        "side": MAKER[row.side].upper(),
        "time": moment(row.at_ms),
    }


def _pages(ask: Ask, stock: Stock, market: Echo) -> list[dict[str, Any]]:
    """``after`` asks for what is older than an id, ``before`` for what is newer."""
    below = ask.number("after", 2**62)
    trades = stock.between(market, ask.number("before", -1), below)
    count = min(ask.number("limit", 100), 1000)
    rows = spelled(market, trades.select(slice(max(len(trades) - count, 0), None)))[::-1]
    return [
        {
            "trade_id": row.number,
            "side": MAKER[row.side],
            "size": row.size,
            "price": row.price,
            "time": moment(row.at_ms),
        }
        for row in rows
    ]


def _ticker(ask: Ask, stock: Stock, market: Echo) -> dict[str, Any]:
    """From ``start`` to ``end`` in epoch seconds, the newest ``limit`` of them."""
    past = stock.past(market)
    start, end = ask.number("start", 0), ask.number("end", 2**40)
    inside = past.select((past.at_ms >= start * 1000) & (past.at_ms < (end + 1) * 1000))
    count = min(ask.number("limit", 100), 1000)
    rows = spelled(market, inside.select(slice(max(len(inside) - count, 0), None)))[::-1]
    return {"trades": [_advanced_trade(market.instrument.symbol, row) for row in rows]}


def _product(instrument: Instrument) -> dict[str, Any]:
    return {
        "id": instrument.symbol,
        "base_currency": instrument.base,
        "quote_currency": instrument.quote,
        "status": "online",
        "trading_disabled": False,
    }


def _perpetual(instrument: Instrument) -> dict[str, Any]:
    return {
        "product_id": instrument.symbol,
        "quote_currency_id": instrument.quote,
        "future_product_details": {"contract_root_unit": instrument.base},
        "trading_disabled": False,
        "is_disabled": False,
    }


def _subscriptions(stock: Stock, channels: dict[str, list[str]]) -> str:
    return _advanced("subscriptions", [{"subscriptions": channels}], stock.now_ms)


def _advanced(channel: str, events: list[Any], now_ms: int) -> str:
    head = {"channel": channel, "client_id": "", "timestamp": moment(now_ms), "sequence_num": 0}
    return json_text(head | {"events": events})


def _error(message: str, reason: str) -> str:
    return json_text({"type": "error", "message": message, "reason": reason})


DIALECT = Coinbase
