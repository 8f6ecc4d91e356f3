"""Binance spot. https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams

A ``@trade`` frame and what it means; ``m`` says that the buyer was the maker, so the taker sold:

>>> frame = (
...     '{"e":"trade","E":1767225600124,"s":"BTCUSDT","t":5000000001,"p":"88123.45000000",'
...     '"q":"0.01000000","T":1767225600123,"m":true,"M":true}'
... )
>>> (trade,) = BinanceSpot().parse(frame, 0).trades
>>> trade.market, trade.exchange_ns, trade.trade_id, trade.price, trade.size, trade.side
('BINANCE:btcusdt', 1767225600123000000, '5000000001', 88123.45, 0.01, -1)
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import Parsed, RestRequest, StreamPlan
from squeezeflow_plugin.feeds.binance_plan import connections
from squeezeflow_plugin.feeds.binance_templates import TEMPLATES
from squeezeflow_plugin.feeds.binance_wire import BinanceSession, Market
from squeezeflow_plugin.feeds.naming import QUOTES, split_pair
from squeezeflow_plugin.feeds.session import NS_PER_MS
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "BINANCE"
# The endpoints Binance names for those who only want market data.
REST_URL = "https://data-api.binance.vision"
WS_URL = "wss://data-stream.binance.vision"


class Symbol(msgspec.Struct, frozen=True):
    """The part of a symbol in ``/api/v3/exchangeInfo`` that is used."""

    symbol: str
    status: str
    baseAsset: str  # noqa: N815  # the exchange's spelling
    quoteAsset: str  # noqa: N815  # the exchange's spelling


class ExchangeInfo(msgspec.Struct, frozen=True):
    """``/api/v3/exchangeInfo``."""

    symbols: list[Symbol]


class BinanceSpot:
    """Adapter of Binance's spot markets (the contract is in ``feeds/adapter.py``)."""

    name = NAME
    time_unit_ns = NS_PER_MS
    contiguous_ids = frozenset({MarketKind.SPOT})
    # of trades a session remembers only how they were wrapped, and symbols that the plan does not know
    templates = TEMPLATES

    def __init__(self, rest_url: str | None = None, ws_url: str | None = None) -> None:
        self._rest_url = (rest_url or REST_URL).rstrip("/")
        self._ws_url = (ws_url or WS_URL).rstrip("/")

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for all markets: naming them would let one unknown symbol fail the others."""
        # without the permission sets the answer is a fraction of its size
        params = (("showPermissionSets", "false"),)
        return (RestRequest("GET", f"{self._rest_url}/api/v3/exchangeInfo", params),)

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """The symbols whose status is TRADING.

        >>> symbol = b'{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC"}'
        >>> body = b'{"symbols":[' + symbol + b']}'
        >>> adapter = BinanceSpot()
        >>> adapter.parse_instruments(body, adapter.instrument_requests()[0])[0].market
        'BINANCE:ethbtc'
        """
        try:
            info = msgspec.json.decode(body, type=ExchangeInfo)
        except msgspec.DecodeError as error:
            raise FeedProtocolError(f"{NAME}: answer of {request.url} cannot be read: {error}") from error
        return tuple(
            Instrument(_market(s.symbol), s.symbol, MarketKind.SPOT, s.baseAsset, s.quoteAsset, s.quoteAsset)
            for s in info.symbols
            if s.status == "TRADING"
        )

    def classify(self, market: str) -> Instrument | None:
        """What a market's name says, None where it says nothing.

        >>> instrument = BinanceSpot().classify("BINANCE:btcusdt")
        >>> instrument.symbol, instrument.base, instrument.quote
        ('BTCUSDT', 'BTC', 'USDT')
        """
        exchange, _, symbol = market.upper().partition(":")
        pair = split_pair(symbol, (*QUOTES, "TUSD", "BUSD"))
        if exchange != NAME or pair is None:
            return None
        return Instrument(_market(symbol), symbol, MarketKind.SPOT, *pair, pair[1])

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """``@trade`` of all of them, on as few connections as the exchange allows."""
        return tuple(connections(NAME, f"{self._ws_url}/ws", instruments, ("trade",)))

    def session(self, plan: StreamPlan | None = None) -> BinanceSession:
        """A reader for one connection."""
        return BinanceSession(NAME, _guess, plan)

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """As ``session().parse``, for a frame that stands alone."""
        return self.session().parse(frame, received_ns)


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol.lower()}"


def _guess(symbol: str) -> Market:
    return Market(_market(symbol), 0.0)


ADAPTER = BinanceSpot
