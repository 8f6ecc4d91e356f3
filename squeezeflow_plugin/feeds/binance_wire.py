"""Binance's market streams, as spot, USD-M and COIN-M share them: frames in, trades out.

Wire formats: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams,
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams and
https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams.
Frames arrive bare on ``/ws`` and as ``{"stream":...,"data":{...}}`` on ``/stream``; both are read.

A frame is decoded straight into a typed struct. Whatever does not fit takes the slow way, which tells a
control answer, a frame of another kind and a broken one apart and names the broken field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import LeftOut, Parsed, Refusal, StreamPlan
from squeezeflow_plugin.feeds.binance_events import (
    EVENT_TYPES,
    AggTradeEvent,
    EnvelopedTrade,
    Event,
    ForcedOrder,
    Number,
    SoundTrade,
    TradeEvent,
    nanoseconds,
)
from squeezeflow_plugin.feeds.reading import (
    INFINITY,
    MAX_AHEAD_NS,
    SKIPPED,
    UNREADABLE,
    amount_error,
    excerpt,
    field_error,
    json_document,
    number,
)
from squeezeflow_plugin.feeds.session import ITEM_SKIPPED, NS_PER_MS
from squeezeflow_plugin.market import Side, Trade

MAX_MARKETS = 20_000
"""How many symbols a session remembers; several times what Binance lists."""

COUNTED_EXECUTIONS = frozenset({"MARKET", "RPI"})
"""Executions between traders (RPI: against a retail price improvement order). Others - INSURANCE_FUND, ADL,
NA - move positions without crossing the spread."""

END_NS = 4_102_444_800_000_000_000
"""2100: a later time is none that could be meant."""
NAN = float("nan")
BUY, SELL = int(Side.BUY), int(Side.SELL)


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
        exchange_ns = event.time * NS_PER_MS
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
        trade_id = f"{order.time}-{order.side}-{order.price}-{order.quantity}-{order.average_price}"
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
        exchange_ns = nanoseconds(event.time)
        price, size = _value(event.price), _value(event.quantity)
        if contract_size and price > 0.0:
            quote = size * contract_size
            size = quote / price
        else:
            quote = price * size
        # one chain: a NaN anywhere makes it false
        if (
            price > 0.0 < size
            and 0.0 < quote < INFINITY
            and exchange_ns < (received_ns + MAX_AHEAD_NS if received_ns else END_NS)
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
        if error is not None:
            return error
        what = (
            f"fields p and q were {event.price!r} and {event.quantity!r}, whose product is no number a float "
            "holds"
        )
        if nanoseconds(event.time) >= END_NS:
            what = f"field T was {event.time}, neither milliseconds nor microseconds of a time before 2100"
        elif received_ns and nanoseconds(event.time) - received_ns >= MAX_AHEAD_NS:
            what = (
                f"field T was {event.time}, more than an hour after the frame was received "
                f"({received_ns // NS_PER_MS})"
            )
        return FeedProtocolError(f"{where}: {what}; {SKIPPED}")

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Whatever the typed decoders do not take: answers, other kinds, another spacing, broken frames."""
        document: Any = json_document(self._exchange, frame)
        stream: object = None
        body = document
        if isinstance(document, dict):
            stream = document.get("stream")
            self._is_enveloped = isinstance(stream, str)
            body = document.get("data") if self._is_enveloped else document
        if isinstance(body, list) and body and all(isinstance(one, dict) for one in body):
            return self._several(body, stream, frame, received_ns)
        if isinstance(body, dict):
            return self._told(body, stream, frame, received_ns)
        if stream is None:
            raise FeedProtocolError(
                f"{self._exchange}: frame must be a JSON object, was {excerpt(frame)}; {SKIPPED}"
            )
        raise FeedProtocolError(
            f"{self._exchange} {stream}: field data must be an object, was {excerpt(str(body))}; {SKIPPED}"
        )

    def _several(
        self, bodies: list[dict[str, Any]], stream: object, frame: str | bytes, received_ns: int
    ) -> Parsed:
        """Events in an array, as streams of all markets (``!ticker@arr``) send them."""
        told: list[Parsed] = []
        rejected: list[str] = []
        for body in bodies:
            try:
                told.append(self._told(body, stream, frame, received_ns))
            except FeedProtocolError as error:
                rejected.append(str(error).replace(SKIPPED, ITEM_SKIPPED))
        counts = any(parsed.trades or parsed.aggregates or parsed.left_out for parsed in told)
        return Parsed(
            trades=tuple(trade for parsed in told for trade in parsed.trades),
            aggregates=tuple(trade for parsed in told for trade in parsed.aggregates),
            left_out=tuple(item for parsed in told for item in parsed.left_out),
            rejected=tuple(rejected),
            other="" if counts or rejected else told[0].other,
        )

    def _told(self, body: dict[str, Any], stream: object, frame: str | bytes, received_ns: int) -> Parsed:
        """What one event or answer says."""
        kind = body.get("e", _kind_of_stream(stream))
        if not isinstance(kind, str):
            raise FeedProtocolError(f"{self._exchange}: field e must be a text, was {kind!r}; {SKIPPED}")
        if kind in EVENT_TYPES:
            try:
                event = msgspec.convert(body, EVENT_TYPES[kind], strict=False)
            except msgspec.ValidationError as error:
                raise field_error(f"{self._exchange} {kind}", body, error) from error
            return self._event(event, received_ns)
        if kind == "serverShutdown":
            return Parsed(close="the server announced its shutdown")
        return Parsed(other=kind) if kind else self._without_event(body, frame)

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


_KINDS = {TradeEvent: "trade", AggTradeEvent: "aggTrade", ForcedOrder: "forceOrder"}
_UNNAMED_KINDS = {
    "bookTicker": frozenset({"u", "s", "b", "a"}),
    "depth": frozenset({"lastUpdateId", "bids", "asks"}),
    "openInterest": frozenset({"symbol", "openInterest"}),
}


def _value(told: Number) -> float:
    """NaN for a text that is no number."""
    if not isinstance(told, str):
        return told
    try:
        return number(told)
    except UNREADABLE:
        return NAN


def _kind_of_stream(stream: object) -> str:
    """The kind in a stream's name: ``btcusdt@depth@100ms`` is ``depth``; empty where there is none.

    >>> _kind_of_stream("btcusdt@bookTicker")
    'bookTicker'
    """
    return stream.split("@")[1] if isinstance(stream, str) and "@" in stream else ""
