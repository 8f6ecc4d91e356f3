"""Phemex: spot and perpetuals. https://phemex-docs.github.io

``sBTCUSDT`` is spot, ``BTCUSDT`` a perpetual and ``BTCUSD`` one of the older contracts. The second field of a
trade is the taker's side, the first its time in nanoseconds. Perpetuals say prices and base units as texts
(``trades_p``). Spot has both as integers, in units of 10^-8, and the older contracts have prices in units of
10^-4 and a number of contracts (``trades``):

>>> frame = (
...     '{"sequence":9,"symbol":"sBTCUSDT","trades":[[1767225600123456789,"Sell",8000000000000,50000000]],'
...     '"type":"incremental"}'
... )
>>> (trade,) = Phemex().parse(frame, 0).trades
>>> trade.market, trade.exchange_ns, trade.price, trade.size, trade.side
('PHEMEX:sBTCUSDT', 1767225600123456789, 80000.0, 0.5, -1)

Trades have no ids; theirs are made of what they say. A subscription begins with a ``snapshot`` of older ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, Refusal, RestRequest, StreamPlan, Subscription
from squeezeflow_plugin.feeds.naming import split_pair
from squeezeflow_plugin.feeds.reading import INFINITY, UNREADABLE, json_object, number
from squeezeflow_plugin.feeds.session import (
    Adapter,
    Amount,
    Markets,
    Session,
    answer,
    as_replayed,
    chunks,
    listed,
    made_id,
    merged,
    numbered,
    text_of,
)
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "PHEMEX"
REST_URL = "https://api.phemex.com"
WS_URL = "wss://ws.phemex.com"
PRODUCTS = "/public/products"
MARKETS_A_CONNECTION = 20
"""Subscriptions that a connection may hold."""
CONTROL_INTERVAL_S = 0.1
SPOT_SCALE = 8
CONTRACT_PRICE_SCALE = 4
SPOT_UNIT = 100_000_000
CONTRACT_PRICE_UNIT = 10_000
OTHER_KINDS = ("market24h", "spot_market24h", "book", "orderbook_p", "kline", "kline_p", "tick", "tick_p")
LINEAR_CONTRACT_SIZES = {"ETH": 0.005}
"""Base units in one of the older linear contracts where the metadata are not at hand; 1 where it is not
listed."""

Nanoseconds = Annotated[int, msgspec.Meta(ge=1_230_768_000 * 10**9, lt=2**62)]
Scaled = Annotated[int, msgspec.Meta(gt=0, le=2**63 - 1)]
"""An amount in fixed fractions of its unit."""


class PerpItem(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One of ``trades_p``: ``[time, side, price, base units]``."""

    time: Nanoseconds
    side: Literal["Buy", "Sell"]
    price: Amount
    size: Amount
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The stream gives none."""
        return made_id(self)


class ContractItem(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One of ``trades`` of a contract: ``[time, side, price in ten-thousandths, contracts]``."""

    time: Nanoseconds
    side: Literal["Buy", "Sell"]
    scaled_price: Scaled
    size: Amount
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def price(self) -> float:
        """Of a base unit."""
        return self.scaled_price / CONTRACT_PRICE_UNIT

    @property
    def trade_id(self) -> str:
        """The stream gives none."""
        return made_id(self)


class SpotItem(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One of ``trades`` of a spot market: ``[time, side, price, size]``, both in units of 10^-8."""

    time: Nanoseconds
    side: Literal["Buy", "Sell"]
    scaled_price: Scaled
    scaled_size: Scaled
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def price(self) -> float:
        """Of a base unit."""
        return self.scaled_price / SPOT_UNIT

    @property
    def size(self) -> float:
        """In base units, where the base has the usual scale; if not, the contract size says how many."""
        return self.scaled_size / SPOT_UNIT

    @property
    def trade_id(self) -> str:
        """The stream gives none."""
        return made_id(self)


class Product(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a product in ``/public/products`` that is used.

    ``contractSize`` is a number or a text such as ``0.005 ETH``; perpetuals of the newer kind have none.
    """

    symbol: str
    type: str
    status: str
    quote_currency: str
    price_scale: int
    base_currency: str = ""
    settle_currency: str = ""
    contract_size: float | str = 1.0


class Currency(msgspec.Struct, frozen=True, rename="camel"):
    """The scale of a currency's amounts."""

    currency: str
    value_scale: int = SPOT_SCALE


class Products(msgspec.Struct, frozen=True):
    """``data``."""

    products: list[Product]
    currencies: list[Currency]
    perpetuals: list[Product] = msgspec.field(name="perpProductsV2", default_factory=list)


class ProductsAnswer(msgspec.Struct, frozen=True):
    """``/public/products``."""

    data: Products


class PhemexSession(Session):
    """Reads the frames of one connection."""

    unit_ns = 1

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, Markets(_market, classify, plan.instruments if plan else ()), plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        match document := json_object(NAME, frame):
            case {"trades_p": rows, "symbol": str() as symbol, "type": kind}:
                parsed = self._counted(symbol, self.rows("trades_p", rows, PerpItem), received_ns)
            case {"trades": rows, "symbol": str() as symbol, "type": kind} if symbol.startswith("s"):
                parsed = self._counted(symbol, self.rows("trades", rows, SpotItem), received_ns)
            case {"trades": rows, "symbol": str() as symbol, "type": kind}:
                parsed = self._counted(symbol, self.rows("trades", rows, ContractItem), received_ns)
            case _:
                return self._control(document, frame)
        return as_replayed(parsed) if kind == "snapshot" else parsed

    def _counted(
        self,
        symbol: str,
        read: tuple[Sequence[PerpItem | ContractItem | SpotItem], tuple[str, ...]],
        received_ns: int,
    ) -> Parsed:
        items, rejected = read
        parsed = self.trades(items, received_ns, {"": self.markets[symbol]})
        parsed = msgspec.structs.replace(parsed, trades=numbered(parsed.trades))
        return merged(parsed, rejected, "trades")

    def _control(self, document: dict[str, Any], frame: str | bytes) -> Parsed:
        match document:
            case {"error": None, "result": "pong"}:
                return Parsed(other="pong")
            case {"error": None, "result": _}:
                return Parsed(subscribed=self.asked_by(document.get("id")), other="answer")
            case {"error": error, "id": request_id}:
                reason = str(error)
                if isinstance(error, dict):
                    reason = f"{error.get('message', 'no reason given')} (code {error.get('code')})"
                return Parsed(refused=(Refusal(self.asked_by(request_id), reason),), other="answer")
            case {"method": str() as kind}:
                return Parsed(other=kind)
        if "timestamp" in document or "symbol" in document:
            return Parsed(other=next((kind for kind in OTHER_KINDS if kind in document), "another stream"))
        raise self.unreadable(frame)


class Phemex(Adapter):
    """Adapter of Phemex (the contract is in ``feeds/adapter.py``)."""

    name = NAME
    time_unit_ns = 1

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for all."""
        return (RestRequest("GET", self._rest(REST_URL, PRODUCTS)),)

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """Those that are listed and whose prices are scaled as all of their kind are."""
        data = answer(NAME, request.url, body, ProductsAnswer).data
        scales = {currency.currency: currency.value_scale for currency in data.currencies}
        products = listed(NAME, request.url, [*data.products, *data.perpetuals])
        found = [_instrument(product, scales) for product in products if product.status == "Listed"]
        return tuple(instrument for instrument in found if instrument is not None)

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Phemex's naming rules."""
        return classify(_market(symbol))

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """All kinds together."""
        return tuple(
            StreamPlan(
                exchange=NAME,
                url=self._ws(WS_URL, "/"),
                instruments=tuple(some),
                markets=tuple(i.market for i in some),
                subscribe=tuple(_subscriptions(some)),
                control_interval_s=CONTROL_INTERVAL_S,
                ping='{"id":0,"method":"server.ping","params":[]}',
                ping_interval_s=5.0,
            )
            for some in chunks(instruments, MARKETS_A_CONNECTION)
        )

    def session(self, plan: StreamPlan | None = None) -> PhemexSession:
        """A reader for one connection."""
        return PhemexSession(plan)


def classify(market: str) -> Instrument | None:
    """What a market's name says, None where it says nothing.

    Of the older contracts, quoted in US dollars, those with a ``c`` in front and that of bitcoin are inverse;
    the others, and ``uBTCUSD``, are settled in dollars.

    >>> [classify(f"PHEMEX:{symbol}").settle for symbol in ("sBTCUSDT", "BTCUSD", "cETHUSD", "LINKUSD")]
    ['USDT', 'BTC', 'ETH', 'USD']
    """
    symbol = market.partition(":")[2]
    is_prefixed = symbol[:1] in {"s", "c", "u"}
    pair = split_pair(symbol[1:] if is_prefixed else symbol)
    if pair is None:
        return None
    if symbol.startswith("s"):
        return Instrument(market, symbol, MarketKind.SPOT, *pair, pair[1])
    if pair[1] != "USD":
        return None if is_prefixed else Instrument(market, symbol, MarketKind.PERP, *pair, pair[1])
    if symbol.startswith("c") or symbol == "BTCUSD":
        return Instrument(market, symbol, MarketKind.PERP, *pair, pair[0], inverse=True)
    size = LINEAR_CONTRACT_SIZES.get(pair[0], 1.0)
    return Instrument(market, symbol, MarketKind.PERP, *pair, pair[1], size)


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _instrument(product: Product, scales: dict[str, int]) -> Instrument | None:
    """None for what is of no known kind or is scaled in another way than the session reads it."""
    named = classify(_market(product.symbol))
    if named is None or product.quote_currency != named.quote:
        return None
    is_old = named.quote == "USD"
    if product.type == "Spot" and named.kind is MarketKind.SPOT and product.price_scale == SPOT_SCALE:
        scale = scales.get(product.base_currency, SPOT_SCALE)
        size = float(f"1e{SPOT_SCALE - scale}") if 0 <= scale <= 2 * SPOT_SCALE else 0.0
        return _sized(named, product.base_currency, product.quote_currency, size)
    if named.kind is MarketKind.SPOT:
        return None
    if product.type == "PerpetualV2" and not is_old:
        return _sized(named, named.base, product.settle_currency, 1.0)
    if product.type == "Perpetual" and is_old and product.price_scale == CONTRACT_PRICE_SCALE:
        return _sized(named, named.base, product.settle_currency, _amount(product.contract_size))
    return None


def _sized(named: Instrument, base: str, settle: str, size: float) -> Instrument | None:
    """What the name says, with what the metadata do; None where they make no sense together."""
    if not size or settle not in {base, named.quote}:
        return None
    return msgspec.structs.replace(
        named, base=base, settle=settle, contract_size=size, inverse=settle == base
    )


def _amount(size: float | str) -> float:
    """The number at the start of a contract size, 0 where there is none.

    >>> _amount("0.005 ETH"), _amount(1.0), _amount("one")
    (0.005, 1.0, 0.0)
    """
    try:
        value = number(str(size).partition(" ")[0])
    except UNREADABLE:
        return 0.0
    return value if 0.0 < value < INFINITY else 0.0


def _subscriptions(instruments: Sequence[Instrument]) -> Iterator[Subscription]:
    for request_id, instrument in enumerate(instruments, 1):
        is_scaled = instrument.kind is MarketKind.SPOT or instrument.quote == "USD"
        method = "trade.subscribe" if is_scaled else "trade_p.subscribe"
        request = {"id": request_id, "method": method, "params": [instrument.symbol]}
        yield Subscription(text_of(request), (instrument.market,))


ADAPTER = Phemex
