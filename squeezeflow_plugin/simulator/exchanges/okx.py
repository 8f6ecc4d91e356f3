"""OKX v5: spot and swaps. https://www.okx.com/docs-v5/en/#order-book-trading-market-data

The ``trades`` channel sums fills of one taker order at one price and says their ``count`` and the last
one's id; REST shows every fill by itself. Ids follow each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
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
from squeezeflow_plugin.simulator.trades import MarketTrades, decimal_text

NAME = "OKEX"
CONTRACT_SIZES = {"BTC": 0.01, "ETH": 0.1}
SWAP = {"instType": "SWAP"}
PAGE = 100


class Okx(Dialect):
    """The contract is in ``simulator/dialect.py``."""

    name = NAME
    sockets = ("/ws/v5/public",)

    def markets(self, asset: AssetProfile) -> tuple[Echo, ...]:
        """Spot and a linear swap in USDT, an inverse swap of 100 or 10 dollars."""
        base, price = asset.base, asset.spot.price_decimals
        dollars = 100.0 if base == "BTC" else 10.0
        size = CONTRACT_SIZES.get(base, 1.0)
        names = f"{base}-USDT", f"{base}-USDT-SWAP", f"{base}-USD-SWAP"
        return (
            Echo(spot(f"{NAME}:{names[0]}", names[0], base, "USDT"), price, 6, Ids.SEQUENCE),
            Echo(linear(f"{NAME}:{names[1]}", names[1], base, "USDT", size), price, 2, Ids.SEQUENCE, 0.4),
            Echo(inverse(f"{NAME}:{names[2]}", names[2], base, dollars), price, 0, Ids.SEQUENCE, 0.1),
        )

    def hear(self, path: str, text: str, stock: Stock) -> Said:
        """Each argument is answered by itself; a text ``ping`` by a text ``pong``."""
        if text == "ping":
            return Said(("pong",))
        request = read(text)
        if not isinstance(request, dict) or request.get("op") != "subscribe":
            return Said((_error(60012, f"Invalid request: {text[:80]}"),))
        frames: list[Frame] = []
        topics: list[str] = []
        for argument in request.get("args", []):
            heard = _topics(argument, stock)
            if heard is None:
                message = f"Wrong URL or {_named(argument)} doesn't exist. Please use the correct URL."
                frames.append(_error(60018, message))
                continue
            topics += heard
            frames.append(json_text({"event": "subscribe", "arg": argument, "connId": "simulated"}))
        return Said(tuple(frames), tuple(topics))

    def trades(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """One push for each taker order and price."""
        symbol = market.instrument.symbol
        breaks = [0, *(n for n, (a, b) in enumerate(pairwise(rows), 1) if not _is_one(a, b)), len(rows)]
        groups = [rows[start:stop] for start, stop in pairwise(breaks)]
        return [_push({"channel": "trades", "instId": symbol}, [_summed(market, each)]) for each in groups]

    def liquidations(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """``liquidation-orders``, for all swaps together."""
        symbol = market.instrument.symbol
        details = [
            {
                "bkLoss": "0",
                "bkPx": row.price,
                "ccy": "",
                "posSide": "long" if row.side < 0 else "short",
                "side": BUY_SELL[row.side],
                "sz": row.size,
                "ts": str(row.at_ms),
            }
            for row in rows
        ]
        family = symbol.removesuffix("-SWAP")
        entry = {"details": details, "instFamily": family, "instId": symbol, "uly": family} | SWAP
        return [_push({"channel": "liquidation-orders"} | SWAP, [entry])]

    def liquidation_topic(self, market: Echo) -> str:
        return "liquidations of SWAP"

    def answer(self, ask: Ask, stock: Stock) -> Any:
        """Instruments, and single fills, newest first."""
        if ask.path == "/api/v5/public/instruments":
            kind = ask.query.get("instType", "")
            return _data([_listed(m.instrument) for m in stock.markets.values() if _type(m) == kind])
        if ask.path not in {"/api/v5/market/trades", "/api/v5/market/history-trades"}:
            return refuse(404, {"code": "404", "data": [], "msg": "not found"})
        market = stock.find(ask.query.get("instId", ""))
        if market is None:
            return {"code": "51001", "data": [], "msg": "Instrument ID does not exist"}
        fills = stock.past(market)
        if ask.path.endswith("history-trades"):
            fills = _paged(fills, ask)
            count = min(ask.number("limit", PAGE), PAGE)
        else:
            count = min(ask.number("limit", PAGE), 500)
        symbol = market.instrument.symbol
        newest = spelled(market, fills.select(slice(max(len(fills) - count, 0), None)))[::-1]
        return _data([_fill(symbol, row) for row in newest])


def _paged(fills: MarketTrades, ask: Ask) -> MarketTrades:
    """``type`` 1 pages by id, 2 by time; ``after`` asks for what is older, ``before`` for what is newer."""
    by_time = ask.query.get("type", "1") == "2"
    keys = fills.at_ms if by_time else fills.ids
    inside = np.ones(len(fills), np.bool_)
    if "after" in ask.query:
        inside &= keys < ask.number("after", 0)
    if "before" in ask.query and not by_time:
        inside &= keys > ask.number("before", 0)
    return fills.select(inside)


def _topics(argument: Any, stock: Stock) -> list[str] | None:
    match argument:
        case {"channel": "trades", "instId": str() as symbol}:
            market = stock.find(symbol)
            return None if market is None else [market.market]
        case {"channel": "liquidation-orders", "instType": str() as kind}:
            return [f"liquidations of {kind}"]
    return None


def _named(argument: Any) -> str:
    return ",".join(f"{k}:{v}" for k, v in argument.items()) if isinstance(argument, dict) else str(argument)


def _is_one(before: Row, after: Row) -> bool:
    """Whether two fills are of one taker order at one price."""
    return (before.at_ms, before.price, before.side, before.number + 1) == (
        after.at_ms,
        after.price,
        after.side,
        after.number,
    )


def _summed(market: Echo, rows: Sequence[Row]) -> dict[str, str]:
    lots = sum(round(float(row.size) * market.size_scale) for row in rows)
    fill = _fill(market.instrument.symbol, rows[-1])
    return fill | {"sz": decimal_text(lots, market.size_scale), "count": str(len(rows))}


def _fill(symbol: str, row: Row) -> dict[str, str]:
    return {
        "instId": symbol,
        "tradeId": str(row.number),
        "px": row.price,
        "sz": row.size,
        "side": BUY_SELL[row.side],
        "ts": str(row.at_ms),
    }


def _type(market: Echo) -> str:
    return "SPOT" if market.instrument.kind is MarketKind.SPOT else "SWAP"


def _listed(instrument: Instrument) -> dict[str, str]:
    entry = {"instId": instrument.symbol, "state": "live"}
    if instrument.kind is MarketKind.SPOT:
        return entry | {"instType": "SPOT", "baseCcy": instrument.base, "quoteCcy": instrument.quote}
    return entry | {
        "instType": "SWAP",
        "settleCcy": instrument.settle,
        "ctType": "inverse" if instrument.inverse else "linear",
        "ctVal": f"{instrument.contract_size:g}",
        "ctMult": "1",
        "uly": f"{instrument.base}-{instrument.quote}",
    }


def _push(argument: dict[str, str], data: list[Any]) -> str:
    return json_text({"arg": argument, "data": data})


def _data(entries: list[dict[str, str]]) -> dict[str, Any]:
    return {"code": "0", "data": entries, "msg": ""}


def _error(code: int, message: str) -> str:
    return json_text({"event": "error", "code": str(code), "msg": message, "connId": "simulated"})


DIALECT = Okx
