"""Coinbase: spot of Coinbase Exchange, perpetuals of Coinbase International through Advanced Trade.

https://docs.cdp.coinbase.com/exchange/websocket-feed/channels (``matches``) and
https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket (``market_trades``). In both
``side`` is the *maker's*, so the taker did the opposite:

>>> frame = (
...     '{"type":"match","trade_id":7,"maker_order_id":"a","taker_order_id":"b","side":"sell","size":"0.5",'
...     '"price":"80000.00","product_id":"BTC-USD","sequence":9,"time":"2026-01-01T00:00:00.123456Z"}'
... )
>>> (trade,) = Coinbase().parse(frame, 0).trades
>>> trade.market, trade.exchange_ns, trade.side
('COINBASE:BTC-USD', 1767225600123456000, 1)

``last_match`` and the ``snapshot`` of ``market_trades`` are trades from before the subscription. The
International exchange's own feed (``MATCH``) is read as well; it names the taker's side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.naming import separate
from squeezeflow_plugin.feeds.reading import UNREADABLE, Id, Symbol, json_object
from squeezeflow_plugin.feeds.session import (
    BUY,
    NS_PER_US,
    SELL,
    Adapter,
    Amount,
    Markets,
    Moment,
    Session,
    Text,
    answer,
    as_replayed,
    chunks,
    listed,
    merged,
    microseconds,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "COINBASE"
EXCHANGE_REST_URL = "https://api.exchange.coinbase.com"
ADVANCED_REST_URL = "https://api.coinbase.com"
EXCHANGE_WS_URL = "wss://ws-feed.exchange.coinbase.com"
ADVANCED_WS_URL = "wss://advanced-trade-ws.coinbase.com"
PRODUCTS = "/products"
PERPETUALS = "/api/v3/brokerage/market/products"
PERP = "-PERP-INTX"
MARKETS_A_CONNECTION = 200
MARKETS_A_FRAME = 50
CONTROL_INTERVAL_S = 0.25
"""Advanced Trade allows eight messages a second."""


class MatchItem(msgspec.Struct, frozen=True, gc=False, rename={"number": "trade_id", "symbol": "product_id"}):
    """``match`` and ``last_match``: one fill."""

    type: Literal["match", "last_match"]
    number: Id
    side: Literal["buy", "sell"]
    size: Amount
    price: Amount
    symbol: Symbol
    moment: Moment = msgspec.field(name="time")
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """Follows the last one's."""
        return str(self.number)

    @property
    def time(self) -> int:
        """In microseconds."""
        return microseconds(self.moment)


class TradeItem(msgspec.Struct, frozen=True, gc=False, rename={"symbol": "product_id"}):
    """One of the ``trades`` of ``market_trades``."""

    trade_id: Text
    side: Literal["BUY", "SELL"]
    size: Amount
    price: Amount
    symbol: Symbol
    moment: Moment = msgspec.field(name="time")
    count: ClassVar[int] = 1

    @property
    def time(self) -> int:
        """In microseconds."""
        return microseconds(self.moment)


class InternationalItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"trade_id": "match_id", "price": "trade_price", "size": "trade_qty", "product": "product_id"},
):
    """``MATCH`` of International itself; its products lack the suffix that Advanced Trade gives them."""

    trade_id: Text
    aggressor_side: Literal["BUY", "SELL"]
    size: Amount
    price: Amount
    product: Symbol
    moment: Moment = msgspec.field(name="time")
    count: ClassVar[int] = 1

    @property
    def symbol(self) -> str:
        """As Advanced Trade calls it."""
        return f"{self.product}-INTX"

    @property
    def side(self) -> str:
        """The maker's, as in the other streams."""
        return "SELL" if self.aggressor_side == "BUY" else "BUY"

    @property
    def time(self) -> int:
        """In microseconds."""
        return microseconds(self.moment)


class SpotProduct(msgspec.Struct, frozen=True):
    """The part of a product in Exchange's ``/products`` that is used."""

    id: str
    base_currency: str
    quote_currency: str
    status: str
    trading_disabled: bool = False


class FutureDetails(msgspec.Struct, frozen=True):
    """``future_product_details``."""

    contract_root_unit: str = ""


class AdvancedProduct(msgspec.Struct, frozen=True):
    """The part of a product in Advanced Trade's ``/market/products`` that is used."""

    product_id: str
    quote_currency_id: str
    future_product_details: FutureDetails
    trading_disabled: bool = False
    is_disabled: bool = False


class AdvancedProducts(msgspec.Struct, frozen=True):
    """``/api/v3/brokerage/market/products``."""

    products: list[AdvancedProduct]


_match = msgspec.json.Decoder(MatchItem, strict=False).decode
_FINER = re.compile(r"(?<=\.\d{6})\d+")


class CoinbaseSession(Session):
    """Reads the frames of one connection."""

    unit_ns = NS_PER_US
    sides: ClassVar[Mapping[str, int]] = {"buy": SELL, "sell": BUY, "BUY": SELL, "SELL": BUY}

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            event = _match(frame)
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        parsed = self.trades((event,), received_ns)
        return parsed if event.type == "match" else as_replayed(parsed)

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        document = json_object(NAME, frame)
        match document:
            case {"type": "match" | "last_match" as kind}:
                items, rejected = self.rows(kind, [document], MatchItem)
                parsed = merged(self.trades(items, received_ns), rejected, kind)
                return parsed if kind == "match" else as_replayed(parsed)
            case {"channel": "market_trades", "events": list() as events}:
                return self._market_trades(events, received_ns)
            case {"channel": "MATCH", "type": kind}:
                matches, rejected = self.rows("MATCH", [_cut(document)], InternationalItem)
                parsed = merged(self.trades(matches, received_ns), rejected, "MATCH")
                return as_replayed(parsed) if kind == "SNAPSHOT" else parsed
        return self._control(document, frame)

    def _control(self, document: dict[str, Any], frame: str | bytes) -> Parsed:
        match document:
            case {"type": "subscriptions", "channels": list() as channels}:
                return Parsed(subscribed=self._carried(channels), other="subscriptions")
            case {"channel": "subscriptions", "events": [{"subscriptions": {"market_trades": symbols}}, *_]}:
                return Parsed(subscribed=self._markets_of(symbols), other="subscriptions")
            case {"type": "error"}:
                return self._refused(document)
            case {"channel": str() as kind} | {"type": str() as kind}:
                return Parsed(other=kind)
        raise self.unreadable(frame)

    def _market_trades(self, events: list[Any], received_ns: int) -> Parsed:
        """Snapshots and updates may share a frame."""
        known: dict[bool, list[object]] = {False: [], True: []}
        for event in events:
            match event:
                case {"type": kind, "trades": list() as trades}:
                    known[kind == "snapshot"] += trades
                case _:
                    known[False].append(event)
        old, broken_old = self.rows("market_trades", [_cut(row) for row in known[True]], TradeItem)
        new, broken = self.rows("market_trades", [_cut(row) for row in known[False]], TradeItem)
        replayed = self.trades(old, received_ns)
        parsed = merged(self.trades(new, received_ns), broken_old + replayed.rejected + broken, "")
        other = "" if parsed.trades or replayed.trades or parsed.rejected else "market_trades"
        return msgspec.structs.replace(parsed, replayed=replayed.trades, other=other)

    def _carried(self, channels: list[Any]) -> tuple[str, ...]:
        markets: tuple[str, ...] = ()
        for channel in channels:
            match channel:
                case {"name": "matches", "product_ids": symbols}:
                    markets += self._markets_of(symbols)
        return markets

    def _markets_of(self, symbols: object) -> tuple[str, ...]:
        if not isinstance(symbols, list):
            return ()
        return tuple(market for symbol in symbols for market in self.planned_market(symbol))

    def _refused(self, document: dict[str, Any]) -> Parsed:
        reason = f"{document.get('message', 'no message')}: {document.get('reason', 'no reason given')}"
        markets = tuple(market for word in reason.split() for market in self.planned_market(word.strip(",.")))
        return Parsed(refused=(Refusal(markets, reason),), other="error")


class Coinbase(Adapter):
    """Adapter of Coinbase (the contract is in ``feeds/adapter.py``)."""

    name = NAME
    time_unit_ns = NS_PER_US
    contiguous_ids = frozenset({MarketKind.SPOT})

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """Spot from Exchange, perpetuals from Advanced Trade; both public."""
        params = (("product_type", "FUTURE"), ("contract_expiry_type", "PERPETUAL"))
        return (
            RestRequest("GET", self._rest(EXCHANGE_REST_URL, PRODUCTS)),
            RestRequest("GET", self._rest(ADVANCED_REST_URL, PERPETUALS), params),
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Spot that is online, and what is called a perpetual of International; other futures are dated."""
        if request.url.endswith(PERPETUALS):
            perpetuals = answer(NAME, request.url, body, AdvancedProducts).products
            return tuple(
                _perpetual(p.product_id, p.future_product_details.contract_root_unit, p.quote_currency_id)
                for p in listed(NAME, request.url, perpetuals)
                if p.product_id.endswith(PERP) and not p.trading_disabled and not p.is_disabled
            )
        products = answer(NAME, request.url, body, list[SpotProduct])
        return tuple(
            Instrument(
                _market(p.id), p.id, MarketKind.SPOT, p.base_currency, p.quote_currency, p.quote_currency
            )
            for p in listed(NAME, request.url, products)
            if p.status == "online" and not p.trading_disabled
        )

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Coinbase's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """Spot on Exchange's feed, perpetuals on Advanced Trade's, which closes where it is quiet: so its
        heartbeats are asked for too."""
        spot = [i for i in instruments if i.kind is MarketKind.SPOT]
        perps = [i for i in instruments if i.kind is not MarketKind.SPOT]
        heartbeats = Subscription(text_of({"type": "subscribe", "channel": "heartbeats"}))
        return (
            *(
                _stream(self._ws(EXCHANGE_WS_URL, "/"), some, tuple(_exchange_subscriptions(some)))
                for some in chunks(spot, MARKETS_A_CONNECTION)
            ),
            *(
                _stream(self._ws(ADVANCED_WS_URL, "/"), some, (*_advanced_subscriptions(some), heartbeats))
                for some in chunks(perps, MARKETS_A_CONNECTION)
            ),
        )

    def session(self, plan: StreamPlan | None = None) -> CoinbaseSession:
        """A reader for one connection."""
        return CoinbaseSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    >>> perp = classify("COINBASE:BTC-PERP-INTX")
    >>> perp.kind.value, perp.base, perp.quote, perp.settle
    ('perp', 'BTC', 'USDC', 'USDC')
    """
    symbol = market.partition(":")[2]
    if symbol.endswith(PERP) and symbol != PERP:
        return _perpetual(symbol, "", "USDC")
    pair = separate(symbol, "-")
    return Instrument(market, symbol, MarketKind.SPOT, *pair, pair[1]) if pair else None


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _perpetual(symbol: str, base: str, quote: str) -> Instrument:
    base = base or symbol.removesuffix(PERP)
    return Instrument(_market(symbol), symbol, MarketKind.PERP, base, quote, quote)


def _stream(url: str, instruments: Sequence[Instrument], subscribe: tuple[Subscription, ...]) -> StreamPlan:
    return StreamPlan(
        exchange=NAME,
        url=url,
        instruments=tuple(instruments),
        markets=tuple(i.market for i in instruments),
        subscribe=subscribe,
        control_interval_s=CONTROL_INTERVAL_S,
    )


def _exchange_subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for some in chunks(instruments, MARKETS_A_FRAME):
        channel = {"name": "matches", "product_ids": [i.symbol for i in some]}
        text = text_of({"type": "subscribe", "channels": [channel]})
        yield Subscription(text, tuple(i.market for i in some))


def _advanced_subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for some in chunks(instruments, MARKETS_A_FRAME):
        request = {"type": "subscribe", "channel": "market_trades", "product_ids": [i.symbol for i in some]}
        yield Subscription(text_of(request), tuple(i.market for i in some))


def _cut(row: Any) -> Any:
    """The row with its time cut, not rounded, to microseconds: rounding may move it into the next second.

    >>> _cut({"time": "2026-01-01T00:00:00.999999999Z"})
    {'time': '2026-01-01T00:00:00.999999Z'}
    """
    match row:
        case {"time": str() as time}:
            return {**row, "time": _FINER.sub("", time)}
    return row


ADAPTER = Coinbase
