"""The final view of an asset as rows: each bar as the store holds it now, with every revision taken in.

Backtests read this view. A row has the numbers that ``AssetRows`` ends with once all records are applied, to
the bit; ``tests/unit/provider/test_final.py`` holds the two together. It is read in pieces of whole hours,
so memory does not grow with the span.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.flow import HOUR_S, WEIGHT_HOURS, AssetMarkets, coverage_share, volumes_cents
from squeezeflow_plugin.bars.interest import MEMORY_S, interest_changes
from squeezeflow_plugin.features.layout import (
    CLOSE,
    COVERAGE_P,
    COVERAGE_S,
    HIGH,
    LOW,
    OI_CHANGE,
    OPEN,
    PERP_BUY,
    PERP_SELL,
    REFERENCE_LIVE,
    SPOT_BUY,
    SPOT_SELL,
)
from squeezeflow_plugin.provider.rows import ROW_NAMES
from squeezeflow_plugin.store.contract import BarColumns, BarView

PIECE_HOURS = 4
VOLUME = ROW_NAMES.index("volume")
LIQUIDATED_BUY, LIQUIDATED_SELL = VOLUME + 1, VOLUME + 2
_PRICES = (OPEN, HIGH, LOW, CLOSE)

Rows = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FinalRows:
    """The rows of the seconds ``[first, first + n)``.

    ``values`` float64[len(ROW_NAMES), n] as ``AssetRows`` has them: prices of the reference market (NaN
    before its first trade), flow in quote currency, coverage shares, ``volume`` in base units. ``traded`` is
    the quote volume of all the asset's bars, ``revised`` the part of it that lies in bars written again
    after their second had closed.
    """

    first: int
    values: Rows
    traded: float
    revised: float

    @property
    def stop(self) -> int:
        return self.first + int(self.values.shape[1])


def final_rows(
    store: BarView, markets: AssetMarkets, start: int, stop: int, piece_hours: int = PIECE_HOURS
) -> Iterator[FinalRows]:
    """The rows of ``[start, stop)`` in order, in pieces that end at full hours; nothing for an empty span.

    Seconds that no collector closed are rows without volume that nothing covers.
    """
    reader = _Reader(store, markets, start)
    while start < stop:
        piece_stop = min((start // HOUR_S + piece_hours) * HOUR_S, stop)
        yield reader.read(start, piece_stop)
        start = piece_stop


class _Reader:
    """Reads piece after piece; carries the last close over their borders."""

    def __init__(self, store: BarView, markets: AssetMarkets, start: int) -> None:
        self._store = store
        self._markets = markets
        self._weights = _Weights(store, markets)
        self._close = _last_close(store, markets.reference, start)

    def read(self, start: int, stop: int) -> FinalRows:
        columns = self._store.bars(start, stop, self._markets.all)
        values = np.zeros((len(ROW_NAMES), stop - start))
        tickers = self._store.tickers(start - MEMORY_S, stop, self._markets.perp)
        values[OI_CHANGE] = interest_changes(self._markets.perp, tickers, start, stop)
        self._write_flow(values, columns, start)
        self._write_prices(values, columns, start)
        self._write_coverage(values, start, stop)
        quote = columns.vbuy + columns.vsell
        again = np.flatnonzero(columns.known > columns.second)
        return FinalRows(start, values, float(quote.sum()), float(quote[again].sum()))

    def _write_flow(self, values: Rows, columns: BarColumns, start: int) -> None:
        """Add market after market, in the order in which a live row adds them."""
        ids = {name: number for number, name in enumerate(columns.names)}
        for names, buy, sell in (
            (self._markets.spot, SPOT_BUY, SPOT_SELL),
            (self._markets.perp, PERP_BUY, PERP_SELL),
        ):
            for name in names:
                if name in ids:
                    chosen = np.flatnonzero(columns.market == ids[name])
                    places = columns.second[chosen] - start
                    values[buy, places] += columns.vbuy[chosen]
                    values[sell, places] += columns.vsell[chosen]
                    values[LIQUIDATED_BUY, places] += columns.lbuy[chosen]
                    values[LIQUIDATED_SELL, places] += columns.lsell[chosen]

    def _write_prices(self, values: Rows, columns: BarColumns, start: int) -> None:
        """Write the reference market's prices, and repeat the last close where it did not trade."""
        reference = self._markets.reference
        number = columns.names.index(reference) if reference in columns.names else -1
        chosen = np.flatnonzero((columns.market == number) & ~np.isnan(columns.close))
        places = columns.second[chosen] - start
        for row, name in zip(_PRICES, ("open", "high", "low", "close"), strict=True):
            values[row, places] = getattr(columns, name)[chosen]
        values[VOLUME, places] = (columns.vbuy[chosen] + columns.vsell[chosen]) / columns.close[chosen]
        newest = np.full(values.shape[1], -1)
        newest[places] = places
        newest = np.maximum.accumulate(newest)
        close = np.where(newest < 0, self._close, values[CLOSE, newest])
        silent = np.ones(values.shape[1], dtype=np.bool_)
        silent[places] = False
        for row in _PRICES:
            values[row, silent] = close[silent]
        self._close = float(values[CLOSE, -1])

    def _write_coverage(self, values: Rows, start: int, stop: int) -> None:
        seen = _seen(self._store, self._markets.all, start, stop)
        spots = len(self._markets.spot)
        values[REFERENCE_LIVE] = seen[self._markets.all.index(self._markets.reference)]
        for row, part in ((COVERAGE_S, slice(0, spots)), (COVERAGE_P, slice(spots, None))):
            own = seen[part]
            if len(own):
                values[row] = own.all(axis=0)
            partly: Flags = np.asarray(own.any(axis=0) & ~own.all(axis=0))
            for hour in np.unique((np.flatnonzero(partly) + start) // HOUR_S * HOUR_S).tolist():
                within = slice(max(hour - start, 0), hour + HOUR_S - start)
                places = np.flatnonzero(partly[within]) + within.start
                weights = self._weights.at(hour)[part]
                values[row, places] = _shares(weights, own[:, places])


def _shares(weights: Sequence[int], seen: Flags) -> Rows:
    """Coverage shares of the columns of ``seen``, bool[markets, n]."""
    patterns, which = np.unique(seen.T, axis=0, return_inverse=True)
    found = np.array([coverage_share(weights, pattern) for pattern in patterns.tolist()])
    return found[which.reshape(-1)]


def _seen(store: BarView, markets: Sequence[str], start: int, stop: int) -> Flags:
    """bool[len(markets), stop - start]: where each market's feed was complete."""
    seen = np.zeros((len(markets), stop - start), dtype=np.bool_)
    places = {market: place for place, market in enumerate(markets)}
    for span in store.coverage(start, stop, markets):
        seen[places[span.market], span.start - start : span.stop - start] = True
    return seen


def _last_close(store: BarView, reference: str, start: int) -> float:
    """The reference market's last close of the 24 hours before ``start``; NaN where it did not trade."""
    span = store.span()
    if span is None:
        return float("nan")
    first = max(start - WEIGHT_HOURS * HOUR_S, span[0])
    stop = start
    while stop > first:
        begin = max(stop - HOUR_S, first)
        closes = store.bars(begin, stop, [reference]).close
        closes = closes[~np.isnan(closes)]
        if len(closes):
            return float(closes[-1])
        stop = begin
    return float("nan")


class _Weights:
    """The weights of an hour's markets: their volumes of the 24 hours before it, as known at its start.

    Only hours that were covered in part need them. An hour's volumes are read once; where a bar of it was
    revised after the asking hour began, they are read again as known then.
    """

    def __init__(self, store: BarView, markets: AssetMarkets) -> None:
        self._store = store
        self._markets = markets
        self._totals: dict[int, tuple[Mapping[str, int], int]] = {}
        self._found: dict[int, tuple[int, ...]] = {}

    def at(self, hour: int) -> tuple[int, ...]:
        """One weight for each market of ``markets.all``; each class all 1 where nothing of it is known."""
        if hour not in self._found:
            before = [self._total(each, hour) for each in range(hour - WEIGHT_HOURS * HOUR_S, hour, HOUR_S)]
            self._found[hour] = tuple(
                weight
                for names in (self._markets.spot, self._markets.perp)
                for weight in _or_ones([sum(total.get(name, 0) for total in before) for name in names])
            )
        return self._found[hour]

    def _total(self, each: int, hour: int) -> Mapping[str, int]:
        if each not in self._totals:
            columns = self._store.bars(each, each + HOUR_S, self._markets.all)
            self._totals[each] = _cents(columns), int(columns.known.max(initial=each))
        total, last_known = self._totals[each]
        if last_known < hour:
            return total
        return _cents(self._store.bars(each, each + HOUR_S, self._markets.all, known_at=hour - 1))


def _cents(columns: BarColumns) -> Mapping[str, int]:
    totals = np.zeros(len(columns.names), dtype=np.int64)
    np.add.at(totals, columns.market, volumes_cents(columns.vbuy, columns.vsell))
    return dict(zip(columns.names, totals.tolist(), strict=True))


def _or_ones(totals: Sequence[int]) -> Sequence[int]:
    return totals if any(totals) else [1] * len(totals)
