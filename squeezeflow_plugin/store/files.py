"""Files of trades or bars as batches of rows: CSV (also zipped), Parquet and line protocol.

A batch is an Arrow table with the columns that were asked for; ``Where`` says which line or row of which file
a row of it was, for errors. Nothing here knows what the columns mean.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # the same
import pyarrow.csv as pcsv  # type: ignore[import-untyped]  # the same
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # the same

from squeezeflow_plugin.errors import ImportFileError

COVERAGE_SUFFIX = ".coverage.csv"
"""Ends the name of the file beside a file of bars that says which seconds are covered."""
_BLOCK_BYTES = 8 << 20
_BATCH_ROWS = 1 << 18
_TRUE, _FALSE = ["true", "True", "TRUE", "1"], ["false", "False", "FALSE", "0"]
_ROW_OF_ARROW = re.compile(r"Row #(\d+): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Where:
    """The place of a batch in its file: ``unit`` is line or row, ``first`` the number of its first.

    ``places`` are the numbers of rows that do not stand one after the other.
    """

    path: Path
    unit: str
    first: int
    places: Sequence[int] | None = None

    def number(self, index: int) -> int:
        """The line or row of the batch's row ``index``."""
        return self.first + index if self.places is None else self.places[index]

    def numbers(self, count: int) -> npt.NDArray[np.int64]:
        """The lines or rows of the batch's first ``count`` rows."""
        if self.places is not None:
            return np.array(self.places[:count], dtype=np.int64)
        return np.arange(self.first, self.first + count, dtype=np.int64)

    def refuse(self, index: int, problem: str) -> NoReturn:
        """Raise ImportFileError for the batch's row ``index``."""
        raise ImportFileError(
            f"{self.path}, {self.unit} {self.number(index)}: {problem}; the import stops here"
        )

    def check(self, good: npt.NDArray[np.bool_], table: pa.Table, name: str, what: str) -> None:
        """Refuse the first row that is not good, with its value."""
        if not good.all():
            at = int(np.argmin(good))
            self.refuse(at, f"{name} {table.column(name)[at].as_py()!r} is not {what}")


@dataclass(frozen=True)
class Batch:
    """Some rows, where they stood, and how much of the file has been read (0 to 1)."""

    table: pa.Table
    where: Where
    fraction: float


def first_line(path: Path) -> str:
    """The first line of a text file, without its end. Raises ImportFileError."""
    with _opened(path) as (file, _):
        line = file.readline(1 << 16)
        try:
            return line.decode().rstrip("\r\n").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise ImportFileError(f"{path}, line 1 is no text: {error}; nothing is imported") from error


def is_parquet(path: Path) -> bool:
    """Whether the file begins as Parquet does. Raises ImportFileError."""
    with _typed(path), path.open("rb") as file:
        return file.read(4) == b"PAR1"


def parquet_columns(path: Path) -> tuple[str, ...]:
    """The columns' names. Raises ImportFileError."""
    with _typed(path), pq.ParquetFile(path) as file:
        return tuple(file.schema_arrow.names)


def read_csv(path: Path, names: list[str], types: Mapping[str, pa.DataType], header: bool) -> Iterator[Batch]:
    """The columns of ``types`` out of the file's ``names``. Raises ImportFileError with the line."""
    first = 2 if header else 1
    with _opened(path) as (file, fraction), _typed(path):
        try:
            reader = pcsv.open_csv(
                file,
                pcsv.ReadOptions(
                    column_names=names, skip_rows=int(header), block_size=_BLOCK_BYTES, use_threads=False
                ),
                pcsv.ParseOptions(ignore_empty_lines=False),
                pcsv.ConvertOptions(
                    column_types=types,
                    include_columns=list(types),
                    null_values=[],
                    true_values=_TRUE,
                    false_values=_FALSE,
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                yield Batch(pa.Table.from_batches([batch]), Where(path, "line", first), fraction())
                first += batch.num_rows
        except pa.ArrowInvalid as error:
            found = _ROW_OF_ARROW.search(str(error))
            if found is None:
                raise ImportFileError(f"{path}: {error}; the import stops here") from error
            line = int(found[1])
            raise ImportFileError(
                f"{path}, line {line}: {found[2].strip()}; the import stops here"
            ) from error


def read_parquet(path: Path, types: Mapping[str, pa.DataType]) -> Iterator[Batch]:
    """The columns of ``types``, converted where no value changes. Raises ImportFileError."""
    first = 0
    with _typed(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(types)):
            table = pa.Table.from_batches([batch])
            where = Where(path, "row", first)
            first += len(table)
            columns = [_converted(table, name, kind, where) for name, kind in types.items()]
            yield Batch(pa.table(columns, list(types)), where, first / max(file.metadata.num_rows, 1))


def read_lines(path: Path) -> Iterator[tuple[list[bytes], int, float]]:
    """Lines without their ends: some of them, the number of the first, the fraction read."""
    number = 1
    with _opened(path) as (file, fraction), _typed(path):
        while lines := file.readlines(_BLOCK_BYTES):
            yield [line.rstrip(b"\r\n") for line in lines], number, fraction()
            number += len(lines)


def numbers(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """A column without nulls as numpy array."""
    values: npt.NDArray[Any] = table.column(name).to_numpy()
    return values


def _converted(table: pa.Table, name: str, kind: pa.DataType, where: Where) -> pa.ChunkedArray:
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        column = column.cast(kind)
    except pa.ArrowInvalid as error:
        raise ImportFileError(f"{where.path}, column {name}: {error}; the import stops here") from error
    except pa.ArrowNotImplementedError as error:
        raise ImportFileError(
            f"{where.path}, column {name} is {column.type}, expected {kind}; the import stops here"
        ) from error
    if pa.types.is_string(kind):
        column = column.fill_null("")  # as CSV has it; whether a name may be absent, the reader knows
    if column.null_count:
        at = int(np.argmax(pc.is_null(column).to_numpy()))
        where.refuse(at, f"{name} is missing")
    return column


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, Any]]:
    """A file's (or a zip archive's only file's) bytes, and a function that says how much has been read."""
    with ExitStack() as stack:
        with _typed(path):
            raw: Any = stack.enter_context(path.open("rb"))
            size = max(path.stat().st_size, 1)
            file = raw
            if zipfile.is_zipfile(path):
                archive = stack.enter_context(zipfile.ZipFile(raw))
                inside = archive.namelist()
                if len(inside) != 1:
                    raise ImportFileError(
                        f"{path} holds {len(inside)} files, expected 1; nothing is imported"
                    )
                file = stack.enter_context(archive.open(inside[0]))
        yield file, lambda: min(raw.tell() / size, 1.0) if not raw.closed else 1.0


@contextmanager
def _typed(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, zipfile.BadZipFile, pa.ArrowInvalid) as error:
        raise ImportFileError(f"{path} cannot be read: {error}; the import stops here") from error
