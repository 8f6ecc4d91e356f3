"""One call of ``EmbeddedBarStore.append``: what is new is written, what is there already must be the same."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from squeezeflow_plugin.errors import StoreConflictError, StoreError
from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.store import packing
from squeezeflow_plugin.store.catalogue import COLLECTOR_BITS, Catalogue
from squeezeflow_plugin.store.layout import BATCH_RECORDS, HIGHEST, LOWEST, Partition
from squeezeflow_plugin.store.paging import CLOSINGS_AND_BARS
from squeezeflow_plugin.store.validation import check_record

Written = tuple[int, int, int, bytes | None, int | None, bytes | None, bytes | None]
Rolled = Callable[[Partition, int], "dict[int, ClosingRecord]"]
"""The records by position of a partition's hour around a second."""


class Append:
    """One call of append inside its transaction."""

    def __init__(
        self, connection: sqlite3.Connection, catalogue: Catalogue, path: Path, rolled: Rolled
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._path = path
        self._rolled = rolled
        self._pending: dict[int, Written] = {}
        self._stretch = (0, 0)
        self._partition: Partition | None = None
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._largest_lag = 0

    def run(self, records: Iterable[ClosingRecord]) -> None:
        """Write them; raises StoreError and StoreConflictError, after which the transaction is void."""
        for record in records:
            check_record(record)
            collector = self._collector(record)
            written = self._encode(record, collector)
            # A later second than the collector's last is new; only an earlier one can be there already.
            if record.second > self._last[collector] or not self._is_stored(record, written):
                self._pending[written[0]] = written
                self._first[collector] = min(self._first[collector], record.second)
                self._last[collector] = max(self._last[collector], record.second)
                if record.revisions:
                    oldest = min(bar.second for bar in record.revisions)
                    self._largest_lag = max(self._largest_lag, record.second - oldest)
            if len(self._pending) >= BATCH_RECORDS:
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

    def _encode(self, record: ClosingRecord, collector: int) -> Written:
        for bar in record.bars + record.revisions:
            if bar.market not in self._catalogue.market_ids:
                self._catalogue.intern_market(self._connection, bar.market)
        if not LOWEST <= record.second < HIGHEST:
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
            msgspec.msgpack.encode(record.tickers) if record.tickers else None,
        )

    def _is_stored(self, record: ClosingRecord, written: Written) -> bool:
        stored = (
            self._pending.get(written[0])
            or self._connection.execute(
                f"{CLOSINGS_AND_BARS} WHERE c.position = ?",
                (written[0],),
            ).fetchone()
        )
        if stored is not None:
            is_same = stored == written
        else:
            rolled = self._rolled_record(record.second, written[0])
            if rolled is None:
                return False
            # Encoded, because a NaN price differs from itself.
            is_same = msgspec.msgpack.encode(rolled) == msgspec.msgpack.encode(record)
        if not is_same:
            raise StoreConflictError(
                f"bar store {self._path}: collector {record.collector!r} has closed second {record.second}"
                " with another record; the stored one stays, nothing of this call was kept"
            )
        return True

    def _rolled_record(self, second: int, position: int) -> ClosingRecord | None:
        """The record of the position, where its period has moved into a partition."""
        if not self._stretch[0] <= second < self._stretch[1]:
            before = self._connection.execute(
                "SELECT start, stop, name FROM partitions WHERE start <= ? ORDER BY start DESC LIMIT 1",
                (second,),
            ).fetchone()
            if before is not None and second < before[1]:
                self._partition = Partition(*before)
                self._stretch = before[:2]
            else:
                after = self._connection.execute(
                    "SELECT MIN(start) FROM partitions WHERE start > ?", (second,)
                ).fetchone()[0]
                self._partition = None
                self._stretch = (second, HIGHEST if after is None else after)
        return None if self._partition is None else self._rolled(self._partition, second).get(position)

    def _flush(self) -> None:
        rows = self._pending.values()
        self._connection.executemany("INSERT INTO closings VALUES (?, ?, ?, ?)", [row[:4] for row in rows])
        self._connection.executemany(
            "INSERT INTO bars VALUES (?, ?, ?)",
            [(row[0], row[4], row[5]) for row in rows if row[5] is not None],
        )
        self._connection.executemany(
            "INSERT INTO tickers VALUES (?, ?)", [(row[0], row[6]) for row in rows if row[6] is not None]
        )
        self._pending.clear()
