"""Bars out of the store into one file: Parquet, CSV or line protocol, and their coverage beside it.

The columns are ``market time open high low close vbuy vsell cbuy csell lbuy lsell``, ordered by (time,
market); the view is the latest revision of each bar. ``FILE.coverage.csv`` says which seconds were covered,
so that a second without a bar can be told from one that nobody saw. ``importing`` reads all of it back.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.csv as pcsv  # type: ignore[import-untyped]  # the same
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # the same

from squeezeflow_plugin.errors import StoreEmptyError, StoreError
from squeezeflow_plugin.market import BAR_FIELDS, Bar
from squeezeflow_plugin.store.contract import BarColumns, BarStore
from squeezeflow_plugin.store.files import COVERAGE_SUFFIX
from squeezeflow_plugin.store.import_bars import BAR_COLUMNS
from squeezeflow_plugin.store.influx_schema import BarLines
from squeezeflow_plugin.store.layout import HOUR

_SCHEMA = pa.schema(
    [("market", pa.string()), ("time", pa.int64())]
    + [(name, pa.int64() if name in {"cbuy", "csell"} else pa.float64()) for name in BAR_FIELDS]
)


class _Writer(Protocol):
    def write(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


def export_bars(
    store: BarStore,
    path: Path,
    start: int,
    stop: int,
    markets: Sequence[str] | None = None,
    progress: Callable[[float, int], None] = lambda _fraction, _bars: None,
) -> int:
    """Write the bars of ``[start, stop)`` and return how many; the file appears whole or not at all.

    The ending of the name tells the kind: ``.parquet``, ``.csv`` or ``.lp``. An hour is read at a time.
    Raises StoreEmptyError where the span holds neither bars of the markets nor seconds in which they were
    watched, and StoreError where the file cannot be written.
    """
    kind = _KINDS.get(path.suffix)
    if kind is None:
        raise StoreError(f"{path} must end with {', '.join(_KINDS)}; nothing is exported")
    span = store.span()
    if span is None or span[0] >= stop or span[1] <= start:
        there = (
            "nothing" if span is None else f"the seconds {span[0]} to {span[1]}, none from {start} to {stop}"
        )
        raise StoreEmptyError(f"the store holds {there}; nothing is exported")
    start, stop = max(start, span[0]), min(stop, span[1])
    beside = path.with_name(path.name + COVERAGE_SUFFIX)
    count = 0
    with _replacing(path) as unfinished, _replacing(beside) as coverage:
        writer = kind(unfinished)
        try:
            for at in _hours(start, stop):
                columns = store.bars(at, min((at // HOUR + 1) * HOUR, stop), markets)
                if len(columns):
                    writer.write(_table(columns))
                count += len(columns)
                progress((at - start) / (stop - start), count)
        finally:
            writer.close()
        watched = store.coverage(start, stop, markets)
        if not count and not watched:
            names = ", ".join(markets or ["any market"])
            raise StoreEmptyError(
                f"the store holds nothing of {names} from {start} to {stop}; nothing is exported"
            )
        with coverage.open("w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("market", "start", "stop"))
            rows.writerows((i.market, i.start, i.stop) for i in watched)
    progress(1.0, count)
    return count


def _hours(start: int, stop: int) -> Iterator[int]:
    """Where each hour of the span begins."""
    yield start
    yield from range((start // HOUR + 1) * HOUR, stop, HOUR)


def _table(columns: BarColumns) -> pa.Table:
    names = pa.DictionaryArray.from_arrays(columns.market, pa.array(columns.names, pa.string()))
    values: dict[str, Any] = {name: getattr(columns, name) for name in BAR_FIELDS}
    arrays = [names.cast(pa.string()), columns.second, *values.values()]
    return pa.table([pa.array(each) for each in arrays], schema=_SCHEMA)


class _Lines:
    """Bars as line protocol, times in seconds."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._lines = BarLines()

    def write(self, table: pa.Table) -> None:
        rows = zip(*(table.column(name).to_pylist() for name in BAR_COLUMNS), strict=True)
        self._file.writelines(f"{self._lines.line(Bar(*row))}\n" for row in rows)

    def close(self) -> None:
        self._file.close()


_KINDS: dict[str, Callable[[Path], _Writer]] = {
    ".parquet": lambda path: pq.ParquetWriter(path, _SCHEMA, compression="zstd"),
    ".csv": lambda path: pcsv.CSVWriter(
        path, _SCHEMA, write_options=pcsv.WriteOptions(quoting_style="needed")
    ),
    ".lp": _Lines,
}


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A name to write under, which becomes ``path`` where all went well."""
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error}; nothing is exported") from error
    finally:
        unfinished.unlink(missing_ok=True)
