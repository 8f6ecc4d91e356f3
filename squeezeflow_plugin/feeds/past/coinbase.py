"""Coinbase's past trades: spot by id, newest first; International's perpetuals by the second.

https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-trades and
https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/get-public-market-trades
``side`` is the maker's, as in the streams.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.coinbase import (
    ADVANCED_REST_URL,
    EXCHANGE_REST_URL,
    NAME,
    PERPETUALS,
    PRODUCTS,
    CoinbaseSession,
    TradeItem,
)
from squeezeflow_plugin.feeds.reading import Id
from squeezeflow_plugin.feeds.recovery import (
    Gap,
    PastTrades,
    Recovered,
    backward,
    next_second,
    trades_of,
    with_params,
)
from squeezeflow_plugin.feeds.session import Amount, Moment, answer, microseconds
from squeezeflow_plugin.market import NS_PER_SECOND, Instrument, MarketKind

LIMIT = 1000


class PastMatch(msgspec.Struct, frozen=True, gc=False, rename={"number": "trade_id", "moment": "time"}):
    """An entry of ``/products/{id}/trades``."""

    number: Id
    side: Literal["buy", "sell"]
    size: Amount
    price: Amount
    moment: Moment
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """Follows the last one's."""
        return str(self.number)

    @property
    def time(self) -> int:
        """In microseconds."""
        return microseconds(self.moment)


class TickerAnswer(msgspec.Struct, frozen=True):
    """``/market/products/{id}/ticker``."""

    trades: list[TradeItem]


class CoinbasePast(PastTrades):
    """A thousand trades a page."""

    exchange = NAME
    interval_s = 0.2  # ten requests a second are allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:
        """Those before the gap's end, newest first."""
        if instrument.kind is MarketKind.SPOT:
            url = self._rest(EXCHANGE_REST_URL, f"{PRODUCTS}/{instrument.symbol}/trades")
            request = RestRequest("GET", url, (("limit", str(LIMIT)),))
            return with_params(request, after=gap.before_id) if gap.before_id else request
        url = self._rest(ADVANCED_REST_URL, f"{PERPETUALS}/{instrument.symbol}/ticker")
        start = ("start", str(gap.after_ns // NS_PER_SECOND))
        request = RestRequest("GET", url, (("limit", str(LIMIT)), start))
        return with_params(request, end=next_second(gap.before_ns)) if gap.before_id else request

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        if instrument.kind is MarketKind.SPOT:
            matches = answer(NAME, request.url, body, list[PastMatch])
            parsed = trades_of(CoinbaseSession(None), matches, instrument)
            return backward(parsed, request, gap, lambda oldest: with_params(request, after=oldest.trade_id))
        items = answer(NAME, request.url, body, TickerAnswer).trades
        if any(item.symbol != instrument.symbol for item in items):
            raise FeedProtocolError(f"{NAME}: answer of {request.url} names another product; it is not used")
        parsed = trades_of(CoinbaseSession(None), items, instrument)
        return backward(
            parsed,
            request,
            gap,
            lambda oldest: with_params(request, end=next_second(oldest.exchange_ns)),
            is_whole=len(items) < LIMIT,
        )


PAST = (CoinbasePast,)
