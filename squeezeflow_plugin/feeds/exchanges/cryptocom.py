"""Crypto.com: spot, perpetuals and futures. https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html

``s`` is the taker's side; a frame holds one or more trades:

>>> frame = (
...     '{"id":-1,"method":"subscribe","code":0,"result":{"instrument_name":"BTCUSD-PERP",'
...     '"subscription":"trade.BTCUSD-PERP","channel":"trade","data":[{"d":"7","t":1767225600123,"p":"80000",'
...     '"q":"0.5","s":"SELL","i":"BTCUSD-PERP"}]}}'
... )
>>> (trade,) = CryptoCom().parse(frame, 0).trades
>>> trade.market, trade.size, trade.side
('CRYPTOCOM:BTCUSD-PERP', 0.5, -1)

The first frame of a market on a connection that follows a plan holds trades from before the subscription.
Heartbeats must be answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.naming import is_date, separate, split_pair
from squeezeflow_plugin.feeds.reading import UNREADABLE, Id, Milliseconds, Symbol, json_object
from squeezeflow_plugin.feeds.session import (
    Adapter,
    Amount,
    Markets,
    Session,
    answer,
    as_replayed,
    chunks,
    listed,
    merged,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "CRYPTOCOM"
REST_URL = "https://api.crypto.com"
WS_URL = "wss://stream.crypto.com"
PATH = "/exchange/v1/market"
INSTRUMENTS = "/exchange/v1/public/get-instruments"
MARKETS_A_CONNECTION = 200
MARKETS_A_FRAME = 50
CONTROL_INTERVAL_S = 0.5
"""The first second should pass before requests, and 100 a second are allowed."""
KINDS = {
    "CCY_PAIR": MarketKind.SPOT,
    "PERPETUAL_SWAP": MarketKind.PERP,
    "FUTURE": MarketKind.FUTURE,
}


class TradeItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"symbol": "i", "number": "d", "time": "t", "price": "p", "size": "q", "side": "s"},
):
    """One of ``data``."""

    symbol: Symbol
    number: Id
    time: Milliseconds
    price: Amount
    size: Amount
    side: Literal["BUY", "SELL", "buy", "sell"]
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The exchange's."""
        return str(self.number)


class Result(msgspec.Struct, frozen=True, gc=False):
    """``result`` of a push."""

    channel: Literal["trade"]
    data: list[TradeItem]


class Push(msgspec.Struct, frozen=True, gc=False):
    """Trades."""

    method: Literal["subscribe"]
    result: Result


class ListedInstrument(msgspec.Struct, frozen=True):
    """The part of an instrument in ``public/get-instruments`` that is used."""

    symbol: str
    inst_type: str
    base_ccy: str
    quote_ccy: str
    tradable: bool = True


class ListedInstruments(msgspec.Struct, frozen=True):
    """``result``."""

    data: list[ListedInstrument]


class InstrumentsAnswer(msgspec.Struct, frozen=True):
    """``public/get-instruments``."""

    result: ListedInstruments


_SETTLEMENT = re.compile(r"(?<=\d{6})M\d$")
"""What follows the date of a future: ``BTCUSD-210528M2``."""
_push = msgspec.json.Decoder(Push, strict=False).decode


class CryptoComSession(Session):
    """Reads the frames of one connection."""

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)
        self._unheard = set(self.markets.planned)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            items = _push(frame).result.data
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        return self._counted(items, (), received_ns)

    def _counted(self, items: list[TradeItem], rejected: tuple[str, ...], received_ns: int) -> Parsed:
        parsed = merged(self.trades(items, received_ns), rejected, "trade")
        if items and items[0].symbol in self._unheard:
            self._unheard.discard(items[0].symbol)
            return as_replayed(parsed)
        return parsed

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        match document := json_object(NAME, frame):
            case {"method": "public/heartbeat", "id": int() as request_id}:
                reply = text_of({"id": request_id, "method": "public/respond-heartbeat"})
                return Parsed(replies=(reply,), other="heartbeat")
            case {"method": "subscribe", "result": {"channel": "trade", "data": data}}:
                items, rejected = self.rows("trade", data, TradeItem)
                return self._counted(items, rejected, received_ns)
            case {"method": "subscribe", "result": {"channel": str() as channel}}:
                return Parsed(other=channel)
            case {"method": "subscribe", "code": code}:
                return self._answered(document, code)
            case {"method": str() as method}:
                return Parsed(other=method)
        raise self.unreadable(frame)

    def _answered(self, document: dict[str, Any], code: object) -> Parsed:
        markets = self.asked_by(document.get("id"))
        if code == 0:
            return Parsed(subscribed=markets, other="answer")
        reason = str(document.get("message", "no reason given"))
        return Parsed(refused=(Refusal(markets, f"{reason} (code {code})"),), other="answer")


class CryptoCom(Adapter):
    """Adapter of Crypto.com (the contract is in ``feeds/adapter.py``)."""

    name = NAME

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for all."""
        return (RestRequest("GET", self._rest(REST_URL, INSTRUMENTS)),)

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Those that are tradable, settled in their quote; sizes are base units throughout."""
        entries = answer(NAME, request.url, body, InstrumentsAnswer).result.data
        return tuple(
            Instrument(_market(e.symbol), e.symbol, KINDS[e.inst_type], e.base_ccy, e.quote_ccy, e.quote_ccy)
            for e in listed(NAME, request.url, entries)
            if e.tradable and e.inst_type in KINDS
        )

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Crypto.com's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """All kinds together."""
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(WS_URL, PATH),
                instruments=tuple(some),
                markets=tuple(i.market for i in some),
                subscribe=tuple(_subscriptions(some)),
                control_interval_s=CONTROL_INTERVAL_S,
            )
            for some in chunks(instruments, MARKETS_A_CONNECTION)
        )

    def session(self, plan: StreamPlan | None = None) -> CryptoComSession:
        """A reader for one connection."""
        return CryptoComSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    >>> perp = classify("CRYPTOCOM:BTCUSD-PERP")
    >>> perp.kind.value, perp.base, perp.quote, perp.settle
    ('perp', 'BTC', 'USD', 'USD')
    """
    symbol = market.partition(":")[2]
    if pair := separate(symbol, "_"):
        return Instrument(market, symbol, MarketKind.SPOT, *pair, pair[1])
    name, _, term = symbol.partition("-")
    pair = split_pair(name)
    if pair is None or (term != "PERP" and not is_date(_SETTLEMENT.sub("", term))):
        return None
    kind = MarketKind.PERP if term == "PERP" else MarketKind.FUTURE
    return Instrument(market, symbol, kind, *pair, pair[1])


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for request_id, some in enumerate(chunks(instruments, MARKETS_A_FRAME), 1):
        channels = [f"trade.{i.symbol}" for i in some]
        request = {"id": request_id, "method": "subscribe", "params": {"channels": channels}}
        yield Subscription(text_of(request), tuple(i.market for i in some))


ADAPTER = CryptoCom
