"""Binance's market streams, as spot, USD-M and COIN-M share them: frames in, trades out.

Wire formats: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams,
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams and
https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams.
Frames arrive bare on ``/ws`` and as ``{"stream":...,"data":{...}}`` on ``/stream``; both are read.

A frame is decoded straight into a typed struct. Whatever does not fit takes the slow way, which tells a
control answer, a frame of another kind and a broken one apart and names the broken field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import LeftOut, Parsed, Refusal, StreamPlan, Subscription
from squeezeflow_plugin.feeds.reading import (
    INFINITY,
    MAX_AHEAD_NS,
    SKIPPED,
    UNREADABLE,
    Id,
    Milliseconds,
    Symbol,
    amount_error,
    excerpt,
    field_error,
    json_object,
    number,
)
from squeezeflow_plugin.feeds.session import Amount
from squeezeflow_plugin.market import Instrument, Side, Trade

NS_PER_MS = 1_000_000
MAX_STREAMS = 1024
"""Streams a connection may carry."""
STREAMS_A_FRAME = 100
CONTROL_INTERVAL_S = 0.25
"""Binance spot closes a connection that sends more than five messages a second, pings and pongs included."""
LIFETIME_S = 24 * 3600.0
"""Every connection is cut after 24 hours."""
MAX_MARKETS = 20_000
"""How many symbols a session remembers; several times what Binance lists."""

COUNTED_EXECUTIONS = frozenset({"MARKET", "RPI"})
"""Executions between traders (RPI: against a retail price improvement order). Others - INSURANCE_FUND, ADL,
NA - move positions without crossing the spread."""

TRADES = frozenset({"trade", "aggTrade"})
"""The kinds of streams that carry a market's trades."""

FOREVER = 2**62
NAN = float("nan")
BUY, SELL = int(Side.BUY), int(Side.SELL)


_SHORT = {
    "event": "e",
    "symbol": "s",
    "price": "p",
    "quantity": "q",
    "time_ms": "T",
    "buyer_is_maker": "m",
}


class TradeEvent(msgspec.Struct, frozen=True, gc=False, rename={**_SHORT, "trade_id": "t", "execution": "X"}):
    """``@trade``. Spot has no execution type, nor have old recordings: those are ordinary trades."""

    event: Literal["trade"]
    symbol: Symbol
    trade_id: Id
    price: str
    quantity: str
    time_ms: Milliseconds
    buyer_is_maker: bool
    execution: str = "MARKET"


class AggTradeEvent(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={**_SHORT, "aggregate_id": "a", "first_id": "f", "last_id": "l"},
):
    """``@aggTrade``: the fills ``first_id``..``last_id`` of one taker order at one price."""

    event: Literal["aggTrade"]
    symbol: Symbol
    aggregate_id: Id
    price: str
    quantity: str
    first_id: Id
    last_id: Id
    time_ms: Milliseconds
    buyer_is_maker: bool


class ForcedOrder(
    msgspec.Struct, frozen=True, gc=False, rename={**_SHORT, "side": "S", "average_price": "ap"}
):
    """The order inside ``@forceOrder``: the exchange closing a position, SELL where a long is liquidated."""

    symbol: Symbol
    side: Literal["BUY", "SELL"]
    quantity: str
    price: str
    time_ms: Milliseconds
    average_price: str = ""


class ForceOrderEvent(msgspec.Struct, frozen=True, gc=False, rename={"event": "e", "order": "o"}):
    """``@forceOrder``: the largest liquidation of a symbol within a second."""

    event: Literal["forceOrder"]
    order: ForcedOrder


Event = TradeEvent | AggTradeEvent | ForceOrderEvent
EVENT_TYPES: dict[str, type[Event]] = {
    "trade": TradeEvent,
    "aggTrade": AggTradeEvent,
    "forceOrder": ForceOrderEvent,
}


class SoundTrade(msgspec.Struct, frozen=True, gc=False, rename={**_SHORT, "trade_id": "t", "execution": "X"}):
    """``@trade`` of the usual kind, its decimal texts read as numbers while they are decoded."""

    event: Literal["trade"]
    symbol: Symbol
    trade_id: Id
    price: Amount
    quantity: Amount
    time_ms: Milliseconds
    buyer_is_maker: bool
    execution: str = "MARKET"


class EnvelopedTrade(msgspec.Struct, frozen=True, gc=False):
    """A trade as ``/stream`` wraps it."""

    data: SoundTrade


# Trades are all but everything, so their type is decoded at once and the others take the slow way.
_bare = msgspec.json.Decoder(SoundTrade, strict=False).decode
_enveloped = msgspec.json.Decoder(EnvelopedTrade, strict=False).decode


class Market(NamedTuple):
    """What a symbol's amounts mean. ``contract_size`` in quote currency for inverse contracts, 0.0 otherwise,
    where the quantity is in base units already."""

    name: str
    contract_size: float


_UNKNOWN = Market("", 0.0)


class BinanceSession:
    """Reads the frames of one connection."""

    def __init__(self, exchange: str, guess: Callable[[str], Market], plan: StreamPlan | None) -> None:
        self._exchange = exchange
        self._guess = guess
        self._subscribe = plan.subscribe if plan else ()
        self._markets: dict[str, Market] = {}
        self._is_enveloped = False  # as the last frame was, so most likely the next
        for instrument in plan.instruments if plan else ():
            self._know(
                instrument.symbol,
                Market(instrument.market, instrument.contract_size if instrument.inverse else 0.0),
            )

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read.

        The ordinary trade of a known market is dealt with here, everything else by ``_unusual``.
        """
        try:
            event = _enveloped(frame).data if self._is_enveloped else _bare(frame)
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        market, contract_size = self._markets.get(event.symbol, _UNKNOWN)
        price, size = event.price, event.quantity
        if contract_size:
            quote = size * contract_size
            size = quote / price
        else:
            quote = price * size
        exchange_ns = event.time_ms * NS_PER_MS
        if (
            market
            and event.execution == "MARKET"
            and 0.0 < quote < INFINITY
            and exchange_ns - received_ns < MAX_AHEAD_NS
            and size > 0.0
        ):
            side = SELL if event.buyer_is_maker else BUY
            trade_id = str(event.trade_id)
            return Parsed(
                (Trade(market, exchange_ns, trade_id, price, size, quote, side, 1, False, received_ns),)
            )
        return self._unusual(frame, received_ns)

    def _know(self, symbol: str, market: Market) -> Market:
        if len(self._markets) < MAX_MARKETS:
            self._markets[symbol] = market
        return market

    def _market(self, symbol: str) -> Market:
        """From the plan where it is in there, else by the exchange's naming rule."""
        return self._markets.get(symbol) or self._know(symbol, self._guess(symbol))

    def _event(self, event: Event, received_ns: int) -> Parsed:
        if isinstance(event, TradeEvent):
            if event.execution in COUNTED_EXECUTIONS:
                side = SELL if event.buyer_is_maker else BUY
                return Parsed((self._trade(event, str(event.trade_id), side, 1, False, received_ns),))
            # told from the execution alone, because those of type NA come with price and quantity 0
            reason = f"execution type {excerpt(event.execution, 40)}"
            market = self._market(event.symbol).name
            return Parsed(left_out=(LeftOut(market, str(event.trade_id), reason),))
        if isinstance(event, AggTradeEvent):
            return Parsed(aggregates=(self._aggregate(event, received_ns),))
        return Parsed((self._liquidation(event.order, received_ns),))

    def _aggregate(self, event: AggTradeEvent, received_ns: int) -> Trade:
        count = event.last_id - event.first_id + 1
        if count < 1:
            raise FeedProtocolError(
                f"{self._exchange} aggTrade {event.symbol}: field l must be at least f ({event.first_id}), "
                f"was {event.last_id}; {SKIPPED}"
            )
        side = SELL if event.buyer_is_maker else BUY
        return self._trade(event, f"a{event.aggregate_id}", side, count, False, received_ns)

    def _liquidation(self, order: ForcedOrder, received_ns: int) -> Trade:
        # The stream gives no id; a symbol has at most one order a second, so its own texts identify it.
        trade_id = f"{order.time_ms}-{order.side}-{order.price}-{order.quantity}-{order.average_price}"
        side = BUY if order.side == "BUY" else SELL
        return self._trade(order, trade_id, side, 1, True, received_ns)

    def _trade(
        self,
        event: TradeEvent | AggTradeEvent | ForcedOrder,
        trade_id: str,
        side: int,
        count: int,
        liquidation: bool,
        received_ns: int,
    ) -> Trade:
        market, contract_size = self._market(event.symbol)
        exchange_ns = event.time_ms * NS_PER_MS
        try:
            price = number(event.price)
            size = number(event.quantity)
        except UNREADABLE:
            price = size = NAN
        if contract_size and price > 0.0:
            quote = size * contract_size
            size = quote / price
        else:
            quote = price * size
        # one chain: a NaN anywhere makes it false
        if (
            price > 0.0 < size
            and 0.0 < quote < INFINITY
            and exchange_ns < (received_ns or FOREVER) + MAX_AHEAD_NS
        ):
            return Trade(
                market, exchange_ns, trade_id, price, size, quote, side, count, liquidation, received_ns
            )
        raise self._unusable(event, received_ns)

    def _unusable(
        self, event: TradeEvent | AggTradeEvent | ForcedOrder, received_ns: int
    ) -> FeedProtocolError:
        where = f"{self._exchange} {_KINDS[type(event)]} {event.symbol}"
        error = amount_error(where, {"p": event.price, "q": event.quantity})
        if error is None and received_ns and event.time_ms * NS_PER_MS - received_ns > MAX_AHEAD_NS:
            error = FeedProtocolError(
                f"{where}: field T was {event.time_ms}, more than an hour after the frame was received "
                f"({received_ns // NS_PER_MS}); {SKIPPED}"
            )
        return error or FeedProtocolError(
            f"{where}: fields p and q were {event.price!r} and {event.quantity!r}, whose product is no "
            f"number a float holds; {SKIPPED}"
        )

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Whatever the typed decoders do not take: answers, other kinds, another spacing, broken frames."""
        document = json_object(self._exchange, frame)
        stream = document.get("stream")
        body: Any = document
        self._is_enveloped = isinstance(stream, str)
        if self._is_enveloped:
            body = document.get("data")
            if not isinstance(body, dict):
                raise FeedProtocolError(
                    f"{self._exchange} {stream}: field data must be an object, was "
                    f"{excerpt(str(body))}; {SKIPPED}"
                )
        kind = body.get("e", _kind_of_stream(stream))
        if not isinstance(kind, str):
            raise FeedProtocolError(f"{self._exchange}: field e must be a text, was {kind!r}; {SKIPPED}")
        if kind in EVENT_TYPES:
            try:
                event = msgspec.convert(body, EVENT_TYPES[kind])
            except msgspec.ValidationError as error:
                raise field_error(f"{self._exchange} {kind}", body, error) from error
            return self._event(event, received_ns)
        if kind == "serverShutdown":
            return Parsed(close="the server announced its shutdown")
        if kind:
            return Parsed(other=kind)
        return self._without_event(document, frame)

    def _without_event(self, document: dict[str, Any], frame: str | bytes) -> Parsed:
        """Answers to control frames, and the data frames that Binance sends without an event type."""
        if "id" in document and "result" in document and "error" not in document:
            return Parsed(subscribed=self._asked_by(document["id"]), other="answer")
        failure = document.get("error", document)
        if isinstance(failure, dict) and "code" in failure and "msg" in failure:
            reason = f"{failure['msg']} (code {failure['code']})"
            return Parsed(refused=(Refusal(self._asked_by(document.get("id")), reason),), other="answer")
        for kind, fields in _UNNAMED_KINDS.items():
            if fields <= document.keys():
                return Parsed(other=kind)
        raise FeedProtocolError(
            f"{self._exchange}: field e is missing, frame was {excerpt(frame)}; {SKIPPED}"
        )

    def _asked_by(self, request_id: object) -> tuple[str, ...]:
        """The markets of the control frame with this id (ids count from 1)."""
        if isinstance(request_id, int) and 1 <= request_id <= len(self._subscribe):
            return self._subscribe[request_id - 1].markets
        return ()


_E = frozenset({"e", b"e"})
_KINDS = {TradeEvent: "trade", AggTradeEvent: "aggTrade", ForcedOrder: "forceOrder"}
_UNNAMED_KINDS = {
    "bookTicker": frozenset({"u", "s", "b", "a"}),
    "depth": frozenset({"lastUpdateId", "bids", "asks"}),
    "openInterest": frozenset({"symbol", "openInterest"}),
}


def _kind_of_stream(stream: object) -> str:
    """The kind in a stream's name: ``btcusdt@depth@100ms`` is ``depth``; empty where there is none.

    >>> _kind_of_stream("btcusdt@bookTicker")
    'bookTicker'
    """
    return stream.split("@")[1] if isinstance(stream, str) and "@" in stream else ""


def connections(
    exchange: str,
    url: str,
    instruments: Sequence[Instrument],
    kinds: Sequence[str],
) -> Iterator[StreamPlan]:
    """The connections that carry streams of these kinds (``trade``, ``forceOrder``) of these instruments.

    Yields nothing where there is no instrument. A connection without trades carries no market's coverage.
    """
    at_once = MAX_STREAMS // len(kinds)
    for start in range(0, len(instruments), at_once):
        chosen = tuple(instruments[start : start + at_once])
        covers = not TRADES.isdisjoint(kinds)
        yield StreamPlan(
            exchange=exchange,
            url=url,
            instruments=chosen,
            markets=tuple(i.market for i in chosen) if covers else (),
            subscribe=tuple(_subscriptions(chosen, kinds, covers)),
            control_interval_s=CONTROL_INTERVAL_S,
            lifetime_s=LIFETIME_S,
        )


def _subscriptions(
    instruments: Sequence[Instrument], kinds: Sequence[str], covers: bool
) -> Iterator[Subscription]:
    at_once = STREAMS_A_FRAME // len(kinds)
    for request_id, start in enumerate(range(0, len(instruments), at_once), 1):
        chosen = instruments[start : start + at_once]
        streams = [f"{i.symbol.lower()}@{kind}" for i in chosen for kind in kinds]
        request = {"method": "SUBSCRIBE", "params": streams, "id": request_id}
        yield Subscription(
            msgspec.json.encode(request).decode(), tuple(i.market for i in chosen) if covers else ()
        )
