"""HTX: spot, linear and inverse perpetuals. https://www.htx.com/en-us/opend/newApiPages/

Every frame is gzipped. The first one after a subscription is the market's last trade again. The server
pings by frames of its own; amounts of perpetuals are contracts.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Any

import msgspec

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
    spot,
)
from squeezeflow_plugin.simulator.echoes import Echo, Ids
from squeezeflow_plugin.simulator.profiles import AssetProfile

NAME = "HUOBI"
CONTRACT_SIZES = {"BTC": 0.001, "ETH": 0.01}
SPOT_WS, LINEAR_WS, INVERSE_WS = "/ws", "/linear-swap-ws", "/swap-ws"
LINEAR_NOTICES, INVERSE_NOTICES = "/linear-swap-notification", "/swap-notification"
NOTICES = (LINEAR_NOTICES, INVERSE_NOTICES)
MOST = 2000


class Htx(Dialect):
    """The contract is in ``simulator/dialect.py``."""

    name = NAME
    sockets = (SPOT_WS, LINEAR_WS, INVERSE_WS, *NOTICES)
    heartbeat_s = 5.0

    def markets(self, asset: AssetProfile) -> tuple[Echo, ...]:
        """Spot and a perpetual in USDT, an inverse one of 100 or 10 dollars."""
        base, price = asset.base, asset.spot.price_decimals
        pair, swap, coin = f"{base}USDT".lower(), f"{base}-USDT", f"{base}-USD"
        size, dollars = CONTRACT_SIZES.get(base, 1.0), 100.0 if base == "BTC" else 10.0
        return (
            Echo(spot(f"{NAME}:{pair}", pair, base, "USDT"), price, 6, Ids.RISING, share=0.15),
            Echo(linear(f"{NAME}:{swap}", swap, base, "USDT", size), price, 0, Ids.RISING, share=0.15),
            Echo(inverse(f"{NAME}:{coin}", coin, base, dollars), price, 0, Ids.RISING, share=0.05),
        )

    def hear(self, path: str, text: str, stock: Stock) -> Said:
        """``sub`` and pongs; the liquidations speak with ``op``."""
        match request := read(text):
            case {"pong": _} | {"op": "pong"}:
                return Said()
            case {"op": "sub", "topic": str() as topic} if path in NOTICES:
                answer = {"op": "sub", "cid": request.get("cid", ""), "topic": topic, "err-code": 0}
                return Said((_packed(answer | {"ts": stock.now_ms}),), (_forced_topic(path),))
            case {"sub": str() as channel}:
                market = stock.find(_symbol(channel), lambda each: _path(each) == path)
                answer = {"id": request.get("id", ""), "ts": stock.now_ms}
                if market is None:
                    reason = {"err-code": "bad-request", "err-msg": f"invalid symbol {_symbol(channel)}"}
                    return Said((_packed({"status": "error"} | answer | reason),))
                frame = _packed(answer | {"status": "ok", "subbed": channel})
                return Said((frame,), (market.market,), (market.market,))
        reason = {"err-code": "bad-request", "err-msg": "invalid command"}
        return Said((_packed({"status": "error", "ts": stock.now_ms} | reason),))

    def trades(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """``trade.detail``."""
        return [_push(market, rows, sent_ms)]

    def replay(self, market: Echo, stock: Stock) -> list[Frame]:
        """The last trade."""
        last = stock.newest(market, 1)
        return [_push(market, last, stock.now_ms)] if last else []

    def liquidations(self, market: Echo, rows: Sequence[Row], sent_ms: int) -> list[Frame]:
        """``liquidation_orders``: the direction is the forced order's, the volume in contracts."""
        instrument = market.instrument
        data = [
            {
                "symbol": instrument.base,
                "contract_code": instrument.symbol,
                "direction": BUY_SELL[row.side],
                "offset": "close",
                "volume": msgspec.Raw(row.size.encode()),
                "price": msgspec.Raw(row.price.encode()),
                "created_at": row.at_ms,
                "amount": _base_units(instrument, row),
            }
            for row in rows
        ]
        topic = f"public.{instrument.symbol}.liquidation_orders"
        return [_packed({"op": "notify", "topic": topic, "ts": sent_ms, "data": data})]

    def liquidation_topic(self, market: Echo) -> str:
        return _forced_topic(INVERSE_NOTICES if market.instrument.inverse else LINEAR_NOTICES)

    def heartbeat(self, path: str, topics: frozenset[str], now_ms: int) -> list[Frame]:
        """A ping that wants its answer."""
        if path in NOTICES:
            return [_packed({"op": "ping", "ts": str(now_ms)})]
        return [_packed({"ping": now_ms})]

    def answer(self, ask: Ask, stock: Stock) -> Any:
        """Symbols, contracts, and the newest trades."""
        listed = [market.instrument for market in stock.markets.values()]
        match ask.path:
            case "/v1/common/symbols":
                return _ok([_spot_symbol(each) for each in listed if _path(each) == SPOT_WS])
            case "/linear-swap-api/v1/swap_contract_info":
                return _ok([_contract(each) for each in listed if _path(each) == LINEAR_WS])
            case "/swap-api/v1/swap_contract_info":
                return _ok([_contract(each) for each in listed if _path(each) == INVERSE_WS])
            case "/market/history/trade":
                return _newest(ask, stock, ask.query.get("symbol", ""))
            case "/linear-swap-ex/market/history/trade" | "/swap-ex/market/history/trade":
                return _newest(ask, stock, ask.query.get("contract_code", ""))
        return refuse(404, {"status": "error", "err-msg": "not found"})


def _path(instrument: Instrument) -> str:
    if instrument.kind is MarketKind.SPOT:
        return SPOT_WS
    return INVERSE_WS if instrument.inverse else LINEAR_WS


def _symbol(channel: str) -> str:
    return channel.removeprefix("market.").removesuffix(".trade.detail")


def _forced_topic(path: str) -> str:
    return f"liquidations on {path}"


def _base_units(instrument: Instrument, row: Row) -> float:
    units = float(row.size) * instrument.contract_size
    return units / float(row.price) if instrument.inverse else units


def _detail(instrument: Instrument, row: Row) -> dict[str, Any]:
    trade = {
        "amount": msgspec.Raw(row.size.encode()),
        "ts": row.at_ms,
        "price": msgspec.Raw(row.price.encode()),
        "direction": BUY_SELL[row.side],
    }
    if instrument.kind is MarketKind.SPOT:
        entry = msgspec.Raw(f"1{row.number}".encode())
        return {"id": entry, "tradeId": row.number} | trade
    return {"id": row.number, "quantity": _base_units(instrument, row)} | trade


def _tick(instrument: Instrument, rows: Sequence[Row]) -> dict[str, Any]:
    return {"id": rows[-1].at_ms, "ts": rows[-1].at_ms, "data": [_detail(instrument, row) for row in rows]}


def _push(market: Echo, rows: Sequence[Row], sent_ms: int) -> bytes:
    channel = f"market.{market.instrument.symbol}.trade.detail"
    return _packed({"ch": channel, "ts": sent_ms, "tick": _tick(market.instrument, rows)})


def _newest(ask: Ask, stock: Stock, symbol: str) -> dict[str, Any]:
    market = stock.find(symbol)
    if market is None:
        return {"status": "error", "err-code": "invalid-parameter", "err-msg": "invalid symbol"}
    rows = stock.newest(market, min(ask.number("size", 1), MOST))
    channel = f"market.{symbol}.trade.detail"
    ticks = [_tick(market.instrument, [row]) for row in rows]
    return {"ch": channel, "status": "ok", "ts": stock.now_ms, "data": ticks}


def _spot_symbol(instrument: Instrument) -> dict[str, str]:
    return {
        "symbol": instrument.symbol,
        "base-currency": instrument.base.lower(),
        "quote-currency": instrument.quote.lower(),
        "state": "online",
    }


def _contract(instrument: Instrument) -> dict[str, Any]:
    return {
        "symbol": instrument.base,
        "contract_code": instrument.symbol,
        "contract_size": instrument.contract_size,
        "contract_status": 1,
    }


def _ok(entries: list[Any]) -> dict[str, Any]:
    return {"status": "ok", "data": entries}


def _packed(document: dict[str, Any]) -> bytes:
    return gzip.compress(json_text(document).encode(), compresslevel=1, mtime=0)


DIALECT = Htx
