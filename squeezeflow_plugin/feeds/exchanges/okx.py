"""OKX v5: spot, swaps and futures. https://www.okx.com/docs-v5/en/#order-book-trading-market-data

aggr-server calls it OKEX. ``side`` is the taker's. A push stands for ``count`` fills of one taker order at
one price and carries the last one's id. Sizes of contracts are contracts of ``ctVal`` base units, or US
dollars where inverse:

>>> frame = (
...     '{"arg":{"channel":"trades","instId":"BTC-USD-SWAP"},"data":[{"instId":"BTC-USD-SWAP","tradeId":"7",'
...     '"px":"80000","sz":"40","side":"sell","ts":"1767225600123","count":"3"}]}'
... )
>>> (trade,) = Okx().parse(frame, 0).trades
>>> trade.market, trade.size, trade.quote, trade.side, trade.count
('OKEX:BTC-USD-SWAP', 0.05, 4000.0, -1, 3)

``liquidation-orders`` comes for all instruments of a type at once; its ``side`` is the forced order's, its
price the bankruptcy price.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.naming import is_date
from squeezeflow_plugin.feeds.okx_templates import TEMPLATES
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
    made_id,
    merged,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "OKEX"
REST_URL = "https://www.okx.com"
WS_URL = "wss://ws.okx.com:8443"
INSTRUMENTS = "/api/v5/public/instruments"
PUBLIC = "/ws/v5/public"
MARKETS_A_CONNECTION = 300
MARKETS_A_FRAME = 50
CONTROL_INTERVAL_S = 0.4
"""Three requests a second are allowed."""
PING_INTERVAL_S = 20.0
"""A connection over which nothing came for 30 seconds is closed."""
TRADE_CHANNELS = frozenset({"trades", "trades-all"})
LINEAR_CONTRACT_SIZES = {
    **dict.fromkeys(("BTC",), 0.01),
    **dict.fromkeys(("ETH", "BCH", "FIL"), 0.1),
    **dict.fromkeys(("EOS", "ETC", "NEAR", "OP", "ARB", "APE"), 10.0),
    **dict.fromkeys(("XRP", "ADA", "XLM"), 100.0),
    **dict.fromkeys(("DOGE", "TRX"), 1000.0),
}
"""Base units in a linear contract where the metadata are not at hand; 1 where it is not listed."""
DOLLAR_FAMILY = "USD_UM"
"""In the place of the quote in linear contracts that are margined in dollars of any kind
(``BTC-USD_UM-SWAP``); metadata say ``BTC-USD`` of them and a settlement currency of their own."""


class TradeItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"symbol": "instId", "trade_id": "tradeId", "price": "px", "size": "sz", "time": "ts"},
):
    """One of ``data``. The count, new in 2023, is of fills."""

    symbol: Symbol
    trade_id: Text
    price: Amount
    size: Amount
    side: Literal["buy", "sell"]
    time: Milliseconds
    count: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] = 1


class Argument(msgspec.Struct, frozen=True, gc=False):
    """What a frame is about."""

    channel: str


class Trades(msgspec.Struct, frozen=True, gc=False):
    """``trades`` and, a fill at a time, ``trades-all``."""

    arg: Argument
    data: list[TradeItem]


class LiquidationItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"symbol": "instId", "price": "bkPx", "size": "sz", "time": "ts"},
):
    """One of ``details``, with the instrument's id from beside them."""

    symbol: Symbol
    price: Amount
    size: Amount
    side: Literal["buy", "sell"]
    time: Milliseconds
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The stream gives none."""
        return made_id(self)


class ListedInstrument(msgspec.Struct, frozen=True, rename="camel"):
    """The part of an instrument in ``/api/v5/public/instruments`` that is used; texts empty where idle."""

    inst_id: str
    inst_type: str
    state: str
    base_ccy: str = ""
    quote_ccy: str = ""
    settle_ccy: str = ""
    ct_type: str = ""
    ct_val: str = ""
    ct_mult: str = ""
    uly: str = ""


class InstrumentsAnswer(msgspec.Struct, frozen=True):
    """``/api/v5/public/instruments``."""

    data: list[ListedInstrument]


_INST_ID = re.compile(r"instId:(?P<symbol>[^\s,]+)")
_trades = msgspec.json.Decoder(Trades, strict=False).decode


class OkxSession(Session):
    """Reads the frames of one connection."""

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            event = _trades(frame)
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        if event.arg.channel not in TRADE_CHANNELS:
            return Parsed(other=event.arg.channel)
        return self.trades(event.data, received_ns) if event.data else Parsed(other="trades")

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        if frame in {"pong", b"pong"}:
            return Parsed(other="pong")
        document = json_object(NAME, frame)
        match document:
            case {"event": str() as event}:
                return self._answered(document, event)
            case {"arg": {"channel": str() as channel}, "data": data}:
                if channel in TRADE_CHANNELS:
                    items, rejected = self.rows(channel, data, TradeItem)
                    return merged(self.trades(items, received_ns), rejected, channel)
                if channel == "liquidation-orders":
                    forced, rejected = self.rows(channel, _details(data), LiquidationItem)
                    return merged(self.liquidations(forced, received_ns), rejected, channel)
                return Parsed(other=channel)
            case {"code": str(), "data": list()}:
                return Parsed(other="answer of the REST interface")
        raise self.unreadable(frame)

    def _answered(self, document: dict[str, Any], event: str) -> Parsed:
        if event == "subscribe":
            match document:
                case {"arg": {"channel": "trades", "instId": symbol}}:
                    return Parsed(subscribed=self.planned_market(symbol), other=event)
        if event == "error":
            message = str(document.get("msg", "no reason given"))
            named = _INST_ID.search(message)
            markets = self.planned_market(named["symbol"]) if named else ()
            return Parsed(
                refused=(Refusal(markets, f"{message} (code {document.get('code')})"),), other=event
            )
        if event == "notice":
            return Parsed(close=str(document.get("msg", "a notice of the server")))
        return Parsed(other=event)


class Okx(Adapter):
    """Adapter of OKX (the contract is in ``feeds/adapter.py``)."""

    name = NAME
    contiguous_ids = frozenset(MarketKind)
    # of trades a session remembers only symbols that the plan does not know; the first push is no replay
    templates = TEMPLATES

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for each type."""
        url = self._rest(REST_URL, INSTRUMENTS)
        return tuple(RestRequest("GET", url, (("instType", kind),)) for kind in ("SPOT", "SWAP", "FUTURES"))

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Those whose state is live."""
        entries = answer(NAME, request.url, body, InstrumentsAnswer).data
        found = [_instrument(e) for e in listed(NAME, request.url, entries) if e.state == "live"]
        return tuple(instrument for instrument in found if instrument is not None)

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By OKX's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """Trades of all kinds together; liquidations, which come for whole types, on one more connection."""
        url = self._ws(WS_URL, PUBLIC)
        plans = [
            _stream(url, some, tuple(i.market for i in some), _subscriptions(some))
            for some in chunks(instruments, MARKETS_A_CONNECTION)
        ]
        contracts = [i for i in instruments if i.kind is not MarketKind.SPOT]
        types = [
            name
            for name, kind in (("SWAP", MarketKind.PERP), ("FUTURES", MarketKind.FUTURE))
            if any(i.kind is kind for i in contracts)
        ]
        if types:
            args = [{"channel": "liquidation-orders", "instType": name} for name in types]
            ask = Subscription(text_of({"op": "subscribe", "args": args}))
            plans.append(_stream(url, contracts, (), iter([ask])))
        return tuple(plans)

    def session(self, plan: StreamPlan | None = None) -> OkxSession:
        """A reader for one connection."""
        return OkxSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None for options and what is not known.

    >>> swap = classify("OKEX:BTC-USD-SWAP")
    >>> swap.kind.value, swap.base, swap.quote, swap.settle, swap.contract_size, swap.inverse
    ('perp', 'BTC', 'USD', 'BTC', 100.0, True)
    >>> classify("OKEX:BTC-USDT").kind.value, classify("OKEX:BTC-USD-260327-90000-C")
    ('spot', None)
    """
    symbol = market.partition(":")[2]
    match symbol.split("-"):
        case [base, quote] if base and quote:
            return Instrument(market, symbol, MarketKind.SPOT, base, quote, quote)
        case [base, quote, term] if base and quote and (term == "SWAP" or is_date(term)):
            kind = MarketKind.PERP if term == "SWAP" else MarketKind.FUTURE
            if quote == "USD":
                size = 100.0 if base == "BTC" else 10.0
                return Instrument(market, symbol, kind, base, quote, base, size, inverse=True)
            size = LINEAR_CONTRACT_SIZES.get(base, 1.0)
            if quote.startswith(DOLLAR_FAMILY):
                return Instrument(market, symbol, kind, base, "USD", "USD", size)
            return Instrument(market, symbol, kind, base, quote, quote, size)
    return None


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _details(data: object) -> object:
    """The details of all instruments in a row, each with its instrument; what is no list is left as it is."""
    if not isinstance(data, list):
        return data
    rows: list[object] = []
    for entry in data:
        match entry:
            case {"instId": symbol, "details": list() as details}:
                rows += [d | {"instId": symbol} if isinstance(d, dict) else d for d in details]
            case _:
                rows.append(entry)
    return rows


def _instrument(entry: ListedInstrument) -> Instrument | None:
    """None where a contract's underlying or size cannot be told."""
    market = _market(entry.inst_id)
    if entry.inst_type == "SPOT":
        return Instrument(
            market, entry.inst_id, MarketKind.SPOT, entry.base_ccy, entry.quote_ccy, entry.quote_ccy
        )
    base, _, quote = entry.uly.partition("-")
    kind = {"SWAP": MarketKind.PERP, "FUTURES": MarketKind.FUTURE}.get(entry.inst_type)
    try:
        size = float(entry.ct_val) * float(entry.ct_mult or 1)
    except ValueError:
        return None
    if kind is None or not base or not quote or entry.ct_type not in {"linear", "inverse"} or not size > 0:
        return None
    inverse = entry.ct_type == "inverse"
    return Instrument(market, entry.inst_id, kind, base, quote, entry.settle_ccy, size, inverse)


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
        args = [{"channel": "trades", "instId": i.symbol} for i in some]
        yield Subscription(text_of({"op": "subscribe", "args": args}), tuple(i.market for i in some))


ADAPTER = Okx
