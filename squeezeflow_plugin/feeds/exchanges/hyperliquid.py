"""Hyperliquid: perpetuals, and spot. https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket

``side`` is the taker's, ``B`` (bid) or ``A`` (ask):

>>> frame = (
...     '{"channel":"trades","data":[{"coin":"BTC","side":"A","px":"80000.0","sz":"0.5",'
...     '"time":1767225600123,"hash":"0x00","tid":7,"users":["0x01","0x02"]}]}'
... )
>>> (trade,) = Hyperliquid().parse(frame, 0).trades
>>> trade.market, trade.quote, trade.side
('HYPERLIQUID:BTC', 40000.0, -1)

A subscription begins with a frame of older trades that nothing marks; the first of each coin on a connection
that follows a plan is taken for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.naming import separate
from squeezeflow_plugin.feeds.reading import UNREADABLE, Id, Milliseconds, Symbol, json_object
from squeezeflow_plugin.feeds.session import (
    BUY,
    SELL,
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

NAME = "HYPERLIQUID"
REST_URL = "https://api.hyperliquid.xyz"
WS_URL = "wss://api.hyperliquid.xyz"
INFO = "/info"
COLLATERAL = "USDC"
MARKETS_A_CONNECTION = 100
"""An address may hold ten connections and 1,000 subscriptions."""
CONTROL_INTERVAL_S = 0.05
"""2,000 messages a minute are allowed over all connections."""
PING_INTERVAL_S = 30.0
"""A connection over which nothing went for 60 seconds is closed."""


class TradeItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"symbol": "coin", "price": "px", "size": "sz", "number": "tid"},
):
    """One of ``data``; the id is a 50-bit hash, no sequence."""

    symbol: Symbol
    side: Literal["A", "B"]
    price: Amount
    size: Amount
    time: Milliseconds
    number: Id
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The exchange's."""
        return str(self.number)


class Trades(msgspec.Struct, frozen=True, gc=False):
    """``trades``."""

    channel: Literal["trades"]
    data: list[TradeItem]


class Coin(msgspec.Struct, frozen=True, rename="camel"):
    """A perpetual in ``meta``."""

    name: str
    is_delisted: bool | None = None


class Meta(msgspec.Struct, frozen=True):
    """Answer to ``{"type":"meta"}``."""

    universe: list[Coin]


class Token(msgspec.Struct, frozen=True):
    """A token in ``spotMeta``."""

    name: str
    index: int


class Pair(msgspec.Struct, frozen=True):
    """A spot market in ``spotMeta``: its name on the wire, and the indices of its base and quote tokens."""

    name: str
    tokens: tuple[int, int]


class SpotMeta(msgspec.Struct, frozen=True):
    """Answer to ``{"type":"spotMeta"}``."""

    tokens: list[Token]
    universe: list[Pair]


_trades = msgspec.json.Decoder(Trades, strict=False).decode


class HyperliquidSession(Session):
    """Reads the frames of one connection."""

    sides: ClassVar[Mapping[str, int]] = {"B": BUY, "A": SELL}

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)
        self._unheard = set(self.markets.planned)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            items = _trades(frame).data
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        return self._counted(items, received_ns, ())

    def _counted(self, items: list[TradeItem], received_ns: int, rejected: tuple[str, ...]) -> Parsed:
        parsed = merged(self.trades(items, received_ns), rejected, "trades")
        if items and items[0].symbol in self._unheard:
            self._unheard.difference_update(item.symbol for item in items)
            return as_replayed(parsed)
        return parsed

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        match json_object(NAME, frame):
            case {"channel": "trades", "data": data}:
                items, rejected = self.rows("trades", data, TradeItem)
                return self._counted(items, received_ns, rejected)
            case {
                "channel": "subscriptionResponse",
                "data": {"method": "subscribe", "subscription": {"type": "trades", "coin": coin}},
            }:
                return Parsed(subscribed=self.planned_market(coin), other="answer")
            case {"channel": "error", "data": reason}:
                return Parsed(refused=(Refusal(self._named_in(reason), str(reason)),), other="error")
            case {"channel": str() as channel}:
                return Parsed(other=channel)
        raise self.unreadable(frame)

    def _named_in(self, reason: object) -> tuple[str, ...]:
        """The market of the subscription that an error quotes."""
        text = str(reason)
        try:
            quoted: Any = msgspec.json.decode(text[text.index("{") : text.rindex("}") + 1])
        except (ValueError, *UNREADABLE):
            return ()
        while isinstance(quoted, dict) and "subscription" in quoted:
            quoted = quoted["subscription"]
        return self.planned_market(quoted.get("coin")) if isinstance(quoted, dict) else ()


class Hyperliquid(Adapter):
    """Adapter of Hyperliquid (the contract is in ``feeds/adapter.py``)."""

    name = NAME

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One question about perpetuals, one about spot."""
        url = self._rest(REST_URL, INFO)
        return tuple(
            RestRequest("POST", url, body=text_of({"type": kind}).encode()) for kind in ("meta", "spotMeta")
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """All perpetuals that are not delisted; all spot pairs."""
        if b"spotMeta" in request.body:
            meta = answer(NAME, request.url, body, SpotMeta)
            names = {token.index: token.name for token in meta.tokens}
            return tuple(
                _spot(pair.name, *(names[index] for index in pair.tokens))
                for pair in listed(NAME, request.url, meta.universe)
                if names.keys() >= set(pair.tokens)
            )
        coins = answer(NAME, request.url, body, Meta).universe
        return tuple(_perp(c.name) for c in listed(NAME, request.url, coins) if not c.is_delisted)

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Hyperliquid's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """One subscription a coin."""
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(WS_URL, "/ws"),
                instruments=tuple(some),
                markets=tuple(i.market for i in some),
                subscribe=tuple(_subscriptions(some)),
                control_interval_s=CONTROL_INTERVAL_S,
                ping='{"method":"ping"}',
                ping_interval_s=PING_INTERVAL_S,
            )
            for some in chunks(instruments, MARKETS_A_CONNECTION)
        )

    def session(self, plan: StreamPlan | None = None) -> HyperliquidSession:
        """A reader for one connection."""
        return HyperliquidSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says: a pair is spot, ``@107`` is spot of something, all else a perpetual.

    >>> perp = classify("HYPERLIQUID:BTC")
    >>> perp.kind.value, perp.base, perp.quote, perp.settle
    ('perp', 'BTC', 'USDC', 'USDC')
    >>> classify("HYPERLIQUID:PURR/USDC").kind.value, classify("HYPERLIQUID:@107")
    ('spot', None)
    """
    symbol = market.partition(":")[2]
    if pair := separate(symbol, "/"):
        return _spot(symbol, *pair)
    return _perp(symbol) if symbol and "@" not in symbol and "/" not in symbol else None


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _perp(coin: str) -> Instrument:
    """Priced in US dollars, margined and settled in USDC; a builder's coins bear its name in front."""
    base = coin.rpartition(":")[2]
    return Instrument(_market(coin), coin, MarketKind.PERP, base, COLLATERAL, COLLATERAL)


def _spot(name: str, base: str, quote: str) -> Instrument:
    return Instrument(_market(name), name, MarketKind.SPOT, base, quote, quote)


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for instrument in instruments:
        subscription = {"type": "trades", "coin": instrument.symbol}
        text = text_of({"method": "subscribe", "subscription": subscription})
        yield Subscription(text, (instrument.market,))


ADAPTER = Hyperliquid
