"""Partition files: what goes in comes out, and only the asked part of a file is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types
import pytest

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import BAR_FIELDS
from squeezeflow_plugin.store.catalogue import DDL, Catalogue
from squeezeflow_plugin.store.packing import Rows
from squeezeflow_plugin.store.partition import Closings, PartitionWriter, bars_file, rank_of, usual_place
from squeezeflow_plugin.store.partition_reader import PartitionReader

MARKETS = ("C:z", "A:x", "B:y", "D:w")
T0 = 1_723_161_600
BLOCK = 3600


@pytest.fixture
def catalogue() -> Iterator[Catalogue]:
    connection = sqlite3.connect(":memory:")
    for statement in DDL:
        connection.execute(statement)
    catalogue = Catalogue()
    for market in MARKETS:
        catalogue.intern_market(connection, market)
    catalogue.intern_collector(connection, "main", T0)
    catalogue.intern_state(connection, (MARKETS[:2], MARKETS[2:]))
    yield catalogue
    connection.close()


def block(start: int, seed: int) -> tuple[Closings, Rows]:
    """An hour of all markets, each record's bars in the catalogue's order."""
    rng = np.random.default_rng(seed)
    second = np.repeat(np.arange(start, start + BLOCK), len(MARKETS))
    count = len(second)
    place = np.tile(np.arange(len(MARKETS), dtype=np.int32), BLOCK)
    price = np.round(rng.lognormal(3, 1, count), 2)
    numbers = {name: rng.lognormal(1, 2, count) for name in BAR_FIELDS}
    numbers |= dict.fromkeys(("open", "high", "low", "close"), price)
    whole = {name: rng.integers(0, 9, count) for name in ("cbuy", "csell")}
    columns: dict[str, np.ndarray] = {**numbers, **whole, "revision": np.zeros(count, dtype=np.int32)}
    rows = Rows(place, np.zeros(count, dtype=np.int64), second, second, place, columns)
    position = np.arange(start, start + BLOCK) << 10
    return Closings(position, position, np.zeros(BLOCK, dtype=np.int64), [None] * BLOCK), rows


def ordered(rows: Rows) -> Rows:
    return rows.take(np.lexsort((rows.place, rows.known)))


def test_what_goes_in_comes_out(tmp_path: Path, catalogue: Catalogue) -> None:
    blocks = [block(T0, 1), block(T0 + BLOCK, 2)]
    writer = PartitionWriter(tmp_path, "p", catalogue)
    for closings, rows in blocks:
        writer.add(closings, rows)
    assert not bars_file(tmp_path, "p").exists()
    size = writer.finish()
    assert size == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert (writer.records, writer.bars) == (2 * BLOCK, 2 * BLOCK * len(MARKETS))

    reader = PartitionReader(tmp_path)
    for closings, rows in blocks:
        start = int(closings.position[0]) >> 10
        found = ordered(reader.bars("p", start, start + BLOCK, catalogue, placed=True))
        for name in ("market", "collector", "known", "second", "place"):
            assert (getattr(found, name) == getattr(rows, name)).all()
        for name, values in rows.numbers.items():
            assert (found.numbers[name] == values).all()
        again = reader.closings("p", start, start + BLOCK, catalogue)
        assert (again.position == closings.position).all()
        assert (again.closed_ns == closings.closed_ns).all()
        assert again.repaired == closings.repaired


def test_a_market_and_a_span_are_read_alone(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = PartitionWriter(tmp_path, "p", catalogue)
    monkeypatch.setattr("squeezeflow_plugin.store.partition._GROUP_ROWS", 1000)
    writer.add(*block(T0, 1))
    writer.add(*block(T0 + BLOCK, 2))
    writer.finish()
    assert pq.ParquetFile(bars_file(tmp_path, "p")).metadata.num_row_groups == 2 * len(MARKETS)
    read: list[list[int]] = []
    whole = pq.ParquetFile.read_row_groups

    def counted(file: pq.ParquetFile, groups: list[int]) -> object:
        read.append(groups)
        return whole(file, groups)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counted)
    reader = PartitionReader(tmp_path)
    rows = reader.bars("p", T0 + 10, T0 + 20, catalogue, frozenset({"B:y", "Z:unknown"}))
    assert rows.known.tolist() == list(range(T0 + 10, T0 + 20))
    assert set(rows.market.tolist()) == {MARKETS.index("B:y")}
    assert len(reader.bars("p", T0 + 9 * BLOCK, T0 + 10 * BLOCK, catalogue)) == 0
    assert read == [[1], []]


def test_a_disk_that_refuses_leaves_nothing(tmp_path: Path, catalogue: Catalogue) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        PartitionWriter(tmp_path / "nowhere", "p", catalogue)
    writer = PartitionWriter(tmp_path, "p", catalogue)
    writer.add(*block(T0, 1))
    bars_file(tmp_path, "p").mkdir()  # the name is taken
    with pytest.raises(StoreError, match="cannot be written"):
        writer.finish()
    writer.abandon()
    assert [file.name for file in tmp_path.iterdir()] == ["p.bars.parquet"]


def test_the_usual_place_is_by_market_and_revisions_by_second() -> None:
    columns = {name: np.zeros(5) for name in ("revision", *BAR_FIELDS)}
    market = np.array([0, 1, 2, 0, 1], dtype=np.int32)
    known = np.array([9, 9, 9, 9, 8])
    second = np.array([9, 9, 3, 4, 8])
    rows = Rows(market, np.zeros(5, np.int64), known, second, np.zeros(5, np.int32), columns)
    assert usual_place(rows, rank_of(["b", "a", "c"])).tolist() == [1, 0, 2, 3, 0]
