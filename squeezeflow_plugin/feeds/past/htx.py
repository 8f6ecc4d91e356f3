"""HTX's newest trades: 2,000 of a market, no older ones.

https://www.htx.com/en-us/opend/newApiPages/ (``market/history/trade`` of spot and of both kinds of swaps).
"""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.htx import NAME, SPOT_REST_URL, SWAP_REST_URL, HtxSession, Tick
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, newest_only, trades_of
from squeezeflow_plugin.feeds.session import answer
from squeezeflow_plugin.market import Instrument, MarketKind

SPOT_PATH = "/market/history/trade"
LINEAR_PATH = "/linear-swap-ex/market/history/trade"
INVERSE_PATH = "/swap-ex/market/history/trade"


class HistoryAnswer(msgspec.Struct, frozen=True):
    """``market/history/trade``: ticks as in the stream."""

    data: list[Tick]


class HtxPast(PastTrades):
    """Gaps that reach further back than the newest trades stay."""

    exchange = NAME
    replays_newest = True
    interval_s = 0.2  # 800 requests a second on spot, 120 in 3 s on swaps are allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:  # noqa: ARG002  # the contract's
        """The newest trades."""
        if instrument.kind is MarketKind.SPOT:
            params = (("symbol", instrument.symbol), ("size", "2000"))
            return RestRequest("GET", self._rest(SPOT_REST_URL, SPOT_PATH), params)
        path = INVERSE_PATH if instrument.inverse else LINEAR_PATH
        params = (("contract_code", instrument.symbol), ("size", "2000"))
        return RestRequest("GET", self._rest(SWAP_REST_URL, path), params)

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        ticks = answer(NAME, request.url, body, HistoryAnswer).data
        items = [item for tick in ticks for item in tick.data]
        is_linear = instrument.kind is not MarketKind.SPOT and not instrument.inverse
        if is_linear and all(item.quantity > 0.0 for item in items):
            items = [item.in_base_units() for item in items]
            instrument = msgspec.structs.replace(instrument, contract_size=1.0)
        return newest_only(trades_of(HtxSession(None), items, instrument), gap)


PAST = (HtxPast,)
