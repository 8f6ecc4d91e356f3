"""Crypto.com's past trades before a time, newest first.

https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#public-get-trades. A millisecond with more
trades than a page holds cannot be passed: such a gap stays incomplete.
"""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.cryptocom import NAME, REST_URL, CryptoComSession, TradeItem
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, backward, trades_of, with_params
from squeezeflow_plugin.feeds.session import NS_PER_MS, answer
from squeezeflow_plugin.market import Instrument

PATH = "/exchange/v1/public/get-trades"
LIMIT = 150


class TradesList(msgspec.Struct, frozen=True):
    """``result``."""

    data: list[TradeItem]


class TradesAnswer(msgspec.Struct, frozen=True):
    """``public/get-trades``."""

    result: TradesList


class CryptoComPast(PastTrades):
    """A hundred and fifty trades a page, of the last day."""

    exchange = NAME
    interval_s = 0.05  # 100 requests a second are allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:
        """Those before the gap's end, newest first."""
        params = (("instrument_name", instrument.symbol), ("count", str(LIMIT)))
        request = RestRequest("GET", self._rest(REST_URL, PATH), params)
        request = with_params(request, start_ts=str(gap.after_ns // NS_PER_MS))
        return with_params(request, end_ts=_after(gap.before_ns)) if gap.before_id else request

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        items = answer(NAME, request.url, body, TradesAnswer).result.data
        parsed = trades_of(CryptoComSession(None), items, instrument)
        return backward(
            parsed,
            request,
            gap,
            lambda oldest: with_params(request, end_ts=_after(oldest.exchange_ns)),
            is_whole=len(items) < LIMIT,
        )


def _after(at_ns: int) -> str:
    """The end is exclusive; so all of a millisecond that a page cuts comes with the next one."""
    return str(at_ns // NS_PER_MS + 1)


PAST = (CryptoComPast,)
