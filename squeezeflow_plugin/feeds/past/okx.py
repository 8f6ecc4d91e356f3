"""OKX's past trades, fill by fill, by id and newest first.

https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-trades-history
"""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.okx import NAME, REST_URL, OkxSession, TradeItem
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, backward, trades_of, with_params
from squeezeflow_plugin.feeds.session import answer
from squeezeflow_plugin.market import Instrument

PATH = "/api/v5/market/history-trades"


class HistoryAnswer(msgspec.Struct, frozen=True):
    """``/api/v5/market/history-trades``; entries without a count are one fill each."""

    data: list[TradeItem]


class OkxPast(PastTrades):
    """A hundred fills a page, three months back."""

    exchange = NAME
    interval_s = 0.12  # 20 requests in 2 s are allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:
        """Those before the gap's end, newest first."""
        params = (("instId", instrument.symbol), ("type", "1"), ("limit", "100"))
        request = RestRequest("GET", self._rest(REST_URL, PATH), params)
        return with_params(request, after=gap.before_id) if gap.before_id else request

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        items = answer(NAME, request.url, body, HistoryAnswer).data
        parsed = trades_of(OkxSession(None), items, instrument)
        return backward(parsed, request, gap, lambda oldest: with_params(request, after=oldest.trade_id))


PAST = (OkxPast,)
