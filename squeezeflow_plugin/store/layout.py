"""The tables of the embedded store's SQLite file, and how a record's place in them is numbered.

Rows are clustered by *position* = record second x 1024 + collector number, so that what one record carried is
one row and what a span of records carried is one range. Rows of closed periods move into Parquet files
(``partition``); ``partitions`` lists the files that count. A file it does not list is not part of the store,
so one transaction replaces files, whatever else was written and whenever the process was killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from squeezeflow_plugin.store.catalogue import COLLECTOR_BITS, DDL
from squeezeflow_plugin.store.sqlite import Schema

COLLECTOR_MASK = (1 << COLLECTOR_BITS) - 1
LOWEST, HIGHEST = -(2**52), 2**52  # seconds whose position fits SQLite's 64 bits
BATCH_RECORDS = 4096
HOUR = 3600

_PARTITIONS = (
    """CREATE TABLE partitions (
        start INTEGER PRIMARY KEY, stop INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, records INTEGER NOT NULL,
        bars INTEGER NOT NULL, bytes INTEGER NOT NULL, firsts BLOB NOT NULL
    )""",
    # A repair speaks of seconds long before its own record: found here, no file has to be searched for it.
    "CREATE TABLE rolled_repairs (position INTEGER PRIMARY KEY, repaired BLOB NOT NULL)",
)
# A row every half minute; they stay here until their period is dropped.
_TICKERS = ("CREATE TABLE tickers (position INTEGER PRIMARY KEY, packed BLOB NOT NULL)",)
SCHEMA = Schema(
    what="bar store",
    application_id=0x53464C42,  # "SFLB"
    version=3,
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
        *_PARTITIONS,
        *_TICKERS,
    ),
    upgrades={1: _PARTITIONS, 2: _TICKERS},
)


IMPORTER = "import"
"""Name, or with a colon the beginning of the name, of the collector that imported records carry."""


@dataclass(frozen=True)
class Partition:
    """Files that hold the records of the seconds ``[start, stop)``, late ones excepted that came since."""

    start: int
    stop: int
    name: str


def partition_dir(path: Path) -> Path:
    """Where the partitions of the store at ``path`` lie.

    >>> partition_dir(Path("data/store.sqlite")).as_posix()
    'data/store.partitions'
    """
    return path.with_suffix(".partitions")


def is_imported(collector: str) -> bool:
    """Whether a collector's records were imported; retention leaves them alone.

    >>> is_imported("import:BINANCE:btcusdt"), is_imported("main")
    (True, False)
    """
    return collector == IMPORTER or collector.startswith(f"{IMPORTER}:")


def position(second: int) -> int:
    """The first position of a second; seconds out of range count as the outermost."""
    return max(LOWEST, min(second, HIGHEST)) << COLLECTOR_BITS
