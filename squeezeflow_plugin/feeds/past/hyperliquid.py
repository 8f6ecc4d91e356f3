"""Hyperliquid's newest trades of a coin, about ten; what it replays after a subscription reaches further.

The request is the one its own front end makes; https://hyperliquid.gitbook.io/hyperliquid-docs names none.
"""

from __future__ import annotations

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.hyperliquid import (
    INFO,
    NAME,
    REST_URL,
    HyperliquidSession,
    TradeItem,
)
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, newest_only, trades_of
from squeezeflow_plugin.feeds.session import answer, text_of
from squeezeflow_plugin.market import Instrument


class HyperliquidPast(PastTrades):
    """Gaps that reach further back than the newest trades stay."""

    exchange = NAME
    replays_newest = True
    interval_s = 1.0  # 1,200 of weight a minute, 20 a request

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:  # noqa: ARG002  # the contract's
        """The newest trades."""
        body = text_of({"type": "recentTrades", "coin": instrument.symbol}).encode()
        return RestRequest("POST", self._rest(REST_URL, INFO), body=body)

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        items = answer(NAME, request.url, body, list[TradeItem])
        own = [item for item in items if item.symbol == instrument.symbol]
        return newest_only(trades_of(HyperliquidSession(None), own, instrument), gap)


PAST = (HyperliquidPast,)
