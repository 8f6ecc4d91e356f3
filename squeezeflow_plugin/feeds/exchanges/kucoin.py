"""KuCoin: spot and futures. https://www.kucoin.com/docs-new/websocket-api (the push API that needs no token)

``S`` is the taker's side, ``M`` the time of the match in nanoseconds. Sizes of futures are contracts of
``multiplier`` base units, or US dollars where that is negative:

>>> frame = (
...     '{"T":"trade.FUTURES","P":1767225600130000000,"d":{"s":"XBTUSDM","S":"sell","p":"80000","q":"4000",'
...     '"M":1767225600123456789,"ti":"7"}}'
... )
>>> (trade,) = Kucoin().parse(frame, 0).trades
>>> trade.market, trade.exchange_ns, trade.size, trade.side
('KUCOIN:XBTUSDM', 1767225600123456789, 0.05, -1)

The messages of the former interface (``/market/match``, ``/contractMarket/execution``) are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.naming import asset, separate, split_pair
from squeezeflow_plugin.feeds.reading import UNREADABLE, Symbol, json_object
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
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "KUCOIN"
SPOT_REST_URL = "https://api.kucoin.com"
FUTURES_REST_URL = "https://api-futures.kucoin.com"
SPOT_WS_URL = "wss://x-push-spot.kucoin.com"
FUTURES_WS_URL = "wss://x-push-futures.kucoin.com"
SYMBOLS = "/api/v2/symbols"
CONTRACTS = "/api/v1/contracts/active"
MARKETS_A_CONNECTION = 100
CONTROL_INTERVAL_S = 0.15
"""100 messages in ten seconds are allowed."""
CONTRACT_TYPES = {"FFWCSX": MarketKind.PERP, "FFICSX": MarketKind.FUTURE}
LINEAR_CONTRACT_SIZES = {"BTC": 0.001, "ETH": 0.01, "SOL": 0.1}
"""Base units in a contract where the metadata are not at hand; 1 where it is not listed."""

Nanoseconds = Annotated[int, msgspec.Meta(ge=1_230_768_000 * 10**9, lt=2**62)]


class TradeItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"symbol": "s", "side": "S", "price": "p", "size": "q", "time": "M", "trade_id": "ti"},
):
    """``d`` of ``trade.SPOT`` and ``trade.FUTURES``; the push API writes sides in capitals elsewhere."""

    symbol: Symbol
    side: Literal["buy", "sell", "BUY", "SELL"]
    price: Amount
    size: Amount
    time: Nanoseconds
    trade_id: Text
    count: ClassVar[int] = 1


class SpotMatch(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """``data`` of the former ``/market/match``."""

    symbol: Symbol
    side: Literal["buy", "sell"]
    price: Amount
    size: Amount
    time: Nanoseconds
    trade_id: Text
    count: ClassVar[int] = 1


class FuturesMatch(msgspec.Struct, frozen=True, gc=False, rename={"time": "ts", "trade_id": "tradeId"}):
    """``data`` of the former ``/contractMarket/execution``."""

    symbol: Symbol
    side: Literal["buy", "sell"]
    price: Amount
    size: Amount
    time: Nanoseconds
    trade_id: Text
    count: ClassVar[int] = 1


class Push(msgspec.Struct, frozen=True, gc=False, rename={"topic": "T", "data": "d"}):
    """A frame of the push API."""

    topic: Literal["trade.SPOT", "trade.FUTURES"]
    data: TradeItem


class SpotSymbol(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a symbol in ``/api/v2/symbols`` that is used."""

    symbol: str
    base_currency: str
    quote_currency: str
    enable_trading: bool


class SpotAnswer(msgspec.Struct, frozen=True):
    """``/api/v2/symbols``."""

    data: list[SpotSymbol]


class Contract(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a contract in ``/api/v1/contracts/active`` that is used."""

    symbol: str
    type: str
    base_currency: str
    quote_currency: str
    settle_currency: str
    multiplier: float
    status: str


class ContractsAnswer(msgspec.Struct, frozen=True):
    """``/api/v1/contracts/active``."""

    data: list[Contract]


_push = msgspec.json.Decoder(Push, strict=False).decode
_DATED = re.compile(r"(?P<base>[A-Z0-9]+)M[FGHJKMNQUVXZ]\d{2}")


class KucoinSession(Session):
    """Reads the frames of one connection."""

    unit_ns = 1

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            item = _push(frame).data
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        return self.trades((item,), received_ns)

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        kind: type[TradeItem | SpotMatch | FuturesMatch]
        match document := json_object(NAME, frame):
            case {"T": "trade.SPOT" | "trade.FUTURES" as topic, "d": data}:
                kind = TradeItem
            case {"subject": "trade.l3match" as topic, "data": data}:
                kind = SpotMatch
            case {"subject": "match" as topic, "data": data}:
                kind = FuturesMatch
            case {"T": str() as topic} | {"subject": str() as topic}:
                return Parsed(other=topic)
            case _:
                return self._control(document, frame)
        items, rejected = self.rows(topic, [data], kind)
        return merged(self.trades(items, received_ns), rejected, topic)

    def _control(self, document: dict[str, Any], frame: str | bytes) -> Parsed:
        markets = self.asked_by(document.get("id"))
        match document:
            case {"result": True} | {"type": "ack"}:
                return Parsed(subscribed=markets, other="answer")
            case {"result": False} | {"type": "error"}:
                reason = str(document.get("msg", document.get("data", "no reason given")))
                refusal = Refusal(markets, f"{reason} (code {document.get('code')})")
                return Parsed(refused=(refusal,), other="answer")
            case {"type": str() as kind} | {"data": str() as kind}:
                return Parsed(other=kind)
            case {"code": str()}:
                return Parsed(other="answer of the REST interface")
        raise self.unreadable(frame)


class Kucoin(Adapter):
    """Adapter of KuCoin (the contract is in ``feeds/adapter.py``)."""

    name = NAME
    time_unit_ns = 1

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for spot, one for futures."""
        return (
            RestRequest("GET", self._rest(SPOT_REST_URL, SYMBOLS)),
            RestRequest("GET", self._rest(FUTURES_REST_URL, CONTRACTS)),
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Symbols that are traded, contracts that are open."""
        if request.url.endswith(SYMBOLS):
            symbols = answer(NAME, request.url, body, SpotAnswer).data
            return tuple(
                Instrument(
                    _market(s.symbol),
                    *(s.symbol, MarketKind.SPOT, s.base_currency, s.quote_currency, s.quote_currency),
                )
                for s in listed(NAME, request.url, symbols)
                if s.enable_trading
            )
        contracts = answer(NAME, request.url, body, ContractsAnswer).data
        return tuple(
            _contract(c)
            for c in listed(NAME, request.url, contracts)
            if c.status == "Open" and c.type in CONTRACT_TYPES and c.multiplier
        )

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By KuCoin's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """Spot and futures have a host each."""
        spot = [i for i in instruments if i.kind is MarketKind.SPOT]
        futures = [i for i in instruments if i.kind is not MarketKind.SPOT]
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(host, "/"),
                instruments=tuple(some),
                markets=tuple(i.market for i in some),
                subscribe=tuple(_subscriptions(some, kind)),
                control_interval_s=CONTROL_INTERVAL_S,
                ping='{"id":"0","type":"ping"}',
                ping_interval_s=18.0,
            )
            for chosen, host, kind in ((spot, SPOT_WS_URL, "SPOT"), (futures, FUTURES_WS_URL, "FUTURES"))
            for some in chunks(chosen, MARKETS_A_CONNECTION)
        )

    def session(self, plan: StreamPlan | None = None) -> KucoinSession:
        """A reader for one connection."""
        return KucoinSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    >>> linear, inverse = classify("KUCOIN:XBTUSDTM"), classify("KUCOIN:XBTUSDM")
    >>> (linear.base, linear.settle, linear.contract_size), (inverse.settle, inverse.inverse)
    (('BTC', 'USDT', 0.001), ('BTC', True))
    """
    symbol = market.partition(":")[2]
    if pair := separate(symbol, "-"):
        return Instrument(market, symbol, MarketKind.SPOT, *pair, pair[1])
    if match := _DATED.fullmatch(symbol):
        base = asset(match["base"])
        return Instrument(market, symbol, MarketKind.FUTURE, base, "USD", base, inverse=True)
    pair = split_pair(symbol[:-1]) if symbol.endswith("M") else None
    if pair is None:
        return None
    if pair[1] == "USD":
        return Instrument(market, symbol, MarketKind.PERP, *pair, pair[0], inverse=True)
    size = LINEAR_CONTRACT_SIZES.get(pair[0], 1.0)
    return Instrument(market, symbol, MarketKind.PERP, *pair, pair[1], size)


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _contract(entry: Contract) -> Instrument:
    return Instrument(
        _market(entry.symbol),
        entry.symbol,
        CONTRACT_TYPES[entry.type],
        asset(entry.base_currency),
        asset(entry.quote_currency),
        asset(entry.settle_currency),
        abs(entry.multiplier),
        entry.multiplier < 0,
    )


def _subscriptions(instruments: Sequence[Instrument], kind: str) -> Iterator[Subscription]:
    for request_id, instrument in enumerate(instruments, 1):
        request = {"id": str(request_id), "action": "subscribe", "channel": "trade", "tradeType": kind}
        yield Subscription(text_of({**request, "symbol": instrument.symbol}), (instrument.market,))


ADAPTER = Kucoin
