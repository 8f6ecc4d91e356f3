"""Bitget's past trades by id, newest first, 90 days back.

https://www.bitget.com/api-doc/spot/market/Get-Market-Trades and
https://www.bitget.com/api-doc/contract/market/Get-Fills-History. Its v3 has only the newest hundred. Of
coin-margined contracts v2 says base units where the stream says US dollars, whose last digits cannot be had
back from them: those markets are not recovered.
"""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.bitget import NAME, REST_URL, BitgetSession, OldTradeItem
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, backward, trades_of, with_params
from squeezeflow_plugin.feeds.session import answer
from squeezeflow_plugin.market import Instrument, MarketKind

SPOT_PATH = "/api/v2/spot/market/fills-history"
CONTRACT_PATH = "/api/v2/mix/market/fills-history"


class FillsAnswer(msgspec.Struct, frozen=True):
    """``fills-history``."""

    data: list[OldTradeItem]


class BitgetPast(PastTrades):
    """A thousand trades a page."""

    exchange = NAME
    interval_s = 0.15  # ten requests a second are allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest | None:
        """Those before the gap's end, newest first."""
        if instrument.inverse:
            return None
        params = (("symbol", instrument.symbol), ("limit", "1000"))
        if instrument.kind is MarketKind.SPOT:
            request = RestRequest("GET", self._rest(REST_URL, SPOT_PATH), params)
        else:
            kind = ("productType", f"{instrument.settle}-FUTURES")
            request = RestRequest("GET", self._rest(REST_URL, CONTRACT_PATH), (*params, kind))
        return with_params(request, idLessThan=gap.before_id) if gap.before_id else request

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        items = answer(NAME, request.url, body, FillsAnswer).data
        parsed = trades_of(BitgetSession(None), items, instrument)
        return backward(parsed, request, gap, lambda oldest: with_params(request, idLessThan=oldest.trade_id))


PAST = (BitgetPast,)
