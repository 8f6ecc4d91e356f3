"""An asset's flow market by market: who traded what, and what a class is without one of its venues."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.phases.fragility import LEAST_VENUES, Fragility, Rest, fragility
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.store.contract import BarStore

FloatArray = npt.NDArray[np.float64]


def venue_of(market: str) -> str:
    """The exchange of a market.

    >>> venue_of("BINANCE_FUTURES:btcusdt")
    'BINANCE_FUTURES'
    """
    return market.partition(":")[0]


@dataclass(frozen=True, eq=False)
class MarketFlows:
    """Taker volume of the seconds from ``start`` on: ``buy sell`` float64[len(markets.all), n], quote."""

    markets: AssetMarkets
    start: int
    buy: FloatArray
    sell: FloatArray

    def part(self, kind: str, without: Collection[str] = ()) -> tuple[FloatArray, FloatArray]:
        """Buy and sell volume of the class ``spot`` or ``perp``, float64[n] each, some venues left out.

        Markets are added one by one in their order: with all of them this is the engine's input, to the bit.
        """
        buy, sell = np.zeros(self.buy.shape[1]), np.zeros(self.buy.shape[1])
        first = 0 if kind == "spot" else len(self.markets.spot)
        names = self.markets.spot if kind == "spot" else self.markets.perp
        for place, market in enumerate(names, first):
            if venue_of(market) not in without:
                buy += self.buy[place]
                sell += self.sell[place]
        return buy, sell


def venues(markets: AssetMarkets, kind: str) -> tuple[str, ...]:
    """The venues of the class ``spot`` or ``perp``, sorted.

    >>> venues(AssetMarkets("BTC", ("A:x", "A:y", "B:x"), (), "A:x"), "spot")
    ('A', 'B')
    """
    names = markets.spot if kind == "spot" else markets.perp
    return tuple(sorted({venue_of(market) for market in names}))


def market_flows(
    store: BarStore, markets: AssetMarkets, start: int, stop: int, known_at: int | None = None
) -> MarketFlows:
    """Every market's flow of ``[start, stop)``: the final view, or as known at record ``known_at``."""
    columns = store.bars(start, stop, markets.all, known_at)
    buy, sell = np.zeros((len(markets.all), stop - start)), np.zeros((len(markets.all), stop - start))
    places = np.array([markets.all.index(name) for name in columns.names], dtype=np.int64)
    if len(columns):
        at = places[columns.market], columns.second - start
        buy[at], sell[at] = columns.vbuy, columns.vsell
    return MarketFlows(markets, start, buy, sell)


def judged_venues(markets: AssetMarkets) -> tuple[tuple[str, str], ...]:
    """The classes and venues that an entry is judged without: of each class that has at least three.

    >>> judged_venues(AssetMarkets("BTC", ("A:x", "B:x", "C:x"), ("A:p",), "A:x"))
    (('spot', 'A'), ('spot', 'B'), ('spot', 'C'))
    """
    named = ((kind, venues(markets, kind)) for kind in ("spot", "perp"))
    return tuple((kind, venue) for kind, names in named if len(names) >= LEAST_VENUES for venue in names)


def judge(
    store: BarStore,
    markets: AssetMarkets,
    flow: Flow,
    direction: int,
    params: Params,
    known_at: int | None = None,
) -> Fragility:
    """Judge the signal at the last row of ``flow`` by the market's own flows in the store.

    ``known_at`` None reads the final view. The store is not read where no class has three venues.
    """
    wanted = judged_venues(markets)
    start, stop = int(flow.time[0]), int(flow.time[-1]) + 1
    if not wanted:
        return Fragility(stop - 1, direction, ())
    flows = market_flows(store, markets, start, stop, known_at)
    rests = (Rest(kind, venue, *flows.part(kind, (venue,))) for kind, venue in wanted)
    return fragility(flow, rests, direction, params)
