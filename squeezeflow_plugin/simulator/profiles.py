"""What each simulated asset is like: its two markets, their tick and lot sizes, their pace and their sizes.

BTC is calibrated on two recordings of Binance's spot and USD-M markets; ETH and SOL are thinner markets of
the same shape. Measured (2024: 2024-08-08, 6 to 11 minutes; 2026: 2026-02-16, 5 minutes; made: an hour):

=====================================  ======  ======  ======  ======  ======  ======
measure                                spot    spot    spot    USD-M   USD-M   USD-M
                                       2024    2026    made    2024    2026    made
=====================================  ======  ======  ======  ======  ======  ======
trades a second                        30.6    34.2    41.7    62.1    39.9    72.4
milliseconds with trades a second      10.9    4.2     11.7    15.3    7.6     17.0
share in the ms of the one before      0.64    0.88    0.72    0.75    0.81    0.77
share on the side of the one before    0.89    0.96    0.94    0.90    0.93    0.95
trades in a ms, 90 %                   6       24      6       7       13      7
trades in a ms, 99 %                   22      89      36      45      53      49
notional of a trade, 50 %              41      6       21      989     206     1,235
notional of a trade, 90 %              3,553   113     3,031   16,380  4,656   16,488
notional of a trade, 99 %              19,994  5,469   21,089  70,697  35,138  78,948
volume a second, thousands             42      9       56      436     93      493
its signed sum, deviation, thousands   82      43      85      1,085   188     627
correlation of that with the return    0.60    0.42    0.48    0.60    0.44    0.60
return of a second, deviation, bp      1.1     0.4     1.0     1.2     0.5     1.0
seconds without a trade                0.009   0.060   0.024   0.000   0.010   0.010
correlation of spot and USD-M flow     0.60    0.16    0.22
=====================================  ======  ======  ======  ======  ======  ======
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from squeezeflow_plugin.errors import SimulatorError
from squeezeflow_plugin.market import Instrument, MarketKind
from squeezeflow_plugin.simulator.trades import FloatArray, MarketTrades

DEFAULT_ASSETS = ("BTC", "ETH", "SOL")
LISTED_ASSETS = (
    *DEFAULT_ASSETS, "XRP", "DOGE", "BNB", "ADA", "AVAX", "LINK", "LTC", "DOT", "TRX", "BCH", "NEAR", "UNI",
    "ATOM", "ETC", "FIL", "APT", "ARB",
)  # fmt: skip  # one list
"""Assets that have both markets on Binance, those that trade most first."""
_ASSET_NAME = re.compile(r"[A-Z0-9]{2,12}")


@dataclass(frozen=True)
class SizeMixture:
    """Notional of a single fill in quote currency: a mixture of two lognormals, dust and real orders.

    ``dust_share`` of the fills have the median ``dust_median``; ``*_spread`` are standard deviations of
    the logarithm.
    """

    dust_share: float
    dust_median: float
    dust_spread: float
    median: float
    spread: float


@dataclass(frozen=True)
class MarketTerms:
    """How a market counts, whoever makes its trades.

    One tick is 10^-``price_decimals`` in quote currency, one lot 10^-``size_decimals`` of what the exchange
    counts sizes in: base units, or contracts of ``instrument.contract_size`` base (inverse: quote) units.
    """

    instrument: Instrument
    price_decimals: int
    size_decimals: int

    @property
    def market(self) -> str:
        return self.instrument.market

    @property
    def price_scale(self) -> int:
        return int(10**self.price_decimals)

    @property
    def size_scale(self) -> int:
        return int(10**self.size_decimals)

    def quote(self, trades: MarketTrades) -> FloatArray:
        """float64[n] notional in quote currency."""
        counted = trades.size * self.instrument.contract_size
        return counted if self.instrument.inverse else counted * trades.price


@dataclass(frozen=True)
class MarketProfile(MarketTerms):
    """A market whose trades are made: ``orders_per_s`` taker orders a second on average, each filled in 1 to
    300 trades.

    The number of trades n of an order has P(n >= k) = k^-``fill_tail``. ``last_id`` is the id of the trade
    before the first generated one.
    """

    orders_per_s: float
    fill_tail: float
    sizes: SizeMixture
    last_id: int


@dataclass(frozen=True)
class AssetProfile:
    """One asset: ``volatility`` is the standard deviation of the log return of a second; ``basis`` the mean
    of ln(perpetual / spot); ``key`` tells the random streams of assets apart.
    """

    base: str
    price: float
    volatility: float
    basis: float
    spot: MarketProfile
    perp: MarketProfile

    @property
    def key(self) -> int:
        return zlib.crc32(self.base.encode())

    @property
    def markets(self) -> tuple[MarketProfile, MarketProfile]:
        return (self.spot, self.perp)


@dataclass(frozen=True)
class _Traits:
    """What differs between assets; the rest follows from it."""

    price: float
    volatility: float
    decimals: tuple[int, int]
    perp_decimals: tuple[int, int]
    orders_per_s: tuple[float, float]
    size_factor: float


_KNOWN = {
    "BTC": _Traits(65_000.0, 0.9e-4, (2, 5), (1, 3), (9.0, 13.0), 1.0),
    "ETH": _Traits(2_600.0, 1.1e-4, (2, 4), (2, 3), (6.0, 9.0), 0.6),
    "SOL": _Traits(150.0, 1.3e-4, (2, 3), (2, 2), (4.0, 7.0), 0.35),
}


def _generic(base: str) -> _Traits:
    """A small coin that is the same each time for the same name, between 0.2 and 20 quote units."""
    price = 0.2 * 100.0 ** ((zlib.crc32(base.encode()) % 1000) / 1000.0)
    return _Traits(round(price, 4), 1.5e-4, (4, 1), (4, 0), (2.0, 3.5), 0.15)


def asset_profile(base: str) -> AssetProfile:
    """The profile of an asset quoted in USDT.

    Raises SimulatorError where the name is not 2 to 12 capital letters or digits.

    >>> asset_profile("BTC").perp.market
    'BINANCE_FUTURES:btcusdt'
    """
    if not _ASSET_NAME.fullmatch(base):
        raise SimulatorError(
            f"asset must be 2 to 12 capital letters or digits, was {base!r}; nothing is simulated"
        )
    traits = _KNOWN.get(base) or _generic(base)
    symbol, factor = f"{base}USDT", traits.size_factor
    spot = MarketProfile(
        Instrument(f"BINANCE:{symbol.lower()}", symbol, MarketKind.SPOT, base, "USDT", "USDT"),
        *traits.decimals,
        traits.orders_per_s[0],
        1.3,
        SizeMixture(0.60, 9.0, 0.9, 1_100.0 * factor, 1.5),
        4_000_000_000,
    )
    perp = MarketProfile(
        Instrument(f"BINANCE_FUTURES:{symbol.lower()}", symbol, MarketKind.PERP, base, "USDT", "USDT"),
        *traits.perp_decimals,
        traits.orders_per_s[1],
        1.2,
        SizeMixture(0.40, 170.0, 0.7, 4_500.0 * factor, 1.35),
        7_000_000_000,
    )
    return AssetProfile(base, traits.price, traits.volatility, -2e-4, spot, perp)


def asset_profiles(bases: Sequence[str]) -> tuple[AssetProfile, ...]:
    """The profiles of several assets; SimulatorError where there is none or one is named twice."""
    if not bases or len(set(bases)) != len(bases):
        raise SimulatorError(
            f"assets must be a list without repetitions, was {list(bases)!r}; nothing is simulated"
        )
    return tuple(asset_profile(base) for base in bases)
