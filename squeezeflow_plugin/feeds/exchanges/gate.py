"""Gate: spot and perpetuals. https://www.gate.com/docs/developers/apiv4/ws/en/#public-trades-channel and
https://www.gate.com/docs/developers/futures/ws/en/#trades-api

aggr-server calls it GATEIO, a perpetual ``BTC_USDT`` and spot ``BTC_USDT-SPOT``. ``side`` of spot is the
taker's; futures have a signed number of contracts instead, positive where the taker bought:

>>> frame = (
...     '{"time":1767225600,"time_ms":1767225600125,"channel":"futures.trades","event":"update","result":['
...     '{"size":"-2.5","id":7,"create_time":1767225600,"create_time_ms":1767225600123,"price":"80000",'
...     '"contract":"BTC_USDT"}]}'
... )
>>> (trade,) = Gate().parse(frame, 0).trades
>>> trade.market, trade.size, trade.side
('GATEIO:BTC_USDT', 0.00025, -1)

Contracts are traded in fractions. Only a connection that asks for it by a header gets such sizes, as texts;
others get 0 for trades of less than one contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from squeezeflow_plugin.feeds.naming import is_date
from squeezeflow_plugin.feeds.reading import UNREADABLE, Id, Symbol, json_object
from squeezeflow_plugin.feeds.session import (
    NS_PER_US,
    Adapter,
    Amount,
    FractionalTime,
    Market,
    Markets,
    Session,
    answer,
    chunks,
    listed,
    merged,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "GATEIO"
REST_URL = "https://api.gateio.ws"
SPOT_WS_URL = "wss://api.gateio.ws"
FUTURES_WS_URL = "wss://fx-ws.gateio.ws"
PAIRS = "/api/v4/spot/currency_pairs"
CONTRACTS = "/api/v4/futures/{settle}/contracts"
SPOT = "-SPOT"
DECIMAL_SIZES = (("X-Gate-Size-Decimal", "1"),)
MARKETS_A_CONNECTION = 200
MARKETS_A_FRAME = 20
CONTROL_INTERVAL_S = 0.1
REQUEST_TIME = 1
"""Frames must bear a time; only signed ones have it checked."""
LINEAR_CONTRACT_SIZES = {"BTC": 0.0001, "ETH": 0.01}
"""Base units in a contract where the metadata are not at hand; 1 where it is not listed."""


class SpotItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"number": "id", "symbol": "currency_pair", "size": "amount", "milliseconds": "create_time_ms"},
):
    """``result`` of ``spot.trades``; the time has fractions of a millisecond."""

    number: Id
    symbol: Symbol
    side: Literal["buy", "sell"]
    size: Amount
    price: Amount
    milliseconds: FractionalTime
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The exchange's."""
        return str(self.number)

    @property
    def time(self) -> int:
        """In microseconds."""
        return round(self.milliseconds * 1_000)


class FuturesItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "number": "id",
        "symbol": "contract",
        "contracts": "size",
        "seconds": "create_time",
        "milliseconds": "create_time_ms",
    },
):
    """One of ``result`` of ``futures.trades``. Internal trades are those of insurance and deleveraging."""

    number: Id
    symbol: Symbol
    contracts: float
    price: Amount
    seconds: FractionalTime
    milliseconds: FractionalTime = 0.0
    is_internal: bool = False
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The exchange's."""
        return str(self.number)

    @property
    def time(self) -> int:
        """In microseconds; before 2021 only seconds were sent."""
        return round(self.milliseconds * 1_000 or self.seconds * 1_000_000)

    @property
    def size(self) -> float:
        """In contracts."""
        return abs(self.contracts)

    @property
    def side(self) -> str:
        """The taker's."""
        return "buy" if self.contracts > 0 else "sell"


class SpotTrade(msgspec.Struct, frozen=True, gc=False):
    """``spot.trades``."""

    channel: Literal["spot.trades"]
    event: Literal["update"]
    result: SpotItem


class FuturesTrades(msgspec.Struct, frozen=True, gc=False):
    """``futures.trades``."""

    channel: Literal["futures.trades"]
    event: Literal["update"]
    result: list[FuturesItem]


class Pair(msgspec.Struct, frozen=True):
    """The part of a pair in ``/spot/currency_pairs`` that is used."""

    id: str
    base: str
    quote: str
    trade_status: str


class Contract(msgspec.Struct, frozen=True):
    """The part of a contract in ``/futures/{settle}/contracts`` that is used."""

    name: str
    quanto_multiplier: float
    type: str
    in_delisting: bool = False


_spot_trade = msgspec.json.Decoder(SpotTrade, strict=False).decode
_futures_trades = msgspec.json.Decoder(FuturesTrades, strict=False).decode


class GateSession(Session):
    """Reads the frames of one connection. Its markets go by their names, because spot and futures share
    symbols."""

    unit_ns = NS_PER_US

    def __init__(self, plan: StreamPlan | None) -> None:
        instruments = plan.instruments if plan else ()
        super().__init__(NAME, Markets(str, classify, instruments, lambda i: i.market), plan)
        self._is_futures = plan is not None and plan.instruments[0].kind is not MarketKind.SPOT

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        try:
            if self._is_futures:
                return self._futures(_futures_trades(frame).result, (), received_ns)
            item = _spot_trade(frame).result
        except UNREADABLE:
            return self._unusual(frame, received_ns)
        return self.trades((item,), received_ns, {item.symbol: self._spot(item.symbol)})

    def _spot(self, symbol: str) -> Market:
        return self.markets[f"{NAME}:{symbol}{SPOT}"]

    def _futures(self, items: list[FuturesItem], rejected: tuple[str, ...], received_ns: int) -> Parsed:
        left_out = tuple(
            LeftOut(
                f"{NAME}:{item.symbol}",
                item.trade_id,
                "internal" if item.is_internal else "less than one contract, and no header asked how much",
            )
            for item in items
            if item.is_internal or not item.contracts
        )
        counted = [item for item in items if item.contracts and not item.is_internal]
        known = {item.symbol: self.markets[f"{NAME}:{item.symbol}"] for item in counted}
        kind = "" if left_out else "futures.trades"
        parsed = merged(self.trades(counted, received_ns, known), rejected, kind)
        return msgspec.structs.replace(parsed, left_out=left_out)

    def _unusual(self, frame: str | bytes, received_ns: int) -> Parsed:
        document = json_object(NAME, frame)
        match document:
            case {"channel": "spot.trades" | "spot.trades_v2", "event": "update", "result": result}:
                self._is_futures = False
                spot, rejected = self.rows(
                    "spot.trades", result if isinstance(result, list) else [result], SpotItem
                )
                known = {item.symbol: self._spot(item.symbol) for item in spot}
                return merged(self.trades(spot, received_ns, known), rejected, "spot.trades")
            case {"channel": "futures.trades", "event": "update", "result": result}:
                self._is_futures = True
                items, rejected = self.rows("futures.trades", result, FuturesItem)
                return self._futures(items, rejected, received_ns)
            case {"channel": str(), "event": "subscribe"}:
                return self._answered(document)
            case {"channel": str() as channel}:
                return Parsed(other=channel)
        raise self.unreadable(frame)

    def _answered(self, document: dict[str, Any]) -> Parsed:
        markets = self.asked_by(document.get("id"))
        match document.get("error"):
            case None:
                return Parsed(subscribed=markets, other="answer")
            case {"message": message, "code": code}:
                reason = f"{message} (code {code})"
            case reason:
                reason = str(reason)
        return Parsed(refused=(Refusal(markets, reason),), other="answer")


class Gate(Adapter):
    """Adapter of Gate (the contract is in ``feeds/adapter.py``)."""

    name = NAME
    time_unit_ns = NS_PER_US

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for spot, one for each currency that perpetuals settle in."""
        return (
            RestRequest("GET", self._rest(REST_URL, PAIRS)),
            *(
                RestRequest("GET", self._rest(REST_URL, CONTRACTS.format(settle=settle)))
                for settle in ("usdt", "btc")
            ),
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Pairs that are tradable, contracts that are not about to be delisted."""
        if request.url.endswith(PAIRS):
            pairs = answer(NAME, request.url, body, list[Pair])
            return tuple(
                Instrument(f"{NAME}:{p.id}{SPOT}", p.id, MarketKind.SPOT, p.base, p.quote, p.quote)
                for p in listed(NAME, request.url, pairs)
                if p.trade_status == "tradable"
            )
        contracts = answer(NAME, request.url, body, list[Contract])
        found = [_contract(c) for c in listed(NAME, request.url, contracts) if not c.in_delisting]
        return tuple(instrument for instrument in found if instrument is not None)

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Gate's naming rules."""
        return classify(f"{NAME}:{symbol}")

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """Spot has its own host; perpetuals have a path for each currency they settle in."""
        spot = [i for i in instruments if i.kind is MarketKind.SPOT]
        linear = [i for i in instruments if i.kind is not MarketKind.SPOT and not i.inverse]
        inverse = [i for i in instruments if i.inverse]
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(host, path),
                instruments=tuple(some),
                markets=tuple(i.market for i in some),
                subscribe=tuple(_subscriptions(some, channel)),
                control_interval_s=CONTROL_INTERVAL_S,
                ping=text_of({"time": REQUEST_TIME, "channel": f"{channel}.ping"}),
                ping_interval_s=18.0,
                headers=headers,
            )
            for chosen, host, path, channel, headers in (
                (spot, SPOT_WS_URL, "/ws/v4/", "spot", ()),
                (linear, FUTURES_WS_URL, "/v4/ws/usdt", "futures", DECIMAL_SIZES),
                (inverse, FUTURES_WS_URL, "/v4/ws/btc", "futures", DECIMAL_SIZES),
            )
            for some in chunks(chosen, MARKETS_A_CONNECTION)
        )

    def session(self, plan: StreamPlan | None = None) -> GateSession:
        """A reader for one connection."""
        return GateSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    >>> spot, perp = classify("GATEIO:BTC_USDT-SPOT"), classify("GATEIO:BTC_USDT")
    >>> (spot.kind.value, spot.base, spot.quote), (perp.kind.value, perp.base, perp.quote)
    (('spot', 'BTC', 'USDT'), ('perp', 'BTC', 'USDT'))
    """
    symbol = market.partition(":")[2]
    match symbol.removesuffix(SPOT).split("_"):
        case [base, quote] if base and quote and symbol.endswith(SPOT):
            return Instrument(market, symbol.removesuffix(SPOT), MarketKind.SPOT, base, quote, quote)
        case [base, quote, *date] if base and quote and all(is_date(day) for day in date) and len(date) < 2:
            kind = MarketKind.FUTURE if date else MarketKind.PERP
            if quote == "USD":
                return Instrument(market, symbol, kind, base, quote, base, inverse=True)
            return Instrument(market, symbol, kind, base, quote, quote, LINEAR_CONTRACT_SIZES.get(base, 1.0))
    return None


def _contract(entry: Contract) -> Instrument | None:
    """None for a contract whose base and quote its name does not tell. Inverse ones have no multiplier: they
    are of one US dollar."""
    named = classify(f"{NAME}:{entry.name}")
    if named is None or entry.type not in {"direct", "inverse"} or entry.quanto_multiplier < 0:
        return None
    if entry.quanto_multiplier:
        return msgspec.structs.replace(
            named, contract_size=entry.quanto_multiplier, inverse=False, settle=named.quote
        )
    return msgspec.structs.replace(named, contract_size=1.0, inverse=True, settle=named.base)


def _subscriptions(instruments: Sequence[Instrument], channel: str) -> Iterator[Subscription]:
    for request_id, some in enumerate(chunks(instruments, MARKETS_A_FRAME), 1):
        request = {"time": REQUEST_TIME, "id": request_id, "channel": f"{channel}.trades"}
        text = text_of({**request, "event": "subscribe", "payload": [i.symbol for i in some]})
        yield Subscription(text, tuple(i.market for i in some))


ADAPTER = Gate
