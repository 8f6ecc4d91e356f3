"""Gate's past trades: spot by id, futures by the second, both newest first.

https://www.gate.com/docs/developers/apiv4/en/#query-market-transaction-records and
https://www.gate.com/docs/developers/apiv4/en/#futures-market-transaction-records. The REST interface calls
seconds with fractions ``create_time_ms`` where the stream of futures means milliseconds, and tells fractions
of a contract by the same header. A second with more trades than a page holds cannot be passed: such a gap
stays incomplete.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.gate import DECIMAL_SIZES, NAME, REST_URL, GateSession, SpotItem
from squeezeflow_plugin.feeds.reading import Id, Symbol
from squeezeflow_plugin.feeds.recovery import (
    Gap,
    PastTrades,
    Recovered,
    backward,
    next_second,
    trades_of,
    with_params,
)
from squeezeflow_plugin.feeds.session import Amount, FractionalTime, answer
from squeezeflow_plugin.market import NS_PER_SECOND, Instrument, MarketKind

SPOT_PATH = "/api/v4/spot/trades"
FUTURES_PATH = "/api/v4/futures/{settle}/trades"
LIMIT = 1000


class PastDeal(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"number": "id", "symbol": "contract", "contracts": "size", "seconds": "create_time_ms"},
):
    """An entry of ``/futures/{settle}/trades``; ``size`` is signed, positive where the taker bought."""

    number: Id
    symbol: Symbol
    contracts: float
    price: Amount
    seconds: FractionalTime
    is_internal: bool = False
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """The exchange's."""
        return str(self.number)

    @property
    def time(self) -> int:
        """In microseconds, of whole milliseconds as in the stream."""
        return round(self.seconds * 1_000) * 1_000

    @property
    def size(self) -> float:
        """In contracts."""
        return abs(self.contracts)

    @property
    def side(self) -> str:
        """The taker's."""
        return "buy" if self.contracts > 0 else "sell"


class GatePast(PastTrades):
    """A thousand trades a page."""

    exchange = NAME
    interval_s = 0.1  # 200 requests in 10 s are allowed

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:
        """Those before the gap's end, newest first."""
        if instrument.kind is MarketKind.SPOT:
            params = (("currency_pair", instrument.symbol), ("limit", str(LIMIT)))
            request = RestRequest("GET", self._rest(REST_URL, SPOT_PATH), params)
            return with_params(request, last_id=gap.before_id, reverse="true") if gap.before_id else request
        url = self._rest(REST_URL, FUTURES_PATH.format(settle=instrument.settle.lower()))
        params = (("contract", instrument.symbol), ("limit", str(LIMIT)))
        request = RestRequest("GET", url, params, headers=DECIMAL_SIZES)
        request = with_params(request, **{"from": str(gap.after_ns // NS_PER_SECOND)})
        return with_params(request, to=next_second(gap.before_ns)) if gap.before_id else request

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        if instrument.kind is MarketKind.SPOT:
            items = answer(NAME, request.url, body, list[SpotItem])
            parsed = trades_of(GateSession(None), items, instrument)
            return backward(
                parsed,
                request,
                gap,
                lambda oldest: with_params(request, last_id=oldest.trade_id, reverse="true"),
            )
        deals = answer(NAME, request.url, body, list[PastDeal])
        counted = [deal for deal in deals if deal.contracts and not deal.is_internal]
        parsed = trades_of(GateSession(None), counted, instrument)
        page = backward(
            parsed,
            request,
            gap,
            lambda oldest: with_params(request, to=next_second(oldest.exchange_ns)),
            is_whole=len(deals) < LIMIT,
        )
        left_out = tuple(deal.trade_id for deal in deals if deal.is_internal)
        return msgspec.structs.replace(page, left_out=left_out)


PAST = (GatePast,)
