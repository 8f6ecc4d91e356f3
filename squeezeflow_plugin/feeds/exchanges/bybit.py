"""Bybit v5: spot, linear and inverse. https://bybit-exchange.github.io/docs/v5/websocket/public/trade

A frame holds one or more trades; ``S`` is the taker's side. Sizes are base units, of inverse contracts US
dollars:

>>> frame = (
...     '{"topic":"publicTrade.BTCUSD","type":"snapshot","ts":1767225600130,"data":[{"T":1767225600123,'
...     '"s":"BTCUSD","S":"Sell","v":"4000","p":"80000.00","L":"MinusTick",'
...     '"i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false}]}'
... )
>>> (trade,) = Bybit().parse(frame, 0).trades
>>> trade.market, trade.size, trade.quote, trade.side
('BYBIT:BTCUSD', 0.05, 4000.0, -1)

``allLiquidation`` names the side of the *position*: ``Buy`` is a long that is sold out, at its bankruptcy
price. Spot and linear markets share symbols; only the connection tells them apart. Without one, the tick
direction ``L``, which spot lacks, and ids, decimal on spot alone, do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import (
    LeftOut,
    Parsed,
    Refusal,
    RestRequest,
    StreamPlan,
    Subscription,
)
from squeezeflow_plugin.feeds.bybit_templates import TEMPLATES
from squeezeflow_plugin.feeds.naming import split_pair
from squeezeflow_plugin.feeds.reading import SKIPPED, UNREADABLE, Milliseconds, Symbol, json_object
from squeezeflow_plugin.feeds.session import (
    BUY,
    SELL,
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
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "BYBIT"
REST_URL = "https://api.bybit.com"
WS_URL = "wss://stream.bybit.com"
INSTRUMENTS = "/v5/market/instruments-info"
SPOT = "-SPOT"
MARKETS_A_CONNECTION = 250
"""Topics of a connection may have 21,000 characters."""
TOPICS_A_FRAME = 10
"""What spot allows; small frames also keep one refused topic from taking many others with it."""
CONTROL_INTERVAL_S = 0.1
CONTRACT_TYPES = {
    "LinearPerpetual": (MarketKind.PERP, False),
    "InversePerpetual": (MarketKind.PERP, True),
    "LinearFutures": (MarketKind.FUTURE, False),
    "InverseFutures": (MarketKind.FUTURE, True),
}
"""Kind, and whether inverse."""


class TradeItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "time": "T",
        "symbol": "s",
        "side": "S",
        "size": "v",
        "price": "p",
        "trade_id": "i",
        "tick_direction": "L",
        "is_block": "BT",
    },
):
    """One of ``publicTrade``'s ``data``. Block trades are agreed elsewhere and cross no spread."""

    time: Milliseconds
    symbol: Symbol
    side: Literal["Buy", "Sell"]
    size: Amount
    price: Amount
    trade_id: Text
    tick_direction: str = ""
    is_block: bool = False
    count: ClassVar[int] = 1


class Trades(msgspec.Struct, frozen=True, gc=False):
    """``publicTrade.SYMBOL``."""

    topic: str
    data: list[TradeItem]


class LiquidationItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"time": "T", "symbol": "s", "side": "S", "size": "v", "price": "p"},
):
    """One of ``allLiquidation``'s ``data``."""

    time: Milliseconds
    symbol: Symbol
    side: Literal["Buy", "Sell"]
    size: Amount
    price: Amount
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The stream gives none."""
        return made_id(self)


class OldLiquidationItem(msgspec.Struct, frozen=True, gc=False, rename={"time": "updatedTime"}):
    """``data`` of the former ``liquidation.SYMBOL``, one a second at most."""

    time: Milliseconds
    symbol: Symbol
    side: Literal["Buy", "Sell"]
    size: Amount
    price: Amount
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The stream gives none."""
        return made_id(self)


LIQUIDATIONS: Mapping[str, type[LiquidationItem | OldLiquidationItem]] = {
    "allLiquidation": LiquidationItem,
    "liquidation": OldLiquidationItem,
}


class ListedInstrument(msgspec.Struct, frozen=True, rename="camel"):
    """The part of an instrument in ``/v5/market/instruments-info`` that is used."""

    symbol: str
    status: str
    base_coin: str
    quote_coin: str
    settle_coin: str = ""
    contract_type: str = ""


class ListedInstruments(msgspec.Struct, frozen=True, rename={"entries": "list"}):
    """``result``."""

    entries: list[ListedInstrument]


class InstrumentsAnswer(msgspec.Struct, frozen=True):
    """``/v5/market/instruments-info``."""

    result: ListedInstruments


_DATED = re.compile(r"(?P<pair>\w+?)(?:[FGHJKMNQUVXZ]\d{2}|(?P<dash>-)\d{1,2}[A-Z]{3}\d{2})")
_trades = msgspec.json.Decoder(Trades, strict=False).decode


class BybitSession(Session):
    """Reads the frames of one connection."""

    liquidation_sides: ClassVar[Mapping[str, int]] = {"Buy": SELL, "Sell": BUY}

    def __init__(self, plan: StreamPlan | None) -> None:
        instruments = plan.instruments if plan else ()
        super().__init__(NAME, Markets(_contract, classify, instruments), plan)
        self._spot = Markets(lambda symbol: _contract(symbol) + SPOT, classify)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            event = _trades(frame)
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        if not event.topic.startswith("publicTrade."):
            return self._unusual(frame, received_ns)
        return self._counted(event.data, received_ns)

    def _counted(self, items: list[TradeItem], received_ns: int, rejected: tuple[str, ...] = ()) -> Parsed:
        markets = self.markets
        if not self.is_planned and items and not items[0].tick_direction and items[0].trade_id.isdecimal():
            markets = self._spot
        for item in items:
            if item.is_block:
                break
        else:
            parsed = self.trades(items, received_ns, markets)
            return parsed if parsed.trades and not rejected else merged(parsed, rejected, "publicTrade")
        left_out = [LeftOut(markets[i.symbol].name, i.trade_id, "block trade") for i in items if i.is_block]
        parsed = self.trades([item for item in items if not item.is_block], received_ns, markets)
        return msgspec.structs.replace(parsed, left_out=tuple(left_out), rejected=rejected + parsed.rejected)

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        document = json_object(NAME, frame)
        topic = document.get("topic")
        if isinstance(topic, str):
            kind = topic.partition(".")[0]
            data = document.get("data")
            if kind == "publicTrade":
                items, rejected = self.rows(kind, data, TradeItem)
                return self._counted(items, received_ns, rejected)
            if kind in LIQUIDATIONS:
                rows = [data] if isinstance(data, dict) else data
                forced, rejected = self.rows(kind, rows, LIQUIDATIONS[kind])
                return merged(self.liquidations(forced, received_ns), rejected, kind)
            if kind == "trade":
                raise FeedProtocolError(
                    f"{NAME}: {topic} is a topic of the streams before v5, which are not read; {SKIPPED}"
                )
            return Parsed(other=kind)
        if isinstance(operation := document.get("op"), str):
            return self._answered(document, operation)
        if "success" in document:
            return Parsed(
                refused=(Refusal((), str(document.get("ret_msg", "no reason given"))),), other="answer"
            )
        if "retCode" in document:
            return Parsed(other="answer of the REST interface")
        raise self.unreadable(frame)

    def _answered(self, document: dict[str, object], operation: str) -> Parsed:
        if operation != "subscribe":
            return Parsed(other=operation)
        markets = self.asked_by(document.get("req_id"))
        if document.get("success") is True:
            return Parsed(subscribed=markets, other="answer")
        reason = str(document.get("ret_msg", "no reason given"))
        return Parsed(refused=(Refusal(markets, reason),), other="answer")


class Bybit(Adapter):
    """Adapter of Bybit (the contract is in ``feeds/adapter.py``)."""

    name = NAME
    # of trades a session remembers only symbols that the plan does not know; the first push is no replay
    templates = TEMPLATES

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for each category; 1,000 entries, the most there are, hold all of it."""
        url = self._rest(REST_URL, INSTRUMENTS)
        return tuple(
            RestRequest("GET", url, (("category", category), ("limit", "1000")))
            for category in ("spot", "linear", "inverse")
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Those whose status is Trading; contracts of one base unit, inverse ones of one US dollar."""
        entries = answer(NAME, request.url, body, InstrumentsAnswer).result.entries
        is_spot = ("category", "spot") in request.params
        read = _spot_instrument if is_spot else _contract_instrument
        found = [read(entry) for entry in listed(NAME, request.url, entries) if entry.status == "Trading"]
        return tuple(instrument for instrument in found if instrument is not None)

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Bybit's naming rules."""
        return classify(_contract(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """Each category has its own URL; liquidations ride beside the trades of contracts."""
        spot = [i for i in instruments if i.kind is MarketKind.SPOT]
        linear = [i for i in instruments if i.kind is not MarketKind.SPOT and not i.inverse]
        inverse = [i for i in instruments if i.inverse]
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(WS_URL, f"/v5/public/{category}"),
                instruments=tuple(some),
                markets=tuple(i.market for i in some),
                subscribe=tuple(_subscriptions(some, topics)),
                control_interval_s=CONTROL_INTERVAL_S,
                ping='{"op":"ping"}',
                ping_interval_s=20.0,
            )
            for category, chosen, topics in (
                ("spot", spot, ("publicTrade",)),
                ("linear", linear, ("publicTrade", "allLiquidation")),
                ("inverse", inverse, ("publicTrade", "allLiquidation")),
            )
            for some in chunks(chosen, MARKETS_A_CONNECTION)
        )

    def session(self, plan: StreamPlan | None = None) -> BybitSession:
        """A reader for one connection."""
        return BybitSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None for options and what is not known.

    >>> perp = classify("BYBIT:BTCPERP")
    >>> perp.kind.value, perp.base, perp.quote, perp.settle
    ('perp', 'BTC', 'USDC', 'USDC')
    >>> dated = classify("BYBIT:BTCUSDH26")
    >>> dated.kind.value, dated.base, dated.quote, dated.settle, dated.inverse
    ('future', 'BTC', 'USD', 'BTC', True)
    """
    symbol = market.partition(":")[2]
    if symbol.endswith(SPOT):
        pair = split_pair(symbol.removesuffix(SPOT))
        if pair is None:
            return None
        return Instrument(market, symbol.removesuffix(SPOT), MarketKind.SPOT, *pair, pair[1])
    if symbol.endswith("PERP") and symbol != "PERP":
        return Instrument(market, symbol, MarketKind.PERP, symbol.removesuffix("PERP"), "USDC", "USDC")
    pair_text, kind = symbol, MarketKind.PERP
    if match := _DATED.fullmatch(symbol):
        pair_text, kind = match["pair"], MarketKind.FUTURE
        if match["dash"] and split_pair(pair_text) is None:
            return Instrument(market, symbol, kind, pair_text, "USDC", "USDC")
    pair = split_pair(pair_text)
    if pair is None or "-" in pair_text:
        return None
    inverse = pair[1] == "USD"
    settle = pair[0] if inverse else pair[1]
    return Instrument(market, symbol, kind, *pair, settle, inverse=inverse)


def _contract(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _spot_instrument(entry: ListedInstrument) -> Instrument:
    market = _contract(entry.symbol) + SPOT
    return Instrument(
        market, entry.symbol, MarketKind.SPOT, entry.base_coin, entry.quote_coin, entry.quote_coin
    )


def _contract_instrument(entry: ListedInstrument) -> Instrument | None:
    """None for a kind of contract that is not known."""
    if entry.contract_type not in CONTRACT_TYPES:
        return None
    kind, inverse = CONTRACT_TYPES[entry.contract_type]
    return Instrument(
        _contract(entry.symbol),
        entry.symbol,
        kind,
        entry.base_coin,
        entry.quote_coin,
        entry.settle_coin,
        inverse=inverse,
    )


def _subscriptions(instruments: Sequence[Instrument], topics: Sequence[str]) -> Iterator[Subscription]:
    for request_id, some in enumerate(chunks(instruments, TOPICS_A_FRAME // len(topics)), 1):
        args = [f"{topic}.{i.symbol}" for i in some for topic in topics]
        text = text_of({"op": "subscribe", "req_id": str(request_id), "args": args})
        yield Subscription(text, tuple(i.market for i in some))


ADAPTER = Bybit
