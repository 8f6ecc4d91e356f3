"""The market's vocabulary: what was traded, where, by whom, and the second's bar of it.

Prices are floats as the exchange's text says them; volumes are notional in quote
currency (price x base size, contracts normalised). Times are integers: nanoseconds
since the Unix epoch for events, whole seconds for bars; the bar of second ``s``
covers ``[s, s + 1)``.
"""

from __future__ import annotations

import enum

import msgspec

NS_PER_SECOND = 1_000_000_000


class Side(enum.IntEnum):
    """The taker's side: who crossed the spread."""

    BUY = 1
    SELL = -1


class MarketKind(enum.Enum):
    """What a market trades. Only SPOT and PERP flow enters the method; FUTURE is a dated contract."""

    SPOT = "spot"
    PERP = "perp"
    FUTURE = "future"


class Instrument(msgspec.Struct, frozen=True):
    """What one market is.

    ``market`` is aggr-server's name, ``EXCHANGE:symbol``; ``symbol`` the exchange's own
    spelling on the wire. ``contract_size`` is in base units for linear contracts (1.0
    where sizes are base units already) and in quote units for ``inverse`` ones.

    >>> Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT").exchange
    'BINANCE'
    """

    market: str
    symbol: str
    kind: MarketKind
    base: str
    quote: str
    settle: str
    contract_size: float = 1.0
    inverse: bool = False

    @property
    def exchange(self) -> str:
        return self.market.partition(":")[0]


class Trade(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One trade (or one liquidation order) as an exchange reported it.

    ``exchange_ns`` is the exchange's trade time; ``received_ns`` the local receive time (0
    where unknown); ``size`` base units; ``quote`` the notional in quote currency; ``side`` +1
    where the taker bought, -1 where the taker sold (for a liquidation: the side of the
    forced order); ``count`` how many fills it stands for. Identity is (market, liquidation,
    trade_id); the order of trades is (exchange_ns, length of trade_id, trade_id), which
    is numeric order for decimal ids.
    """

    market: str
    exchange_ns: int
    trade_id: str
    price: float
    size: float
    quote: float
    side: int
    count: int = 1
    liquidation: bool = False
    received_ns: int = 0

    @property
    def second(self) -> int:
        return self.exchange_ns // NS_PER_SECOND


class Bar(msgspec.Struct, frozen=True, array_like=True):
    """One market's second, in aggr-server's fields.

    ``open high low close`` are NaN where the second had liquidations but no trade. ``vbuy vsell``
    taker volume in quote currency, ``cbuy csell`` trade counts, ``lbuy lsell`` liquidated
    volume in quote currency (kept apart from the others). ``revision`` counts how often the
    bar was written again (0 the first time).
    """

    market: str
    second: int
    open: float
    high: float
    low: float
    close: float
    vbuy: float
    vsell: float
    cbuy: int
    csell: int
    lbuy: float
    lsell: float
    revision: int = 0


BAR_FIELDS = ("open", "high", "low", "close", "vbuy", "vsell", "cbuy", "csell", "lbuy", "lsell")


class Interval(msgspec.Struct, frozen=True, array_like=True, repr_omit_defaults=True):
    """Whole seconds ``[start, stop)`` in which a market's feed was connected, subscribed and complete.

    ``complete`` is False only among a record's ``repaired``: the seconds turned out to lack trades.
    """

    market: str
    start: int
    stop: int
    complete: bool = True


class DerivativeTicker(msgspec.Struct, frozen=True, array_like=True):
    """What an exchange says of one perpetual or dated contract beside its trades.

    ``exchange_ns`` is the time the exchange says it for (its answer's where it names none): a second's end
    minus it is the age. ``interest_base`` and ``interest_usd`` are the open interest in base units and in US
    dollars, ``funding_rate`` the fraction of the notional that longs pay shorts at the next funding. NaN
    where the exchange does not say.
    """

    market: str
    exchange_ns: int
    interest_base: float
    interest_usd: float
    funding_rate: float


class ClosingRecord(msgspec.Struct, frozen=True, array_like=True):
    """What one collector said when it closed one second - also when there was nothing to say.

    ``bars`` are the second's own; ``revisions`` are whole bars of earlier seconds that changed since
    (each replaces what was known of that market and second); ``covered`` names the markets whose
    feed was complete in the second, ``uncovered`` the other markets the collector is responsible
    for; ``repaired`` corrects that of earlier seconds, in this order: spans that have become complete
    since, and spans now known to lack trades. ``closed_ns`` is the market time of closing. ``tickers`` are
    open interest and funding as they stood at the second's end, in every so many records. Records of a
    collector follow each other second by second; what was known at record k is everything carried by
    records up to k.
    """

    collector: str
    second: int
    closed_ns: int
    bars: tuple[Bar, ...] = ()
    revisions: tuple[Bar, ...] = ()
    covered: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    repaired: tuple[Interval, ...] = ()
    tickers: tuple[DerivativeTicker, ...] = ()
