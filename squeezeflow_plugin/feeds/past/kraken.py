"""Kraken's past trades: spot from a time on, oldest first; futures before one, newest first.

https://docs.kraken.com/api/docs/rest-api/get-recent-trades and
https://docs.kraken.com/api/docs/futures-api/trading/get-history. A millisecond with more trades than a page
of futures holds cannot be passed: such a gap stays incomplete.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.exchanges.kraken import (
    COUNTED_TYPES,
    FUTURES_REST_URL,
    NAME,
    SPOT_REST_URL,
    KrakenSession,
)
from squeezeflow_plugin.feeds.reading import Id
from squeezeflow_plugin.feeds.recovery import (
    Gap,
    PastTrades,
    Recovered,
    backward,
    moment_text,
    trades_of,
    with_params,
)
from squeezeflow_plugin.feeds.session import NS_PER_MS, Amount, Moment, Text, answer, microseconds
from squeezeflow_plugin.market import Instrument, MarketKind, Trade

SPOT_PATH = "/0/public/Trades"
FUTURES_PATH = "/derivatives/api/v3/history"
LIMIT = 1000


class SpotRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """``[price, volume, time, side, type, misc, trade_id]``."""

    price: Amount
    size: Amount
    seconds: Amount
    side: Literal["b", "s"]
    order_type: str
    misc: str
    number: Id
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def trade_id(self) -> str:
        """Follows the last one's."""
        return str(self.number)

    @property
    def time(self) -> int:
        """In microseconds, of which a float of seconds still holds each one; the stream cuts the rest."""
        return int(self.seconds * 1e6 + 0.25)


class SpotAnswer(msgspec.Struct, frozen=True):
    """``/0/public/Trades``: the rows under the pair's name, and ``last``, where to go on from."""

    result: dict[str, Any] = {}
    error: list[str] = []


class FuturesRow(msgspec.Struct, frozen=True, gc=False, rename={"trade_id": "uid", "moment": "time"}):
    """One of ``history``."""

    trade_id: Text
    moment: Moment
    side: Literal["buy", "sell"]
    price: Amount
    size: Amount
    type: str = "fill"
    symbol: ClassVar[str] = ""
    count: ClassVar[int] = 1

    @property
    def time(self) -> int:
        """In microseconds."""
        return microseconds(self.moment)


class FuturesAnswer(msgspec.Struct, frozen=True):
    """``/derivatives/api/v3/history``."""

    history: list[FuturesRow]


class KrakenPast(PastTrades):
    """A thousand trades of spot a page, a hundred of futures."""

    exchange = NAME
    replays_newest = True
    interval_s = 1.0  # the public counter forgets one call a second

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:
        """Spot from the last known trade on; futures before the gap's end."""
        if instrument.kind is MarketKind.SPOT:
            pair = instrument.market.partition(":")[2].replace("/", "")
            params = (("pair", pair), ("since", str(gap.after_ns - 1)), ("count", str(LIMIT)))
            return RestRequest("GET", self._rest(SPOT_REST_URL, SPOT_PATH), params)
        url = self._rest(FUTURES_REST_URL, FUTURES_PATH)
        request = RestRequest("GET", url, (("symbol", instrument.symbol),))
        return with_params(request, lastTime=_after(gap.before_ns)) if gap.before_id else request

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        if instrument.kind is MarketKind.SPOT:
            return self._read_spot(body, request, instrument, gap)
        rows = answer(NAME, request.url, body, FuturesAnswer).history
        counted = [row for row in rows if row.type in COUNTED_TYPES]
        parsed = trades_of(KrakenSession(None), counted, instrument)

        def onward(oldest: Trade) -> RestRequest:
            return with_params(request, lastTime=_after(oldest.exchange_ns))

        return backward(parsed, request, gap, onward)

    def _read_spot(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        said = answer(NAME, request.url, body, SpotAnswer)
        last = said.result.pop("last", "")
        try:
            (found,) = said.result.values()
            rows = msgspec.convert(found, list[SpotRow], strict=False)
        except (ValueError, msgspec.ValidationError) as error:
            raise FeedProtocolError(
                f"{NAME}: answer of {request.url} holds no trades of {instrument.symbol}, it says"
                f" {said.error}: {error}"
            ) from error
        trades = trades_of(KrakenSession(None), rows, instrument).trades
        is_last = len(rows) < LIMIT or (bool(gap.before_id) and rows[-1].number >= int(gap.before_id))
        if is_last or not isinstance(last, str):
            return Recovered(trades, complete=is_last)
        return Recovered(trades, following=with_params(request, since=last))


def _after(at_ns: int) -> str:
    """The millisecond after, so that the trades of one that is cut by a page come with the next page."""
    return moment_text(at_ns + NS_PER_MS)


PAST = (KrakenPast,)
