"""A page of the embedded store: rows in SQLite and the partition beside them, seen at one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from squeezeflow_plugin.store.catalogue import COLLECTOR_BITS
from squeezeflow_plugin.store.layout import HIGHEST, HOUR, Partition, position

_PAGE_SECONDS = 4096


@dataclass(frozen=True)
class Query:
    """What is read: ``rows`` of the positions ``[?, ?)``, ``first`` the lowest from ``?`` on.

    ``hourly``: a page ends with its hour, also where a partition goes on.
    """

    rows: str
    first: str
    hourly: bool = False


@dataclass(frozen=True)
class Page:
    """Whole seconds ``[start, stop)``: their rows in SQLite, by position, and the partition that has more."""

    start: int
    stop: int
    rows: list[Any]
    partition: Partition | None


CLOSINGS_AND_BARS = (
    "SELECT c.position, c.closed_ns, c.coverage, c.repaired, b.checksum, b.packed, t.packed FROM closings c"
    " LEFT JOIN bars b ON b.position = c.position LEFT JOIN tickers t ON t.position = c.position"
)
"""The columns of ``appending.Written``."""
CLOSINGS = Query(
    f"{CLOSINGS_AND_BARS} WHERE c.position >= ? AND c.position < ? ORDER BY 1",
    "SELECT MIN(position) FROM closings WHERE position >= ?",
    hourly=True,
)
BARS = Query(
    "SELECT position, checksum, packed FROM bars WHERE position >= ? AND position < ? ORDER BY 1",
    "SELECT MIN(position) FROM bars WHERE position >= ?",
)
COVERAGE = Query(
    "SELECT position, coverage FROM closings WHERE position >= ? AND position < ? ORDER BY 1",
    "SELECT MIN(position) FROM closings WHERE position >= ?",
)
# Partitions do not overlap: the one that reaches over a second is the last that starts at or before it.
_PARTITION = (
    "SELECT start, stop, name FROM partitions"
    " WHERE start >= COALESCE((SELECT MAX(start) FROM partitions WHERE start <= ?1), ?1)"
    " AND stop > ?1 AND start < ?2 ORDER BY start LIMIT 1"
)


def read_page(connection: sqlite3.Connection, query: Query, start: int, stop: int) -> Page | None:
    """The first page of ``[start, stop)`` that may hold something; None where nothing does."""
    stop = min(stop, HIGHEST)
    with snapshot(connection):
        found = connection.execute(_PARTITION, (start, stop)).fetchone()
        partition = None if found is None else Partition(*found)
        lowest = connection.execute(query.first, (position(start),)).fetchone()[0]
        begin = stop if lowest is None else lowest >> COLLECTOR_BITS
        if partition is not None and partition.start <= begin:
            begin = max(start, partition.start)
            page_stop = min(stop, partition.stop)
            if query.hourly:
                page_stop = min(page_stop, (begin // HOUR + 1) * HOUR)
        else:
            page_stop = min(begin + _PAGE_SECONDS, stop if partition is None else partition.start)
            partition = None
        if begin >= stop:
            return None
        rows = connection.execute(query.rows, (position(begin), position(page_stop))).fetchall()
    return Page(begin, page_stop, rows, partition)


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """One read transaction: everything in it is of the same moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
