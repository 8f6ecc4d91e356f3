"""Aster's past sums of fills from a time on, oldest first, then by id: what its stream brings.

https://docs.asterdex.com (futures API, ``/fapi/v1/aggTrades``)
"""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import Parsed, RestRequest
from squeezeflow_plugin.feeds.exchanges.aster import NAME, REST_URL
from squeezeflow_plugin.feeds.past.binance import LIMIT, RestAggregate, trade_of
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, forward
from squeezeflow_plugin.feeds.session import NS_PER_MS, answer
from squeezeflow_plugin.market import Instrument, Trade

PATH = "/fapi/v1/aggTrades"


class AsterPast(PastTrades):
    """A thousand sums a page."""

    exchange = NAME
    interval_s = 0.5  # it weighs 20 of 2,400 a minute

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:
        """From the last known one on."""
        start = ("startTime", str(gap.after_ns // NS_PER_MS))
        return self._page(instrument, start)

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        rows = answer(NAME, request.url, body, list[RestAggregate])
        try:
            trades = tuple(_sum_of(row, instrument) for row in rows)
        except (msgspec.DecodeError, ValueError) as error:
            raise FeedProtocolError(f"{NAME}: answer of {request.url} cannot be read: {error}") from error
        onward = request
        if rows:
            onward = self._page(instrument, ("fromId", str(rows[-1].aggregate_id + 1)))
        return forward(Parsed(trades), request, gap, onward, is_last=len(rows) < LIMIT)

    def _page(self, instrument: Instrument, start: tuple[str, str]) -> RestRequest:
        params = (("symbol", instrument.symbol), ("limit", str(LIMIT)), start)
        return RestRequest("GET", self._rest(REST_URL, PATH), params)


def _sum_of(row: RestAggregate, instrument: Instrument) -> Trade:
    """As the stream's, whose ids are those of the sums."""
    return msgspec.structs.replace(trade_of(row, instrument), trade_id=f"a{row.aggregate_id}")


PAST = (AsterPast,)
