"""How complete the last hour of one-second data is, market by market and for each asset as the method asks.

Everything is read from the store, so that it says what a bot would find there: a collector that was down is
a hole by itself, a repaired span is none. The rule is that of the bot (mean coverage share of each class and
window, weights by the volume before the hour); only what a bot alone knows - which market it trades, whether
it is warmed up - is missing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.flow import (
    HOUR_S,
    WEIGHT_HOURS,
    HourlyVolumes,
    asset_markets,
    volumes_cents,
)
from squeezeflow_plugin.market import Instrument, Interval, MarketKind
from squeezeflow_plugin.store.contract import BarStore

WINDOWS = (("5m", 300), ("15m", 900), ("30m", 1800), ("1h", 3600))
SPAN_S = 3600
_SETTLED_S = 3600  # an hour's volume is taken for final this long after its end
_HOLES_SHOWN = 20
_EPS = 1e-9  # as the method compares shares


class MarketQuality(msgspec.Struct, frozen=True):
    """``covered`` in the newest second; ``coverage_1h`` the share of the hour's seconds; ``last_bar`` the
    newest second with a bar in the last five minutes, None where there is none; ``holes`` the hour's newest
    spans [start, stop) without coverage, oldest first.
    """

    market: str
    kind: str
    covered: bool
    coverage_1h: float
    last_bar: int | None
    holes: tuple[tuple[int, int], ...]


class AssetQuality(msgspec.Struct, frozen=True):
    """``coverage`` by class and window; ``veto`` why entries would be vetoed, empty where they would not."""

    asset: str
    coverage: dict[str, dict[str, float]]
    veto: str


class Quality(msgspec.Struct, frozen=True):
    """Of the hour up to and with ``second``."""

    second: int
    markets: tuple[MarketQuality, ...]
    assets: tuple[AssetQuality, ...]


class QualityProbe:
    """Looks at the store when asked; past hours' volumes are remembered, so only the first look is slow."""

    def __init__(
        self,
        store: BarStore,
        instruments: Iterable[Instrument],
        quotes: Iterable[str],
        min_coverage: float,
    ) -> None:
        self._store = store
        self._instruments = tuple(sorted(instruments, key=lambda each: each.market))
        self._quotes = tuple(quotes)
        self._min_coverage = min_coverage
        self._names = tuple(each.market for each in self._instruments)
        self._hours: dict[int, dict[str, int]] = {}

    def look(self, collector: str) -> Quality | None:
        """The quality up to the collector's newest stored second; None before it. Raises StoreError."""
        last = self._store.last_second(collector)
        if last is None:
            return None
        start = last + 1 - SPAN_S
        intervals = self._store.coverage(start, last + 1, self._names)
        covered = {name: _seconds([i for i in intervals if i.market == name], start) for name in self._names}
        recent = self._store.bars(last + 1 - 300, last + 1, self._names)
        newest = dict(zip(recent.market.tolist(), recent.second.tolist(), strict=True))
        last_bar = {recent.names[number]: second for number, second in newest.items()}
        volumes = self._volumes(last)
        return Quality(
            last,
            tuple(
                MarketQuality(
                    each.market,
                    each.kind.value,
                    bool(covered[each.market][-1]),
                    round(float(covered[each.market].mean()), 6),
                    last_bar.get(each.market),
                    _holes(covered[each.market], start),
                )
                for each in self._instruments
            ),
            tuple(self._asset(asset, covered, volumes, start) for asset in self._assets()),
        )

    def span(self) -> int:
        """Seconds from the store's oldest to its newest; 0 where it is empty. Raises StoreError."""
        span = self._store.span()
        return 0 if span is None else span[1] - span[0]

    def _assets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.base for each in self._instruments))

    def _asset(
        self, asset: str, covered: dict[str, npt.NDArray[np.bool_]], volumes: HourlyVolumes, start: int
    ) -> AssetQuality:
        any_market = next(each for each in self._instruments if each.base == asset)
        classes = asset_markets(self._instruments, any_market, self._quotes)
        shares = {
            MarketKind.SPOT.value: _shares(classes.spot, covered, volumes, start),
            MarketKind.PERP.value: _shares(classes.perp, covered, volumes, start),
        }
        coverage = {
            kind: {name: float(share[-rows:].mean()) for name, rows in WINDOWS}
            for kind, share in shares.items()
        }
        low = (
            f"hole_{kind}_{name}"
            for name, _ in WINDOWS
            for kind in coverage
            if coverage[kind][name] < self._min_coverage - _EPS
        )
        return AssetQuality(asset, coverage, next(low, ""))

    def _volumes(self, last: int) -> HourlyVolumes:
        """What each market traded in the 25 hours before the current one."""
        this_hour = last // HOUR_S
        wanted = range(this_hour - WEIGHT_HOURS - 1, this_hour)
        self._hours = {hour: known for hour, known in self._hours.items() if hour in wanted}
        volumes = HourlyVolumes(self._names)
        for hour in wanted:
            totals = self._hours.get(hour)
            if totals is None:
                totals = self._hour(hour)
                if (hour + 1) * HOUR_S + _SETTLED_S <= last:
                    self._hours[hour] = totals
            for market, cents in totals.items():
                volumes.add(market, hour * HOUR_S, cents)
        return volumes

    def _hour(self, hour: int) -> dict[str, int]:
        bars = self._store.bars(hour * HOUR_S, (hour + 1) * HOUR_S, self._names)
        totals = np.zeros(len(bars.names), dtype=np.int64)
        np.add.at(totals, bars.market, volumes_cents(bars.vbuy, bars.vsell))
        return dict(zip(bars.names, totals.tolist(), strict=True))


def _seconds(intervals: Iterable[Interval], start: int) -> npt.NDArray[np.bool_]:
    """bool[SPAN_S]: covered or not, from second ``start`` on."""
    covered = np.zeros(SPAN_S, dtype=np.bool_)
    for interval in intervals:
        covered[max(interval.start - start, 0) : interval.stop - start] = True
    return covered


def _holes(covered: npt.NDArray[np.bool_], start: int) -> tuple[tuple[int, int], ...]:
    """The newest spans without coverage, oldest first."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], covered, [True]])))
    spans = (edges.reshape(-1, 2) + start).tolist()
    return tuple((first, stop) for first, stop in spans[-_HOLES_SHOWN:])


def _shares(
    markets: Sequence[str], covered: dict[str, npt.NDArray[np.bool_]], volumes: HourlyVolumes, start: int
) -> npt.NDArray[np.float64]:
    """float64[SPAN_S]: the covered share of the class's weights; 0 for a class without markets."""
    shares = np.zeros(SPAN_S)
    if not markets:
        return shares
    seen = np.array([covered[market] for market in markets], dtype=np.float64)
    turn = min(-start % HOUR_S, SPAN_S)  # where the span crosses into the next hour
    for rows, hour in ((slice(0, turn), start // HOUR_S), (slice(turn, None), start // HOUR_S + 1)):
        weights = np.array(volumes.weights(hour * HOUR_S, markets), dtype=np.float64)
        shares[rows] = weights @ seen[:, rows] / weights.sum()
    return shares
