"""The bar store in one SQLite file: one writer process, any readers at the same time, no server.

Rows are clustered by *position* = record second x 1024 + collector number, so what one record carried is
one row, what a span of records carried is one range, and a view as known at record k reads no further than k.
A bar lies in its own second's record or, as a revision, in a later one; the largest lag ever met is kept, so
a view of ``[start, stop)`` reads the records of ``[start, stop + largest lag)``.

Every read is a short transaction over at most ``_PAGE_SECONDS`` seconds: a long one would keep the
write-ahead log from being folded back. Records never change once written, so pages read one after the other
join without a seam.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from squeezeflow_plugin.errors import StoreConflictError, StoreCorruptError, StoreError
from squeezeflow_plugin.market import Bar, ClosingRecord, Instrument, Interval
from squeezeflow_plugin.store import packing
from squeezeflow_plugin.store.catalogue import COLLECTOR_BITS, DDL, Catalogue
from squeezeflow_plugin.store.contract import BarColumns
from squeezeflow_plugin.store.intervals import merge_intervals
from squeezeflow_plugin.store.sqlite import Schema, open_reader, open_writer, transaction, typed_errors
from squeezeflow_plugin.store.validation import check_record

_SCHEMA = Schema(
    what="bar store",
    application_id=0x53464C42,  # "SFLB"
    version=1,
    ddl=(
        *DDL,
        """CREATE TABLE closings (
            position INTEGER PRIMARY KEY, closed_ns INTEGER NOT NULL, coverage INTEGER NOT NULL, repaired BLOB
        )""",
        # Apart from the closings, so that coverage is read without the bars; no row where there are none.
        "CREATE TABLE bars (position INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, packed BLOB NOT NULL)",
        "CREATE INDEX repairs ON closings (position) WHERE repaired IS NOT NULL",
        "CREATE TABLE instruments (market TEXT PRIMARY KEY, description BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE limits (largest_lag INTEGER NOT NULL)",
        "INSERT INTO limits VALUES (0)",
    ),
)
_FIRST = {
    "closings": "SELECT MIN(position) FROM closings WHERE position >= ?",
    "bars": "SELECT MIN(position) FROM bars WHERE position >= ?",
}
_PAGE_SECONDS = 4096
_BATCH_RECORDS = 4096
_LOWEST, _HIGHEST = -(2**52), 2**52  # seconds whose position fits SQLite's 64 bits
_COLLECTOR_MASK = (1 << COLLECTOR_BITS) - 1

_Written = tuple[int, int, int, bytes | None, int | None, bytes | None]


class EmbeddedBarStore:
    """Keeps the ``BarStore`` contract in the SQLite file at ``path``.

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
        self._data_version: int | None = None
        self._connection: sqlite3.Connection | None = None
        if not readonly:
            self._connection = open_writer(self._path, _SCHEMA, busy_timeout_s)

    def append(self, records: Iterable[ClosingRecord]) -> None:
        """As the contract says; one transaction for the whole call."""
        if self._readonly or self._connection is None:
            raise StoreError(f"bar store {self._path} is not open for writing; nothing was stored")
        with typed_errors(self._path, _SCHEMA.what):
            kept = False
            try:
                with transaction(self._connection):
                    self._load_names()
                    _Append(self._connection, self._catalogue, self._path).run(records)
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
        sql = (
            "SELECT c.position, c.closed_ns, c.coverage, c.repaired, b.checksum, b.packed FROM closings c"
            " LEFT JOIN bars b ON b.position = c.position WHERE c.position >= ? AND c.position < ?"
        )
        for page in self._pages(sql, "closings", start, stop):
            found = [self._record(row) for row in page]
            found.sort(key=lambda record: (record.second, record.collector))
            for record in found:
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
        sql = "SELECT position, checksum, packed FROM bars WHERE position >= ? AND position < ?"
        parts = []
        for page in self._pages(sql, "bars", start, known_stop):
            self._check_blobs(page)
            position = np.array([row[0] for row in page], dtype=np.int64)
            ids = None
            if wanted is not None:
                ids = np.array(
                    [number for name, number in self._catalogue.market_ids.items() if name in wanted],
                    dtype=np.int32,
                )
            parts.append(
                packing.select(
                    [row[2] for row in page],
                    position >> COLLECTOR_BITS,
                    position & _COLLECTOR_MASK,
                    start,
                    stop,
                    ids,
                )
            )
        collector_names = self._catalogue.collector_names
        rank = np.argsort(np.argsort(np.array(collector_names, dtype=np.str_), kind="stable"), kind="stable")
        try:
            return packing.latest(parts, self._catalogue.market_names, rank)
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
        known_stop = _HIGHEST if known_at is None else known_at + 1
        spans: list[Interval] = []
        sql = "SELECT position, coverage FROM closings WHERE position >= ? AND position < ?"
        for page in self._pages(sql, "closings", start, min(stop, known_stop)):
            spans += merge_intervals(self._covered(page), start, stop)
        repairs = self._select(
            "SELECT position, repaired FROM closings"
            " WHERE repaired IS NOT NULL AND position >= ? AND position < ?",
            (_position(start), _position(known_stop)),
        )
        for position, repaired in repairs:
            spans += self._repaired(position, repaired)
        kept = (span for span in spans if wanted is None or span.market in wanted)
        return merge_intervals(kept, start, stop)

    def collectors(self) -> tuple[str, ...]:
        """As the contract says."""
        return tuple(row[0] for row in self._select("SELECT name FROM collectors ORDER BY name"))

    def span(self) -> tuple[int, int] | None:
        """As the contract says."""
        rows = self._select("SELECT MIN(first), MAX(last) + 1 FROM collectors")
        return (rows[0][0], rows[0][1]) if rows and rows[0][0] is not None else None

    def put_instruments(self, instruments: Iterable[Instrument]) -> None:
        """As the contract says."""
        if self._readonly or self._connection is None:
            raise StoreError(f"bar store {self._path} is not open for writing; nothing was stored")
        rows = [(instrument.market, msgspec.json.encode(instrument)) for instrument in instruments]
        with typed_errors(self._path, _SCHEMA.what), transaction(self._connection):
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
            self._connection = open_reader(self._path, _SCHEMA, self._busy_timeout_s)
        return self._connection

    def _select(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of one short read; none while a read-only store does not exist."""
        connection = self._open()
        if connection is None:
            return []
        with typed_errors(self._path, _SCHEMA.what):
            return connection.execute(sql, parameters).fetchall()

    def _pages(self, sql: str, table: str, start: int, stop: int) -> Iterator[list[Any]]:
        """The rows of the seconds ``[start, stop)``, whole seconds a page; empty stretches are skipped."""
        stop = min(stop, _HIGHEST)
        while start < stop:
            first = self._select(_FIRST[table], (_position(start),))
            if not first or first[0][0] is None:
                return
            start = first[0][0] >> COLLECTOR_BITS
            page_stop = min(start + _PAGE_SECONDS, stop)
            page = self._select(f"{sql} ORDER BY 1", (_position(start), _position(page_stop)))
            if page:
                self._load_names()
                yield page
            start = page_stop

    def _load_names(self) -> None:
        """Bring the catalogue up to date where another connection has written since.

        https://www.sqlite.org/pragma.html#pragma_data_version
        """
        connection = self._open()
        if connection is None:
            return
        with typed_errors(self._path, _SCHEMA.what):
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._data_version:
                try:
                    self._catalogue.load(connection)
                except msgspec.MsgspecError as error:
                    raise self._corrupt(f"a coverage state cannot be read: {error}") from error
                self._data_version = version

    def _check_blobs(self, page: Sequence[tuple[int, int, bytes]]) -> None:
        for position, checksum, packed in page:
            if not packing.is_intact(packed, checksum):
                raise self._corrupt(f"the bars of record {position >> COLLECTOR_BITS} fail their checksum")

    def _record(self, row: _Written) -> ClosingRecord:
        position, closed_ns, state, repaired, checksum, packed = row
        second = position >> COLLECTOR_BITS
        bars: tuple[Bar, ...] = ()
        revisions: tuple[Bar, ...] = ()
        if packed is not None and checksum is not None:
            self._check_blobs([(position, checksum, packed)])
        try:
            covered, uncovered = self._catalogue.states[state]
            collector = self._catalogue.collector_names[position & _COLLECTOR_MASK]
            if packed is not None:
                bars, revisions = packing.unpack(packed, second, self._catalogue.market_names)
        except IndexError as error:
            raise self._corrupt(f"record {second} refers to a name that is not there") from error
        spans = () if repaired is None else self._repaired(position, repaired)
        return ClosingRecord(collector, second, closed_ns, bars, revisions, covered, uncovered, spans)

    def _repaired(self, position: int, repaired: bytes) -> tuple[Interval, ...]:
        try:
            return msgspec.msgpack.decode(repaired, type=tuple[Interval, ...])
        except msgspec.MsgspecError as error:
            raise self._corrupt(
                f"the repaired spans of record {position >> COLLECTOR_BITS} cannot be read"
            ) from error

    def _covered(self, page: Sequence[tuple[int, int]]) -> Iterator[Interval]:
        """The covered seconds of the page's closings, one interval for each run of equal coverage."""
        table = np.array(page, dtype=np.int64).reshape(-1, 2)
        for collector in np.unique(table[:, 0] & _COLLECTOR_MASK):
            mine = table[(table[:, 0] & _COLLECTOR_MASK) == collector]
            second, state = mine[:, 0] >> COLLECTOR_BITS, mine[:, 1]
            breaks = np.flatnonzero((np.diff(second) != 1) | (np.diff(state) != 0)) + 1
            for first, last in pairwise([0, *breaks.tolist(), len(second)]):
                for market in self._catalogue.states[int(state[first])][0]:
                    yield Interval(market, int(second[first]), int(second[last - 1]) + 1)

    def _corrupt(self, what: str) -> StoreCorruptError:
        return StoreCorruptError(f"bar store {self._path}: {what}; it is left as it is")


class _Append:
    """One call of append inside its transaction."""

    def __init__(self, connection: sqlite3.Connection, catalogue: Catalogue, path: Path) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._path = path
        self._pending: list[_Written] = []
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._largest_lag = 0

    def run(self, records: Iterable[ClosingRecord]) -> None:
        for record in records:
            check_record(record)
            collector = self._collector(record)
            written = self._encode(record, collector)
            # A later second than the collector's last is new; only an earlier one can be there already.
            if record.second > self._last[collector] or not self._is_stored(record, written):
                self._pending.append(written)
                self._first[collector] = min(self._first[collector], record.second)
                self._last[collector] = max(self._last[collector], record.second)
                if record.revisions:
                    oldest = min(bar.second for bar in record.revisions)
                    self._largest_lag = max(self._largest_lag, record.second - oldest)
            if len(self._pending) >= _BATCH_RECORDS:
                self._flush()
        self._flush()
        for collector in self._last:
            self._connection.execute(
                "UPDATE collectors SET first = ?, last = ? WHERE id = ?",
                (self._first[collector], self._last[collector], collector),
            )
        self._connection.execute(
            "UPDATE limits SET largest_lag = ?1 WHERE largest_lag < ?1", (self._largest_lag,)
        )

    def _collector(self, record: ClosingRecord) -> int:
        collector = self._catalogue.intern_collector(self._connection, record.collector, record.second)
        if collector not in self._last:
            self._first[collector], self._last[collector] = self._connection.execute(
                "SELECT first, last FROM collectors WHERE id = ?", (collector,)
            ).fetchone()
        return collector

    def _encode(self, record: ClosingRecord, collector: int) -> _Written:
        for bar in record.bars + record.revisions:
            if bar.market not in self._catalogue.market_ids:
                self._catalogue.intern_market(self._connection, bar.market)
        if not _LOWEST <= record.second < _HIGHEST:
            raise StoreError(
                f"second {record.second} is outside what {self._path} can hold; nothing was stored"
            )
        state = self._catalogue.intern_state(self._connection, (record.covered, record.uncovered))
        packed = packing.pack(record, self._catalogue.market_ids)
        return (
            record.second << COLLECTOR_BITS | collector,
            record.closed_ns,
            state,
            msgspec.msgpack.encode(record.repaired) if record.repaired else None,
            zlib.crc32(packed) if packed else None,
            packed or None,
        )

    def _is_stored(self, record: ClosingRecord, written: _Written) -> bool:
        self._flush()
        stored = self._connection.execute(
            "SELECT c.position, c.closed_ns, c.coverage, c.repaired, b.checksum, b.packed FROM closings c"
            " LEFT JOIN bars b ON b.position = c.position WHERE c.position = ?",
            (written[0],),
        ).fetchone()
        if stored is None:
            return False
        if stored != written:
            raise StoreConflictError(
                f"bar store {self._path}: collector {record.collector!r} has closed second {record.second}"
                " with another record; the stored one stays, nothing of this call was kept"
            )
        return True

    def _flush(self) -> None:
        self._connection.executemany(
            "INSERT INTO closings VALUES (?, ?, ?, ?)", [row[:4] for row in self._pending]
        )
        self._connection.executemany(
            "INSERT INTO bars VALUES (?, ?, ?)",
            [(row[0], row[4], row[5]) for row in self._pending if row[5] is not None],
        )
        self._pending.clear()


def _position(second: int) -> int:
    return max(_LOWEST, min(second, _HIGHEST)) << COLLECTOR_BITS
