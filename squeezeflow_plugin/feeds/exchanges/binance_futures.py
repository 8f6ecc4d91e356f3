"""Binance's USD-M and COIN-M futures, which aggr-server calls one exchange.

https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams and
https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams. Since
spring 2026 USD-M serves ``@trade`` under ``/public`` and ``@forceOrder`` under ``/market``; COIN-M is
unchanged.

COIN-M quantities are contracts of a fixed number of US dollars: the notional is exact, the size follows.

>>> frame = (
...     '{"e":"trade","E":1767225600130,"T":1767225600125,"s":"BTCUSD_PERP","t":900000001,"p":"80000.0",'
...     '"q":"4","X":"MARKET","m":false}'
... )
>>> (trade,) = BinanceFutures().parse(frame, 0).trades
>>> trade.market, trade.quote, trade.size, trade.side
('BINANCE_FUTURES:btcusd_perp', 400.0, 0.005, 1)
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import Parsed, RestRequest, StreamPlan
from squeezeflow_plugin.feeds.binance_plan import connections
from squeezeflow_plugin.feeds.binance_templates import TEMPLATES
from squeezeflow_plugin.feeds.binance_wire import BinanceSession, Market
from squeezeflow_plugin.feeds.naming import is_date, split_pair
from squeezeflow_plugin.feeds.session import NS_PER_MS
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "BINANCE_FUTURES"
USDM_REST_URL = "https://fapi.binance.com"
COINM_REST_URL = "https://dapi.binance.com"
USDM_WS_URL = "wss://fstream.binance.com"
COINM_WS_URL = "wss://dstream.binance.com"
USDM_PATH = "/fapi/v1/exchangeInfo"
COINM_PATH = "/dapi/v1/exchangeInfo"


class UsdmSymbol(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a symbol in ``/fapi/v1/exchangeInfo`` that is used."""

    symbol: str
    status: str
    contract_type: str
    base_asset: str
    quote_asset: str
    margin_asset: str


class CoinmSymbol(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a symbol in ``/dapi/v1/exchangeInfo`` that is used; a contract is ``contract_size`` USD."""

    symbol: str
    contract_status: str
    contract_type: str
    base_asset: str
    quote_asset: str
    margin_asset: str
    contract_size: float


class UsdmInfo(msgspec.Struct, frozen=True):
    """``/fapi/v1/exchangeInfo``."""

    symbols: list[UsdmSymbol]


class CoinmInfo(msgspec.Struct, frozen=True):
    """``/dapi/v1/exchangeInfo``."""

    symbols: list[CoinmSymbol]


class BinanceFutures:
    """Adapter of Binance's futures (the contract is in ``feeds/adapter.py``).

    Base URLs given to the constructor stand in for those of both USD-M and COIN-M, which differ in
    their paths.
    """

    name = NAME
    time_unit_ns = NS_PER_MS
    contiguous_ids = frozenset({MarketKind.PERP, MarketKind.FUTURE})
    # of trades a session remembers only how they were wrapped, and symbols that the plan does not know
    templates = TEMPLATES

    def __init__(self, rest_url: str | None = None, ws_url: str | None = None) -> None:
        self._usdm_rest = (rest_url or USDM_REST_URL).rstrip("/")
        self._coinm_rest = (rest_url or COINM_REST_URL).rstrip("/")
        self._usdm_ws = (ws_url or USDM_WS_URL).rstrip("/")
        self._coinm_ws = (ws_url or COINM_WS_URL).rstrip("/")

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for USD-M, one for COIN-M."""
        return (
            RestRequest("GET", self._usdm_rest + USDM_PATH),
            RestRequest("GET", self._coinm_rest + COINM_PATH),
        )

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """The perpetual and dated contracts that are trading."""
        read = _coinm_instruments if request.url.endswith(COINM_PATH) else _usdm_instruments
        try:
            return read(body)
        except msgspec.DecodeError as error:
            raise FeedProtocolError(f"{NAME}: answer of {request.url} cannot be read: {error}") from error

    def classify(self, market: str) -> Instrument | None:
        """What a market's name says, None where it says nothing.

        >>> perp = BinanceFutures().classify("BINANCE_FUTURES:btcusd_perp")
        >>> perp.kind.value, perp.base, perp.quote, perp.settle, perp.contract_size
        ('perp', 'BTC', 'USD', 'BTC', 100.0)
        """
        exchange, _, symbol = market.upper().partition(":")
        name, _, expiry = symbol.partition("_")
        inverse = is_coinm(symbol)
        pair = split_pair(name)
        if exchange != NAME or pair is None or (expiry != "PERP" and bool(expiry) != is_date(expiry)):
            return None
        kind = MarketKind.PERP if expiry in {"", "PERP"} else MarketKind.FUTURE
        size = default_contract_size(symbol) if inverse else 1.0
        return Instrument(
            _market(symbol), symbol, kind, *pair, pair[0] if inverse else pair[1], size, inverse
        )

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """USD-M trades, USD-M liquidations, and both of COIN-M together."""
        usdm = [i for i in instruments if not i.inverse]
        coinm = [i for i in instruments if i.inverse]
        return (
            *connections(NAME, f"{self._usdm_ws}/public/ws", usdm, ("trade",)),
            *connections(NAME, f"{self._usdm_ws}/market/ws", usdm, ("forceOrder",)),
            *connections(NAME, f"{self._coinm_ws}/ws", coinm, ("trade", "forceOrder")),
        )

    def session(self, plan: StreamPlan | None = None) -> BinanceSession:
        """A reader for one connection."""
        return BinanceSession(NAME, _guess, plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """As ``session().parse``, for a frame that stands alone."""
        return self.session().parse(frame, received_ns)


def is_coinm(symbol: str) -> bool:
    """Whether the name is of a COIN-M contract: a USD pair and what follows it.

    >>> [is_coinm(s) for s in ("BTCUSD_PERP", "ETHUSD_260327", "BTCUSDT", "BTCUSDT_260327")]
    [True, True, False, False]
    """
    pair, _, expiry = symbol.partition("_")
    return bool(expiry) and pair.endswith("USD")


def default_contract_size(symbol: str) -> float:
    """US dollars in a COIN-M contract where the exchange's metadata is not at hand: 100 for BTC, 10 for the
    others, as ``/dapi/v1/exchangeInfo`` has said since COIN-M opened.

    >>> default_contract_size("BTCUSD_PERP"), default_contract_size("ETHUSD_260327")
    (100.0, 10.0)
    """
    return 100.0 if symbol.startswith("BTCUSD_") else 10.0


def _usdm_instruments(body: bytes) -> tuple[Instrument, ...]:
    return tuple(
        Instrument(_market(s.symbol), s.symbol, kind, s.base_asset, s.quote_asset, s.margin_asset)
        for s in msgspec.json.decode(body, type=UsdmInfo).symbols
        if s.status == "TRADING" and (kind := _kind(s.contract_type))
    )


def _coinm_instruments(body: bytes) -> tuple[Instrument, ...]:
    return tuple(
        Instrument(
            _market(s.symbol),
            s.symbol,
            kind,
            s.base_asset,
            s.quote_asset,
            s.margin_asset,
            contract_size=s.contract_size,
            inverse=True,
        )
        for s in msgspec.json.decode(body, type=CoinmInfo).symbols
        if s.contract_status == "TRADING" and (kind := _kind(s.contract_type))
    )


def _kind(contract_type: str) -> MarketKind | None:
    """PERPETUAL and TRADIFI_PERPETUAL never expire, CURRENT_QUARTER and the like do; others are not known.

    >>> _kind("NEXT_QUARTER"), _kind("")
    (<MarketKind.FUTURE: 'future'>, None)
    """
    if contract_type.endswith("PERPETUAL"):
        return MarketKind.PERP
    return MarketKind.FUTURE if contract_type.startswith(("CURRENT_", "NEXT_")) else None


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol.lower()}"


def _guess(symbol: str) -> Market:
    return Market(_market(symbol), default_contract_size(symbol) if is_coinm(symbol) else 0.0)


ADAPTER = BinanceFutures
