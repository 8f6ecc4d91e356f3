"""The bar store in memory: plain loops over the records, for tests and rehearsals."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from squeezeflow_plugin.bars.interest import KnownTicker
from squeezeflow_plugin.errors import StoreConflictError
from squeezeflow_plugin.market import Bar, ClosingRecord, Instrument, Interval
from squeezeflow_plugin.store.contract import BarColumns
from squeezeflow_plugin.store.intervals import merge_intervals
from squeezeflow_plugin.store.validation import check_record


class MemoryBarStore:
    """Keeps the ``BarStore`` contract for one process; nothing is left when it ends."""

    def __init__(self) -> None:
        self._records: dict[tuple[int, str], ClosingRecord] = {}
        self._keys: list[tuple[int, str]] = []
        self._instruments: dict[str, Instrument] = {}

    def append(self, records: Iterable[ClosingRecord]) -> None:
        """As the contract says."""
        new: dict[tuple[int, str], ClosingRecord] = {}
        for record in records:
            check_record(record)
            key = (record.second, record.collector)
            stored = self._records.get(key, new.get(key))
            if stored is None:
                new[key] = record
            # Encoded, because a NaN price differs from itself.
            elif msgspec.msgpack.encode(stored) != msgspec.msgpack.encode(record):
                raise StoreConflictError(
                    f"collector {record.collector!r} has closed second {record.second} with another record;"
                    " the stored one stays, nothing of this call was kept"
                )
        self._records |= new
        for key in new:
            if self._keys and key < self._keys[-1]:
                bisect.insort(self._keys, key)
            else:
                self._keys.append(key)

    def last_second(self, collector: str) -> int | None:
        """As the contract says."""
        return next((second for second, name in reversed(self._keys) if name == collector), None)

    def records(
        self, start: int, stop: int, collectors: Iterable[str] | None = None
    ) -> Iterator[ClosingRecord]:
        """As the contract says."""
        wanted = None if collectors is None else frozenset(collectors)
        for key in self._keys[bisect.bisect_left(self._keys, (start, "")) :]:
            if key[0] >= stop:
                return
            if wanted is None or key[1] in wanted:
                yield self._records[key]

    def bars(
        self,
        start: int,
        stop: int,
        markets: Iterable[str] | None = None,
        known_at: int | None = None,
    ) -> BarColumns:
        """As the contract says."""
        wanted = None if markets is None else frozenset(markets)
        latest: dict[tuple[int, str], tuple[int, int, str, Bar]] = {}
        for record in self._known(start, known_at):
            for bar in record.bars + record.revisions:
                if start <= bar.second < stop and (wanted is None or bar.market in wanted):
                    key = (bar.second, bar.market)
                    entry = (record.second, bar.revision, record.collector, bar)
                    if key not in latest or latest[key][:3] < entry[:3]:
                        latest[key] = entry
        ordered = [latest[key] for key in sorted(latest)]
        return _columns([entry[3] for entry in ordered], [entry[0] for entry in ordered])

    def coverage(
        self,
        start: int,
        stop: int,
        markets: Iterable[str] | None = None,
        known_at: int | None = None,
    ) -> tuple[Interval, ...]:
        """As the contract says."""
        wanted = None if markets is None else frozenset(markets)
        spans: list[Interval] = []
        records = tuple(self._known(start, known_at))
        for record in records:
            spans += [Interval(market, record.second, record.second + 1) for market in record.covered]
        for record in records:
            spans += record.repaired
        kept = (span for span in spans if wanted is None or span.market in wanted)
        return merge_intervals(kept, start, stop)

    def tickers(self, start: int, stop: int, markets: Iterable[str] | None = None) -> tuple[KnownTicker, ...]:
        """As the contract says."""
        wanted = None if markets is None else frozenset(markets)
        return tuple(
            (record.second, ticker)
            for record in self.records(start, stop)
            for ticker in record.tickers
            if wanted is None or ticker.market in wanted
        )

    def collectors(self) -> tuple[str, ...]:
        """As the contract says."""
        return tuple(sorted({collector for _, collector in self._keys}))

    def span(self) -> tuple[int, int] | None:
        """As the contract says."""
        return (self._keys[0][0], self._keys[-1][0] + 1) if self._keys else None

    def put_instruments(self, instruments: Iterable[Instrument]) -> None:
        """As the contract says."""
        self._instruments |= {instrument.market: instrument for instrument in instruments}

    def instruments(self) -> tuple[Instrument, ...]:
        """As the contract says."""
        return tuple(self._instruments[market] for market in sorted(self._instruments))

    def close(self) -> None:
        """Nothing to do; the records stay."""

    def _known(self, start: int, known_at: int | None) -> Iterator[ClosingRecord]:
        """The records that can speak of seconds from ``start`` on, up to record ``known_at``."""
        for key in self._keys[bisect.bisect_left(self._keys, (start, "")) :]:
            if known_at is not None and key[0] > known_at:
                return
            yield self._records[key]


def _columns(bars: list[Bar], known: list[int]) -> BarColumns:
    names = tuple(sorted({bar.market for bar in bars}))
    ids = {name: number for number, name in enumerate(names)}

    def floats(field: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([getattr(bar, field) for bar in bars], dtype=np.float64)

    return BarColumns(
        names=names,
        market=np.array([ids[bar.market] for bar in bars], dtype=np.int32),
        second=np.array([bar.second for bar in bars], dtype=np.int64),
        known=np.array(known, dtype=np.int64),
        revision=np.array([bar.revision for bar in bars], dtype=np.int32),
        open=floats("open"),
        high=floats("high"),
        low=floats("low"),
        close=floats("close"),
        vbuy=floats("vbuy"),
        vsell=floats("vsell"),
        cbuy=np.array([bar.cbuy for bar in bars], dtype=np.int64),
        csell=np.array([bar.csell for bar in bars], dtype=np.int64),
        lbuy=floats("lbuy"),
        lsell=floats("lsell"),
    )
