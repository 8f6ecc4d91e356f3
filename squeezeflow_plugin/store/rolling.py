"""Closed periods on their way from SQLite into Parquet partitions, small partitions into days, old ones out.

A period is rewritten as a whole: what its partitions hold and what SQLite has of it goes into new files,
block by block. The order of steps makes a kill harmless at any of them: (1) new files under names nobody
knows, flushed, renamed, the directory flushed; (2) one transaction that lists them in place of the old ones;
(3) the old files go; (4) the rows go from SQLite, a few at a time, so that the writer of new records never
waits long. Killed before (2), the files are swept once the period is rolled; after it, what is left over is
in both places, the same in both, and goes with the next rewrite. Records that come later for a rolled
period stay in SQLite until then.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.errors import StoreCorruptError, StoreError
from squeezeflow_plugin.store import packing
from squeezeflow_plugin.store.catalogue import COLLECTOR_BITS, Catalogue
from squeezeflow_plugin.store.layout import (
    COLLECTOR_MASK,
    HIGHEST,
    HOUR,
    LOWEST,
    SCHEMA,
    Partition,
    partition_dir,
    position,
)
from squeezeflow_plugin.store.paging import BARS, snapshot
from squeezeflow_plugin.store.partition import (
    SUFFIXES,
    UNFINISHED,
    Closings,
    PartitionWriter,
    bars_file,
    closings_file,
    disk_errors,
    period_of,
)
from squeezeflow_plugin.store.partition_reader import PartitionReader
from squeezeflow_plugin.store.sqlite import open_writer, transaction, typed_errors

# A commit frees the pages of this many records: 1 to 3 ms, which is what a writer may have to wait.
_DELETED_AT_ONCE = 64
_LISTED = "SELECT start, stop, name FROM partitions WHERE start < ? AND stop > ? ORDER BY start"


@dataclass(frozen=True)
class Periods:
    """``block_s`` seconds are rolled at a time and made one with their ``day_s`` once that is over."""

    block_s: int = HOUR
    day_s: int = 24 * HOUR


@dataclass(frozen=True)
class Rolled:
    """What one roll-over wrote: partitions, and the records and bars in them."""

    partitions: int = 0
    records: int = 0
    bars: int = 0


class StoreKeeper:
    """Rolls, compacts and drops for the embedded store at ``path``; beside its writer and its readers.

    ``pause`` is called between the small steps, for a caller who has other work to let through. One thread at
    a time; of several keepers of one store the second does nothing. Raises StoreCorruptError for a store or
    partition that cannot be read and StoreError where the disk or a lock refuses; the rows then stay where
    they are.
    """

    def __init__(
        self,
        path: Path,
        periods: Periods = Periods(),
        pause: Callable[[], None] = lambda: None,
        busy_timeout_s: float = 5.0,
    ) -> None:
        self._path = Path(path)
        self._directory = partition_dir(self._path)
        self._periods = periods
        self._pause = pause
        self._catalogue = Catalogue()
        self._reader = PartitionReader(self._directory)
        self._connection = open_writer(self._path, SCHEMA, busy_timeout_s)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def roll_over(self, before: int) -> Rolled:
        """Move every block that ended by second ``before`` into partitions, and make ended days one.

        A period that cannot be rewritten keeps none of the others from it; the first failure is raised when
        all have had their turn.
        """
        total = Rolled()
        failures: list[StoreError] = []
        with self._alone() as alone:
            for start, stop in self._due(before) if alone else ():
                try:
                    wrote = self._rewrite(start, stop)
                except StoreError as error:
                    failures.append(error)
                    continue
                total = Rolled(
                    total.partitions + wrote.partitions,
                    total.records + wrote.records,
                    total.bars + wrote.bars,
                )
        if failures:
            raise failures[0]
        return total

    def retain(self, since: int, spared: Callable[[str], bool] = lambda _: False) -> int:
        """Drop the partitions that ended by second ``since``; returns how many went.

        A partition that holds a record of a ``spared`` collector stays, and so does whatever is in SQLite.
        """
        with self._alone() as alone, typed_errors(self._path, SCHEMA.what):
            if not alone:
                return 0
            rows = self._connection.execute(
                "SELECT start, stop, name, firsts FROM partitions WHERE stop <= ? ORDER BY start", (since,)
            ).fetchall()
            gone = [
                Partition(start, stop, name)
                for start, stop, name, firsts in rows
                if not any(spared(each) for each in self._firsts(firsts))
            ]
            if gone:
                with transaction(self._connection):
                    for partition in gone:
                        self._strike(partition)
                        self._connection.execute(
                            "DELETE FROM tickers WHERE position >= ? AND position < ?",
                            (position(partition.start), position(partition.stop)),
                        )
                    self._begin_later()
            for partition in gone:
                self._remove(partition)
            return len(gone)

    def _due(self, before: int) -> list[tuple[int, int]]:
        """The periods to rewrite, in the order of time."""
        block_s, day_s = self._periods.block_s, self._periods.day_s
        due = set()
        for second in self._hot_blocks(before):
            day = second // day_s * day_s
            due.add((day, day + day_s) if day + day_s <= before else (second, second + block_s))
        parts: dict[int, int] = {}
        for partition in self._listed(LOWEST, HIGHEST):
            day = partition.start // day_s * day_s
            if day + day_s <= before and partition.stop - partition.start < day_s:
                parts[day] = parts.get(day, 0) + 1
        return sorted(due | {(day, day + day_s) for day in parts})

    def _hot_blocks(self, before: int) -> Iterator[int]:
        """The starts of the blocks that ended by ``before`` and have rows in SQLite."""
        block_s = self._periods.block_s
        second = LOWEST
        while True:
            with typed_errors(self._path, SCHEMA.what):
                lowest = self._connection.execute(
                    "SELECT MIN(position) FROM closings WHERE position >= ?", (position(second),)
                ).fetchone()[0]
            if lowest is None:
                return
            block = (lowest >> COLLECTOR_BITS) // block_s * block_s
            if block + block_s > before:
                return
            yield block
            second = block + block_s

    def _rewrite(self, start: int, stop: int) -> Rolled:
        """Everything known of the period into one new partition."""
        old = self._listed(start, stop)
        start, stop = min([start, *(p.start for p in old)]), max([stop, *(p.stop for p in old)])
        new = Partition(start, stop, f"{start}-{stop}-{secrets.token_hex(4)}")
        writer = PartitionWriter(self._directory, new.name, self._catalogue)
        work = _Rewriting()
        size = None
        try:
            for at in range(start, stop, self._periods.block_s):
                self._copy(writer, old, at, min(at + self._periods.block_s, stop), work)
                self._pause()
            size = writer.finish()
        finally:
            if size is None:
                writer.abandon()
        with typed_errors(self._path, SCHEMA.what):
            with transaction(self._connection):
                for partition in old:
                    self._strike(partition)
                self._connection.execute(
                    "INSERT INTO partitions VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        start,
                        stop,
                        new.name,
                        writer.records,
                        writer.bars,
                        size,
                        msgspec.json.encode(work.firsts),
                    ),
                )
                self._connection.executemany("INSERT INTO rolled_repairs VALUES (?, ?)", work.repairs)
            for partition in old:
                self._remove(partition)
            self._forget(work.swallowed)
        return Rolled(1, writer.records, writer.bars)

    def _copy(
        self, writer: PartitionWriter, old: Sequence[Partition], start: int, stop: int, work: _Rewriting
    ) -> None:
        """One block: what the old partitions have of it and what SQLite has, each record once."""
        parts, rows = [], []
        hot, hot_rows = self._hot(start, stop)
        for partition in old:
            if partition.start < stop and partition.stop > start:
                with self._present(partition):
                    parts.append(self._reader.closings(partition.name, start, stop, self._catalogue))
                    rows.append(self._reader.bars(partition.name, start, stop, self._catalogue, placed=True))
        taken = np.concatenate([np.empty(0, np.int64), *(part.position for part in parts)])
        if len(hot):
            work.swallowed.append(hot.position)
            parts.append(hot)
            there = hot_rows.known << COLLECTOR_BITS | hot_rows.collector
            rows.append(hot_rows.take(~np.isin(there, taken)))
        if not parts:
            return
        closings = _joined(parts)
        for place, repaired in zip(closings.position.tolist(), closings.repaired, strict=True):
            if repaired is not None:
                work.repairs.append((place, repaired))
        collectors = closings.position & COLLECTOR_MASK
        for collector in np.unique(collectors).tolist():
            first = int(closings.position[np.argmax(collectors == collector)]) >> COLLECTOR_BITS
            work.firsts.setdefault(self._catalogue.collector_names[collector], first)
        if len(closings):
            writer.add(closings, packing.join(rows))

    def _hot(self, start: int, stop: int) -> tuple[Closings, packing.Rows]:
        """The closings and bars of ``[start, stop)`` in SQLite."""
        span = (position(start), position(stop))
        with typed_errors(self._path, SCHEMA.what):
            with snapshot(self._connection):
                closings = self._connection.execute(
                    "SELECT position, closed_ns, coverage, repaired FROM closings"
                    " WHERE position >= ? AND position < ? ORDER BY 1",
                    span,
                ).fetchall()
                bars = self._connection.execute(BARS.rows, span).fetchall()
            self._catalogue.load(self._connection)
        for place, checksum, packed in bars:
            if not packing.is_intact(packed, checksum):
                raise self._corrupt(f"the bars of record {place >> COLLECTOR_BITS} fail their checksum")
        places = np.array([row[0] for row in bars], dtype=np.int64)
        second, collector = places >> COLLECTOR_BITS, places & COLLECTOR_MASK
        numbers = np.array([row[:3] for row in closings], dtype=np.int64).reshape(-1, 3)
        return (
            Closings(numbers[:, 0], numbers[:, 1], numbers[:, 2], [row[3] for row in closings]),
            packing.select([row[2] for row in bars], second, collector, LOWEST, HIGHEST, None),
        )

    def _forget(self, swallowed: Sequence[npt.NDArray[np.int64]]) -> None:
        """Take the rows out of SQLite that a partition has now."""
        for block in swallowed:
            for at in range(0, len(block), _DELETED_AT_ONCE):
                places = [(place,) for place in block[at : at + _DELETED_AT_ONCE].tolist()]
                with transaction(self._connection):
                    self._connection.executemany("DELETE FROM bars WHERE position = ?", places)
                    self._connection.executemany("DELETE FROM closings WHERE position = ?", places)
                self._pause()

    def _listed(self, start: int, stop: int) -> list[Partition]:
        with typed_errors(self._path, SCHEMA.what):
            return [Partition(*row) for row in self._connection.execute(_LISTED, (stop, start))]

    def _strike(self, partition: Partition) -> None:
        """Take a partition off the list; inside a transaction."""
        self._connection.execute("DELETE FROM partitions WHERE start = ?", (partition.start,))
        self._connection.execute(
            "DELETE FROM rolled_repairs WHERE position >= ? AND position < ?",
            (position(partition.start), position(partition.stop)),
        )

    def _begin_later(self) -> None:
        """Each collector's first second, after partitions have gone; inside a transaction."""
        firsts: dict[str, int] = {}
        for (row,) in self._connection.execute("SELECT firsts FROM partitions ORDER BY start"):
            firsts = self._firsts(row) | firsts
        for number, name, last in self._connection.execute(
            "SELECT id, name, last FROM collectors"
        ).fetchall():
            hot = self._connection.execute(
                f"SELECT MIN(position >> {COLLECTOR_BITS}) FROM closings"  # noqa: S608 - our constants
                f" WHERE position & {COLLECTOR_MASK} = ?",
                (number,),
            ).fetchone()[0]
            known = [each for each in (hot, firsts.get(name)) if each is not None]
            self._connection.execute(
                "UPDATE collectors SET first = ? WHERE id = ?", (min(known, default=last + 1), number)
            )

    def _firsts(self, blob: bytes) -> dict[str, int]:
        try:
            return msgspec.json.decode(blob, type=dict[str, int])
        except msgspec.MsgspecError as error:
            raise self._corrupt("its list of partitions cannot be read") from error

    def _remove(self, partition: Partition) -> None:
        with disk_errors(self._directory):
            for file in (bars_file, closings_file):
                file(self._directory, partition.name).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what a kill has left: unfinished files, and those whose whole period a listed one has.

        Any other file may be all that there is of its period, beside a SQLite file that was lost or is older.
        """
        listed = self._listed(LOWEST, HIGHEST)
        names = {partition.name for partition in listed}
        with disk_errors(self._directory):
            for file in self._directory.iterdir():
                name = file.name.partition(".")[0]
                if not file.name.endswith(SUFFIXES) or name in names:
                    continue
                period = period_of(name)
                if file.name.endswith(UNFINISHED) or any(
                    each.start <= period[0] and period[1] <= each.stop for each in listed
                ):
                    file.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other keeper is at work on this store; what a kill left is swept after the work."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"partitions {self._directory} cannot be used: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            yield False
            return
        try:
            yield True
            self._sweep()
        finally:
            os.close(lock)

    @contextmanager
    def _present(self, partition: Partition) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise self._corrupt(f"its partition {partition.name} is not there") from error

    def _corrupt(self, what: str) -> StoreCorruptError:
        return StoreCorruptError(f"bar store {self._path}: {what}; it is left as it is")


class _Rewriting:
    """What a rewrite gathers on its way."""

    def __init__(self) -> None:
        self.swallowed: list[npt.NDArray[np.int64]] = []
        self.repairs: list[tuple[int, bytes]] = []
        self.firsts: dict[str, int] = {}


def _joined(parts: Sequence[Closings]) -> Closings:
    """All closings by position, each once."""
    position_, index = np.unique(np.concatenate([part.position for part in parts]), return_index=True)
    repaired = [each for part in parts for each in part.repaired]
    return Closings(
        position_,
        np.concatenate([part.closed_ns for part in parts])[index],
        np.concatenate([part.state for part in parts])[index],
        [repaired[at] for at in index.tolist()],
    )
