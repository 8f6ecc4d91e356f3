"""Aster's perpetuals, in the wire format of Binance's futures. https://docs.asterdex.com (futures API)

Only sums of fills are streamed for certain, ``@aggTrade``; on a connection that follows a plan they are the
trades. Recordings may hold single trades beside them, and ``squeezeflow parse`` counts those instead.

>>> frame = (
...     '{"e":"aggTrade","E":1767225600130,"s":"BTCUSDT","a":7,"p":"80000.0","q":"0.5","f":10,"l":12,'
...     '"T":1767225600123,"m":true}'
... )
>>> adapter = Aster()
>>> (plan,) = adapter.plan([adapter.classify("ASTER:BTCUSDT")])
>>> (trade,) = adapter.session(plan).parse(frame, 0).trades
>>> trade.market, trade.quote, trade.side, trade.count
('ASTER:BTCUSDT', 40000.0, -1, 3)
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from squeezeflow_plugin.feeds.adapter import Parsed, RestRequest, StreamPlan
from squeezeflow_plugin.feeds.binance_plan import connections
from squeezeflow_plugin.feeds.binance_wire import BinanceSession, Market
from squeezeflow_plugin.feeds.naming import split_pair
from squeezeflow_plugin.feeds.session import Adapter, answer, chunks, listed
from squeezeflow_plugin.market import Instrument, MarketKind

NAME = "ASTER"
REST_URL = "https://fapi.asterdex.com"
WS_URL = "wss://fstream.asterdex.com"
EXCHANGE_INFO = "/fapi/v1/exchangeInfo"
MARKETS_A_CONNECTION = 100
"""With two streams each: a connection may carry 200."""


class ListedSymbol(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a symbol in ``/fapi/v1/exchangeInfo`` that is used."""

    symbol: str
    status: str
    contract_type: str
    base_asset: str
    quote_asset: str
    margin_asset: str


class ExchangeInfo(msgspec.Struct, frozen=True):
    """``/fapi/v1/exchangeInfo``."""

    symbols: list[ListedSymbol]


class AsterSession(BinanceSession):
    """Reads the frames of one connection."""

    def __init__(self, plan: StreamPlan | None) -> None:
        super().__init__(NAME, _guess, plan)
        self._counts_aggregates = plan is not None

    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """What the frame says; FeedProtocolError where it cannot be read."""
        parsed = super().parse(frame, received_ns)
        if parsed.aggregates and self._counts_aggregates:
            return Parsed(parsed.aggregates)
        return parsed


class Aster(Adapter):
    """Adapter of Aster (the contract is in ``feeds/adapter.py``)."""

    name = NAME

    def instrument_requests(self) -> tuple[RestRequest, ...]:
        """One request for all."""
        return (RestRequest("GET", self._rest(REST_URL, EXCHANGE_INFO)),)

    def parse_instruments(self, body: bytes, request: RestRequest) -> tuple[Instrument, ...]:
        """The perpetuals that are trading; sizes are base units."""
        entries = answer(NAME, request.url, body, ExchangeInfo).symbols
        return tuple(
            Instrument(
                _market(e.symbol), e.symbol, MarketKind.PERP, e.base_asset, e.quote_asset, e.margin_asset
            )
            for e in listed(NAME, request.url, entries)
            if e.status == "TRADING" and e.contract_type == "PERPETUAL"
        )

    def classify_symbol(self, symbol: str) -> Instrument | None:
        """By Aster's naming rules: a pair is a perpetual of it.

        >>> perp = Aster().classify("ASTER:BTCUSDT")
        >>> perp.kind.value, perp.base, perp.quote, perp.settle
        ('perp', 'BTC', 'USDT', 'USDT')
        """
        pair = split_pair(symbol)
        return Instrument(_market(symbol), symbol, MarketKind.PERP, *pair, pair[1]) if pair else None

    def plan(self, instruments: Sequence[Instrument]) -> tuple[StreamPlan, ...]:
        """Trades and liquidations together."""
        url = self._ws(WS_URL, "/ws")
        return tuple(
            plan
            for some in chunks(instruments, MARKETS_A_CONNECTION)
            for plan in connections(NAME, url, some, ("aggTrade", "forceOrder"))
        )

    def session(self, plan: StreamPlan | None = None) -> AsterSession:
        """A reader for one connection."""
        return AsterSession(plan)


def _market(symbol: str) -> str:
    return f"{NAME}:{symbol}"


def _guess(symbol: str) -> Market:
    return Market(_market(symbol), 0.0)


ADAPTER = Aster
