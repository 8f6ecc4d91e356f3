"""Bitstamp: spot, and perpetuals. https://www.bitstamp.net/websocket/v2/

``type`` is the taker's side, 0 where it bought. The time is a text of microseconds:

>>> frame = (
...     '{"data":{"id":7,"timestamp":"1767225600","amount":0.5,"amount_str":"0.50000000","price":80000,'
...     '"price_str":"80000","type":1,"microtimestamp":"1767225600123456","buy_order_id":1},'
...     '"channel":"live_trades_btcusd","event":"trade"}'
... )
>>> (trade,) = Bitstamp().parse(frame, 0).trades
>>> trade.market, trade.exchange_ns, trade.side
('BITSTAMP:btcusd', 1767225600123456000, -1)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.naming import split_pair
from squeezeflow_plugin.feeds.reading import UNREADABLE, Id, json_object
from squeezeflow_plugin.feeds.session import (
    BUY,
    NS_PER_US,
    SELL,
    Adapter,
    Amount,
    Markets,
    Session,
    answer,
    chunks,
    listed,
    merged,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "BITSTAMP"
REST_URL = "https://www.bitstamp.net"
WS_URL = "wss://ws.bitstamp.net"
MARKETS = "/api/v2/markets/"
CHANNEL = "live_trades_"
PERP = "-perp"
MARKETS_A_CONNECTION = 100
CONTROL_INTERVAL_S = 0.1
KINDS = {"SPOT": MarketKind.SPOT, "PERPETUAL": MarketKind.PERP}

Microseconds = Annotated[int, msgspec.Meta(ge=1_230_768_000 * 10**6, lt=4_102_444_800 * 10**6)]


class TradeItem(
    msgspec.Struct, frozen=True, gc=False, rename={"number": "id", "size": "amount", "time": "microtimestamp"}
):
    """``data`` of a trade."""

    number: Id
    price: Amount
    size: Amount
    type: Literal[0, 1]
    time: Microseconds
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def side(self) -> str:
        """The taker's."""
        return "sell" if self.type else "buy"

    @property
    def trade_id(self) -> str:
        """The exchange's."""
        return str(self.number)


class TradeEvent(msgspec.Struct, frozen=True, gc=False):
    """A trade."""

    event: Literal["trade"]
    channel: Annotated[str, msgspec.Meta(max_length=64)]
    data: TradeItem


class ListedMarket(msgspec.Struct, frozen=True):
    """The part of a market in ``/api/v2/markets/`` that is used."""

    market_symbol: str
    base_currency: str
    counter_currency: str
    trading: str
    market_type: str = "SPOT"


_trade = msgspec.json.Decoder(TradeEvent, strict=False).decode


class BitstampSession(Session):
    """Reads the frames of one connection."""

    unit_ns = NS_PER_US
    sides: ClassVar[Mapping[str, int]] = {"buy": BUY, "sell": SELL}

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            event = _trade(frame)
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        return self._counted(event.channel, [event.data], (), received_ns)

    def _counted(
        self, channel: str, items: list[TradeItem], rejected: tuple[str, ...], received_ns: int
    ) -> Parsed:
        if not channel.startswith(CHANNEL):
            return Parsed(other=channel.rpartition("_")[0])
        known = {"": self.markets[channel.removeprefix(CHANNEL)]}
        return merged(self.trades(items, received_ns, known), rejected, "trade")

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        match document := json_object(NAME, frame):
            case {"event": "trade", "channel": str() as channel, "data": data}:
                return self._counted(channel, *self.rows("trade", [data], TradeItem), received_ns)
            case {"event": "bts:subscription_succeeded", "channel": str() as channel}:
                return Parsed(subscribed=self._market_of(channel), other="answer")
            case {"event": "bts:error"}:
                return Parsed(refused=(self._refusal(document),), other="answer")
            case {"event": "bts:request_reconnect"}:
                return Parsed(close="the server asked for it")
            case {"event": str() as event}:
                return Parsed(other=event)
        raise self.unreadable(frame)

    def _refusal(self, document: dict[str, Any]) -> Refusal:
        markets = self._market_of(str(document.get("channel", "")))
        match document.get("data"):
            case {"message": message}:
                return Refusal(markets, str(message))
        return Refusal(markets, "no reason given")

    def _market_of(self, channel: str) -> tuple[str, ...]:
        return self.planned_market(channel.removeprefix(CHANNEL)) if channel.startswith(CHANNEL) else ()


class Bitstamp(Adapter):
    """Adapter of Bitstamp (the contract is in ``feeds/adapter.py``)."""

    name = NAME
    time_unit_ns = NS_PER_US

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for all."""
        return (RestRequest("GET", self._rest(REST_URL, MARKETS)),)

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Markets in which trading is enabled."""
        markets = answer(NAME, request.url, body, list[ListedMarket])
        return tuple(
            Instrument(
                _market(m.market_symbol),
                *(m.market_symbol, KINDS[m.market_type], m.base_currency, m.counter_currency),
                m.counter_currency,
            )
            for m in listed(NAME, request.url, markets)
            if m.trading == "Enabled" and m.market_type in KINDS
        )

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Bitstamp's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """One subscription a market."""
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(WS_URL, "/"),
                instruments=tuple(some),
                markets=tuple(i.market for i in some),
                subscribe=tuple(_subscriptions(some)),
                control_interval_s=CONTROL_INTERVAL_S,
                ping='{"event":"bts:heartbeat"}',
            )
            for some in chunks(instruments, MARKETS_A_CONNECTION)
        )

    def session(self, plan: StreamPlan | None = None) -> BitstampSession:
        """A reader for one connection."""
        return BitstampSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    >>> instrument = classify("BITSTAMP:btcusd")
    >>> instrument.kind.value, instrument.base, instrument.quote
    ('spot', 'BTC', 'USD')
    """
    symbol = market.partition(":")[2]
    pair = split_pair(symbol.removesuffix(PERP).upper())
    kind = MarketKind.PERP if symbol.endswith(PERP) else MarketKind.SPOT
    return Instrument(market, symbol, kind, *pair, pair[1]) if pair else None


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for instrument in instruments:
        data = {"channel": CHANNEL + instrument.symbol}
        text = text_of({"event": "bts:subscribe", "data": data})
        yield Subscription(text, (instrument.market,))


ADAPTER = Bitstamp
