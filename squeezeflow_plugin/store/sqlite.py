"""Opening SQLite files that several processes share: one schema a file, checked before anything is written.

Both files of ours (bars, decisions) are WAL databases with ``synchronous=FULL``: a commit is on disk when it
returns, readers never wait for the writer nor the writer for them. A file carries an application id and a
schema version; a file of another kind or version is refused and left as it is. Creating the schema is one
transaction, so a reader sees either no schema (it then says "absent") or all of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from squeezeflow_plugin.errors import StoreCorruptError, StoreError

# Primary result codes (https://www.sqlite.org/rescode.html) that mean the file itself is not usable: a
# generic SQL error (our statements are fixed, so the schema is damaged), a malformed image, not a database.
_CORRUPT_CODES = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY_CODE = 0xFF
# A second of twenty markets is a row of 1,700 bytes: pages of 4 KiB leave a fifth of the file empty.
_PAGE_BYTES = 16_384


@dataclass(frozen=True)
class Schema:
    """A kind of file: ``what`` names it, ``application_id`` and ``version`` mark it, ``ddl`` makes it.

    ``upgrades`` by older version: what makes the next version of it, done by the next writer.
    """

    what: str
    application_id: int
    version: int
    ddl: tuple[str, ...]
    upgrades: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


@contextmanager
def typed_errors(path: Path, what: str) -> Iterator[None]:
    """Turn SQLite's failures into StoreCorruptError (file unusable) or StoreError (try again later)."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            raise  # misuse of the module, not a state of the file
        if code & _PRIMARY_CODE in _CORRUPT_CODES:
            raise StoreCorruptError(f"{what} {path} cannot be read: {error}; it is left as it is") from error
        raise StoreError(
            f"{what} {path}: {error} ({error.sqlite_errorname}); this operation changed nothing"
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction, taken at once; rolled back when the body or the commit fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def open_writer(path: Path, schema: Schema, busy_timeout_s: float) -> sqlite3.Connection:
    """Open or create the file for writing.

    Raises StoreCorruptError for a file that is not this schema (nothing is changed in it) and StoreError
    where the directory cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{schema.what} {path}: its directory cannot be made: {error}") from error
    with typed_errors(path, schema.what), ExitStack() as on_failure:
        connection = _connect(path, "rwc", busy_timeout_s)
        on_failure.callback(connection.close)
        _upgrade(connection, schema)
        if not _is_ready(connection, path, schema):
            connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            _create(connection, path, schema)
        connection.execute("PRAGMA synchronous=FULL")
        on_failure.pop_all()
    return connection


def open_reader(path: Path, schema: Schema, busy_timeout_s: float) -> sqlite3.Connection | None:
    """Open the file read-only; None while it does not exist or its schema is not yet written."""
    if not path.exists():
        return None
    with typed_errors(path, schema.what), ExitStack() as on_failure:
        connection = _connect(path, "ro", busy_timeout_s)
        on_failure.callback(connection.close)
        if not _is_ready(connection, path, schema):
            return None
        on_failure.pop_all()
    return connection


def _connect(path: Path, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,  # transactions are written out, never opened behind the caller's back
        check_same_thread=False,  # one thread at a time: the collector writes from a worker thread
    )


def _is_ready(connection: sqlite3.Connection, path: Path, schema: Schema) -> bool:
    """True for a file of this schema, False for an empty one; anything else raises StoreCorruptError."""
    application_id, version, objects = _state(connection)
    if (application_id, version) == (schema.application_id, schema.version):
        return True
    if (application_id, version, objects) == (0, 0, 0):
        return False
    if application_id != schema.application_id:
        raise StoreCorruptError(
            f"{path} is not a {schema.what} (application id {application_id:#x}, expected"
            f" {schema.application_id:#x}); it is left as it is"
        )
    raise StoreCorruptError(
        f"{schema.what} {path} has schema version {version}, this program reads version {schema.version};"
        " it is left as it is"
    )


def _upgrade(connection: sqlite3.Connection, schema: Schema) -> None:
    """Bring an older file of this schema up to date, one version a transaction."""
    while (mark := _state(connection)[:2])[0] == schema.application_id and mark[1] in schema.upgrades:
        with transaction(connection):
            if _state(connection)[:2] == mark:  # else another process was faster
                for statement in schema.upgrades[mark[1]]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={mark[1] + 1}")


def _state(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """The file's application id, schema version and number of objects, all of one moment."""
    opens = not connection.in_transaction
    if opens:
        connection.execute("BEGIN")  # else another process may make the schema between two of the questions
    try:
        objects = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        if opens:
            connection.execute("COMMIT")
    return application_id, version, objects


def _create(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    with transaction(connection):
        if _is_ready(connection, path, schema):
            return  # another process was faster
        for statement in schema.ddl:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={schema.application_id}")
        connection.execute(f"PRAGMA user_version={schema.version}")
