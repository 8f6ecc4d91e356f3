"""Example: spot of an exchange that does not exist. https://docs.example/websocket

An adapter is one file. Copied into ``squeezeflow_plugin/feeds/exchanges/`` it is found by its ``ADAPTER``,
and ``SQUEEZEFLOW_EXCHANGES=EXAMPLE`` collects it. The taker's side is said outright:

>>> frame = (
...     '{"topic":"trade.BTC-USD",'
...     '"rows":[{"seq":7,"ms":1767225600123,"px":"80000","qty":"0.5","taker":"sell"}]}'
... )
>>> (trade,) = ExampleExchange().parse(frame, 0).trades
>>> trade.market, trade.exchange_ns, trade.side, trade.quote
('EXAMPLE:BTC-USD', 1767225600123000000, -1, 40000.0)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.reading import Id, json_object
from squeezeflow_plugin.feeds.session import (
    NS_PER_MS,
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

NAME = "EXAMPLE"
REST_URL, WS_URL = "https://api.example", "wss://stream.example"
TOPIC = "trade."
Milliseconds = Annotated[int, msgspec.Meta(ge=1_230_768_000_000, lt=4_102_444_800_000)]


THEIRS = {"number": "seq", "time": "ms", "price": "px", "size": "qty", "side": "taker"}


class Row(msgspec.Struct, frozen=True, rename=THEIRS):
    """A trade, by the exchange's own field names; a price that is no positive number is refused here."""

    number: Id
    time: Milliseconds
    price: Amount
    size: Amount
    side: Literal["buy", "sell"]
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """A number for ever."""
        return str(self.number)


class ListedMarket(msgspec.Struct, frozen=True):
    """The part of a market's description that is used."""

    name: str
    base: str
    quote: str


class ExampleSession(Session):
    """Reads the frames of one connection."""

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        match json_object(NAME, frame):
            case {"topic": str() as topic, "rows": list() as rows} if topic.startswith(TOPIC):
                items, rejected = self.rows("trade", rows, Row)
                known = {"": self.markets[topic.removeprefix(TOPIC)]}
                return merged(self.trades(items, received_ns, known), rejected, "trade")
            case {"subscribed": str() as topic}:
                return Parsed(subscribed=self.planned_market(topic.removeprefix(TOPIC)), other="answer")
        raise self.unreadable(frame)


class ExampleExchange(Adapter):
    """Adapter of the example exchange (the contract is in ``feeds/adapter.py``)."""

    name = NAME
    time_unit_ns = NS_PER_MS
    contiguous_ids = frozenset(
        {MarketKind.SPOT}
    )  # numbers follow each other, so a missed trade is seen at once

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for all."""
        return (RestRequest("GET", self._rest(REST_URL, "/markets")),)

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Every market is spot, and its sizes are base units."""
        found = listed(NAME, request.url, answer(NAME, request.url, body, list[ListedMarket]))
        return tuple(
            Instrument(_market(each.name), each.name, MarketKind.SPOT, each.base, each.quote, each.quote)
            for each in found
        )

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By the exchange's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """Fifty markets a connection, one subscription each."""
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(WS_URL, "/"),
                instruments=tuple(some),
                markets=tuple(each.market for each in some),
                subscribe=tuple(
                    Subscription(text_of({"subscribe": TOPIC + each.symbol}), (each.market,)) for each in some
                ),
            )
            for some in chunks(instruments, 50)
        )

    def session(self, plan: StreamPlan | None = None) -> ExampleSession:
        """A reader for one connection."""
        return ExampleSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing."""
    symbol = market.partition(":")[2]
    base, _, quote = symbol.partition("-")
    return Instrument(market, symbol, MarketKind.SPOT, base, quote, quote) if base and quote else None


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


ADAPTER = ExampleExchange
