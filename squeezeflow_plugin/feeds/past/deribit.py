"""Deribit's past trades from a time on, oldest first.

https://docs.deribit.com/#public-get_last_trades_by_instrument_and_time
"""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.deribit import NAME, REST_URL, DeribitSession, TradeItem
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, forward, trades_of, with_params
from squeezeflow_plugin.feeds.session import answer
from squeezeflow_plugin.market import Instrument

PATH = "/api/v2/public/get_last_trades_by_instrument_and_time"
_NS_PER_MS = 1_000_000


class LastTrades(msgspec.Struct, frozen=True):
    """``result``."""

    trades: list[TradeItem]
    has_more: bool


class LastTradesAnswer(msgspec.Struct, frozen=True):
    """The answer."""

    result: LastTrades


class DeribitPast(PastTrades):
    """A thousand trades a page."""

    exchange = NAME
    interval_s = 0.2  # about 20 requests a second without a key

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:
        """From the last known trade on."""
        params = (("instrument_name", instrument.symbol), ("count", "1000"), ("sorting", "asc"))
        request = RestRequest("GET", self._rest(REST_URL, PATH), params)
        return with_params(request, start_timestamp=str(gap.after_ns // _NS_PER_MS))

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        result = answer(NAME, request.url, body, LastTradesAnswer).result
        counted = [item for item in result.trades if not item.block_trade_id]
        parsed = trades_of(DeribitSession(None), counted, instrument)
        times = [item.time for item in result.trades]
        onward = with_params(request, start_timestamp=str(times[-1])) if times else request
        return forward(parsed, request, gap, onward, is_last=not result.has_more)


PAST = (DeribitPast,)
