"""Pages: whole seconds, rows and partition of the same moment, nothing left out and no page for nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.layout import HOUR
from squeezeflow_plugin.store.paging import CLOSINGS, COVERAGE, Query, read_page

T0 = 1_723_161_600


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "store.sqlite"
    store = EmbeddedBarStore(path)
    seconds = [*range(T0 - 5, T0 + 3), T0 + 2 * HOUR, T0 + 50 * HOUR]
    store.append(ClosingRecord("main", second, 0) for second in seconds)
    store.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("INSERT INTO partitions VALUES (?, ?, 'a', 0, 0, 0, '{}')", (T0, T0 + 3 * HOUR))
    connection.execute(
        "INSERT INTO partitions VALUES (?, ?, 'b', 0, 0, 0, '{}')", (T0 + 4 * HOUR, T0 + 5 * HOUR)
    )
    yield connection
    connection.close()


def pages(connection: sqlite3.Connection, query: Query, start: int, stop: int) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    while (page := read_page(connection, query, start, stop)) is not None:
        assert start <= page.start < page.stop <= stop
        name = page.partition and page.partition.name
        found.append((page.start - T0, page.stop - T0, len(page.rows), name))
        start = page.stop
    return found


def test_a_page_ends_where_a_partition_begins_or_ends(connection: sqlite3.Connection) -> None:
    assert pages(connection, COVERAGE, 0, 2**40) == [
        (-5, 0, 5, None),
        (0, 3 * HOUR, 4, "a"),
        (4 * HOUR, 5 * HOUR, 0, "b"),
        (50 * HOUR, 50 * HOUR + 4096, 1, None),
    ]


def test_an_hourly_query_takes_a_partition_by_the_hour(connection: sqlite3.Connection) -> None:
    assert pages(connection, CLOSINGS, T0 + 2, T0 + 5 * HOUR) == [
        (2, HOUR, 1, "a"),
        (HOUR, 2 * HOUR, 0, "a"),
        (2 * HOUR, 3 * HOUR, 1, "a"),
        (4 * HOUR, 5 * HOUR, 0, "b"),
    ]


def test_a_span_is_cut_on_both_sides(connection: sqlite3.Connection) -> None:
    assert pages(connection, COVERAGE, T0 - 2, T0 + 1) == [(-2, 0, 2, None), (0, 1, 1, "a")]
    assert pages(connection, COVERAGE, T0 + 3 * HOUR, T0 + 4 * HOUR) == []
    assert pages(connection, COVERAGE, T0 + 1, T0 + 1) == []
