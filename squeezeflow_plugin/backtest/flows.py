"""The store's final view as rows of the method, asset by asset, in chunks of two hours.

A chunk holds what the live bot holds of the same seconds once every revision has come: volumes added up
market by market in their sorted order, prices of the reference market repeated where it did not trade,
coverage shares by the weights of the 24 hours before each UTC hour. Chunks follow each other, and what one
needs of the seconds before it (the last close, the hourly volumes) is carried on, so chunks joined are the
whole span to the bit, however long they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.flow import (
    HOUR_S,
    WEIGHT_HOURS,
    AssetMarkets,
    HourlyVolumes,
    coverage_share,
    volumes_cents,
)
from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.market import Interval
from squeezeflow_plugin.store.contract import BarColumns, BarStore

CHUNK_S = 7200
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, eq=False)
class AssetChunk:
    """Contiguous seconds of one asset; fewer than the chunk's, or none, before its first known price.

    ``volume`` float64[n] is what the reference market traded, in base units. ``traded_quote`` is the quote
    volume of all its markets in the chunk, ``revised_quote`` the part of it in bars that were written again
    after their second had closed.
    """

    flow: Flow
    volume: FloatArray
    traded_quote: float
    revised_quote: float


@dataclass(frozen=True, eq=False)
class Chunk:
    """The seconds ``[start, stop)`` of every asset, by the key the reader was given."""

    start: int
    stop: int
    assets: Mapping[str, AssetChunk]


class FlowReader:
    """Reads ``[start, stop)`` of some assets chunk by chunk; ``assets`` maps a key of the caller's to markets.

    Beside the span it reads the 24 hours before it, for the weights and the last close.
    """

    def __init__(
        self,
        store: BarStore,
        assets: Mapping[str, AssetMarkets],
        start: int,
        stop: int,
        chunk_s: int = CHUNK_S,
    ) -> None:
        self._store = store
        self._start, self._stop, self._chunk_s = start, stop, chunk_s
        self._markets = tuple(sorted({name for item in assets.values() for name in item.all}))
        self._readers = {key: _AssetReader(item) for key, item in assets.items()}

    def __iter__(self) -> Iterator[Chunk]:
        self._look_back()
        for start, stop in chunk_spans(self._start, self._stop, self._chunk_s):
            bars = self._store.bars(start, stop, self._markets)
            covered = self._store.coverage(start, stop, self._markets)
            yield Chunk(
                start,
                stop,
                {key: reader.read(bars, covered, start, stop) for key, reader in self._readers.items()},
            )

    def _look_back(self) -> None:
        hour = self._start // HOUR_S * HOUR_S
        span = self._store.span()
        first = hour - WEIGHT_HOURS * HOUR_S
        if span is not None:
            first = max(first, span[0] // HOUR_S * HOUR_S)
        for start, stop in chunk_spans(first, self._start, HOUR_S):
            bars = self._store.bars(start, stop, self._markets)
            for reader in self._readers.values():
                reader.look_back(bars)


def chunk_spans(start: int, stop: int, chunk_s: int) -> Iterator[tuple[int, int]]:
    """``[start, stop)`` cut at whole multiples of ``chunk_s``.

    >>> list(chunk_spans(5, 25, 10))
    [(5, 10), (10, 20), (20, 25)]
    """
    while start < stop:
        until = min(start - start % chunk_s + chunk_s, stop)
        yield start, until
        start = until


class _AssetReader:
    """One asset's share of the bars, and what is carried from chunk to chunk."""

    def __init__(self, markets: AssetMarkets) -> None:
        self._markets = markets
        self._volumes = HourlyVolumes(markets.all)
        self._close = np.nan

    def look_back(self, bars: BarColumns) -> None:
        """Take in bars from before the span."""
        for market in self._markets.all:
            rows = _rows_of(bars, market)
            self._count(market, bars, rows)
            if market == self._markets.reference:
                closes = bars.close[rows]
                closes = closes[~np.isnan(closes)]
                self._close = closes[-1] if len(closes) else self._close

    def read(self, bars: BarColumns, covered: Sequence[Interval], start: int, stop: int) -> AssetChunk:
        """The rows of ``[start, stop)`` from the bars and the covered intervals of these seconds."""
        n = stop - start
        columns: dict[str, npt.NDArray[np.float64]] = {}
        traded = revised = 0.0
        for name, markets in (("spot", self._markets.spot), ("perp", self._markets.perp)):
            buy, sell = np.zeros(n), np.zeros(n)
            for market in markets:
                rows = _rows_of(bars, market)
                place = bars.second[rows] - start
                buy[place] += bars.vbuy[rows]
                sell[place] += bars.vsell[rows]
                self._count(market, bars, rows)
                both = bars.vbuy[rows] + bars.vsell[rows]
                traded += float(both.sum())
                revised += float(both[bars.revision[rows] > 0].sum())
            columns[f"{name}_buy"], columns[f"{name}_sell"] = buy, sell
        columns |= self._prices(bars, start, n)
        columns |= self._coverage(covered, start, stop)
        first = int(np.isnan(columns["close"]).sum())  # unknown prices are the first ones only
        columns = {name: values[first:] for name, values in columns.items()}
        volume = columns.pop("volume")
        columns["time"] = np.arange(start + first, stop, dtype=np.int64)
        self._volumes.forget_before(stop)
        return AssetChunk(Flow.from_columns(columns), volume, traded, revised)

    def _count(self, market: str, bars: BarColumns, rows: npt.NDArray[np.int64]) -> None:
        if len(rows) == 0:
            return
        cents = volumes_cents(bars.vbuy[rows], bars.vsell[rows])
        hours = bars.second[rows] // HOUR_S
        first = int(hours[0])
        totals = np.zeros(int(hours[-1]) - first + 1, dtype=np.int64)
        np.add.at(totals, hours - first, cents)
        for place, total in enumerate(totals.tolist()):
            self._volumes.add(market, (first + place) * HOUR_S, total)

    def _prices(self, bars: BarColumns, start: int, n: int) -> dict[str, npt.NDArray[np.float64]]:
        """The reference market's prices and base volume; the last close where it did not trade."""
        rows = _rows_of(bars, self._markets.reference)
        rows = rows[~np.isnan(bars.close[rows])]
        place = bars.second[rows] - start
        latest = np.full(n, -1, dtype=np.int64)
        latest[place] = np.arange(len(rows))
        np.maximum.accumulate(latest, out=latest)
        closes = np.append(bars.close[rows], self._close)  # place -1 finds the close carried on
        repeated = closes[latest]
        columns = {name: repeated.copy() for name in _PRICES}
        for name in _PRICES:
            columns[name][place] = getattr(bars, name)[rows]
        columns["volume"] = np.zeros(n)
        columns["volume"][place] = (bars.vbuy[rows] + bars.vsell[rows]) / bars.close[rows]
        self._close = float(repeated[-1])
        return columns

    def _coverage(
        self, covered: Sequence[Interval], start: int, stop: int
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Coverage shares of both classes, and whether the reference market was covered, 0 or 1."""
        markets = self._markets.all
        mine = [span for span in covered if span.market in markets]
        hours = range(start - start % HOUR_S + HOUR_S, stop, HOUR_S)
        inner = {edge for span in mine for edge in (span.start, span.stop) if start < edge < stop}
        edges = np.array(sorted({start, stop, *hours, *inner}), dtype=np.int64)
        seen = np.zeros((len(edges) - 1, len(markets)), dtype=np.bool_)
        for span in mine:
            first, last = np.searchsorted(edges, (max(span.start, start), min(span.stop, stop)))
            seen[first:last, markets.index(span.market)] = True
        out = {name: np.empty(stop - start) for name in ("coverage_spot", "coverage_perp", "reference_live")}
        spots, reference = len(self._markets.spot), markets.index(self._markets.reference)
        for row, (first, last) in zip(seen.tolist(), pairwise(edges.tolist()), strict=True):
            hour, part = first - first % HOUR_S, slice(first - start, last - start)
            for name, places in (("spot", slice(spots)), ("perp", slice(spots, None))):
                weights = self._volumes.weights(hour, markets[places])
                out[f"coverage_{name}"][part] = coverage_share(weights, row[places])
            out["reference_live"][part] = float(row[reference])
        return out


def _rows_of(bars: BarColumns, market: str) -> npt.NDArray[np.int64]:
    """The places of a market's bars, in the order of their seconds."""
    if market not in bars.names:
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(bars.market == bars.names.index(market))
