"""The one contract of bars at rest; ``memory`` and ``embedded`` keep it, tests/contracts proves it.

Everything that was ever known stays readable: a bar row carries the second of the closing
record that first carried it (``known``), so the view *as known* at record k is every row with
``known <= k``, and the normal view is the latest revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.interest import KnownTicker
from squeezeflow_plugin.market import ClosingRecord, Instrument, Interval


@dataclass(frozen=True, eq=False)
class BarColumns:
    """Bars as columns, ordered by (second, market); all arrays have one length n.

    ``names`` are the markets in sorted order; ``market`` int32[n] indexes them; ``second`` int64[n]
    epoch seconds; ``known`` int64[n] the second of the record that carried the row; ``revision``
    int32[n]; prices and volumes float64[n] (NaN price where the second had no trade); counts int64[n].
    """

    names: tuple[str, ...]
    market: npt.NDArray[np.int32]
    second: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    revision: npt.NDArray[np.int32]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    vbuy: npt.NDArray[np.float64]
    vsell: npt.NDArray[np.float64]
    cbuy: npt.NDArray[np.int64]
    csell: npt.NDArray[np.int64]
    lbuy: npt.NDArray[np.float64]
    lsell: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.second)


class BarView(Protocol):
    """What is known of bars, to be read. Seconds are half-open ranges ``[start, stop)``."""

    def bars(
        self,
        start: int,
        stop: int,
        markets: Iterable[str] | None = None,
        known_at: int | None = None,
    ) -> BarColumns:
        """The latest revision of each bar in the span; with ``known_at`` = k, as known at record k."""
        ...

    def coverage(
        self,
        start: int,
        stop: int,
        markets: Iterable[str] | None = None,
        known_at: int | None = None,
    ) -> tuple[Interval, ...]:
        """The covered intervals, clipped to the span, ordered by (market, start), none touching another."""
        ...

    def tickers(self, start: int, stop: int, markets: Iterable[str] | None = None) -> tuple[KnownTicker, ...]:
        """What the records of the span say of open interest and funding, ordered by (second, collector).

        They are never revised, so this is also what was known at record ``stop - 1``.
        """
        ...

    def span(self) -> tuple[int, int] | None:
        """First closed second and last closed second + 1 over all collectors; None where empty."""
        ...


class BarStore(BarView, Protocol):
    """Closing records in, bars and coverage out. Seconds are half-open ranges ``[start, stop)``.

    One writer process, any number of reader processes at the same time.
    """

    def append(self, records: Iterable[ClosingRecord]) -> None:
        """Keep the records, all or none; durable on return.

        A server without transactions (InfluxDB) may hold some of them, each whole, when the call fails for
        want of the server; the same call again completes it.

        The same record again is a no-op; a different one for a stored (collector, second)
        raises StoreConflictError and changes nothing.
        """
        ...

    def last_second(self, collector: str) -> int | None:
        """The newest second that the collector has closed; None where it never did."""
        ...

    def records(
        self, start: int, stop: int, collectors: Iterable[str] | None = None
    ) -> Iterator[ClosingRecord]:
        """The closing records of the span, ordered by (second, collector), as they were written."""
        ...

    def collectors(self) -> tuple[str, ...]:
        """Every collector that has written, sorted."""
        ...

    def put_instruments(self, instruments: Iterable[Instrument]) -> None:
        """Remember what the markets are; a later description replaces an earlier one."""
        ...

    def instruments(self) -> tuple[Instrument, ...]:
        """Every instrument known, ordered by market."""
        ...

    def close(self) -> None: ...
