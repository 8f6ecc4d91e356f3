"""Past trades of Binance by REST, for spot, USD-M and COIN-M.

``trades`` gives the newest 1,000 with the ids of ``@trade``; ``aggTrades`` goes back as far as one likes and
says which of those ids each aggregate stands for (``historicalTrades``, which would give them one by one,
wants a key). So the newest are asked for first, and what is older comes as aggregates: the fills of one order
at one price in one millisecond, which make the same bars. An aggregate of which some fills are in hand is not
used; those that are not remain missing, and named.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints,
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Recent-Trades-List
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import msgspec

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.reading import INFINITY, UNREADABLE, Id, Milliseconds, number
from squeezeflow_plugin.feeds.recovery import Gap, PastTrades, Recovered, with_params
from squeezeflow_plugin.market import Instrument, Side, Trade

LIMIT = 1000
_NS_PER_MS = 1_000_000


class RestTrade(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"trade_id": "id", "quantity": "qty", "time_ms": "time", "buyer_is_maker": "isBuyerMaker"},
):
    """An entry of ``trades``; COIN-M's quantity is contracts."""

    trade_id: Id
    price: str
    quantity: str
    time_ms: Milliseconds
    buyer_is_maker: bool

    @property
    def first_id(self) -> int:
        return self.trade_id


class RestAggregate(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "aggregate_id": "a",
        "price": "p",
        "quantity": "q",
        "first_id": "f",
        "trade_id": "l",
        "time_ms": "T",
        "buyer_is_maker": "m",
    },
):
    """An entry of ``aggTrades``; ``trade_id`` is that of its last fill."""

    aggregate_id: Id
    price: str
    quantity: str
    first_id: Id
    trade_id: Id
    time_ms: Milliseconds
    buyer_is_maker: bool


class _Binance(PastTrades):
    """What the three APIs share."""

    interval_s = 0.5  # ``trades`` weighs 25 of 6,000 a minute on spot, ``aggTrades`` 20 of 2,400 on futures

    def read(self, body: bytes, request: RestRequest, instrument: Instrument, gap: Gap) -> Recovered:
        """As the contract says."""
        try:
            if request.url.endswith("/trades"):
                rows = msgspec.json.decode(body, type=list[RestTrade])
                trades = tuple(trade_of(row, instrument) for row in rows)
                if _reach(rows, gap):
                    return Recovered(trades, complete=True)
                older = RestRequest("GET", request.url.removesuffix("trades") + "aggTrades", request.params)
                start = str(gap.after_ns // _NS_PER_MS)
                whole = _without_broken_order(rows)
                return Recovered(
                    trades[-whole:] if whole else (), following=with_params(older, startTime=start)
                )
            aggregates = msgspec.json.decode(body, type=list[RestAggregate])
            trades = tuple(trade_of(row, instrument) for row in aggregates)
        except (*UNREADABLE, ValueError) as error:
            raise FeedProtocolError(
                f"{self.exchange}: answer of {request.url} for {instrument.symbol} cannot be read: {error}"
            ) from error
        last = aggregates[-1] if aggregates else None
        if last is None or len(aggregates) < LIMIT or (gap.before_id and last.trade_id >= int(gap.before_id)):
            return Recovered(trades, complete=True)
        onward = RestRequest("GET", request.url, request.params[:2])
        return Recovered(trades, following=with_params(onward, fromId=str(last.aggregate_id + 1)))


class SpotPast(_Binance):
    """Of spot markets."""

    exchange = "BINANCE"

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:  # noqa: ARG002  # the contract's
        """The newest trades; older ones are asked for after them."""
        return _newest(self._rest("https://data-api.binance.vision", "/api/v3"), instrument)


class FuturesPast(_Binance):
    """Of USD-M and COIN-M. Trades of the insurance fund are in neither answer: an id of one that only the
    stream would have named stays missing."""

    exchange = "BINANCE_FUTURES"

    def request(self, instrument: Instrument, gap: Gap) -> RestRequest:  # noqa: ARG002  # the contract's
        """The newest trades; older ones are asked for after them."""
        if instrument.inverse:
            return _newest(self._rest("https://dapi.binance.com", "/dapi/v1"), instrument)
        return _newest(self._rest("https://fapi.binance.com", "/fapi/v1"), instrument)


PAST = (SpotPast, FuturesPast)


def _newest(url: str, instrument: Instrument) -> RestRequest:
    return RestRequest("GET", f"{url}/trades", (("symbol", instrument.symbol), ("limit", str(LIMIT))))


def _reach(rows: Sequence[RestTrade], gap: Gap) -> bool:
    """Whether the newest trades go back to the beginning of the gap, or there are none at all."""
    if not rows:
        return True
    if not gap.after_id:
        return min(row.time_ms for row in rows) * _NS_PER_MS < gap.after_ns
    return min(row.trade_id for row in rows) <= int(gap.after_id) + 1


def _without_broken_order(rows: Sequence[RestTrade]) -> int:
    """How many of the newest rows share no aggregate with the oldest, whose beginning may be missing."""
    first = rows[0]
    kind = (first.time_ms, first.price, first.buyer_is_maker)
    broken = takewhile(lambda row: (row.time_ms, row.price, row.buyer_is_maker) == kind, rows)
    return len(rows) - sum(1 for _ in broken)


def trade_of(row: RestTrade | RestAggregate, instrument: Instrument) -> Trade:
    """As the stream's; ValueError where it cannot be counted."""
    price, size = number(row.price), number(row.quantity)
    if instrument.inverse:
        quote = size * instrument.contract_size
        size = quote / price if price > 0.0 else 0.0
    else:
        quote = price * size
    count = row.trade_id - row.first_id + 1
    if not (price > 0.0 < size and 0.0 < quote < INFINITY and count > 0):
        raise ValueError(f"trade {row.trade_id}: price {row.price!r}, quantity {row.quantity!r}")
    side = int(Side.SELL if row.buyer_is_maker else Side.BUY)
    return Trade(
        instrument.market, row.time_ms * _NS_PER_MS, str(row.trade_id), price, size, quote, side, count
    )
