"""KuCoin's newest trades: a hundred of a market, no older ones.

https://www.kucoin.com/docs-new/rest/ua/get-trades
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.kucoin import NAME, SPOT_REST_URL, KucoinSession, Nanoseconds
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, newest_only, trades_of
from squeezeflow_plugin.feeds.session import Amount, Text, answer
from squeezeflow_plugin.market import Instrument, MarketKind

PATH = "/api/ua/v1/market/trade"


class PastTrade(msgspec.Struct, frozen=True, gc=False, rename={"trade_id": "tradeId", "time": "ts"}):
    """One of ``list``; sizes and ids as in the push API."""

    trade_id: Text
    side: Literal["buy", "sell"]
    price: Amount
    size: Amount
    time: Nanoseconds
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1


class TradeList(msgspec.Struct, frozen=True, rename={"entries": "list"}):
    """``data``."""

    entries: list[PastTrade]


class TradesAnswer(msgspec.Struct, frozen=True):
    """The answer."""

    data: TradeList


class KucoinPast(PastTrades):
    """Gaps that reach further back than the newest trades stay."""

    exchange = NAME
    interval_s = 0.2  # a weight of 2,000 in 30 s is allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:  # noqa: ARG002  # the contract's
        """The newest trades."""
        kind = "SPOT" if instrument.kind is MarketKind.SPOT else "FUTURES"
        params = (("tradeType", kind), ("symbol", instrument.symbol))
        return RestRequest("GET", self._rest(SPOT_REST_URL, PATH), params)

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        entries = answer(NAME, request.url, body, TradesAnswer).data.entries
        return newest_only(trades_of(KucoinSession(None), entries, instrument), gap)


PAST = (KucoinPast,)
