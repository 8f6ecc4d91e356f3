"""Phemex's newest trades of a market, no older ones.

https://phemex-docs.github.io (``/md/v2/trade`` of perpetuals, ``/md/trade`` of spot and the older contracts).
The rows are those of the stream, and so are the ids that are made of them.
"""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.phemex import (
    NAME,
    REST_URL,
    ContractItem,
    PerpItem,
    PhemexSession,
    SpotItem,
)
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, newest_only, trades_of
from squeezeflow_plugin.feeds.session import answer, numbered
from squeezeflow_plugin.market import Instrument, MarketKind

PERP_PATH = "/md/v2/trade"
OTHER_PATH = "/md/trade"


class PerpResult(msgspec.Struct, frozen=True):
    """``result`` of perpetuals."""

    symbol: str
    rows: list[PerpItem] = msgspec.field(name="trades_p")


class ContractResult(msgspec.Struct, frozen=True):
    """``result`` of the older contracts."""

    symbol: str
    rows: list[ContractItem] = msgspec.field(name="trades")


class SpotResult(msgspec.Struct, frozen=True):
    """``result`` of spot."""

    symbol: str
    rows: list[SpotItem] = msgspec.field(name="trades")


class PerpAnswer(msgspec.Struct, frozen=True):
    """``/md/v2/trade``."""

    result: PerpResult


class ContractAnswer(msgspec.Struct, frozen=True):
    """``/md/trade`` of an older contract."""

    result: ContractResult


class SpotAnswer(msgspec.Struct, frozen=True):
    """``/md/trade`` of a spot market."""

    result: SpotResult


class PhemexPast(PastTrades):
    """Gaps that reach further back than the newest trades stay."""

    exchange = NAME
    interval_s = 0.7  # 100 requests a minute are allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:  # noqa: ARG002  # the contract's
        """The newest trades."""
        is_perp = instrument.kind is not MarketKind.SPOT and instrument.settle in {"USDT", "USDC"}
        path = PERP_PATH if is_perp and not instrument.inverse else OTHER_PATH
        return RestRequest("GET", self._rest(REST_URL, path), (("symbol", instrument.symbol),))

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        kind: type[PerpAnswer | ContractAnswer | SpotAnswer] = ContractAnswer
        if instrument.kind is MarketKind.SPOT:
            kind = SpotAnswer
        elif request.url.endswith(PERP_PATH):
            kind = PerpAnswer
        result = answer(NAME, request.url, body, kind).result
        if result.symbol != instrument.symbol:
            raise FeedProtocolError(f"{NAME}: answer of {request.url} names another market; it is not used")
        parsed = trades_of(PhemexSession(None), result.rows, instrument)
        return newest_only(msgspec.structs.replace(parsed, trades=numbered(parsed.trades)), gap)


PAST = (PhemexPast,)
