"""Bybit's newest trades: 60 of a spot market, 1,000 of a contract, no older ones.

https://bybit-exchange.github.io/docs/v5/market/recent-trade
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.bybit import NAME, REST_URL, BybitSession
from squeezeflow_plugin.feeds.reading import Milliseconds
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, newest_only, trades_of
from squeezeflow_plugin.feeds.session import Amount, Text, answer
from squeezeflow_plugin.market import Instrument, MarketKind

PATH = "/v5/market/recent-trade"


class RecentTrade(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"trade_id": "execId", "is_block": "isBlockTrade"},
):
    """One of ``list``; sizes as in the stream."""

    trade_id: Text
    side: Literal["Buy", "Sell"]
    size: Amount
    price: Amount
    time: Milliseconds
    is_block: bool = False
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1


class RecentTrades(msgspec.Struct, frozen=True, rename={"entries": "list"}):
    """``result``."""

    entries: list[RecentTrade]


class RecentAnswer(msgspec.Struct, frozen=True):
    """``/v5/market/recent-trade``."""

    result: RecentTrades


class BybitPast(PastTrades):
    """Gaps that reach further back than the newest trades stay."""

    exchange = NAME
    interval_s = 0.1  # 600 requests in 5 s are allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:  # noqa: ARG002  # the contract's
        """The newest trades."""
        is_spot = instrument.kind is MarketKind.SPOT
        category = "spot" if is_spot else "inverse" if instrument.inverse else "linear"
        params = (
            ("category", category),
            ("symbol", instrument.symbol),
            ("limit", "60" if is_spot else "1000"),
        )
        return RestRequest("GET", self._rest(REST_URL, PATH), params)

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        entries = answer(NAME, request.url, body, RecentAnswer).result.entries
        counted = [entry for entry in entries if not entry.is_block]
        return newest_only(trades_of(BybitSession(None), counted, instrument), gap)


PAST = (BybitPast,)
