"""dYdX's past trades up to a time, newest first. https://docs.dydx.xyz/indexer-client/http#get-trades

The time of a trade is its block's: a block with more trades than a page holds cannot be passed, and such a
gap stays incomplete. Which takers were liquidated is told of trades in the stream alone.
"""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.dydx import NAME, REST_URL, DydxSession, TradeItem
from squeezeflow_plugin.feeds.recovery import (
    Gap,
    PastTrades,
    Recovered,
    backward,
    moment_text,
    trades_of,
    with_params,
)
from squeezeflow_plugin.feeds.session import answer
from squeezeflow_plugin.market import Instrument

PATH = "/v4/trades/perpetualMarket/"


class TradesAnswer(msgspec.Struct, frozen=True):
    """The answer."""

    trades: list[TradeItem]


class DydxPast(PastTrades):
    """A thousand trades a page."""

    exchange = NAME
    interval_s = 0.2  # 100 requests in 10 s are allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:
        """Those up to the gap's end, newest first."""
        url = self._rest(REST_URL, PATH + instrument.symbol)
        request = RestRequest("GET", url, (("limit", "1000"),))
        return (
            with_params(request, createdBeforeOrAt=moment_text(gap.before_ns)) if gap.before_id else request
        )

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says; deleveraging is left out as in the stream."""
        items = answer(NAME, request.url, body, TradesAnswer).trades
        counted = [item for item in items if item.kind != "DELEVERAGED"]
        parsed = trades_of(DydxSession(None), counted, instrument)
        page = backward(
            parsed,
            request,
            gap,
            lambda oldest: with_params(request, createdBeforeOrAt=moment_text(oldest.exchange_ns)),
        )
        left_out = tuple(item.trade_id for item in items if item.kind == "DELEVERAGED")
        return msgspec.structs.replace(page, left_out=left_out)


PAST = (DydxPast,)
