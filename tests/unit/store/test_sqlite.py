"""Opening shared SQLite files."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from squeezeflow_plugin.errors import StoreCorruptError
from squeezeflow_plugin.store.sqlite import Schema, open_reader, open_writer, transaction, typed_errors

SCHEMA = Schema("test file", 0x1234, 3, ("CREATE TABLE t (x INTEGER PRIMARY KEY)",))


def test_a_new_file_is_durable_and_shared(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "deep" / "a?b#c.sqlite", SCHEMA, 1.0)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert (tmp_path / "deep" / "a?b#c.sqlite").exists()
    connection.close()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    assert open_reader(path, SCHEMA, 1.0) is None
    open_writer(path, SCHEMA, 1.0).close()
    reader = open_reader(path, SCHEMA, 1.0)
    assert reader is not None
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO t VALUES (1)")
    reader.close()


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "a.sqlite", SCHEMA, 1.0)
    with pytest.raises(sqlite3.IntegrityError), transaction(connection):
        connection.execute("INSERT INTO t VALUES (1), (3), (1)")
    with transaction(connection):
        connection.execute("INSERT INTO t VALUES (2)")
    assert connection.execute("SELECT x FROM t").fetchall() == [(2,)]
    connection.close()


def test_misuse_is_not_dressed_up_as_a_damaged_file(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "a.sqlite", SCHEMA, 1.0)
    with pytest.raises(StoreCorruptError, match="no such table"), typed_errors(tmp_path, "test file"):
        connection.execute("SELECT * FROM gone")
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError), typed_errors(tmp_path, "test file"):
        connection.execute("SELECT 1")


@pytest.mark.parametrize("statement", range(1, 8))
def test_a_reader_that_comes_while_the_schema_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    path = tmp_path / "a.sqlite"
    maker = sqlite3.connect(path, isolation_level=None)
    maker.execute("PRAGMA journal_mode=WAL")
    asked = 0

    def make(_sql: str) -> None:
        nonlocal asked
        asked += 1
        if asked == statement:
            open_writer(path, SCHEMA, 1.0).close()

    connect = sqlite3.connect

    def traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        if "mode=ro" in str(args[0]):
            connection.set_trace_callback(make)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    first = open_reader(path, SCHEMA, 1.0)
    second = open_reader(path, SCHEMA, 1.0)
    for reader in (first, second):
        if reader is not None:
            reader.close()
    assert asked < statement or second is not None
    maker.close()
