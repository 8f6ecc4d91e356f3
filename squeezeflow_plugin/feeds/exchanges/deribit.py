"""Deribit: perpetuals, futures and spot. https://docs.deribit.com/#trades-instrument_name-interval

``direction`` is the taker's. Amounts are base units, of inverse contracts US dollars:

>>> frame = (
...     '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":['
...     '{"trade_seq":9,"trade_id":"7","timestamp":1767225600123,"tick_direction":0,"price":80000.0,'
...     '"instrument_name":"BTC-PERPETUAL","index_price":80001.0,"direction":"sell","amount":4000.0}]}}'
... )
>>> (trade,) = Deribit().parse(frame, 0).trades
>>> trade.market, trade.size, trade.quote, trade.side
('DERIBIT:BTC-PERPETUAL', 0.05, 4000.0, -1)

``liquidation`` says whose order was forced: the taker's (``T``), the maker's (``M``) or both (``MT``, of
which the taker's is reported); such a trade is both a trade of the market and a liquidation. The raw channel
needs an account, so the one of 100 milliseconds is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import (
    LeftOut,
    Parsed,
    Refusal,
    RestRequest,
    StreamPlan,
    Subscription,
)
from squeezeflow_plugin.feeds.naming import is_date, separate
from squeezeflow_plugin.feeds.reading import UNREADABLE, Milliseconds, Symbol, json_object
from squeezeflow_plugin.feeds.session import (
    Adapter,
    Amount,
    Markets,
    Session,
    Text,
    answer,
    chunks,
    listed,
    merged,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind, Trade

NAME = "DERIBIT"
REST_URL = "https://www.deribit.com"
WS_URL = "wss://www.deribit.com"
PATH = "/ws/api/v2"
INSTRUMENTS = "/api/v2/public/get_instruments"
MARKETS_A_CONNECTION = 300
MARKETS_A_FRAME = 50
CONTROL_INTERVAL_S = 0.2
HEARTBEAT = {"jsonrpc": "2.0", "id": 0, "method": "public/set_heartbeat", "params": {"interval": 30}}
TEST = text_of({"jsonrpc": "2.0", "id": 0, "method": "public/test", "params": {}})
"""What a ``test_request`` must be answered with, or the connection is closed."""


class TradeItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"symbol": "instrument_name", "side": "direction", "size": "amount", "time": "timestamp"},
):
    """One of ``data``."""

    symbol: Symbol
    trade_id: Text
    price: Amount
    size: Amount
    side: Literal["buy", "sell"]
    time: Milliseconds
    liquidation: Literal["M", "T", "MT", ""] = ""
    block_trade_id: str = ""
    count: ClassVar[int] = 1


class Parameters(msgspec.Struct, frozen=True, gc=False):
    """``params`` of a subscription's frame."""

    channel: str
    data: list[TradeItem]


class Notification(msgspec.Struct, frozen=True, gc=False):
    """A frame of a subscription."""

    method: Literal["subscription"]
    params: Parameters


class ListedInstrument(msgspec.Struct, frozen=True):
    """The part of an instrument in ``public/get_instruments`` that is used."""

    instrument_name: str
    kind: str
    base_currency: str
    quote_currency: str
    settlement_currency: str = ""
    settlement_period: str = ""
    instrument_type: str = ""
    is_active: bool = True


class InstrumentsAnswer(msgspec.Struct, frozen=True):
    """``public/get_instruments``."""

    result: list[ListedInstrument]


_OPTION = re.compile(r".+-[CP]|.+-(?:FS|[A-Z]{2,6})-.+")
_notification = msgspec.json.Decoder(Notification, strict=False).decode


class DeribitSession(Session):
    """Reads the frames of one connection."""

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            event = _notification(frame).params
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        if not event.channel.startswith("trades."):
            return Parsed(other=event.channel.partition(".")[0])
        return self._counted(event.data, (), received_ns)

    def _counted(self, items: list[TradeItem], rejected: tuple[str, ...], received_ns: int) -> Parsed:
        left_out: list[LeftOut] = []
        counted: list[TradeItem] = []
        for item in items:
            if item.block_trade_id:
                left_out.append(LeftOut(_market(item.symbol), item.trade_id, "block trade"))
            elif _OPTION.fullmatch(item.symbol):
                left_out.append(LeftOut(_market(item.symbol), item.trade_id, "option or combination"))
            else:
                counted.append(item)
        parsed = merged(self.trades(counted, received_ns), rejected, "trades")
        forced = [item for item in counted if item.liquidation]
        if not forced and not left_out:
            return parsed
        trades = parsed.trades + tuple(
            msgspec.structs.replace(trade, side=-trade.side) if item.liquidation == "M" else trade
            for item in forced
            for trade in self._liquidation(item, received_ns)
        )
        other = parsed.other if not trades and not left_out else ""
        return msgspec.structs.replace(parsed, trades=trades, left_out=tuple(left_out), other=other)

    def _liquidation(self, item: TradeItem, received_ns: int) -> tuple[Trade, ...]:
        return self.trades((item,), received_ns, liquidation=True).trades

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        match json_object(NAME, frame):
            case {"method": "subscription", "params": {"channel": str() as channel, "data": data}}:
                if not channel.startswith("trades."):
                    return Parsed(other=channel.partition(".")[0])
                items, rejected = self.rows("trades", data, TradeItem)
                return self._counted(items, rejected, received_ns)
            case {"method": "heartbeat", "params": {"type": "test_request"}}:
                return Parsed(replies=(TEST,), other="heartbeat")
            case {"method": str() as method}:
                return Parsed(other=method)
            case {"error": reason} as document:
                refusal = Refusal(self.asked_by(document.get("id")), _told(reason))
                return Parsed(refused=(refusal,), other="answer")
            case {"result": result} as document:
                return self._answered(document, result)
        raise self.unreadable(frame)

    def _answered(self, document: dict[str, Any], result: object) -> Parsed:
        """A subscription's result lists the channels that are served; the others were refused."""
        asked = self.asked_by(document.get("id"))
        if not asked or not isinstance(result, list):
            return Parsed(other="answer")
        served = {market for channel in result for market in self._market_of(channel)}
        refused = tuple(market for market in asked if market not in served)
        return Parsed(
            subscribed=tuple(market for market in asked if market in served),
            refused=(Refusal(refused, "not among the channels served"),) if refused else (),
            other="answer",
        )

    def _market_of(self, channel: object) -> tuple[str, ...]:
        parts = channel.split(".") if isinstance(channel, str) else []
        return self.planned_market(parts[1]) if len(parts) == 3 else ()


class Deribit(Adapter):
    """Adapter of Deribit (the contract is in ``feeds/adapter.py``)."""

    name = NAME

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for futures, perpetuals among them, one for spot."""
        url = self._rest(REST_URL, INSTRUMENTS)
        return tuple(
            RestRequest("GET", url, (("currency", "any"), ("kind", kind))) for kind in ("future", "spot")
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Those that are active; options and combinations are left out."""
        entries = answer(NAME, request.url, body, InstrumentsAnswer).result
        found = [_instrument(entry) for entry in listed(NAME, request.url, entries) if entry.is_active]
        return tuple(instrument for instrument in found if instrument is not None)

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Deribit's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """All kinds together."""
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(WS_URL, PATH),
                instruments=tuple(some),
                markets=tuple(i.market for i in some),
                subscribe=(*_subscriptions(some), Subscription(text_of(HEARTBEAT))),
                control_interval_s=CONTROL_INTERVAL_S,
            )
            for some in chunks(instruments, MARKETS_A_CONNECTION)
        )

    def session(self, plan: StreamPlan | None = None) -> DeribitSession:
        """A reader for one connection."""
        return DeribitSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None for options, combinations and what is not known.

    >>> inverse, linear = classify("DERIBIT:BTC-PERPETUAL"), classify("DERIBIT:BTC_USDC-PERPETUAL")
    >>> (inverse.quote, inverse.settle, inverse.inverse), (linear.quote, linear.settle, linear.inverse)
    (('USD', 'BTC', True), ('USDC', 'USDC', False))
    """
    symbol = market.partition(":")[2]
    underlying, dash, term = symbol.partition("-")
    pair = separate(underlying, "_")
    if not dash:
        return Instrument(market, symbol, MarketKind.SPOT, *pair, pair[1]) if pair else None
    if not underlying or (term != "PERPETUAL" and not is_date(term)):
        return None
    kind = MarketKind.PERP if term == "PERPETUAL" else MarketKind.FUTURE
    if pair:
        return Instrument(market, symbol, kind, *pair, pair[1])
    return Instrument(market, symbol, kind, underlying, "USD", underlying, inverse=True)


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _told(reason: object) -> str:
    match reason:
        case {"message": message, "code": code}:
            return f"{message} (code {code})"
    return str(reason)


def _instrument(entry: ListedInstrument) -> Instrument | None:
    """None for what is neither spot nor a future. Amounts are never contracts: their size is not needed."""
    market, symbol = _market(entry.instrument_name), entry.instrument_name
    if entry.kind == "spot":
        base, quote = entry.base_currency, entry.quote_currency
        return Instrument(market, symbol, MarketKind.SPOT, base, quote, quote)
    if entry.kind != "future" or entry.instrument_type not in {"reversed", "linear"}:
        return None
    kind = MarketKind.PERP if entry.settlement_period == "perpetual" else MarketKind.FUTURE
    inverse = entry.instrument_type == "reversed"
    return Instrument(
        market,
        symbol,
        kind,
        entry.base_currency,
        entry.quote_currency,
        entry.settlement_currency,
        inverse=inverse,
    )


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for request_id, some in enumerate(chunks(instruments, MARKETS_A_FRAME), 1):
        channels = [f"trades.{i.symbol}.100ms" for i in some]
        request = {"jsonrpc": "2.0", "id": request_id, "method": "public/subscribe"}
        text = text_of({**request, "params": {"channels": channels}})
        yield Subscription(text, tuple(i.market for i in some))


ADAPTER = Deribit
