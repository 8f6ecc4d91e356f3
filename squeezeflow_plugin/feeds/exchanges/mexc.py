"""MEXC: spot and futures. https://www.mexc.com/api-docs/spot-v3/websocket-market-streams and
https://www.mexc.com/api-docs/futures/websocket-api

Spot is ``BTCUSDT`` and comes as Protocol Buffers, a perpetual ``BTC_USDT`` and comes as JSON. ``tradeType``
and ``T`` are the taker's side, 1 where he bought, 2 where he sold. Sizes of futures are contracts:

>>> frame = (
...     '{"symbol":"BTC_USDT","data":[{"p":80000,"v":25,"T":2,"O":3,"M":1,"t":1767225600123,"i":"7"}],'
...     '"channel":"push.deal","ts":1767225600125}'
... )
>>> (trade,) = Mexc().parse(frame, 0).trades
>>> trade.market, trade.size, trade.side
('MEXC:BTC_USDT', 0.0025, -1)

Older frames of futures hold a single trade and no id; one is made of what the trade says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.naming import asset, separate, split_pair
from squeezeflow_plugin.feeds.protobuf import fields
from squeezeflow_plugin.feeds.reading import SKIPPED, Id, Milliseconds, excerpt, json_object
from squeezeflow_plugin.feeds.session import (
    Adapter,
    Amount,
    Markets,
    Session,
    Text,
    answer,
    chunks,
    listed,
    made_id,
    merged,
    numbered,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "MEXC"
SPOT_REST_URL = "https://api.mexc.com"
FUTURES_REST_URL = "https://contract.mexc.com"
SPOT_WS_URL = "wss://wbs-api.mexc.com"
FUTURES_WS_URL = "wss://contract.mexc.com"
EXCHANGE_INFO = "/api/v3/exchangeInfo"
CONTRACTS = "/api/v1/contract/detail"
TOPIC = "spot@public.aggre.deals.v3.api.pb@100ms@"
MARKETS_A_CONNECTION = 30
"""Topics that a spot connection may carry."""
CONTROL_INTERVAL_S = 0.1
ONLINE = {"1", "ENABLED"}
ENABLED = 0
"""State of a contract that is traded."""
LINEAR_CONTRACT_SIZES = {"BTC": 0.0001, "ETH": 0.01}
"""Base units in a contract where the metadata are not at hand; 1 where it is not listed."""
INVERSE_CONTRACT_SIZES = {"BTC": 100.0}
"""US dollars in a contract where the metadata are not at hand; 10 where it is not listed."""

# Of PushDataV3ApiWrapper, PublicAggreDealsV3Api and PublicAggreDealsV3ApiItem.
WRAPPER_CHANNEL, WRAPPER_SYMBOL, WRAPPER_DEALS = 1, 3, 314
DEALS_ITEM = 1
ITEM_FIELDS = {1: "price", 2: "quantity", 3: "tradeType", 4: "time", 5: "tradeId"}


class SpotItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"size": "quantity", "taker": "tradeType", "number": "tradeId"},
):
    """One of ``publicAggreDeals``' ``deals``."""

    price: Amount
    size: Amount
    taker: Literal[1, 2]
    time: Milliseconds
    number: Text | None = None
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The exchange's, where it gives one."""
        return self.number or made_id(self)

    @property
    def side(self) -> str:
        """The taker's."""
        return "buy" if self.taker == 1 else "sell"


class FuturesItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"price": "p", "size": "v", "taker": "T", "time": "t", "number": "i"},
):
    """One of ``push.deal``'s ``data``; sizes are contracts."""

    price: Amount
    size: Amount
    taker: Literal[1, 2]
    time: Milliseconds
    number: Id | Text | None = None
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The exchange's, where it gives one."""
        return made_id(self) if self.number is None else str(self.number)

    @property
    def side(self) -> str:
        """The taker's."""
        return "buy" if self.taker == 1 else "sell"


class SpotSymbol(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a symbol in ``/api/v3/exchangeInfo`` that is used."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str


class SpotAnswer(msgspec.Struct, frozen=True):
    """``/api/v3/exchangeInfo``."""

    symbols: list[SpotSymbol]


class Contract(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a contract in ``/api/v1/contract/detail`` that is used."""

    symbol: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    contract_size: Amount
    state: int


class ContractsAnswer(msgspec.Struct, frozen=True):
    """``/api/v1/contract/detail``."""

    data: list[Contract]


_TOPIC_SYMBOL = re.compile(r"@(?P<symbol>[^@\s,\[\]]+)(?=[\s,\]]|$)")


class MexcSession(Session):
    """Reads the frames of one connection. Futures answer subscriptions in their order, by no name."""

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)
        self._answers = 0

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        match document := _document(frame):
            case {
                "publicAggreDeals": {"deals": deals}
                | {"dealsList": deals},  # as protobuf's JSON of Java says
                "symbol": str() as symbol,
            } if symbol:
                spot, rejected = self.rows("publicAggreDeals", deals, SpotItem)
                return self._counted(symbol, spot, rejected, received_ns)
            case {"channel": "push.deal", "data": data, "symbol": str() as symbol} if symbol:
                rows = [data] if isinstance(data, dict) else data
                futures, rejected = self.rows("push.deal", rows, FuturesItem)
                return self._counted(symbol, futures, rejected, received_ns)
            case {"channel": "rs.sub.deal" | "rs.error" as channel}:
                return self._next_answered(channel, document.get("data"))
            case {"channel": str() as channel}:
                return Parsed(other=channel)
            case {"code": code, "msg": str() as text}:
                return self._answered(code, text)
        raise self.unreadable(frame)

    def _counted(
        self,
        symbol: str,
        items: Sequence[SpotItem | FuturesItem],
        rejected: tuple[str, ...],
        received_ns: int,
    ) -> Parsed:
        parsed = self.trades(items, received_ns, {"": self.markets[symbol]})
        if any(item.number is None for item in items):
            parsed = msgspec.structs.replace(parsed, trades=numbered(parsed.trades))
        return merged(parsed, rejected, "deals")

    def _next_answered(self, channel: str, data: object) -> Parsed:
        self._answers += 1
        markets = self.asked_by(self._answers)
        if channel == "rs.sub.deal" and data == "success":
            return Parsed(subscribed=markets, other="answer")
        return Parsed(refused=(Refusal(markets, str(data)),), other="answer")

    def _answered(self, code: object, text: str) -> Parsed:
        """Spot repeats the topics, ``spot@...@BTCUSDT``, or quotes them in what it says against them."""
        if text == "PONG":
            return Parsed(other="pong")
        symbols = [match["symbol"] for match in _TOPIC_SYMBOL.finditer(text)]
        markets = tuple(market for symbol in symbols for market in self.planned_market(symbol))
        if code == 0 and text.startswith("spot@"):
            return Parsed(subscribed=markets, other="answer")
        return Parsed(refused=(Refusal(markets, f"{text} (code {code})"),), other="answer")


class Mexc(Adapter):
    """Adapter of MEXC (the contract is in ``feeds/adapter.py``)."""

    name = NAME

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for spot, one for futures."""
        return (
            RestRequest("GET", self._rest(SPOT_REST_URL, EXCHANGE_INFO)),
            RestRequest("GET", self._rest(FUTURES_REST_URL, CONTRACTS)),
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Symbols that are online, contracts that are enabled."""
        if request.url.endswith(EXCHANGE_INFO):
            symbols = answer(NAME, request.url, body, SpotAnswer).symbols
            return tuple(
                Instrument(
                    _market(s.symbol), s.symbol, MarketKind.SPOT, s.base_asset, s.quote_asset, s.quote_asset
                )
                for s in listed(NAME, request.url, symbols)
                if s.status in ONLINE
            )
        contracts = answer(NAME, request.url, body, ContractsAnswer).data
        return tuple(_contract(c) for c in listed(NAME, request.url, contracts) if c.state == ENABLED)

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By MEXC's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """Spot and futures have a host each, and a request for each market."""
        spot = [i for i in instruments if i.kind is MarketKind.SPOT]
        futures = [i for i in instruments if i.kind is not MarketKind.SPOT]
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(host, path),
                instruments=tuple(some),
                markets=tuple(i.market for i in some),
                subscribe=tuple(_subscriptions(some)),
                control_interval_s=CONTROL_INTERVAL_S,
                ping=ping,
                ping_interval_s=15.0,
            )
            for chosen, host, path, ping in (
                (spot, SPOT_WS_URL, "/ws", '{"method":"PING"}'),
                (futures, FUTURES_WS_URL, "/edge", '{"method":"ping"}'),
            )
            for some in chunks(chosen, MARKETS_A_CONNECTION)
        )

    def session(self, plan: StreamPlan | None = None) -> MexcSession:
        """A reader for one connection."""
        return MexcSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    >>> spot, perp = classify("MEXC:BTCUSDT"), classify("MEXC:BTC_USDT")
    >>> (spot.kind.value, spot.base, spot.quote), (perp.kind.value, perp.base, perp.contract_size)
    (('spot', 'BTC', 'USDT'), ('perp', 'BTC', 0.0001))
    """
    symbol = market.partition(":")[2]
    if "_" not in symbol:
        pair = split_pair(symbol)
        return Instrument(market, symbol, MarketKind.SPOT, *pair, pair[1]) if pair else None
    if (pair := separate(symbol, "_")) is None:
        return None
    if pair[1] == "USD":
        size = INVERSE_CONTRACT_SIZES.get(pair[0], 10.0)
        return Instrument(market, symbol, MarketKind.PERP, *pair, pair[0], size, inverse=True)
    size = LINEAR_CONTRACT_SIZES.get(pair[0], 1.0)
    return Instrument(market, symbol, MarketKind.PERP, *pair, pair[1], size)


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _contract(entry: Contract) -> Instrument:
    return Instrument(
        _market(entry.symbol),
        entry.symbol,
        MarketKind.PERP,
        asset(entry.base_coin),
        asset(entry.quote_coin),
        asset(entry.settle_coin),
        entry.contract_size,
        entry.settle_coin != entry.quote_coin,
    )


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for instrument in instruments:
        request: dict[str, Any]
        if instrument.kind is MarketKind.SPOT:
            request = {"method": "SUBSCRIPTION", "params": [TOPIC + instrument.symbol]}
        else:
            request = {"method": "sub.deal", "param": {"symbol": instrument.symbol}, "gzip": False}
        yield Subscription(text_of(request), (instrument.market,))


def _document(frame: str | bytes) -> dict[str, Any]:
    """Futures and all answers are JSON, trades of spot are not."""
    if isinstance(frame, bytes) and not frame.startswith(b"{"):
        return _unpacked(frame)
    return json_object(NAME, frame)


def _unpacked(frame: bytes) -> dict[str, Any]:
    """A spot frame as the document that JSON would make of it.

    >>> _unpacked(bytes.fromhex("0a01631a0142d213070a050a01311801"))
    {'channel': 'c', 'symbol': 'B', 'publicAggreDeals': {'deals': [{'price': '1', 'tradeType': 1}]}}
    """
    document: dict[str, Any] = {}
    try:
        for number, value in fields(frame):
            if number == WRAPPER_CHANNEL:
                document["channel"] = _text(value)
            elif number == WRAPPER_SYMBOL:
                document["symbol"] = _text(value)
            elif number == WRAPPER_DEALS:
                items = [_bytes(item) for field, item in fields(_bytes(value)) if field == DEALS_ITEM]
                document["publicAggreDeals"] = {"deals": [_item(item) for item in items]}
    except (TypeError, ValueError) as error:
        raise FeedProtocolError(
            f"{NAME}: frame must be JSON or a protobuf message, was {excerpt(frame)}: {error}; {SKIPPED}"
        ) from error
    return document


def _item(message: bytes) -> dict[str, Any]:
    return {
        ITEM_FIELDS[number]: value if isinstance(value, int) else _text(value)
        for number, value in fields(message)
        if number in ITEM_FIELDS
    }


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError(f"a message was expected, there was the integer {value}")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()


ADAPTER = Mexc
