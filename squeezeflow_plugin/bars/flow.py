"""From markets to an asset: which markets make its spot and perp flow, their sums, and their weights.

A class's flow of one second is the sum over its markets in sorted order, so that the same bars
give the same bits whoever adds them. How much of a class was seen is its *coverage share*: each
market weighs what it traded in the 24 hours before the last full UTC hour. Those weights are
whole cents, so they add exactly and in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.venues import asset_of, venues_of
from squeezeflow_plugin.errors import UnknownInstrumentError
from squeezeflow_plugin.market import Bar, Instrument, MarketKind

HOUR_S = 3600
WEIGHT_HOURS = 24
MIN_COVERAGE = 0.98
"""The mean coverage share that each window of both classes needs for an asset to be tradable."""


@dataclass(frozen=True)
class AssetMarkets:
    """The markets one asset is scored on.

    ``spot`` and ``perp`` are sorted market names; ``reference`` is the market that is traded, a member of
    one of the two. A class without markets has a coverage share of 0 in every second: an asset that has no
    perpetual market is scored, but never tradable.
    """

    asset: str
    spot: tuple[str, ...]
    perp: tuple[str, ...]
    reference: str

    @property
    def all(self) -> tuple[str, ...]:
        """Every market of the asset: spot first, each class sorted."""
        return self.spot + self.perp


def reference_market(
    instruments: Iterable[Instrument],
    exchange: str,
    base: str,
    quote: str,
    kind: MarketKind,
) -> Instrument:
    """The instrument a bot trades: of that exchange (or one of its venues), base, quote and kind.

    ``exchange`` is FreqTrade's name in any case; ``binance`` finds BINANCE and BINANCE_FUTURES, ``okx``
    OKEX. Where several fit, the linear one is taken, then the first by name. Raises UnknownInstrumentError.

    >>> spot = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
    >>> reference_market([spot], "binance", "BTC", "USDT", MarketKind.SPOT).market
    'BINANCE:btcusdt'
    """
    venues = venues_of(exchange)
    fitting = [
        item
        for item in instruments
        if (item.base, item.quote, item.kind) == (base, quote, kind) and item.exchange in venues
    ]
    if not fitting:
        raise UnknownInstrumentError(
            f"no {kind.value} market {base}/{quote} of {exchange} is in the store; the pair is not scored"
        )
    return min(fitting, key=lambda item: (item.inverse, item.market))


def asset_markets(
    instruments: Iterable[Instrument], reference: Instrument, quotes: Iterable[str]
) -> AssetMarkets:
    """The spot and perpetual markets of the reference's base, quoted in US dollars as ``quotes`` lists them.

    The reference counts whatever its quote; dated futures never do.

    >>> spot = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
    >>> euro = Instrument("BINANCE:btceur", "BTCEUR", MarketKind.SPOT, "BTC", "EUR", "EUR")
    >>> asset_markets([euro, spot], spot, ["USDT"])
    AssetMarkets(asset='BTC', spot=('BINANCE:btcusdt',), perp=(), reference='BINANCE:btcusdt')
    """
    dollars = frozenset(quotes)
    asset = asset_of(reference.base)
    names: dict[MarketKind, set[str]] = {kind: set() for kind in MarketKind}
    for item in (*instruments, reference):
        if asset_of(item.base) == asset and (item.quote in dollars or item.market == reference.market):
            names[item.kind].add(item.market)
    return AssetMarkets(
        asset,
        tuple(sorted(names[MarketKind.SPOT])),
        tuple(sorted(names[MarketKind.PERP])),
        reference.market,
    )


def class_flow(bars: Mapping[str, Bar], markets: Iterable[str]) -> tuple[float, float]:
    """Taker-buy and taker-sell volume of a class in one second: its markets' bars added one by one, in order.

    ``bars`` holds the second's bars by market, ``markets`` the class in its sorted order. A market without a
    bar adds nothing, which gives the same bits as adding zero.

    >>> class_flow({"X:b": Bar("X:b", 0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.5, 1, 1, 0.0, 0.0)}, ["X:a", "X:b"])
    (2.0, 0.5)
    """
    buy = sell = 0.0
    for market in markets:
        bar = bars.get(market)
        if bar is not None:
            buy += bar.vbuy
            sell += bar.vsell
    return buy, sell


def liquidated(bars: Mapping[str, Bar], markets: Iterable[str]) -> tuple[float, float]:
    """Forced buying and forced selling of one second in quote currency, added one by one in the given order.

    >>> liquidated({"X:b": Bar("X:b", 0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.5, 1, 1, 7.0, 0.0)}, ["X:a", "X:b"])
    (7.0, 0.0)
    """
    buy = sell = 0.0
    for market in markets:
        bar = bars.get(market)
        if bar is not None:
            buy += bar.lbuy
            sell += bar.lsell
    return buy, sell


def volume_cents(bar: Bar) -> int:
    """A bar's traded volume in whole hundredths of the quote currency, both sides; liquidations are none.

    >>> volume_cents(Bar("X:y", 0, 1.0, 1.0, 1.0, 1.0, 1.004, 2.0, 1, 1, 9.0, 9.0))
    300
    """
    return round((bar.vbuy + bar.vsell) * 100)


def volumes_cents(vbuy: npt.NDArray[np.float64], vsell: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """``volume_cents`` for columns of bars: float64[n] quote volumes in, int64[n] hundredths out.

    >>> volumes_cents(np.array([1.004]), np.array([2.0])).tolist()
    [300]
    """
    return np.rint((vbuy + vsell) * 100).astype(np.int64)


class HourlyVolumes:
    """Each market's volume by UTC hour, and from it the weights that hold during an hour.

    Add bars as they become known (with the difference, where a bar is revised) and ask for an hour's
    weights when its first second is reached, before anything of that hour's records is added: the
    weights are then what was known at the start of the hour, and stay so.

    >>> volumes = HourlyVolumes(["A:x", "B:x"])
    >>> volumes.weights(7200, ["A:x", "B:x"])
    (1, 1)
    >>> volumes.add("A:x", 3600, 250)
    >>> volumes.add("A:x", 7300, 999)
    >>> volumes.weights(7200, ["A:x", "B:x"])
    (250, 0)
    """

    def __init__(self, markets: Iterable[str]) -> None:
        self._cents: dict[str, dict[int, int]] = {market: {} for market in markets}

    def add(self, market: str, second: int, cents: int) -> None:
        """Add a volume (or a difference) to the hour of ``second``; unknown markets raise KeyError."""
        hours = self._cents[market]
        hour = second // HOUR_S
        hours[hour] = hours.get(hour, 0) + cents

    def weights(self, hour_start: int, markets: Sequence[str]) -> tuple[int, ...]:
        """The markets' volumes in [hour_start - 24 h, hour_start), in cents; all 1 where nothing is known."""
        last = hour_start // HOUR_S
        totals = tuple(
            sum(cents for hour, cents in self._cents[market].items() if last - WEIGHT_HOURS <= hour < last)
            for market in markets
        )
        return totals if any(totals) else (1,) * len(totals)

    def forget_before(self, second: int) -> None:
        """Drop hours that no weight from ``second`` on can need."""
        oldest = second // HOUR_S - WEIGHT_HOURS
        for hours in self._cents.values():
            for hour in [hour for hour in hours if hour < oldest]:
                del hours[hour]


def coverage_share(weights: Sequence[int], covered: Sequence[bool]) -> float:
    """The covered part of the weights, 0..1; a class without markets has 0.

    The division of two whole numbers is rounded once, so equal coverage gives equal bits and full
    coverage gives exactly 1.

    >>> coverage_share([300, 100], [True, False])
    0.75
    >>> coverage_share([], [])
    0.0
    """
    total = sum(weights)
    if total == 0:
        return 0.0
    return sum(weight for weight, seen in zip(weights, covered, strict=True) if seen) / total
