"""Kraken spot and futures. https://docs.kraken.com/api/docs/websocket-v2/trade and
https://docs.kraken.com/api/docs/futures-api/websocket/trade

Markets of spot bear the names of the first websocket version, as in aggr-server: XBT and XDG, where the
second, which is spoken here, writes BTC and DOGE. ``side`` is the taker's:

>>> frame = (
...     '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":80000.0,'
...     '"qty":0.5,"ord_type":"limit","trade_id":7,"timestamp":"2026-01-01T00:00:00.123456Z"}]}'
... )
>>> (trade,) = Kraken().parse(frame, 0).trades
>>> trade.market, trade.exchange_ns, trade.side
('KRAKEN:XBT/USD', 1767225600123456000, 1)

Futures called ``PI_`` and ``FI_`` count contracts of one US dollar, ``PF_`` and ``FF_`` base units. A trade
of type ``liquidation`` is both: a trade of the market and a liquidation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
from squeezeflow_plugin.feeds.naming import asset, separate, split_pair
from squeezeflow_plugin.feeds.reading import UNREADABLE, Id, Milliseconds, Symbol, json_document
from squeezeflow_plugin.feeds.session import (
    BUY,
    BUY_SELL,
    NS_PER_US,
    SELL,
    Adapter,
    Amount,
    FractionalTime,
    Markets,
    Moment,
    Session,
    Text,
    answer,
    as_replayed,
    chunks,
    listed,
    made_id,
    merged,
    microseconds,
    numbered,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "KRAKEN"
SPOT_REST_URL = "https://api.kraken.com"
FUTURES_REST_URL = "https://futures.kraken.com"
SPOT_WS_URL = "wss://ws.kraken.com"
FUTURES_WS_URL = "wss://futures.kraken.com"
PAIRS = "/0/public/AssetPairs"
INSTRUMENTS = "/derivatives/api/v3/instruments"
MARKETS_A_CONNECTION = 200
MARKETS_A_FRAME = 50
CONTROL_INTERVAL_S = 0.25
FIRST_VERSION_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
COUNTED_TYPES = frozenset({"fill", "liquidation"})
"""The others - assignment, termination, block - move positions without crossing the spread."""
INVERSE = {"futures_inverse": True, "flexible_futures": False, "futures_vanilla": False}


class SpotItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"size": "qty", "number": "trade_id", "moment": "timestamp"},
):
    """One of ``data`` of the second version's ``trade``."""

    symbol: Symbol
    side: Literal["buy", "sell"]
    price: Amount
    size: Amount
    number: Id
    moment: Moment
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """Follows the last one's."""
        return str(self.number)

    @property
    def time(self) -> int:
        """In microseconds."""
        return microseconds(self.moment)


class SpotTrades(msgspec.Struct, frozen=True, gc=False):
    """The second version's ``trade``."""

    channel: Literal["trade"]
    type: Literal["snapshot", "update"]
    data: list[SpotItem]


class OldSpotItem(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A trade of the first version, ``[price, volume, time, side, type, misc]``, the pair put in front."""

    symbol: Symbol
    price: Amount
    size: Amount
    seconds: FractionalTime
    side: Literal["b", "s"]
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The first version gives none."""
        return made_id(self)

    @property
    def time(self) -> int:
        """In microseconds, of which a float of seconds still holds each one."""
        return round(self.seconds * 1e6)


class FuturesItem(
    msgspec.Struct, frozen=True, gc=False, rename={"symbol": "product_id", "size": "qty", "time_ms": "time"}
):
    """``trade`` of the futures; ``uid`` is missing in what was recorded before 2020."""

    feed: Literal["trade"]
    symbol: Symbol
    side: Literal["buy", "sell"]
    type: str
    size: Amount
    price: Amount
    time_ms: Milliseconds
    uid: Text = ""
    seq: int = 0
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The exchange's, else one made of the connection's sequence."""
        return self.uid or f"{self.time_ms}-{self.seq}"

    @property
    def time(self) -> int:
        """In microseconds."""
        return self.time_ms * 1_000


class AssetPair(msgspec.Struct, frozen=True):
    """The part of a pair in ``/0/public/AssetPairs`` that is used; none is streamed without ``wsname``."""

    wsname: str = ""
    status: str = "online"


class PairsAnswer(msgspec.Struct, frozen=True):
    """``/0/public/AssetPairs``."""

    result: dict[str, AssetPair]


class FuturesInstrument(msgspec.Struct, frozen=True, rename="camel"):
    """The part of an instrument in ``/derivatives/api/v3/instruments`` that is used."""

    symbol: str
    tradeable: bool
    type: str = ""
    contract_size: float = 1.0
    base: str = ""
    quote: str = ""


class FuturesAnswer(msgspec.Struct, frozen=True):
    """``/derivatives/api/v3/instruments``."""

    instruments: list[FuturesInstrument]


_spot_trades = msgspec.json.Decoder(SpotTrades, strict=False).decode
_futures_trade = msgspec.json.Decoder(FuturesItem, strict=False).decode
_FUTURE = re.compile(r"(?P<term>[PF])(?P<style>[IFV])_(?P<pair>\w+?)(?P<expiry>_\d{6})?")


class KrakenSession(Session):
    """Reads the frames of one connection."""

    unit_ns = NS_PER_US
    sides: ClassVar[Mapping[str, int]] = {**BUY_SELL, "b": BUY, "s": SELL}

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)
        self._is_futures = plan is not None and plan.instruments[0].kind is not MarketKind.SPOT

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            if self._is_futures:
                return self._futures((_futures_trade(frame),), (), received_ns)
            event = _spot_trades(frame)
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        parsed = merged(self.trades(event.data, received_ns), (), "trade")
        return parsed if event.type == "update" else as_replayed(parsed)

    def _futures(self, items: Sequence[FuturesItem], rejected: tuple[str, ...], received_ns: int) -> Parsed:
        counted = [item for item in items if item.type in COUNTED_TYPES]
        parsed = merged(self.trades(counted, received_ns), rejected, "trade")
        forced = [item for item in counted if item.type == "liquidation"]
        if len(counted) == len(items) and not forced:
            return parsed
        trades = parsed.trades + self.trades(forced, received_ns, liquidation=True).trades
        left_out = tuple(
            LeftOut(self.markets[item.symbol].name, item.trade_id, f"trade of type {item.type[:40]!r}")
            for item in items
            if item.type not in COUNTED_TYPES
        )
        other = "" if trades or left_out or parsed.rejected else "trade"
        return msgspec.structs.replace(parsed, trades=trades, left_out=left_out, other=other)

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        match document := json_document(NAME, frame):
            case {"feed": "trade"} if "event" not in document:
                self._is_futures = True
                return self._futures(*self.rows("trade", [document], FuturesItem), received_ns)
            case {"feed": "trade_snapshot", "trades": trades}:
                items, rejected = self.rows("trade_snapshot", trades, FuturesItem)
                return as_replayed(self._futures(items, rejected, received_ns))
            case {"channel": "trade", "type": kind, "data": data}:
                self._is_futures = False
                spot, rejected = self.rows("trade", data, SpotItem)
                parsed = merged(self.trades(spot, received_ns), rejected, "trade")
                return parsed if kind == "update" else as_replayed(parsed)
            case [int(), list() as trades, "trade", str() as pair]:
                rows = [[pair, *row] if isinstance(row, list) else row for row in trades]
                old, rejected = self.rows("trade", rows, OldSpotItem)
                parsed = merged(self.trades(old, received_ns), rejected, "trade")
                return msgspec.structs.replace(parsed, trades=numbered(parsed.trades))
        return self._control(document, frame)

    def _control(self, document: Any, frame: str | bytes) -> Parsed:
        match document:
            case {"method": "subscribe", "success": True, "result": {"symbol": symbol, "channel": "trade"}}:
                return Parsed(subscribed=self.planned_market(symbol), other="answer")
            case {"method": "subscribe", "success": False, "error": reason}:
                markets = self.planned_market(document.get("symbol"))
                return Parsed(refused=(Refusal(markets, str(reason)),), other="answer")
            case {"event": "subscribed", "feed": "trade", "product_ids": list() as symbols}:
                planned = tuple(market for symbol in symbols for market in self.planned_market(symbol))
                return Parsed(subscribed=planned, other="answer")
            case {"event": "error" | "alert", "message": reason}:
                return Parsed(refused=(Refusal((), str(reason)),), other="answer")
            case {"event": str() as kind} | {"method": str() as kind}:
                return Parsed(other=kind)
            case {"channel": str() as kind} | {"feed": str() as kind} | [int(), *_, str() as kind, str()]:
                return Parsed(other=kind)
        raise self.unreadable(frame)


class Kraken(Adapter):
    """Adapter of Kraken (the contract is in ``feeds/adapter.py``)."""

    name = NAME
    time_unit_ns = NS_PER_US
    contiguous_ids = frozenset({MarketKind.SPOT})

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for spot, one for futures."""
        return (
            RestRequest("GET", self._rest(SPOT_REST_URL, PAIRS)),
            RestRequest("GET", self._rest(FUTURES_REST_URL, INSTRUMENTS)),
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Pairs that are online, futures that are tradeable."""
        if request.url.endswith(PAIRS):
            pairs = list(answer(NAME, request.url, body, PairsAnswer).result.values())
            names = [p.wsname for p in listed(NAME, request.url, pairs) if p.status == "online"]
            spot = [classify(f"{NAME}:{name}") for name in names]
            return tuple(instrument for instrument in spot if instrument is not None)
        instruments = answer(NAME, request.url, body, FuturesAnswer).instruments
        found = [_future(entry) for entry in listed(NAME, request.url, instruments) if entry.tradeable]
        return tuple(instrument for instrument in found if instrument is not None)

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Kraken's naming rules."""
        return classify(f"{NAME}:{symbol}")

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """Spot and futures have a host each."""
        spot = [i for i in instruments if i.kind is MarketKind.SPOT]
        futures = [i for i in instruments if i.kind is not MarketKind.SPOT]
        return (
            *(
                _stream(self._ws(SPOT_WS_URL, "/v2"), some, _spot_subscriptions(some), '{"method":"ping"}')
                for some in chunks(spot, MARKETS_A_CONNECTION)
            ),
            *(
                _stream(self._ws(FUTURES_WS_URL, "/ws/v1"), some, _futures_subscriptions(some), "")
                for some in chunks(futures, MARKETS_A_CONNECTION)
            ),
        )

    def session(self, plan: StreamPlan | None = None) -> KrakenSession:
        """A reader for one connection."""
        return KrakenSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    >>> spot = classify("KRAKEN:XBT/USD")
    >>> spot.symbol, spot.base, spot.quote
    ('BTC/USD', 'BTC', 'USD')
    >>> inverse, flexible = classify("KRAKEN:PI_XBTUSD"), classify("KRAKEN:PF_XBTUSD")
    >>> (inverse.settle, inverse.inverse), (flexible.settle, flexible.inverse)
    (('BTC', True), ('USD', False))
    """
    symbol = market.partition(":")[2]
    if pair := separate(symbol, "/"):
        return Instrument(market, "/".join(pair), MarketKind.SPOT, *pair, pair[1])
    if match := _FUTURE.fullmatch(symbol):
        pair = split_pair(match["pair"])
        is_perpetual = match["term"] == "P"
        if pair is None or is_perpetual == bool(match["expiry"]):
            return None
        inverse = match["style"] == "I"
        kind = MarketKind.PERP if is_perpetual else MarketKind.FUTURE
        return Instrument(market, symbol, kind, *pair, pair[0] if inverse else pair[1], inverse=inverse)
    return None


def _market(symbol: str) -> str:
    """The market of a symbol of any of the three streams."""
    names = [FIRST_VERSION_NAMES.get(part, part) for part in symbol.split("/")]
    return f"{NAME}:{'/'.join(names)}"


def _future(entry: FuturesInstrument) -> Instrument | None:
    """None for a type that is not known, e.g. an index."""
    by_name = classify(f"{NAME}:{entry.symbol}")
    if entry.type not in INVERSE or by_name is None:
        return None
    inverse = INVERSE[entry.type]
    base, quote = asset(entry.base) or by_name.base, asset(entry.quote) or by_name.quote
    settle = base if inverse else quote
    return Instrument(
        by_name.market, entry.symbol, by_name.kind, base, quote, settle, entry.contract_size, inverse
    )


def _stream(
    url: str, instruments: Sequence[Instrument], asked: Iterator[Subscription], ping: str
) -> StreamPlan:
    return StreamPlan(
        exchange=NAME,
        url=url,
        instruments=tuple(instruments),
        markets=tuple(i.market for i in instruments),
        subscribe=tuple(asked),
        control_interval_s=CONTROL_INTERVAL_S,
        ping=ping,
        ping_interval_s=30.0,
    )


def _spot_subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for request_id, some in enumerate(chunks(instruments, MARKETS_A_FRAME), 1):
        params = {"channel": "trade", "symbol": [i.symbol for i in some], "snapshot": False}
        text = text_of({"method": "subscribe", "params": params, "req_id": request_id})
        yield Subscription(text, tuple(i.market for i in some))


def _futures_subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for some in chunks(instruments, MARKETS_A_FRAME):
        request = {"event": "subscribe", "feed": "trade", "product_ids": [i.symbol for i in some]}
        yield Subscription(text_of(request), tuple(i.market for i in some))


ADAPTER = Kraken
