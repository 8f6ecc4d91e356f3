"""Bitget's unified streams (v3): spot, and perpetuals in USDT, USDC and coins.

https://www.bitget.com/api-doc/uta/websocket/public/New-Trades-Channel. ``S`` is the taker's side. Sizes are
base units, of coin-margined perpetuals US dollars. What a subscription begins with, the ``snapshot``, are
older trades:

>>> frame = (
...     '{"action":"update","arg":{"instType":"spot","topic":"publicTrade","symbol":"BTCUSDT"},"data":['
...     '{"i":"7","p":"80000","v":"0.5","S":"sell","T":"1767225600123","isRPI":"no"}],"ts":1767225600125}'
... )
>>> (trade,) = Bitget().parse(frame, 0).trades
>>> trade.market, trade.quote, trade.side
('BITGET:BTCUSDT-SPOT', 40000.0, -1)

On the wire all kinds share symbols and one URL, so a frame's ``instType`` is part of what it is about, and
coin-margined symbols end with ``_CM``. The former streams (v2), which other programs still use, are read as
well; they count coin-margined sizes in base units. Liquidations come for a whole type at once, the side being
the position's and the amount in quote currency.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.naming import split_pair
from squeezeflow_plugin.feeds.reading import UNREADABLE, Milliseconds, Symbol, json_object
from squeezeflow_plugin.feeds.session import (
    BUY,
    SELL,
    Adapter,
    Amount,
    Market,
    Markets,
    Session,
    Text,
    answer,
    as_replayed,
    chunks,
    listed,
    made_id,
    merged,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "BITGET"
REST_URL = "https://api.bitget.com"
WS_URL = "wss://ws.bitget.com"
SPOT_SYMBOLS = "/api/v2/spot/public/symbols"
CONTRACTS = "/api/v2/mix/market/contracts"
PUBLIC = "/v3/ws/public"
SPOT = "-SPOT"
COIN = "_CM"
FUTURES = {"USDT": "usdt-futures", "USDC": "usdc-futures"}
"""Types of linear contracts by what they settle in."""
MARKETS_A_CONNECTION = 50
"""The documentation advises against more."""
MARKETS_A_FRAME = 25
CONTROL_INTERVAL_S = 0.2
"""Ten messages a second are allowed."""
PING_INTERVAL_S = 25.0
"""A connection that sent no ping for two minutes is closed; one in 30 seconds is asked for."""


class TradeItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"trade_id": "i", "price": "p", "size": "v", "side": "S", "time": "T"},
):
    """One of ``data`` of v3's ``publicTrade``."""

    trade_id: Text
    price: Amount
    size: Amount
    side: Literal["buy", "sell"]
    time: Milliseconds
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1


class OldTradeItem(msgspec.Struct, frozen=True, gc=False, rename={"trade_id": "tradeId", "time": "ts"}):
    """One of ``data`` of v2's ``trade``."""

    trade_id: Text
    price: Amount
    size: Amount
    side: Literal["buy", "sell"]
    time: Milliseconds
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1


class Argument(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a frame is about."""

    inst_type: str
    topic: Literal["publicTrade"]
    symbol: Symbol


class Trades(msgspec.Struct, frozen=True, gc=False):
    """v3's ``publicTrade``."""

    action: Literal["snapshot", "update"]
    arg: Argument
    data: list[TradeItem]


class LiquidationItem(
    msgspec.Struct, frozen=True, gc=False, rename={"wire_symbol": "symbol", "size": "amount", "time": "ts"}
):
    """One of ``data`` of ``liquidation``; the amount is in quote currency."""

    wire_symbol: Symbol
    side: Literal["buy", "sell"]
    price: Amount
    size: Amount
    time: Milliseconds
    count: ClassVar[int] = 1

    @property
    def symbol(self) -> str:
        """The market's name."""
        return _market("", self.wire_symbol)

    @property
    def trade_id(self) -> str:
        """The stream gives none."""
        return made_id(self)


class SpotSymbol(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a symbol in ``/api/v2/spot/public/symbols`` that is used."""

    symbol: str
    base_coin: str
    quote_coin: str
    status: str


class SpotAnswer(msgspec.Struct, frozen=True):
    """``/api/v2/spot/public/symbols``."""

    data: list[SpotSymbol]


class Contract(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a contract in ``/api/v2/mix/market/contracts`` that is used."""

    symbol: str
    base_coin: str
    quote_coin: str
    symbol_type: str
    symbol_status: str


class ContractsAnswer(msgspec.Struct, frozen=True):
    """``/api/v2/mix/market/contracts``."""

    data: list[Contract]


_trades = msgspec.json.Decoder(Trades, strict=False).decode


class BitgetSession(Session):
    """Reads the frames of one connection. Its markets go by their names, because types share symbols."""

    liquidation_sides: ClassVar[Mapping[str, int]] = {"buy": SELL, "sell": BUY}

    def __init__(self, plan: StreamPlan | None) -> None:
        instruments = plan.instruments if plan else ()
        super().__init__(NAME, Markets(str, classify, instruments, lambda i: i.market), plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            event = _trades(frame)
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        market = self.markets[_market(event.arg.inst_type, event.arg.symbol)]
        parsed = merged(self.trades(event.data, received_ns, {"": market}), (), "publicTrade")
        return parsed if event.action == "update" else as_replayed(parsed)

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        if frame in {"pong", b"pong"}:
            return Parsed(other="pong")
        document = json_object(NAME, frame)
        match document:
            case {
                "action": action,
                "arg": {"instType": str() as kind, "topic": "publicTrade", "symbol": str() as symbol},
                "data": data,
            }:
                items, rejected = self.rows("publicTrade", data, TradeItem)
                known = {"": self.markets[_market(kind, symbol)]}
                parsed = merged(self.trades(items, received_ns, known), rejected, "publicTrade")
                return parsed if action == "update" else as_replayed(parsed)
            case {
                "action": action,
                "arg": {"instType": str() as kind, "channel": "trade", "instId": str() as symbol},
                "data": data,
            }:
                old, rejected = self.rows("trade", data, OldTradeItem)
                market = self.markets[_market(kind, symbol)]
                known = {"": market._replace(contract_size=1.0, inverse=False)}
                parsed = merged(self.trades(old, received_ns, known), rejected, "trade")
                return parsed if action == "update" else as_replayed(parsed)
            case {"arg": {"topic": "liquidation"}, "data": data}:
                return self._liquidated(data, received_ns)
        return self._control(document, frame)

    def _liquidated(self, data: object, received_ns: int) -> Parsed:
        forced, rejected = self.rows("liquidation", data, LiquidationItem)
        # an amount in quote currency is the size of an inverse contract of one
        known = {item.symbol: Market(item.symbol, 1.0, inverse=True) for item in forced}
        return merged(self.liquidations(forced, received_ns, known), rejected, "liquidation")

    def _control(self, document: dict[str, Any], frame: str | bytes) -> Parsed:
        match document:
            case {
                "event": "subscribe",
                "arg": {"instType": str() as kind, "topic": "publicTrade", "symbol": str() as symbol},
            }:
                return Parsed(subscribed=self.planned_market(_market(kind, symbol)), other="answer")
            case {"event": "error", "msg": reason}:
                markets: tuple[str, ...] = ()
                match document.get("arg"):
                    case {"instType": str() as kind, "symbol": str() as symbol}:
                        markets = self.planned_market(_market(kind, symbol))
                refusal = Refusal(markets, f"{reason} (code {document.get('code')})")
                return Parsed(refused=(refusal,), other="answer")
            case {"event": str() as kind}:
                return Parsed(other=kind)
            case {"arg": {"topic": str() as kind} | {"channel": str() as kind}}:
                return Parsed(other=kind)
        raise self.unreadable(frame)


class Bitget(Adapter):
    """Adapter of Bitget (the contract is in ``feeds/adapter.py``)."""

    name = NAME

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for spot, one for each kind of contracts."""
        url = self._rest(REST_URL, CONTRACTS)
        kinds = ("USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES")
        return (
            RestRequest("GET", self._rest(REST_URL, SPOT_SYMBOLS)),
            *(RestRequest("GET", url, (("productType", kind),)) for kind in kinds),
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Spot that is online, contracts whose status is normal."""
        if request.url.endswith(SPOT_SYMBOLS):
            symbols = answer(NAME, request.url, body, SpotAnswer).data
            return tuple(
                Instrument(
                    _market("spot", s.symbol),
                    *(s.symbol, MarketKind.SPOT, s.base_coin, s.quote_coin, s.quote_coin),
                )
                for s in listed(NAME, request.url, symbols)
                if s.status == "online"
            )
        contracts = answer(NAME, request.url, body, ContractsAnswer).data
        inverse = ("productType", "COIN-FUTURES") in request.params
        return tuple(
            _contract(c, inverse)
            for c in listed(NAME, request.url, contracts)
            if c.symbol_status == "normal" and c.symbol_type in {"perpetual", "delivery"}
        )

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Bitget's naming rules."""
        return classify(f"{NAME}:{symbol}")

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """All kinds of trades together; liquidations, which come for whole types, on one more connection."""
        url = self._ws(WS_URL, PUBLIC)
        plans = [
            _stream(url, some, tuple(i.market for i in some), _subscriptions(some))
            for some in chunks(instruments, MARKETS_A_CONNECTION)
        ]
        contracts = [i for i in instruments if i.kind is not MarketKind.SPOT]
        if contracts:
            types = sorted({_type(i) for i in contracts})
            args = [{"instType": kind, "topic": "liquidation"} for kind in types]
            ask = Subscription(text_of({"op": "subscribe", "args": args}))
            plans.append(_stream(url, contracts, (), iter([ask])))
        return tuple(plans)

    def session(self, plan: StreamPlan | None = None) -> BitgetSession:
        """A reader for one connection."""
        return BitgetSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    >>> coin = classify("BITGET:BTCUSD")
    >>> coin.symbol, coin.kind.value, coin.base, coin.quote, coin.settle, coin.inverse
    ('BTCUSD_CM', 'perp', 'BTC', 'USD', 'BTC', True)
    >>> classify("BITGET:BTCUSDT-SPOT").kind.value, classify("BITGET:BTCPERP").quote
    ('spot', 'USDC')
    """
    symbol = market.partition(":")[2]
    if symbol.endswith(SPOT):
        pair = split_pair(symbol.removesuffix(SPOT))
        if pair is None:
            return None
        return Instrument(market, symbol.removesuffix(SPOT), MarketKind.SPOT, *pair, pair[1])
    if symbol.endswith("PERP") and symbol != "PERP":
        return Instrument(market, symbol, MarketKind.PERP, symbol.removesuffix("PERP"), "USDC", "USDC")
    kind = MarketKind.PERP
    pair = split_pair(symbol)
    if pair is None and len(symbol) > 3 and symbol[-2:].isdecimal() and symbol[-3] in "FGHJKMNQUVXZ":
        kind, pair = MarketKind.FUTURE, split_pair(symbol[:-3])
    if pair is None:
        return None
    if pair[1] == "USD":
        return Instrument(market, symbol + COIN, kind, *pair, pair[0], inverse=True)
    return Instrument(market, symbol, kind, *pair, pair[1])


def _market(kind: str, symbol: str) -> str:
    """aggr-server's name of what a frame is about."""
    return f"{NAME}:{symbol}{SPOT}" if kind in {"spot", "SPOT"} else f"{NAME}:{symbol.removesuffix(COIN)}"


def _type(instrument: Instrument) -> str:
    if instrument.kind is MarketKind.SPOT:
        return "spot"
    return "coin-futures" if instrument.inverse else FUTURES.get(instrument.settle, "usdt-futures")


def _contract(entry: Contract, inverse: bool) -> Instrument:
    kind = MarketKind.PERP if entry.symbol_type == "perpetual" else MarketKind.FUTURE
    settle = entry.base_coin if inverse else entry.quote_coin
    symbol = entry.symbol.removesuffix(COIN) + COIN if inverse else entry.symbol
    market = _market("", entry.symbol)
    return Instrument(market, symbol, kind, entry.base_coin, entry.quote_coin, settle, inverse=inverse)


def _stream(
    url: str, instruments: Sequence[Instrument], markets: tuple[str, ...], asked: Iterator[Subscription]
) -> StreamPlan:
    return StreamPlan(
        exchange=NAME,
        url=url,
        instruments=tuple(instruments),
        markets=markets,
        subscribe=tuple(asked),
        control_interval_s=CONTROL_INTERVAL_S,
        ping="ping",
        ping_interval_s=PING_INTERVAL_S,
    )


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for some in chunks(instruments, MARKETS_A_FRAME):
        args = [{"instType": _type(i), "topic": "publicTrade", "symbol": i.symbol} for i in some]
        yield Subscription(text_of({"op": "subscribe", "args": args}), tuple(i.market for i in some))


ADAPTER = Bitget
