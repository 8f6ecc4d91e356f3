"""One asset's seconds as rows: bars in, the method's input columns out, corrected where a bar is revised.

Everything here follows the closing records in their order, so the rows are at each moment what was
known then. A row's flow is the sum over the asset's markets, its prices are the reference market's
(repeated where that market did not trade, NaN before its first trade), and its coverage comes from
the markets the records name as covered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.flow import (
    HOUR_S,
    AssetMarkets,
    HourlyVolumes,
    class_flow,
    coverage_share,
    liquidated,
    volume_cents,
)
from squeezeflow_plugin.bars.interest import InterestChange, KnownTicker
from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import Flow, FlowRow
from squeezeflow_plugin.features.layout import (
    CLOSE,
    COVERAGE_S,
    INPUT_NAMES,
    OI_CHANGE,
    OPEN,
    PERP_SELL,
    SPOT_BUY,
)
from squeezeflow_plugin.market import Bar, ClosingRecord, Interval

ROW_NAMES = (*INPUT_NAMES, "volume", "liquidated_buy", "liquidated_sell")
_VOLUME = ROW_NAMES.index("volume")
_LIQUIDATED = slice(_VOLUME + 1, _VOLUME + 3)
CLOSING_SLACK_S = 60
"""Bars are kept this much longer than the horizon, which the collector measures on its own clock."""


class AssetRows:
    """Contiguous seconds ``[first, stop)`` of one asset, the newest ``hold`` to ``2 * hold`` of them.

    A row holds ``ROW_NAMES`` in that order: the method's inputs, ``volume``, what the reference market traded
    in base units, and the asset's forced orders, ``liquidated_buy`` (shorts) and ``liquidated_sell`` (longs)
    in quote currency. A bar can be revised for ``horizon_s`` seconds; the bars of those seconds are kept one
    by one for it.
    """

    def __init__(self, markets: AssetMarkets, first: int, *, hold: int, horizon_s: int) -> None:
        self.markets = markets
        self.first = first
        self._hold = hold
        self._kept_s = horizon_s + CLOSING_SLACK_S
        self._size = 0
        self._values = np.full((len(ROW_NAMES), 2 * hold), np.nan)
        self._traded = np.zeros(2 * hold, dtype=np.bool_)
        self._masks: list[int] = []
        self._bars: dict[int, dict[str, Bar]] = {}
        self._bits = {market: 1 << place for place, market in enumerate(markets.all)}
        self._volumes = HourlyVolumes(markets.all)
        self._weights: dict[int, tuple[int, ...]] = {}
        self._shares: dict[tuple[int, int], tuple[float, float, float]] = {}
        self._interest = InterestChange(markets.perp)
        self.revised_from = first
        """The earliest second whose row the last ``apply`` wrote again, ``stop`` where it wrote none."""

    @property
    def stop(self) -> int:
        """The first second that has no row yet."""
        return self.first + self._size

    @property
    def first_priced(self) -> int | None:
        """The first held second with a known price; None before the reference market's first trade."""
        known = ~np.isnan(self._values[CLOSE, : self._size])
        return self.first + int(known.argmax()) if known.any() else None

    def values(self, start: int, stop: int) -> npt.NDArray[np.float64]:
        """Rows ``[start, stop)`` as float64[columns, stop - start]; a view, valid until the next change."""
        if not self.first <= start <= stop <= self.stop:
            raise EngineError(
                f"{self.markets.asset}: rows [{start}, {stop}) were asked for,"
                f" held are [{self.first}, {self.stop})"
            )
        return self._values[:, start - self.first : stop - self.first]

    def flow(self, start: int, stop: int) -> Flow:
        """Rows ``[start, stop)`` as the engine's input; FrameError where no price is known yet."""
        values = self.values(start, stop)[: len(INPUT_NAMES)].copy()
        return Flow(np.arange(start, stop, dtype=np.int64), *values)

    def row(self, second: int) -> FlowRow:
        """One row as the engine's input for a step."""
        return FlowRow(second, *self.values(second, second + 1)[: len(INPUT_NAMES), 0].tolist())

    def know(self, bars: Iterable[Bar]) -> None:
        """Count bars from before the first row: they weigh the markets, and may still be revised."""
        for bar in bars:
            if bar.market in self._bits:
                self._volumes.add(bar.market, bar.second, volume_cents(bar))
                if bar.second >= self.first - self._kept_s:
                    self._bars.setdefault(bar.second, {})[bar.market] = bar

    def know_tickers(self, tickers: Iterable[KnownTicker]) -> None:
        """Take note of open interest that records before the first row carried, in their order."""
        for second, ticker in tickers:
            self._interest.add(second, ticker)

    def know_volume(self, market: str, hour_start: int, cents: int) -> None:
        """Count a market's volume of an earlier hour as a whole, in hundredths of the quote currency."""
        self._volumes.add(market, hour_start, cents)

    def apply(self, records: Iterable[ClosingRecord]) -> bool:
        """Add the row of second ``stop`` from its closing records; True where an earlier row changed.

        Revisions and repaired spans are put in first, so the row stands on the corrected past. Without any
        record the second is a gap: no volume, the last close, nothing covered. Other assets' markets are
        passed over. Raises EngineError for a revision older than the horizon, whose second's other
        bars are gone.
        """
        self._make_room()
        self._weigh(self.stop)
        self.revised_from = self.stop + 1
        changed = False
        bars: dict[str, Bar] = {}
        mask = 0
        for record in records:
            for bar in record.revisions:
                changed = self._revise(bar) or changed
            for interval in record.repaired:
                changed = self._cover(interval) or changed
            bars |= {bar.market: bar for bar in record.bars if bar.market in self._bits}
            for market in record.covered:
                mask |= self._bits.get(market, 0)
            for ticker in record.tickers:
                self._interest.add(record.second, ticker)
        self._append(bars, mask)
        return changed

    def _append(self, bars: dict[str, Bar], mask: int) -> None:
        second, place = self.stop, self._size
        self._size += 1
        self._masks.append(mask)
        if bars:
            self._bars[second] = bars
            for bar in bars.values():
                self._volumes.add(bar.market, second, volume_cents(bar))
        self._write(place, bars)
        self._values[COVERAGE_S:OI_CHANGE, place] = self._coverage(place)
        self._values[OI_CHANGE, place] = self._interest.at(second)
        self._bars.pop(second - self._kept_s, None)

    def _revise(self, bar: Bar) -> bool:
        if bar.market not in self._bits:
            return False
        if not self.stop - self._kept_s <= bar.second < self.stop:
            raise EngineError(
                f"{bar.market}: a bar of second {bar.second} was revised at second {self.stop}, bars are kept"
                f" for {self._kept_s} s; collector and bot need the same revision_horizon_s"
            )
        known = self._bars.setdefault(bar.second, {})
        before = known.get(bar.market)
        known[bar.market] = bar
        self._volumes.add(bar.market, bar.second, volume_cents(bar) - (volume_cents(before) if before else 0))
        if bar.second < self.first:
            return False
        self.revised_from = min(self.revised_from, bar.second)
        place = bar.second - self.first
        numbers = self._values[: PERP_SELL + 1, place]
        before = numbers.tolist()
        self._write(place, known)
        if numbers[CLOSE] != before[CLOSE]:
            self._repeat_close(place)
        return bool(numbers.tolist() != before)

    def _cover(self, interval: Interval) -> bool:
        bit = self._bits.get(interval.market, 0)
        start, stop = max(interval.start, self.first), min(interval.stop, self.stop)
        changed = False
        for place in range(start - self.first, stop - self.first):
            mask = self._masks[place]
            mask = mask | bit if interval.complete else mask & ~bit
            if mask != self._masks[place]:
                self._masks[place] = mask
                self._values[COVERAGE_S:OI_CHANGE, place] = self._coverage(place)
                self.revised_from = min(self.revised_from, self.first + place)
                changed = True
        return changed

    def _make_room(self) -> None:
        if self._size < 2 * self._hold:
            return
        drop = self._size - self._hold
        self._values[:, : self._hold] = self._values[:, drop : self._size]
        self._traded[: self._hold] = self._traded[drop : self._size]
        del self._masks[:drop]
        self.first += drop
        self._size = self._hold
        self._volumes.forget_before(self.stop)
        oldest = self.first - self.first % HOUR_S
        self._weights = {hour: found for hour, found in self._weights.items() if hour >= oldest}
        self._shares = {key: found for key, found in self._shares.items() if key[0] >= oldest}

    def _weigh(self, second: int) -> None:
        """Fix the weights of the second's hour when its first row comes, from what is known before it."""
        hour = second - second % HOUR_S
        if hour not in self._weights:
            spot, perp = self.markets.spot, self.markets.perp
            self._weights[hour] = self._volumes.weights(hour, spot) + self._volumes.weights(hour, perp)

    def _write(self, place: int, bars: dict[str, Bar]) -> None:
        """Write a row's prices, flow and volume from its bars."""
        spot, perp = class_flow(bars, self.markets.spot), class_flow(bars, self.markets.perp)
        self._values[SPOT_BUY : PERP_SELL + 1, place] = (*spot, *perp)
        self._values[_LIQUIDATED, place] = liquidated(bars, self.markets.all)
        bar = bars.get(self.markets.reference)
        if bar is not None and not math.isnan(bar.close):
            self._traded[place] = True
            self._values[OPEN : CLOSE + 1, place] = (bar.open, bar.high, bar.low, bar.close)
            self._values[_VOLUME, place] = (bar.vbuy + bar.vsell) / bar.close
        else:
            self._traded[place] = False
            self._values[_VOLUME, place] = 0.0
            if place:  # the first row held keeps the price it has, or none
                self._values[OPEN : CLOSE + 1, place] = self._values[CLOSE, place - 1]

    def _repeat_close(self, place: int) -> None:
        """Repeat a row's close in the rows without a trade that follow it."""
        traded = self._traded[place + 1 : self._size]
        stop = place + 1 + (int(traded.argmax()) if traded.any() else len(traded))
        self._values[OPEN : CLOSE + 1, place + 1 : stop] = self._values[CLOSE, place]

    def _coverage(self, place: int) -> tuple[float, float, float]:
        """Coverage shares of both classes, and whether the reference market was covered, 0 or 1."""
        second = self.first + place
        hour, mask = second - second % HOUR_S, self._masks[place]
        found = self._shares.get((hour, mask))
        if found is None:
            seen = [bool(bit & mask) for bit in self._bits.values()]
            spots = len(self.markets.spot)
            weights = self._weights[hour]
            found = (
                coverage_share(weights[:spots], seen[:spots]),
                coverage_share(weights[spots:], seen[spots:]),
                float(bool(self._bits[self.markets.reference] & mask)),
            )
            self._shares[(hour, mask)] = found
        return found
