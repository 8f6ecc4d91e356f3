"""The decisions a bot made and the trades that followed: written once, compared for ever after.

The bot process is the only writer; ``up`` and ``parity`` read at the same time. A decision is history: the
same row again is a no-op, a different one for a logged (pair, second) is refused. The numbers are kept as the
float64 bits they were, under column names that the writer declares, so the engine may grow columns without
a new schema: each row knows the engine (fingerprint and columns) that made it.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from squeezeflow_plugin.errors import StoreConflictError, StoreCorruptError, StoreError
from squeezeflow_plugin.store.sqlite import Schema, open_reader, open_writer, transaction, typed_errors

_SCHEMA = Schema(
    what="decision log",
    application_id=0x53464C44,  # "SFLD"
    version=1,
    ddl=(
        """CREATE TABLE engines (
            id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, columns TEXT NOT NULL,
            UNIQUE (fingerprint, columns)
        )""",
        "CREATE TABLE pairs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, newest INTEGER NOT NULL)",
        """CREATE TABLE decisions (
            second INTEGER, pair INTEGER, engine INTEGER NOT NULL, known INTEGER NOT NULL,
            decided_ns INTEGER NOT NULL, latency_ms REAL NOT NULL, veto TEXT NOT NULL, numbers BLOB NOT NULL,
            PRIMARY KEY (second, pair)
        ) WITHOUT ROWID""",
        """CREATE TABLE events (
            at_ns INTEGER, pair TEXT, trade_id INTEGER, kind TEXT, body BLOB NOT NULL,
            PRIMARY KEY (at_ns, pair, trade_id, kind)
        ) WITHOUT ROWID""",
    ),
)
_PAGE_ROWS = 4096
_FORGOTTEN_AT_ONCE_S = 10
"""Seconds that one call takes out of the log at most: one that is to keep less than it did shrinks slowly."""
_SELECT = (
    "SELECT d.second, p.name, d.engine, d.known, d.decided_ns, d.latency_ms, d.veto, d.numbers"
    " FROM decisions d JOIN pairs p ON p.id = d.pair"
)


class LoggedDecision(msgspec.Struct, frozen=True):
    """One pair's decision of one second.

    ``known`` is the second of the newest closing record it stood on; ``decided_ns`` the market time at which
    it was made; ``latency_ms`` the time from the second's end to then; ``numbers`` one float64 for each of
    ``columns`` (NaN allowed); ``veto`` the reason that no trade was allowed, empty where one was. ``columns``
    and ``fingerprint`` are filled in by the log.
    """

    pair: str
    second: int
    known: int
    decided_ns: int
    latency_ms: float
    numbers: tuple[float, ...]
    veto: str = ""
    columns: tuple[str, ...] = ()
    fingerprint: str = ""

    def value(self, column: str) -> float:
        """The number under a column's name; KeyError names one that was not logged."""
        try:
            return self.numbers[self.columns.index(column)]
        except ValueError:
            raise KeyError(f"column {column!r} was not logged; there are {', '.join(self.columns)}") from None


class TradeEvent(msgspec.Struct, frozen=True):
    """Something that happened to a trade because of a decision.

    ``kind`` is ``entry_order``, ``entry_fill``, ``exit_order`` or ``exit_fill``; ``decision_second`` the
    second E of the entry event (methodology section 8); ``direction`` +1 long, -1 short; ``tag`` the enter
    tag or the exit's name; ``second`` the second whose decision caused it; ``at_ns`` when it happened;
    ``price`` in quote currency; ``stake`` in stake currency.
    """

    kind: str
    pair: str
    trade_id: int
    decision_second: int
    direction: int
    tag: str
    second: int
    at_ns: int
    price: float
    stake: float


class DecisionLog:
    """The decision log in one SQLite file.

    Open it for writing with the engine's ``columns`` and ``fingerprint``; with ``readonly`` it reads only and
    an absent file is an empty log, looked for again at each call. A writer keeps the decisions of ``keep_s``
    seconds up to the newest it is given (0: all), and every event. One thread at a time.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str] = (),
        fingerprint: str = "",
        *,
        keep_s: int = 0,
        readonly: bool = False,
        busy_timeout_s: float = 5.0,
    ) -> None:
        self._path = Path(path)
        self._keep_s = keep_s
        self._readonly = readonly
        self._busy_timeout_s = busy_timeout_s
        self._columns = tuple(columns)
        self._fingerprint = fingerprint
        self._packing = struct.Struct(f"<{len(self._columns)}d")
        self._engines: dict[int, tuple[str, tuple[str, ...]]] = {}
        self._connection: sqlite3.Connection | None = None
        if not readonly:
            self._connection = open_writer(self._path, _SCHEMA, busy_timeout_s)

    def append(self, rows: Iterable[LoggedDecision], events: Iterable[TradeEvent] = ()) -> None:
        """Keep rows and events, all or none, in one transaction; durable on return.

        Raises StoreConflictError where another decision is logged for a row's (pair, second), or another
        event under the same (time, pair, trade, kind); then nothing of the call is kept.
        """
        connection = self._writer()
        with typed_errors(self._path, _SCHEMA.what), transaction(connection):
            engine, newest = self._engine_id(connection), 0
            for row in rows:
                self._append_row(connection, engine, row)
                newest = max(newest, row.second)
            for event in events:
                self._append_event(connection, event)
            if self._keep_s and newest:
                self._forget(connection, newest - self._keep_s)

    def read(self, start: int, stop: int, pairs: Iterable[str] | None = None) -> Iterator[LoggedDecision]:
        """The decisions of the seconds ``[start, stop)``, ordered by (second, pair)."""
        wanted = None if pairs is None else frozenset(pairs)
        while start < stop and (connection := self._reader()) is not None:
            with typed_errors(self._path, _SCHEMA.what):
                found = connection.execute(
                    "SELECT second FROM decisions WHERE second >= ? AND second < ?"
                    " ORDER BY second LIMIT 1 OFFSET ?",
                    (start, stop, _PAGE_ROWS),
                ).fetchone()
                page_stop = stop if found is None else max(found[0], start + 1)
                page = connection.execute(
                    f"{_SELECT} WHERE d.second >= ? AND d.second < ? ORDER BY d.second, p.name",
                    (start, page_stop),
                ).fetchall()
            for row in page:
                if wanted is None or row[1] in wanted:
                    yield self._decision(connection, row)
            start = page_stop

    def newest(self) -> tuple[LoggedDecision, ...]:
        """The newest decision of each pair, ordered by pair."""
        connection = self._reader()
        if connection is None:
            return ()
        with typed_errors(self._path, _SCHEMA.what):
            page = connection.execute(f"{_SELECT} AND p.newest = d.second ORDER BY p.name").fetchall()
        return tuple(self._decision(connection, row) for row in page)

    def last_second(self, pair: str) -> int | None:
        """The newest second logged for the pair; None where there is none."""
        connection = self._reader()
        if connection is None:
            return None
        with typed_errors(self._path, _SCHEMA.what):
            row = connection.execute("SELECT newest FROM pairs WHERE name = ?", (pair,)).fetchone()
        return None if row is None else int(row[0])

    def events(self, start_ns: int = 0, stop_ns: int = 2**63 - 1) -> tuple[TradeEvent, ...]:
        """The trade events with ``at_ns`` in ``[start_ns, stop_ns)``, ordered by time."""
        connection = self._reader()
        if connection is None:
            return ()
        with typed_errors(self._path, _SCHEMA.what):
            bodies = connection.execute(
                "SELECT body FROM events WHERE at_ns >= ? AND at_ns < ? ORDER BY at_ns, pair, trade_id, kind",
                (start_ns, stop_ns),
            ).fetchall()
        try:
            return tuple(msgspec.msgpack.decode(body, type=TradeEvent) for (body,) in bodies)
        except msgspec.MsgspecError as error:
            raise StoreCorruptError(
                f"decision log {self._path} holds an event that cannot be read: {error}"
            ) from error

    def entered(self) -> dict[str, int]:
        """How many trades of each logged pair were entered."""
        connection = self._reader()
        if connection is None:
            return {}
        with typed_errors(self._path, _SCHEMA.what):
            page = connection.execute(
                "SELECT name, (SELECT COUNT(DISTINCT trade_id) FROM events"
                " WHERE kind = 'entry_fill' AND pair = name) FROM pairs ORDER BY name"
            ).fetchall()
        return dict(page)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _append_row(self, connection: sqlite3.Connection, engine: int, row: LoggedDecision) -> None:
        if len(row.numbers) != len(self._columns):
            raise StoreError(
                f"decision of {row.pair} at {row.second} has {len(row.numbers)} numbers for"
                f" {len(self._columns)} columns; nothing was logged"
            )
        numbers = self._packing.pack(*row.numbers)
        pair = self._pair_id(connection, row)
        stored = connection.execute(
            "SELECT d.numbers, d.veto, e.columns FROM decisions d JOIN engines e ON e.id = d.engine"
            " WHERE d.second = ? AND d.pair = ?",
            (row.second, pair),
        ).fetchone()
        if stored is None:
            connection.execute(
                "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (row.second, pair, engine, row.known, row.decided_ns, row.latency_ms, row.veto, numbers),
            )
        elif stored != (numbers, row.veto, _encode_columns(self._columns)):
            raise StoreConflictError(
                f"decision log {self._path} has another decision for {row.pair} at {row.second};"
                " the logged one stays, nothing of this call was kept"
            )

    @staticmethod
    def _forget(connection: sqlite3.Connection, before: int) -> None:
        """Delete the oldest decisions, of seconds before that one; their pages are used again."""
        (oldest,) = connection.execute("SELECT MIN(second) FROM decisions").fetchone()
        if oldest is not None and oldest < before:
            stop = min(before, oldest + _FORGOTTEN_AT_ONCE_S)
            connection.execute("DELETE FROM decisions WHERE second < ?", (stop,))

    def _append_event(self, connection: sqlite3.Connection, event: TradeEvent) -> None:
        body = msgspec.msgpack.encode(event)
        key = (event.at_ns, event.pair, event.trade_id, event.kind)
        stored = connection.execute(
            "SELECT body FROM events WHERE at_ns = ? AND pair = ? AND trade_id = ? AND kind = ?", key
        ).fetchone()
        if stored is None:
            connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", (*key, body))
        elif stored[0] != body:
            raise StoreConflictError(
                f"decision log {self._path} has another {event.kind} of trade {event.trade_id} ({event.pair})"
                f" at {event.at_ns}; the logged one stays, nothing of this call was kept"
            )

    def _engine_id(self, connection: sqlite3.Connection) -> int:
        key = (self._fingerprint, _encode_columns(self._columns))
        connection.execute("INSERT OR IGNORE INTO engines (fingerprint, columns) VALUES (?, ?)", key)
        row = connection.execute(
            "SELECT id FROM engines WHERE fingerprint = ? AND columns = ?", key
        ).fetchone()
        return int(row[0])

    @staticmethod
    def _pair_id(connection: sqlite3.Connection, row: LoggedDecision) -> int:
        connection.execute(
            "INSERT INTO pairs (name, newest) VALUES (?1, ?2)"
            " ON CONFLICT (name) DO UPDATE SET newest = max(newest, ?2)",
            (row.pair, row.second),
        )
        found = connection.execute("SELECT id FROM pairs WHERE name = ?", (row.pair,)).fetchone()
        return int(found[0])

    def _decision(
        self, connection: sqlite3.Connection, row: tuple[int, str, int, int, int, float, str, bytes]
    ) -> LoggedDecision:
        second, pair, engine, known, decided_ns, latency_ms, veto, packed = row
        if engine not in self._engines:
            with typed_errors(self._path, _SCHEMA.what):
                found = connection.execute("SELECT id, fingerprint, columns FROM engines").fetchall()
            self._engines = {id_: (mark, tuple(json.loads(names))) for id_, mark, names in found}
        fingerprint, columns = self._engines.get(engine, ("", ()))
        if len(packed) != 8 * len(columns):
            raise StoreCorruptError(
                f"decision log {self._path}: {pair} at {second} holds {len(packed)} bytes for"
                f" {len(columns)} columns; it is left as it is"
            )
        numbers = struct.unpack(f"<{len(columns)}d", packed)
        return LoggedDecision(
            pair, second, known, decided_ns, latency_ms, numbers, veto, columns, fingerprint
        )

    def _writer(self) -> sqlite3.Connection:
        if self._readonly or self._connection is None:
            raise StoreError(f"decision log {self._path} is not open for writing; nothing was logged")
        return self._connection

    def _reader(self) -> sqlite3.Connection | None:
        if self._connection is None and self._readonly:
            self._connection = open_reader(self._path, _SCHEMA, self._busy_timeout_s)
        return self._connection


def _encode_columns(columns: tuple[str, ...]) -> str:
    return json.dumps(columns)
