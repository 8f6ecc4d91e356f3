"""Bitfinex's past trades from a time on, oldest first. https://docs.bitfinex.com/reference/rest-public-trades"""

from __future__ import annotations

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.bitfinex import NAME, REST_URL, BitfinexSession, TradeItem
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, forward, trades_of, with_params
from squeezeflow_plugin.feeds.session import answer
from squeezeflow_plugin.market import Instrument

LIMIT = 10_000
_NS_PER_MS = 1_000_000


class BitfinexPast(PastTrades):
    """Ten thousand trades a page."""

    exchange = NAME
    interval_s = 4.0  # 15 requests a minute are allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:
        """From the last known trade on."""
        url = self._rest(REST_URL, f"/v2/trades/{instrument.symbol}/hist")
        request = RestRequest("GET", url, (("limit", str(LIMIT)), ("sort", "1")))
        return with_params(request, start=str(gap.after_ns // _NS_PER_MS))

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        items = answer(NAME, request.url, body, list[TradeItem])
        parsed = trades_of(BitfinexSession(None), items, instrument)
        onward = with_params(request, start=str(items[-1].time)) if items else request
        return forward(parsed, request, gap, onward, is_last=len(items) < LIMIT)


PAST = (BitfinexPast,)
