"""The embedded store as a file: refused when it is not ours, damaged or locked; never written over."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from squeezeflow_plugin.errors import StoreConflictError, StoreCorruptError, StoreError
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

T0 = 1_723_161_600
MARKET = "BINANCE:btcusdt"


def record(second: int, collector: str = "main") -> ClosingRecord:
    bar = Bar(MARKET, second, 1.0, 2.0, 0.5, 1.5, 10.0, 20.0, 1, 2, 0.0, 0.0)
    return ClosingRecord(collector, second, second * 10**9, (bar,), covered=(MARKET,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[EmbeddedBarStore]:
    store = EmbeddedBarStore(path, busy_timeout_s=0.05)
    yield store
    store.close()


def sql(path: Path, statement: str, *parameters: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, parameters)
    connection.close()


def read_everything(path: Path, readonly: bool = True) -> None:
    store = EmbeddedBarStore(path, readonly)
    try:
        store.bars(0, 2**40)
        list(store.records(0, 2**40))
        store.coverage(0, 2**40)
        store.instruments()
    finally:
        store.close()


def test_a_closed_store_keeps_its_records(path: Path) -> None:
    for second in range(T0, T0 + 3):
        store = EmbeddedBarStore(path)
        store.append([record(second)])
        store.close()
    store = EmbeddedBarStore(path, readonly=True)
    assert list(store.records(0, 2**40)) == [record(second) for second in range(T0, T0 + 3)]
    store.close()


def test_a_reader_sees_a_store_that_is_made_later(path: Path) -> None:
    reader = EmbeddedBarStore(path, readonly=True)
    assert (reader.last_second("main"), reader.span(), reader.collectors()) == (None, None, ())
    assert len(reader.bars(0, 2**40)) == 0
    assert not path.exists()
    path.touch()  # a writer has opened it, its schema is not there yet
    assert reader.span() is None
    writer = EmbeddedBarStore(path)
    assert reader.span() is None
    writer.append([record(T0)])
    assert list(reader.records(T0, T0 + 1)) == [record(T0)]
    writer.append([record(T0 + 1, "a-new-collector")])
    assert [item.collector for item in reader.records(T0, T0 + 2)] == ["main", "a-new-collector"]
    with pytest.raises(StoreError, match="not open for writing"):
        reader.append([record(T0 + 2)])
    with pytest.raises(StoreError, match="not open for writing"):
        reader.put_instruments([])
    reader.close()
    writer.close()


def test_two_writers_take_turns(path: Path, store: EmbeddedBarStore) -> None:
    other = EmbeddedBarStore(path)
    for second in range(T0, T0 + 4):
        store.append([record(second, "one")])
        other.append([record(second, "two")])
    assert [item.collector for item in store.records(T0, T0 + 2)] == ["one", "two", "one", "two"]
    with pytest.raises(StoreConflictError):
        other.append([ClosingRecord("one", T0, 0)])
    other.close()


def test_a_locked_store_says_so_and_takes_the_record_later(path: Path, store: EmbeddedBarStore) -> None:
    store.append([record(T0)])
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"store.sqlite: database is locked \(SQLITE_BUSY\)"):
        store.append([record(T0 + 1)])
    assert store.last_second("main") == T0
    blocker.execute("ROLLBACK")
    blocker.close()
    store.append([record(T0 + 1)])
    assert store.last_second("main") == T0 + 1


def test_a_failed_first_append_leaves_no_name_behind(path: Path, store: EmbeddedBarStore) -> None:
    def broken() -> Iterator[ClosingRecord]:
        yield record(T0)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        store.append(broken())
    assert store.collectors() == ()
    store.append([record(T0, "another")])
    assert list(store.records(T0, T0 + 1)) == [record(T0, "another")]


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is a text file, and longer than a header of one hundred bytes is: " * 3, "not a database"),
        (None, "not a bar store"),
    ],
)
def test_a_foreign_file_is_refused_and_left_as_it_is(
    path: Path, content: bytes | None, message: str, readonly: bool
) -> None:
    if content is None:
        sql(path, "CREATE TABLE theirs (x)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError, match=f"{path}.*{message}|{message}.*{path}"):
        read_everything(path, readonly)
    assert path.read_bytes() == before


@pytest.mark.parametrize("readonly", [True, False])
def test_another_version_is_refused_and_left_as_it_is(
    path: Path, store: EmbeddedBarStore, readonly: bool
) -> None:
    store.append([record(T0)])
    store.close()
    sql(path, "PRAGMA user_version=7")
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError, match="schema version 7, this program reads version 3"):
        read_everything(path, readonly)
    assert path.read_bytes() == before


def test_a_changed_byte_in_a_bar_is_found(path: Path, store: EmbeddedBarStore) -> None:
    store.append([record(T0)])
    sql(path, "UPDATE bars SET packed = zeroblob(length(packed))")
    with pytest.raises(StoreCorruptError, match=f"{path}.*record {T0} fail their checksum"):
        store.bars(T0, T0 + 1)
    with pytest.raises(StoreCorruptError, match=f"{path}.*record {T0} fail their checksum"):
        list(store.records(T0, T0 + 1))


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM coverage_states",
        "UPDATE coverage_states SET names = x'c1'",
        "DELETE FROM markets",
        "UPDATE closings SET repaired = x'c1'",
        "UPDATE instruments SET description = x'00'",
        "DROP TABLE closings",
    ],
)
def test_a_damaged_table_is_named(path: Path, store: EmbeddedBarStore, damage: str) -> None:
    store.append([record(T0)])
    sql(path, "INSERT INTO instruments VALUES ('A:x', x'7b7d')")
    sql(path, damage)
    with pytest.raises(StoreCorruptError, match=str(path)):
        read_everything(path)


def test_a_truncated_or_overwritten_file_is_named_not_repaired(path: Path, store: EmbeddedBarStore) -> None:
    store.append(record(second) for second in range(T0, T0 + 2000))
    store.close()
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:16_384] + b"\xff" * (len(whole) - 16_384)):
        path.write_bytes(damaged)
        with pytest.raises(StoreCorruptError, match=str(path)):
            read_everything(path)
        assert path.read_bytes() == damaged


def test_numbers_that_do_not_fit_are_named(store: EmbeddedBarStore) -> None:
    bar = Bar(MARKET, T0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 2**32, 0, 0.0, 0.0)
    with pytest.raises(StoreError, match="cannot be stored"):
        store.append([ClosingRecord("main", T0, 0, (bar,))])
    with pytest.raises(StoreError, match="outside what"):
        store.append([ClosingRecord("main", 2**60, 0)])
    assert store.span() is None


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="its directory cannot be made"):
        EmbeddedBarStore(tmp_path / "file" / "store.sqlite")
