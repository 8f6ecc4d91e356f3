"""HTX, formerly Huobi: spot, and linear and inverse perpetuals. https://www.htx.com/en-us/opend/newApiPages/

aggr-server calls it HUOBI. Frames are gzipped. ``direction`` is the taker's. Amounts of spot are base units,
of perpetuals contracts; those of the linear ones tell the base units too, as ``quantity``:

>>> frame = (
...     '{"ch":"market.BTC-USD.trade.detail","ts":1767225600130,"tick":{"id":7,"ts":1767225600125,"data":['
...     '{"amount":40,"quantity":0.05,"ts":1767225600123,"id":70000,"price":80000,"direction":"sell"}]}}'
... )
>>> (trade,) = Htx().parse(frame, 0).trades
>>> trade.market, trade.size, trade.quote, trade.side
('HUOBI:BTC-USD', 0.05, 4000.0, -1)

The first frame of a market after its subscription is its last trade again, which may be hours old. Pings come
as frames and must be answered.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

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
from squeezeflow_plugin.feeds.naming import QUOTES, is_date, separate, split_pair
from squeezeflow_plugin.feeds.reading import (
    SKIPPED,
    UNREADABLE,
    Milliseconds,
    Symbol,
    excerpt,
    json_object,
)
from squeezeflow_plugin.feeds.session import (
    Adapter,
    Amount,
    Market,
    Markets,
    Session,
    answer,
    as_replayed,
    chunks,
    listed,
    made_id,
    merged,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "HUOBI"
SPOT_REST_URL = "https://api.htx.com"
SWAP_REST_URL = "https://api.hbdm.com"
SPOT_WS_URL = "wss://api.htx.com"
SWAP_WS_URL = "wss://api.hbdm.com"
SYMBOLS = "/v1/common/symbols"
LINEAR_INFO = "/linear-swap-api/v1/swap_contract_info"
INVERSE_INFO = "/swap-api/v1/swap_contract_info"
MARKETS_A_CONNECTION = 100
CONTROL_INTERVAL_S = 0.05
MAX_FRAME_BYTES = 4 * 1024 * 1024
"""What an unpacked frame may have; the largest seen has a few thousand."""
LINEAR_CONTRACT_SIZES = {"BTC": 0.001, "ETH": 0.01}
"""Base units in a contract where neither metadata nor the frame tell; 1 where it is not listed."""
TERMS = frozenset({"CW", "NW", "CQ", "NQ"})
"""This week, next week, this quarter, next quarter."""
SPOT_QUOTES = (*QUOTES, "HUSD", "HT")
TRADE_CHANNEL = re.compile(r"market\.(?P<symbol>[^.]+)\.trade\.detail")
LIQUIDATIONS = re.compile(r"public\.(?P<symbol>[^.]+)\.liquidation_orders")


class TradeItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"side": "direction", "time": "ts", "spot_id": "tradeId", "entry_id": "id"},
):
    """One of ``data``; spot has ``tradeId``, ``quantity`` is in base units."""

    amount: Amount
    price: Amount
    side: Literal["buy", "sell"]
    time: Milliseconds
    entry_id: int | float | str
    spot_id: int | str = ""
    quantity: float = 0.0
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The exchange's."""
        return str(self.spot_id) or str(self.entry_id)

    @property
    def size(self) -> float:
        """As the market counts it."""
        return self.amount

    def in_base_units(self) -> TradeItem:
        """The same with its base units for an amount."""
        return msgspec.structs.replace(self, amount=self.quantity)


class Tick(msgspec.Struct, frozen=True, gc=False):
    """``tick``."""

    data: list[TradeItem]


class Push(msgspec.Struct, frozen=True, gc=False, rename={"channel": "ch"}):
    """``market.SYMBOL.trade.detail``."""

    channel: str
    tick: Tick


class LiquidationItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"symbol": "contract_code", "side": "direction", "time": "created_at", "contracts": "volume"},
):
    """One of ``data`` of ``liquidation_orders``; the direction is the forced order's."""

    symbol: Symbol
    side: Literal["buy", "sell"]
    price: Amount
    time: Milliseconds
    contracts: Amount
    amount: float = 0.0
    count: ClassVar[int] = 1

    @property
    def size(self) -> float:
        """In contracts."""
        return self.contracts

    @property
    def trade_id(self) -> str:
        """The stream gives none."""
        return made_id(self)


class SpotSymbol(msgspec.Struct, frozen=True, rename="kebab"):
    """The part of a symbol in ``/v1/common/symbols`` that is used."""

    symbol: str
    base_currency: str
    quote_currency: str
    state: str


class SpotAnswer(msgspec.Struct, frozen=True):
    """``/v1/common/symbols``."""

    data: list[SpotSymbol]


class Contract(msgspec.Struct, frozen=True):
    """The part of a contract in ``swap_contract_info`` that is used."""

    contract_code: str
    contract_size: float
    contract_status: int


class ContractsAnswer(msgspec.Struct, frozen=True):
    """``swap_contract_info``."""

    data: list[Contract]


_push = msgspec.json.Decoder(Push, strict=False).decode


class HtxSession(Session):
    """Reads the frames of one connection."""

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)
        self._unheard = set(self.markets.planned)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        text = unpacked(frame)
        try:
            event = _push(text)
        except UNREADABLE:
            return self._unusual(text, received_ns)
        return self._counted(event.channel, event.tick.data, (), received_ns)

    def _counted(
        self, channel: str, items: list[TradeItem], rejected: tuple[str, ...], received_ns: int
    ) -> Parsed:
        match = TRADE_CHANNEL.fullmatch(channel)
        if match is None:
            return Parsed(other=channel)
        symbol = match["symbol"]
        if classify(_market(symbol)) is None and symbol not in self.markets.planned:
            reason = "neither spot nor perpetual nor future"
            return Parsed(left_out=tuple(LeftOut(_market(symbol), i.trade_id, reason) for i in items))
        market = self.markets[symbol]
        has_units = "-" in symbol and not market.inverse and all(item.quantity > 0.0 for item in items)
        if has_units:
            items, market = [item.in_base_units() for item in items], Market(market.name)
        parsed = merged(self.trades(items, received_ns, {"": market}), rejected, "trade.detail")
        if symbol in self._unheard:
            self._unheard.discard(symbol)
            return as_replayed(parsed)
        return parsed

    def _unusual(self, text: str | bytes, received_ns: int) -> Parsed:
        match document := json_object(NAME, text):
            case {"ping": int() as number}:
                return Parsed(replies=(text_of({"pong": number}),), other="ping")
            case {"op": "ping", "ts": time}:
                return Parsed(replies=(text_of({"op": "pong", "ts": time}),), other="ping")
            case {"ch": str() as channel, "tick": {"data": data}} if TRADE_CHANNEL.fullmatch(channel):
                items, rejected = self.rows("trade.detail", data, TradeItem)
                return self._counted(channel, items, rejected, received_ns)
            case {"op": "notify", "topic": str() as topic, "data": data} if LIQUIDATIONS.fullmatch(topic):
                forced, rejected = self.rows("liquidation_orders", data, LiquidationItem)
                perpetual = [item for item in forced if "-" in item.symbol]
                return merged(self.liquidations(perpetual, received_ns), rejected, "liquidation_orders")
            case {"ch": str() as kind} | {"op": str() as kind}:
                return Parsed(other=kind)
        return self._control(document, text)

    def _control(self, document: dict[str, Any], text: str | bytes) -> Parsed:
        match document:
            case {"status": "ok", "subbed": str() as channel}:
                match = TRADE_CHANNEL.fullmatch(channel)
                return Parsed(
                    subscribed=self.planned_market(match["symbol"]) if match else (), other="answer"
                )
            case {"status": "error", "err-msg": reason}:
                markets = self.asked_by(document.get("id"))
                return Parsed(refused=(Refusal(markets, str(reason)),), other="answer")
            case {"status": str()}:
                return Parsed(other="answer of the REST interface")
        raise self.unreadable(text)


class Htx(Adapter):
    """Adapter of HTX (the contract is in ``feeds/adapter.py``)."""

    name = NAME

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for spot, one for each kind of perpetuals."""
        return (
            RestRequest("GET", self._rest(SPOT_REST_URL, SYMBOLS)),
            RestRequest("GET", self._rest(SWAP_REST_URL, LINEAR_INFO)),
            RestRequest("GET", self._rest(SWAP_REST_URL, INVERSE_INFO)),
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Spot that is online, contracts whose status is 1 (listed)."""
        if request.url.endswith(SYMBOLS):
            symbols = answer(NAME, request.url, body, SpotAnswer).data
            return tuple(
                Instrument(_market(s.symbol), s.symbol, MarketKind.SPOT, base, quote, quote)
                for s in listed(NAME, request.url, symbols)
                for base, quote in ((s.base_currency.upper(), s.quote_currency.upper()),)
                if s.state == "online"
            )
        contracts = answer(NAME, request.url, body, ContractsAnswer).data
        return tuple(
            msgspec.structs.replace(named, contract_size=c.contract_size)
            for c in listed(NAME, request.url, contracts)
            if c.contract_status == 1
            and c.contract_size > 0
            and (named := classify(_market(c.contract_code))) is not None
        )

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By HTX's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """Each kind has its path, and so has each kind's liquidations."""
        spot = [i for i in instruments if i.kind is MarketKind.SPOT]
        linear = [i for i in instruments if i.kind is not MarketKind.SPOT and not i.inverse]
        inverse = [i for i in instruments if i.inverse]
        trades = [
            _stream(self._ws(host, path), some, tuple(i.market for i in some), _subscriptions(some))
            for chosen, host, path in (
                (spot, SPOT_WS_URL, "/ws"),
                (linear, SWAP_WS_URL, "/linear-swap-ws"),
                (inverse, SWAP_WS_URL, "/swap-ws"),
            )
            for some in chunks(chosen, MARKETS_A_CONNECTION)
        ]
        ask = Subscription(text_of({"op": "sub", "cid": "1", "topic": "public.*.liquidation_orders"}))
        liquidations = [
            _stream(self._ws(SWAP_WS_URL, path), chosen, (), iter([ask]))
            for chosen, path in ((linear, "/linear-swap-notification"), (inverse, "/swap-notification"))
            if chosen
        ]
        return (*trades, *liquidations)

    def session(self, plan: StreamPlan | None = None) -> HtxSession:
        """A reader for one connection."""
        return HtxSession(plan)


def unpacked(frame: str | bytes) -> str | bytes:
    """The frame's text; FeedProtocolError where the gzip is broken or far too large.

    >>> import gzip
    >>> unpacked(gzip.compress(b"{}"))
    b'{}'
    """
    if isinstance(frame, str) or not frame.startswith(b"\x1f\x8b"):
        return frame
    inflate = zlib.decompressobj(wbits=31)
    try:
        text = inflate.decompress(frame, MAX_FRAME_BYTES)
    except zlib.error as error:
        raise FeedProtocolError(
            f"{NAME}: frame must be gzip, was {excerpt(frame, 40)}: {error}; {SKIPPED}"
        ) from error
    if not inflate.eof:
        raise FeedProtocolError(
            f"{NAME}: frame's gzip is cut off or unpacks to more than {MAX_FRAME_BYTES} bytes; {SKIPPED}"
        )
    return text


def classify(market: str) -> Instrument | None:
    """What a market's name says, None for options and what is not known.

    >>> linear, inverse = classify("HUOBI:BTC-USDT"), classify("HUOBI:BTC-USD")
    >>> (linear.kind.value, linear.settle), (inverse.kind.value, inverse.settle, inverse.contract_size)
    (('perp', 'USDT'), ('perp', 'BTC', 100.0))
    >>> classify("HUOBI:btcusdt").kind.value, classify("HUOBI:BTC_CQ").kind.value
    ('spot', 'future')
    """
    symbol = market.partition(":")[2]
    base, underscore, term = symbol.partition("_")
    if underscore:
        known = base and term in TERMS
        return _inverse(market, symbol, MarketKind.FUTURE, base) if known else None
    if "-" not in symbol:
        pair = split_pair(symbol.upper(), SPOT_QUOTES) if symbol.islower() else None
        return Instrument(market, symbol, MarketKind.SPOT, *pair, pair[1]) if pair else None
    name, _, date = symbol.rpartition("-")
    is_dated = "-" in name and (is_date(date) or date in TERMS)
    kind = MarketKind.FUTURE if is_dated else MarketKind.PERP
    pair = separate(name if kind is MarketKind.FUTURE else symbol, "-")
    if pair is None:
        return None
    if pair[1] == "USD":
        return _inverse(market, symbol, kind, pair[0])
    return Instrument(market, symbol, kind, *pair, pair[1], LINEAR_CONTRACT_SIZES.get(pair[0], 1.0))


def _inverse(market: str, symbol: str, kind: MarketKind, base: str) -> Instrument:
    size = 100.0 if base == "BTC" else 10.0
    return Instrument(market, symbol, kind, base, "USD", base, size, inverse=True)


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


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
    )


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for request_id, instrument in enumerate(instruments, 1):
        request = {"sub": f"market.{instrument.symbol}.trade.detail", "id": str(request_id)}
        yield Subscription(text_of(request), (instrument.market,))


ADAPTER = Htx
