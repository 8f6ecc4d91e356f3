"""Bitfinex: spot and derivatives. https://docs.bitfinex.com/reference/ws-public-trades

Frames are arrays that begin with the number that the exchange gave the channel when it acknowledged the
subscription. The sign of an amount is the taker's side; ``tu`` repeats what ``te`` said, and the first array
of a channel holds older trades:

>>> session = Bitfinex().session()
>>> session.parse('{"event":"subscribed","channel":"trades","chanId":17,"symbol":"tBTCUSD"}', 0).other
'answer'
>>> (trade,) = session.parse('[17,"te",[7,1767225600123,-0.5,80000]]', 0).trades
>>> trade.market, trade.size, trade.side
('BITFINEX:BTCUSD', 0.5, -1)

Liquidations (``liq:global``) come for all derivatives; the amount is the position's, the price that at which
it was opened. Each is told twice, when it begins and when it is executed, under one id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.naming import separate, split_pair
from squeezeflow_plugin.feeds.reading import SKIPPED, Id, Milliseconds, Symbol, excerpt, json_document
from squeezeflow_plugin.feeds.session import (
    MAX_SYMBOL_LENGTH,
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

NAME = "BITFINEX"
REST_URL = "https://api-pub.bitfinex.com"
WS_URL = "wss://api-pub.bitfinex.com"
PAIRS = "/v2/conf/pub:list:pair:exchange,pub:list:pair:futures"
MARKETS_A_CONNECTION = 25
MAX_CHANNELS = 1_000
"""How many channel numbers a session remembers; a connection has 30."""
CONTROL_INTERVAL_S = 0.1
RECONNECT_CODES = frozenset({20051, 20061})
"""The server restarts; its maintenance is over."""
NAMES = {"UST": "USDT", "UDC": "USDC", "IOT": "IOTA", "DSH": "DASH", "QTM": "QTUM", "ALG": "ALGO"}
"""The exchange's spelling of assets that are called otherwise elsewhere."""


class TradeItem(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """``[id, time, amount, price]``."""

    number: Id
    time: Milliseconds
    amount: float
    price: Amount
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The exchange's."""
        return str(self.number)

    @property
    def size(self) -> float:
        """In base units."""
        return abs(self.amount)

    @property
    def side(self) -> str:
        """The taker's."""
        return "buy" if self.amount > 0 else "sell"


class LiquidationItem(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """``["pos", id, time, null, symbol, amount, base price, ...]``."""

    kind: str
    number: Id
    time: Milliseconds
    placeholder: Any
    wire_symbol: Symbol
    amount: float
    price: Amount
    count: ClassVar[int] = 1

    @property
    def symbol(self) -> str:
        """As the plan's instruments have it."""
        return self.wire_symbol

    @property
    def trade_id(self) -> str:
        """The position's."""
        return str(self.number)

    @property
    def size(self) -> float:
        """In base units."""
        return abs(self.amount)

    @property
    def side(self) -> str:
        """The forced order's: a long (positive) position is sold."""
        return "sell" if self.amount > 0 else "buy"


class BitfinexSession(Session):
    """Reads the frames of one connection; it remembers which number stands for which channel."""

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)
        self._channels: dict[int, str] = {}

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        match document := json_document(NAME, frame):
            case {"event": str() as event}:
                return self._control(document, event)
            case [_, "hb" | "tu" as kind, *_]:
                return Parsed(other=kind)
            case [channel, "te", trade, *_]:
                return self._counted(channel, [trade], received_ns)
            case [_, [["pos", *_], *_] as positions, *_]:
                forced, rejected = self.rows("liquidation", positions, LiquidationItem)
                return merged(self.liquidations(forced, received_ns), rejected, "status")
            case [channel, [[_, _, _, _], *_] as trades, *_]:
                return as_replayed(self._counted(channel, trades, received_ns))
            case [int(), *_]:
                return Parsed(other="another channel")
        raise self.unreadable(frame)

    def _counted(self, channel: object, rows: list[Any], received_ns: int) -> Parsed:
        symbol: object = None
        match channel:
            case int():
                symbol = self._channels.get(channel)
            case {"symbol": symbol}:  # as recorders write it who put the channel's answer for its number
                pass
        if not isinstance(symbol, str):
            raise FeedProtocolError(
                f"{NAME} te: channel {excerpt(repr(channel), 40)} was not announced, so its market is not "
                f"known; {SKIPPED}"
            )
        items, rejected = self.rows("te", rows, TradeItem)
        known = {"": self.markets[symbol]}
        return merged(self.trades(items, received_ns, known), rejected, "te")

    def _control(self, document: dict[str, Any], event: str) -> Parsed:
        match document:
            case {
                "event": "subscribed",
                "channel": "trades",
                "chanId": int() as number,
                "symbol": str() as name,
            }:
                if len(self._channels) < MAX_CHANNELS and len(name) <= MAX_SYMBOL_LENGTH:
                    self._channels[number] = name
                return Parsed(subscribed=self.planned_market(name), other="answer")
            case {"event": "error", "msg": reason}:
                markets = self.planned_market(document.get("symbol"))
                refusal = Refusal(markets, f"{reason} (code {document.get('code')})")
                return Parsed(refused=(refusal,), other="answer")
            case {"event": "info", "code": int() as code} if code in RECONNECT_CODES:
                return Parsed(close=str(document.get("msg", f"code {code}")))
        return Parsed(other=event)


class Bitfinex(Adapter):
    """Adapter of Bitfinex (the contract is in ``feeds/adapter.py``)."""

    name = NAME

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for both kinds."""
        return (RestRequest("GET", self._rest(REST_URL, PAIRS)),)

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Two lists of names, from which all else follows."""
        lists = answer(NAME, request.url, body, list[list[str]])
        names = [name for some in lists for name in some]
        found = [classify(f"{NAME}:{name}") for name in listed(NAME, request.url, names)]
        return tuple(instrument for instrument in found if instrument is not None)

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Bitfinex's naming rules."""
        return classify(f"{NAME}:{symbol}")

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """One channel a market; liquidations, which come for all, on one more connection."""
        url = self._ws(WS_URL, "/ws/2")
        plans = [
            _stream(url, some, tuple(i.market for i in some), _subscriptions(some))
            for some in chunks(instruments, MARKETS_A_CONNECTION)
        ]
        derivatives = [i for i in instruments if i.kind is not MarketKind.SPOT]
        if derivatives:
            ask = Subscription(text_of({"event": "subscribe", "channel": "status", "key": "liq:global"}))
            plans.append(_stream(url, derivatives, (), iter([ask])))
        return tuple(plans)

    def session(self, plan: StreamPlan | None = None) -> BitfinexSession:
        """A reader for one connection."""
        return BitfinexSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    >>> perp = classify("BITFINEX:BTCF0:USTF0")
    >>> perp.symbol, perp.kind.value, perp.base, perp.quote, perp.settle
    ('tBTCF0:USTF0', 'perp', 'BTC', 'USDT', 'USDT')
    """
    symbol = market.partition(":")[2]
    pair = separate(symbol, ":") if ":" in symbol else _halves(symbol)
    if pair is None:
        return None
    derivative = [part.endswith("F0") and part != "F0" for part in pair]
    if any(derivative) != all(derivative):
        return None
    base, quote = (NAMES.get(name, name) for name in (part.removesuffix("F0") for part in pair))
    kind = MarketKind.PERP if all(derivative) else MarketKind.SPOT
    return Instrument(market, f"t{symbol}", kind, base, quote, quote)


def _halves(symbol: str) -> tuple[str, str] | None:
    """Without a colon both names have three letters, or else the quote is a known one."""
    return (symbol[:3], symbol[3:]) if len(symbol) == 6 else split_pair(symbol)


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol.removeprefix('t')}"


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
        ping='{"event":"ping"}',
    )


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for instrument in instruments:
        text = text_of({"event": "subscribe", "channel": "trades", "symbol": instrument.symbol})
        yield Subscription(text, (instrument.market,))


ADAPTER = Bitfinex
