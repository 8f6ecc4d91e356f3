"""The bar store in a directory: SQLite for the newest hours, Parquet partitions for closed ones, no server.

One writer process, any readers at the same time. A bar lies in its own second's record or, as a revision, in
a later one; the largest lag ever met is kept, so a view of ``[start, stop)`` reads the records of
``[start, stop + largest lag)`` and a view as known at record k reads no further than k.

Every read is a row of pages. A page is one short transaction that sees the rows in SQLite and the list of
partitions of the same moment; a long one would keep the write-ahead log from being folded back. Records never
change once written, and a record that is in both places is the same in both, so pages read one after the
other join without a seam while ``rolling`` moves rows from one to the other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.bars.interest import KnownTicker
from squeezeflow_plugin.errors import StoreCorruptError, StoreError
from squeezeflow_plugin.market import Bar, ClosingRecord, DerivativeTicker, Instrument, Interval
from squeezeflow_plugin.store import packing
from squeezeflow_plugin.store.appending import Append, Written
from squeezeflow_plugin.store.catalogue import COLLECTOR_BITS, Catalogue
from squeezeflow_plugin.store.contract import BarColumns
from squeezeflow_plugin.store.intervals import merge_intervals
from squeezeflow_plugin.store.layout import (
    COLLECTOR_MASK,
    HIGHEST,
    HOUR,
    SCHEMA,
    Partition,
    partition_dir,
    position,
)
from squeezeflow_plugin.store.paging import BARS, CLOSINGS, COVERAGE, Query, read_page
from squeezeflow_plugin.store.partition import Closings, rank_of
from squeezeflow_plugin.store.partition_reader import PartitionReader
from squeezeflow_plugin.store.sqlite import open_reader, open_writer, transaction, typed_errors

_REPAIRS = (
    "SELECT position, repaired FROM closings WHERE repaired IS NOT NULL AND position >= ?1 AND position < ?2"
    " UNION SELECT position, repaired FROM rolled_repairs WHERE position >= ?1 AND position < ?2"
    " ORDER BY position"
)
_TICKERS = "SELECT position, packed FROM tickers WHERE position >= ? AND position < ?"
_Rolled = TypeVar("_Rolled")


class EmbeddedBarStore:
    """Keeps the ``BarStore`` contract in the SQLite file at ``path`` and the partitions beside it.

    With ``readonly`` nothing is ever written; a file that does not exist yet is an empty store, looked for
    again at each call. Raises StoreCorruptError, which names the path, for a file that is damaged, of another
    version or not a bar store - it is left as it is - and StoreError where the file is locked for longer than
    ``busy_timeout_s`` or the disk refuses. One thread at a time.
    """

    def __init__(self, path: Path, readonly: bool = False, busy_timeout_s: float = 5.0) -> None:
        self._path = Path(path)
        self._readonly = readonly
        self._busy_timeout_s = busy_timeout_s
        self._catalogue = Catalogue()
        self._partitions = PartitionReader(partition_dir(self._path))
        self._rolled: tuple[str, int, dict[int, ClosingRecord]] = ("", 0, {})
        self._data_version: int | None = None
        self._connection: sqlite3.Connection | None = None
        if not readonly:
            self._connection = open_writer(self._path, SCHEMA, busy_timeout_s)

    def append(self, records: Iterable[ClosingRecord]) -> None:
        """As the contract says; one transaction for the whole call."""
        if self._readonly or self._connection is None:
            raise StoreError(f"bar store {self._path} is not open for writing; nothing was stored")
        with typed_errors(self._path, SCHEMA.what):
            kept = False
            try:
                with transaction(self._connection):
                    self._load_names()
                    Append(self._connection, self._catalogue, self._path, self._rolled_hour).run(records)
                kept = True
            finally:
                if not kept:  # names given in the transaction that was rolled back are void
                    self._catalogue, self._data_version = Catalogue(), None

    def last_second(self, collector: str) -> int | None:
        """As the contract says."""
        rows = self._select("SELECT last FROM collectors WHERE name = ?", (collector,))
        return int(rows[0][0]) if rows else None

    def records(
        self, start: int, stop: int, collectors: Iterable[str] | None = None
    ) -> Iterator[ClosingRecord]:
        """As the contract says; a page of the span is read at a time."""
        wanted = None if collectors is None else frozenset(collectors)
        for rows, rolled in self._pages(CLOSINGS, start, stop, self._rolled_records):
            by_position = rolled or {}
            for row in rows:
                by_position[row[0]] = self._record(row)
            for record in sorted(by_position.values(), key=lambda record: (record.second, record.collector)):
                if wanted is None or record.collector in wanted:
                    yield record

    def bars(
        self,
        start: int,
        stop: int,
        markets: Iterable[str] | None = None,
        known_at: int | None = None,
    ) -> BarColumns:
        """As the contract says."""
        lag = self._select("SELECT largest_lag FROM limits")
        known_stop = stop + (lag[0][0] if lag else 0)
        if known_at is not None:
            known_stop = min(known_stop, known_at + 1)
        wanted = None if markets is None else frozenset(markets)
        parts = []
        read = self._rolled_bars(wanted)
        for rows, rolled in self._pages(BARS, start, known_stop, read):
            if rows:
                parts.append(self._unpacked(rows, start, stop, wanted))
            if rolled:
                inside = (rolled.second >= start) & (rolled.second < stop)
                parts.append(rolled if inside.all() else rolled.take(inside))
        try:
            return packing.latest(
                parts, self._catalogue.market_names, rank_of(self._catalogue.collector_names)
            )
        except IndexError as error:
            raise self._corrupt("a bar refers to a market that is not there") from error

    def coverage(
        self,
        start: int,
        stop: int,
        markets: Iterable[str] | None = None,
        known_at: int | None = None,
    ) -> tuple[Interval, ...]:
        """As the contract says."""
        wanted = None if markets is None else frozenset(markets)
        known_stop = HIGHEST if known_at is None else known_at + 1
        spans: list[Interval] = []
        for rows, rolled in self._pages(COVERAGE, start, min(stop, known_stop), self._rolled_closings):
            positions, states = np.array(rows, dtype=np.int64).reshape(-1, 2).T
            if rolled is not None:
                positions = np.concatenate([positions, rolled.position])
                states = np.concatenate([states, rolled.state])
            spans += merge_intervals(self._covered(positions, states), start, stop)
        repairs = self._select(_REPAIRS, (position(start), position(known_stop)))
        for place, repaired in repairs:
            spans += self._repaired(place, repaired)
        kept = (span for span in spans if wanted is None or span.market in wanted)
        return merge_intervals(kept, start, stop)

    def tickers(self, start: int, stop: int, markets: Iterable[str] | None = None) -> tuple[KnownTicker, ...]:
        """As the contract says."""
        wanted = None if markets is None else frozenset(markets)
        rows = dict(self._select(_TICKERS, (position(start), position(stop))))
        self._load_names()
        rank = rank_of(self._catalogue.collector_names)
        return tuple(
            (place >> COLLECTOR_BITS, ticker)
            for place in sorted(rows, key=lambda each: (each >> COLLECTOR_BITS, rank[each & COLLECTOR_MASK]))
            for ticker in self._tickers_in(place, rows[place])
            if wanted is None or ticker.market in wanted
        )

    def collectors(self) -> tuple[str, ...]:
        """As the contract says."""
        return tuple(row[0] for row in self._select("SELECT name FROM collectors ORDER BY name"))

    def span(self) -> tuple[int, int] | None:
        """As the contract says."""
        rows = self._select("SELECT MIN(first), MAX(last) + 1 FROM collectors WHERE first <= last")
        return (rows[0][0], rows[0][1]) if rows and rows[0][0] is not None else None

    def put_instruments(self, instruments: Iterable[Instrument]) -> None:
        """As the contract says."""
        if self._readonly or self._connection is None:
            raise StoreError(f"bar store {self._path} is not open for writing; nothing was stored")
        rows = [(instrument.market, msgspec.json.encode(instrument)) for instrument in instruments]
        with typed_errors(self._path, SCHEMA.what), transaction(self._connection):
            self._connection.executemany("INSERT OR REPLACE INTO instruments VALUES (?, ?)", rows)

    def instruments(self) -> tuple[Instrument, ...]:
        """As the contract says."""
        rows = self._select("SELECT description FROM instruments ORDER BY market")
        try:
            return tuple(msgspec.json.decode(row[0], type=Instrument) for row in rows)
        except msgspec.MsgspecError as error:
            raise self._corrupt(f"an instrument cannot be read: {error}") from error

    def close(self) -> None:
        """Close the file; every committed record is kept."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is None and self._readonly:
            self._connection = open_reader(self._path, SCHEMA, self._busy_timeout_s)
        return self._connection

    def _select(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of one short read; none while a read-only store does not exist."""
        connection = self._open()
        if connection is None:
            return []
        with typed_errors(self._path, SCHEMA.what):
            return connection.execute(sql, parameters).fetchall()

    def _pages(
        self, query: Query, start: int, stop: int, read: Callable[[str, int, int], _Rolled]
    ) -> Iterator[tuple[list[Any], _Rolled | None]]:
        """The rows in SQLite of the seconds ``[start, stop)``, whole seconds a page, and beside them what
        ``read`` finds of the same seconds in a partition; empty stretches are skipped.
        """
        missing = None
        while start < stop and (connection := self._open()) is not None:
            with typed_errors(self._path, SCHEMA.what):
                page = read_page(connection, query, start, stop)
            if page is None:
                return
            self._load_names()
            rolled = None
            start = page.start
            if page.partition is not None:
                try:
                    rolled = read(page.partition.name, page.start, page.stop)
                except FileNotFoundError as error:
                    if page.partition.name == missing:
                        raise self._corrupt(f"its partition {page.partition.name} is not there") from error
                    missing = page.partition.name  # another one may have replaced it since: look again
                    continue
            yield page.rows, rolled
            start = page.stop

    def _rolled_closings(self, name: str, start: int, stop: int) -> Closings:
        return self._partitions.closings(name, start, stop, self._catalogue)

    def _rolled_bars(self, markets: frozenset[str] | None) -> Callable[[str, int, int], packing.Rows]:
        return lambda name, start, stop: self._partitions.bars(name, start, stop, self._catalogue, markets)

    def _rolled_records(self, name: str, start: int, stop: int) -> dict[int, ClosingRecord]:
        """The records of a partition by position."""
        closings = self._rolled_closings(name, start, stop)
        tickers = dict(self._select(_TICKERS, (position(start), position(stop))))
        rows = self._partitions.bars(name, start, stop, self._catalogue, placed=True)
        at = rows.known << COLLECTOR_BITS | rows.collector
        order = np.lexsort((rows.place, at))
        rows, at = rows.take(order), at[order]
        bars = rows.bars(self._catalogue.market_names)
        revised = np.append(0, np.cumsum(rows.second < rows.known))
        first, last = np.searchsorted(at, closings.position), np.searchsorted(at, closings.position, "right")
        cut = last - (revised[last] - revised[first])
        columns = (
            each.tolist()
            for each in (closings.position, closings.closed_ns, closings.state, first, cut, last)
        )
        found = {}
        for (place, closed_ns, state, a, b, c), repaired in zip(
            zip(*columns, strict=True), closings.repaired, strict=True
        ):
            head = (place, closed_ns, state, repaired)
            found[place] = self._closing(head, tuple(bars[a:b]), tuple(bars[b:c]), tickers.get(place))
        return found

    def _rolled_hour(self, partition: Partition, second: int) -> dict[int, ClosingRecord]:
        """The records of a partition's hour; the last one asked for is remembered."""
        hour = second // HOUR
        if self._rolled[:2] != (partition.name, hour):
            try:
                records = self._rolled_records(partition.name, hour * HOUR, (hour + 1) * HOUR)
            except FileNotFoundError as error:
                raise self._corrupt(f"its partition {partition.name} is not there") from error
            self._rolled = (partition.name, hour, records)
        return self._rolled[2]

    def _unpacked(
        self, rows: Sequence[tuple[int, int, bytes]], start: int, stop: int, markets: frozenset[str] | None
    ) -> packing.Rows:
        """The wanted bars of rows of SQLite."""
        self._check_blobs(rows)
        places = np.array([row[0] for row in rows], dtype=np.int64)
        ids = None
        if markets is not None:
            known = self._catalogue.market_ids.items()
            ids = np.array([number for name, number in known if name in markets], dtype=np.int32)
        second, collector = places >> COLLECTOR_BITS, places & COLLECTOR_MASK
        return packing.select([row[2] for row in rows], second, collector, start, stop, ids)

    def _load_names(self) -> None:
        """Bring the catalogue up to date where another connection has written since.

        https://www.sqlite.org/pragma.html#pragma_data_version
        """
        connection = self._open()
        if connection is None:
            return
        with typed_errors(self._path, SCHEMA.what):
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._data_version:
                try:
                    self._catalogue.load(connection)
                except msgspec.MsgspecError as error:
                    raise self._corrupt(f"a coverage state cannot be read: {error}") from error
                self._data_version = version

    def _check_blobs(self, rows: Iterable[tuple[int, int, bytes]]) -> None:
        for place, checksum, packed in rows:
            if not packing.is_intact(packed, checksum):
                raise self._corrupt(f"the bars of record {place >> COLLECTOR_BITS} fail their checksum")

    def _record(self, row: Written) -> ClosingRecord:
        place, _, _, _, checksum, packed, tickers = row
        bars: tuple[Bar, ...] = ()
        revisions: tuple[Bar, ...] = ()
        if packed is not None and checksum is not None:
            second = place >> COLLECTOR_BITS
            self._check_blobs([(place, checksum, packed)])
            try:
                bars, revisions = packing.unpack(packed, second, self._catalogue.market_names)
            except IndexError as error:
                raise self._corrupt(f"record {second} refers to a market that is not there") from error
        return self._closing(row[:4], bars, revisions, tickers)

    def _closing(
        self,
        row: tuple[int, int, int, bytes | None],
        bars: tuple[Bar, ...],
        revisions: tuple[Bar, ...],
        packed_tickers: bytes | None,
    ) -> ClosingRecord:
        place, closed_ns, state, repaired = row
        second = place >> COLLECTOR_BITS
        try:
            covered, uncovered = self._catalogue.states[state]
            collector = self._catalogue.collector_names[place & COLLECTOR_MASK]
        except IndexError as error:
            raise self._corrupt(f"record {second} refers to a name that is not there") from error
        spans = () if repaired is None else self._repaired(place, repaired)
        tickers = () if packed_tickers is None else self._tickers_in(place, packed_tickers)
        return ClosingRecord(
            collector, second, closed_ns, bars, revisions, covered, uncovered, spans, tickers
        )

    def _tickers_in(self, place: int, packed: bytes) -> tuple[DerivativeTicker, ...]:
        try:
            return msgspec.msgpack.decode(packed, type=tuple[DerivativeTicker, ...])
        except msgspec.MsgspecError as error:
            raise self._corrupt(f"the tickers of record {place >> COLLECTOR_BITS} cannot be read") from error

    def _repaired(self, place: int, repaired: bytes) -> tuple[Interval, ...]:
        try:
            return msgspec.msgpack.decode(repaired, type=tuple[Interval, ...])
        except msgspec.MsgspecError as error:
            raise self._corrupt(
                f"the repaired spans of record {place >> COLLECTOR_BITS} cannot be read"
            ) from error

    def _covered(self, positions: npt.NDArray[np.int64], states: npt.NDArray[np.int64]) -> Iterator[Interval]:
        """The covered seconds of closings, one interval for each run of equal coverage."""
        collectors = positions & COLLECTOR_MASK
        for collector in np.unique(collectors):
            mine = collectors == collector
            second, state = positions[mine] >> COLLECTOR_BITS, states[mine]
            breaks = np.flatnonzero((np.diff(second) != 1) | (np.diff(state) != 0)) + 1
            for first, last in pairwise([0, *breaks.tolist(), len(second)]):
                for market in self._catalogue.states[int(state[first])][0]:
                    yield Interval(market, int(second[first]), int(second[last - 1]) + 1)

    def _corrupt(self, what: str) -> StoreCorruptError:
        return StoreCorruptError(f"bar store {self._path}: {what}; it is left as it is")
