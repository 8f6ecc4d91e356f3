"""One partition's two Parquet files: closings and bars of a closed period, immutable once named.

``NAME.bars.parquet`` holds a row for each bar a record carried: ``market``, ``collector``, ``known`` (the
record's second), ``second`` (the bar's), ``revision``, ``shift`` (places by which the bar stands later in
its record than in the usual order, see ``usual_place``), prices as ticks (see ``ticks``) beside the floats of
rows that have none, volumes and counts. ``NAME.closings.parquet`` holds a row for each record: ``collector``,
``second``, ``closed_ns``, ``coverage`` (JSON: covered markets, uncovered markets) and ``repaired`` (msgpack).

A file is a row of *blocks*, an hour each: records are streamed block by block. Inside a block bars are
ordered by market, so that a column holds like beside like and row groups can be chosen by market.
Pages carry checksums. https://parquet.apache.org/docs/file-format/
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.store.catalogue import COLLECTOR_BITS, Catalogue
from squeezeflow_plugin.store.layout import COLLECTOR_MASK, HIGHEST, LOWEST
from squeezeflow_plugin.store.packing import Rows
from squeezeflow_plugin.store.ticks import RAW, to_ticks

PRICES = ("open", "high", "low", "close")
VOLUMES = ("vbuy", "vsell", "lbuy", "lsell")
COUNTS = ("cbuy", "csell")
_NAME = pa.dictionary(pa.int32(), pa.string())
BARS = pa.schema(
    [
        ("market", _NAME),
        ("collector", _NAME),
        ("known", pa.int64()),
        ("second", pa.int64()),
        ("revision", pa.int32()),
        ("shift", pa.int32()),
        ("exponent", pa.int32()),
        *((f"{name}_ticks", pa.int64()) for name in PRICES),
        *((name, pa.float64()) for name in (*PRICES, *VOLUMES)),
        *((name, pa.int64()) for name in COUNTS),
    ],
    metadata={"squeezeflow": "bars 1"},
)
CLOSINGS = pa.schema(
    [
        ("collector", _NAME),
        ("second", pa.int64()),
        ("closed_ns", pa.int64()),
        ("coverage", _NAME),
        ("repaired", pa.binary()),
    ],
    metadata={"squeezeflow": "closings 1"},
)
# Measured on real seconds of BTC markets, bytes a value: sums of notionals 7.3 split by byte, 8.7 with a
# dictionary; ticks 0.5 to 1.8 split by byte, seconds near nothing as differences.
_SPLIT = (*VOLUMES, *COUNTS, "open_ticks", "high_ticks", "low_ticks")
_DIFFERENCES = ("known", "second", "closed_ns", "close_ticks", "shift")
_ENCODINGS = dict.fromkeys(_SPLIT, "BYTE_STREAM_SPLIT") | dict.fromkeys(_DIFFERENCES, "DELTA_BINARY_PACKED")
_GROUP_ROWS = 8192
UNFINISHED = ".tmp"
_BARS_SUFFIX, _CLOSINGS_SUFFIX = ".bars.parquet", ".closings.parquet"
SUFFIXES = tuple(f"{kind}{state}" for kind in (_BARS_SUFFIX, _CLOSINGS_SUFFIX) for state in ("", UNFINISHED))
"""How the names of files of ours end, those that are being written included."""


@dataclass(frozen=True, eq=False)
class Closings:
    """n records without their bars; ``state`` is the id of their coverage, ``repaired`` as it is stored."""

    position: npt.NDArray[np.int64]
    closed_ns: npt.NDArray[np.int64]
    state: npt.NDArray[np.int64]
    repaired: list[bytes | None]

    def __len__(self) -> int:
        return len(self.position)


def bars_file(directory: Path, name: str) -> Path:
    """Where a partition's bars lie."""
    return directory / f"{name}{_BARS_SUFFIX}"


def closings_file(directory: Path, name: str) -> Path:
    """Where a partition's closings lie."""
    return directory / f"{name}{_CLOSINGS_SUFFIX}"


def period_of(name: str) -> tuple[int, int]:
    """The seconds that a partition of that name is of; all where it does not say.

    >>> period_of("60-120-5eed")
    (60, 120)
    """
    start, _, rest = name.partition("-")
    stop = rest.partition("-")[0]
    return (int(start), int(stop)) if start.isdecimal() and stop.isdecimal() else (LOWEST, HIGHEST)


class PartitionWriter:
    """Writes the partition ``name`` block by block; nothing of it has its name before ``finish``.

    Raises StoreError where the disk refuses; ``abandon`` then takes away what was written.
    """

    def __init__(self, directory: Path, name: str, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._directory = directory
        self._targets = (bars_file(directory, name), closings_file(directory, name))
        self._writers: list[pq.ParquetWriter] = []
        self.records = 0
        self.bars = 0
        with disk_errors(directory):
            for target, schema in zip(self._targets, (BARS, CLOSINGS), strict=True):
                dictionaries = [field.name for field in schema if field.type == _NAME]
                encodings = {
                    name: kind for name, kind in _ENCODINGS.items() if schema.get_field_index(name) >= 0
                }
                self._writers.append(
                    pq.ParquetWriter(
                        _unfinished(target),
                        schema,
                        compression="zstd",
                        use_dictionary=dictionaries,
                        column_encoding=encodings,
                        write_page_checksum=True,
                    )
                )

    def add(self, closings: Closings, rows: Rows) -> None:
        """The next block: its closings and the bars they carry; blocks come in the order of time."""
        with disk_errors(self._directory):
            self._writers[1].write_table(self._closings_table(closings), row_group_size=1 << 30)
            rows, groups = self._ordered(rows)
            table = self._bars_table(rows, groups)
            cut = 0
            for stop in np.append(groups, len(rows))[1:].tolist():
                if stop - cut >= _GROUP_ROWS or stop == len(rows):
                    self._writers[0].write_table(table.slice(cut, stop - cut), row_group_size=1 << 30)
                    cut = stop
        self.records += len(closings)
        self.bars += len(rows)

    def finish(self) -> int:
        """Both files on the disk under their names; returns their bytes."""
        with disk_errors(self._directory):
            for writer in self._writers:
                writer.close()
            for target in self._targets:
                _sync(_unfinished(target))
                _unfinished(target).replace(target)
            _sync(self._directory)
            return sum(target.stat().st_size for target in self._targets)

    def abandon(self) -> None:
        """Take away whatever is there without its name. Raises StoreError where the disk refuses that."""
        for writer in self._writers:
            with suppress(OSError):  # a full disk refuses the end of the file too, and it goes anyway
                writer.close()
        with disk_errors(self._directory):
            for target in self._targets:
                _unfinished(target).unlink(missing_ok=True)

    def _ordered(self, rows: Rows) -> tuple[Rows, npt.NDArray[np.int64]]:
        """Rows by (market's name, known, collector, place), and the first row of each market."""
        order = np.lexsort((rows.place, rows.collector, rows.known, self._rank()[rows.market]))
        rows = rows.take(order)
        begins = np.append(True, rows.market[1:] != rows.market[:-1])[: len(rows)]
        return rows, np.flatnonzero(begins)

    def _rank(self) -> npt.NDArray[np.int64]:
        return rank_of(self._catalogue.market_names)

    def _bars_table(self, rows: Rows, groups: npt.NDArray[np.int64]) -> pa.Table:
        prices = np.stack([np.asarray(rows.numbers[name], dtype=np.float64) for name in PRICES])
        ticks = to_ticks(prices, groups)
        is_ticks = ticks.exponent != RAW
        columns: dict[str, Any] = {
            "market": _names(rows.market, self._catalogue.market_names),
            "collector": _names(rows.collector, self._catalogue.collector_names),
            "known": rows.known,
            "second": rows.second,
            "revision": rows.numbers["revision"],
            "shift": (rows.place - usual_place(rows, self._rank())).astype(np.int32),
            "exponent": ticks.exponent,
            **{f"{name}_ticks": getattr(ticks, name) for name in PRICES},
            **{name: pa.array(prices[i], mask=is_ticks) for i, name in enumerate(PRICES)},
            **{name: np.asarray(rows.numbers[name], dtype=np.float64) for name in VOLUMES},
            **{name: rows.numbers[name].astype(np.int64) for name in COUNTS},
        }
        return pa.table([pa.array(columns[name]) for name in BARS.names], schema=BARS)

    def _closings_table(self, closings: Closings) -> pa.Table:
        used, state = np.unique(closings.state, return_inverse=True)
        states = [msgspec.json.encode(self._catalogue.states[int(each)]).decode() for each in used]
        columns = [
            _names(closings.position & COLLECTOR_MASK, self._catalogue.collector_names),
            pa.array(closings.position >> COLLECTOR_BITS),
            pa.array(closings.closed_ns),
            pa.DictionaryArray.from_arrays(state.astype(np.int32), pa.array(states, pa.string())),
            pa.array(closings.repaired, pa.binary()),
        ]
        return pa.table(columns, schema=CLOSINGS)


def rank_of(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """By id, the place of each name among the sorted names.

    >>> rank_of(["b", "c", "a"]).tolist()
    [1, 2, 0]
    """
    rank = np.empty(len(names), dtype=np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return rank


def usual_place(rows: Rows, rank: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The place each bar has in its record where bars lie by market and revisions by (second, market)."""
    is_revision = rows.known > rows.second
    order = np.lexsort((rank[rows.market], rows.second, is_revision, rows.collector, rows.known))
    known, collector = rows.known[order], rows.collector[order]
    begins = np.append(True, (known[1:] != known[:-1]) | (collector[1:] != collector[:-1]))[: len(rows)]
    starts = np.flatnonzero(begins)
    place = np.empty(len(rows), dtype=np.int64)
    place[order] = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    return place


def _names(ids: npt.NDArray[Any], names: Sequence[str]) -> pa.DictionaryArray:
    """Ids as names, with the names that occur as dictionary."""
    used, indices = np.unique(ids, return_inverse=True)
    return pa.DictionaryArray.from_arrays(
        indices.astype(np.int32), pa.array([names[int(each)] for each in used], pa.string())
    )


def _unfinished(target: Path) -> Path:
    return target.with_name(target.name + UNFINISHED)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(directory: Path) -> Iterator[None]:
    """What the disk refuses is a StoreError that names the partitions' directory."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"partitions of {directory} cannot be written: {error}; the rows stay where they are"
        ) from error
