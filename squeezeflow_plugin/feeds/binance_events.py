"""What Binance's streams say of one trade, one aggregate, one liquidation: the fields and their types.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#trade-streams and
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from squeezeflow_plugin.feeds.reading import Id, Milliseconds, Symbol
from squeezeflow_plugin.feeds.session import NS_PER_MS, NS_PER_US, Amount

MICROSECONDS_FROM = 1_230_768_000_000_000
"""Times from here on are microseconds; of milliseconds it is the year 40,971."""
Time = Annotated[int, msgspec.Meta(ge=1_230_768_000_000, lt=4_102_444_800_000_000)]
"""Milliseconds; microseconds on a connection opened with ``timeUnit=MICROSECOND``."""
Number = str | float
"""A decimal text, or what a recorder that reads and writes JSON anew made of it."""

_SHORT = {
    "event": "e",
    "symbol": "s",
    "price": "p",
    "quantity": "q",
    "time": "T",
    "buyer_is_maker": "m",
}


class TradeEvent(msgspec.Struct, frozen=True, gc=False, rename={**_SHORT, "trade_id": "t", "execution": "X"}):
    """``@trade``. Spot has no execution type, nor have old recordings: those are ordinary trades."""

    event: Literal["trade"]
    symbol: Symbol
    trade_id: Id
    price: Number
    quantity: Number
    time: Time
    buyer_is_maker: bool
    execution: str = "MARKET"


class AggTradeEvent(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={**_SHORT, "aggregate_id": "a", "first_id": "f", "last_id": "l"},
):
    """``@aggTrade``: the fills ``first_id``..``last_id`` of one taker order at one price."""

    event: Literal["aggTrade"]
    symbol: Symbol
    aggregate_id: Id
    price: Number
    quantity: Number
    first_id: Id
    last_id: Id
    time: Time
    buyer_is_maker: bool


class ForcedOrder(
    msgspec.Struct, frozen=True, gc=False, rename={**_SHORT, "side": "S", "average_price": "ap"}
):
    """The order inside ``@forceOrder``: the exchange closing a position, SELL where a long is liquidated."""

    symbol: Symbol
    side: Literal["BUY", "SELL"]
    quantity: Number
    price: Number
    time: Time
    average_price: Number = ""


class ForceOrderEvent(msgspec.Struct, frozen=True, gc=False, rename={"event": "e", "order": "o"}):
    """``@forceOrder``: the largest liquidation of a symbol within a second."""

    event: Literal["forceOrder"]
    order: ForcedOrder


Event = TradeEvent | AggTradeEvent | ForceOrderEvent
EVENT_TYPES: dict[str, type[Event]] = {
    "trade": TradeEvent,
    "aggTrade": AggTradeEvent,
    "forceOrder": ForceOrderEvent,
}


class SoundTrade(msgspec.Struct, frozen=True, gc=False, rename={**_SHORT, "trade_id": "t", "execution": "X"}):
    """``@trade`` of the usual kind, its decimal texts read as numbers while they are decoded."""

    event: Literal["trade"]
    symbol: Symbol
    trade_id: Id
    price: Amount
    quantity: Amount
    time: Milliseconds
    buyer_is_maker: bool
    execution: str = "MARKET"


class EnvelopedTrade(msgspec.Struct, frozen=True, gc=False):
    """A trade as ``/stream`` wraps it."""

    data: SoundTrade


def nanoseconds(time: int) -> int:
    """A ``Time`` since the epoch.

    >>> nanoseconds(1_767_225_600_123), nanoseconds(1_767_225_600_123_456)
    (1767225600123000000, 1767225600123456000)
    """
    return time * (NS_PER_US if time >= MICROSECONDS_FROM else NS_PER_MS)
