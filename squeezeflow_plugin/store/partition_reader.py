"""Reading partitions: only the row groups of the asked span and markets, checked against their checksums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from squeezeflow_plugin.errors import StoreCorruptError, StoreError
from squeezeflow_plugin.store.catalogue import COLLECTOR_BITS, Catalogue, CoverageState
from squeezeflow_plugin.store.packing import NUMBERS, Rows
from squeezeflow_plugin.store.partition import (
    BARS,
    CLOSINGS,
    COUNTS,
    PRICES,
    VOLUMES,
    Closings,
    bars_file,
    closings_file,
    rank_of,
    usual_place,
)
from squeezeflow_plugin.store.ticks import RAW, Ticks, from_ticks

_FOOTERS = 8


@dataclass(frozen=True, eq=False)
class _Footer:
    """A file's metadata, and of each row group the range of seconds and of markets (None: unknown)."""

    metadata: pq.FileMetaData
    seconds: list[tuple[int, int] | None]
    markets: list[tuple[str, str] | None]


class PartitionReader:
    """Reads the partitions of one directory; the catalogue says what the names in them are numbered.

    A file that is not there raises FileNotFoundError: a newer one has taken its place, or it is lost, and
    only the caller can tell. Anything else that cannot be read raises StoreCorruptError naming the file.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._footers: dict[Path, _Footer] = {}

    def closings(self, name: str, start: int, stop: int, catalogue: Catalogue) -> Closings:
        """The closings of the seconds ``[start, stop)``, by position."""
        path = closings_file(self._directory, name)
        with _readable(path):
            table = self._read(path, CLOSINGS, "second", (start, stop), None)
            second = _numpy(table, "second")
            position = second << COLLECTOR_BITS | _ids(
                table, "collector", catalogue.collector_ids.__getitem__
            )
            state = _ids(
                table,
                "coverage",
                lambda text: catalogue.state_id(msgspec.json.decode(text, type=CoverageState)),
            )
            keep = np.flatnonzero((second >= start) & (second < stop))
            keep = keep[np.argsort(position[keep], kind="stable")]
            repaired: list[bytes | None] = [None] * len(keep)
            if table.column("repaired").null_count < len(table):
                repaired = table.column("repaired").take(pa.array(keep)).to_pylist()
            return Closings(position[keep], _numpy(table, "closed_ns")[keep], state[keep], repaired)

    def bars(
        self,
        name: str,
        start: int,
        stop: int,
        catalogue: Catalogue,
        markets: frozenset[str] | None = None,
        *,
        placed: bool = False,
    ) -> Rows:
        """The bars carried by records of ``[start, stop)``, of these markets; in no particular order.

        ``place`` is only filled in where ``placed`` asks for it, which takes all markets.
        """
        path = bars_file(self._directory, name)
        with _readable(path):
            rows = _rows(self._read(path, BARS, "known", (start, stop), markets), catalogue)
            keep = (rows.known >= start) & (rows.known < stop)
            if markets is not None:
                ids = [number for market, number in catalogue.market_ids.items() if market in markets]
                keep &= np.isin(rows.market, np.array(ids, dtype=np.int32))
            if not keep.all():
                rows = rows.take(keep)
        if placed:
            np.add(rows.place, usual_place(rows, rank_of(catalogue.market_names)), out=rows.place)
        return rows

    def _read(
        self, path: Path, schema: pa.Schema, time: str, span: tuple[int, int], markets: frozenset[str] | None
    ) -> pa.Table:
        """The row groups that may hold what is asked."""
        footer = self._footers.get(path)
        with pq.ParquetFile(
            path, metadata=footer and footer.metadata, page_checksum_verification=True
        ) as file:
            if footer is None:
                footer = _footer(path, file, schema, time)
                while len(self._footers) >= _FOOTERS:
                    del self._footers[next(iter(self._footers))]
                self._footers[path] = footer
            groups = [
                group
                for group, (seconds, names) in enumerate(zip(footer.seconds, footer.markets, strict=True))
                if (seconds is None or (seconds[0] < span[1] and seconds[1] >= span[0]))
                and (markets is None or names is None or any(names[0] <= m <= names[1] for m in markets))
            ]
            return file.read_row_groups(groups)


def _footer(path: Path, file: pq.ParquetFile, schema: pa.Schema, time: str) -> _Footer:
    theirs = file.schema_arrow
    if (
        not theirs.equals(schema)
        or (theirs.metadata or {}).get(b"squeezeflow") != schema.metadata[b"squeezeflow"]
    ):
        raise StoreCorruptError(f"{path} is no partition that this program reads; it is left as it is")
    metadata = file.metadata
    at, market = schema.get_field_index(time), schema.get_field_index("market")
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    return _Footer(
        metadata,
        [_range(group, at) for group in groups],
        [_range(group, market) if market >= 0 else None for group in groups],
    )


def _range(group: pq.RowGroupMetaData, column: int) -> Any:
    statistics = group.column(column).statistics
    return (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else None


def _rows(table: pa.Table, catalogue: Catalogue) -> Rows:
    exponent = _numpy(table, "exponent")
    ticks = Ticks(exponent, *(_numpy(table, f"{name}_ticks") for name in PRICES))
    numbers: dict[str, npt.NDArray[Any]] = dict(zip(PRICES, from_ticks(ticks), strict=True))
    raw = exponent == RAW
    if raw.any():
        for name in PRICES:
            numbers[name][raw] = _numpy(table, name)[raw]
    for name in ("revision", *VOLUMES, *COUNTS):
        numbers[name] = _numpy(table, name)
    return Rows(
        _ids(table, "market", catalogue.market_ids.__getitem__).astype(np.int32),
        _ids(table, "collector", catalogue.collector_ids.__getitem__),
        _numpy(table, "known"),
        _numpy(table, "second"),
        _numpy(table, "shift").copy(),
        {name: numbers[name] for name in NUMBERS},
    )


def _numpy(table: pa.Table, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = table.column(name).to_numpy()
    return values


def _ids(table: pa.Table, name: str, number: Callable[[str], int]) -> npt.NDArray[np.int64]:
    """A column of names as ids."""
    parts = [np.empty(0, dtype=np.int64)]
    for chunk in table.column(name).chunks:
        ids = np.array([number(each) for each in chunk.dictionary.to_pylist()], dtype=np.int64)
        parts.append(ids[chunk.indices.to_numpy()])
    return np.concatenate(parts)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Typed errors of a file that is there but cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise
    except KeyError as error:
        raise StoreCorruptError(
            f"{path} refers to {error}, which the store does not know; it is left as it is"
        ) from error
    except (pa.ArrowInvalid, msgspec.MsgspecError) as error:
        raise StoreCorruptError(f"{path} cannot be read: {error}; it is left as it is") from error
    except OSError as error:
        if error.errno is not None:
            raise StoreError(f"{path} cannot be read now: {error}") from error
        raise StoreCorruptError(f"{path} cannot be read: {error}; it is left as it is") from error
