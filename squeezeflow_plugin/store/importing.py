"""Trades or bars out of files into the store, as closing records of a collector named for it.

The collector is ``import:MARKET`` for a file of one market and ``import`` for one of several, so that files
of different markets never speak about the same record. A record is written for every second the file
covers, with its bars where it has any: what a file covers is the day or month of its name (Binance's), what
stands beside it in ``FILE.coverage.csv`` (our exports), else for each market the seconds from its first row
to its last.

Importing is resumable and can be repeated: the position in each file is remembered beside the store, what
is there already is left as it is, and a file that says something else about a second that was imported
before is refused. A file whose rows are not in the order of time is taken as long as it has at most two
million rows; longer ones may be out of order by a minute.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # the same

from squeezeflow_plugin.bars.columns import TradeColumns, bars_of_trades, id_ranks
from squeezeflow_plugin.errors import ImportFileError
from squeezeflow_plugin.jsonfile import replace_json
from squeezeflow_plugin.market import BAR_FIELDS, NS_PER_SECOND, Bar, ClosingRecord, Interval
from squeezeflow_plugin.store import import_bars, import_trades
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.files import (
    COVERAGE_SUFFIX,
    Batch,
    first_line,
    is_parquet,
    numbers,
    parquet_columns,
    read_csv,
)
from squeezeflow_plugin.store.import_trades import Source
from squeezeflow_plugin.store.intervals import merge_intervals
from squeezeflow_plugin.store.layout import IMPORTER

_HOLD_S = 60
_DAY_S = 86_400
_WHOLE_ROWS = 1_000_000
_RECORDS_AT_ONCE = 600


@dataclass(frozen=True)
class Progress:
    """How far the import of ``path`` is: ``fraction`` of the file (0 to 1), rows read, bars stored so far."""

    path: Path
    fraction: float
    rows: int
    bars: int


class Position(msgspec.Struct, frozen=True):
    """What has been imported of a file of this size and time of change: every second before ``until``."""

    size: int
    mtime_ns: int
    market: str | None
    until: int
    done: bool


class Positions:
    """The positions of imports, in a JSON file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._all = msgspec.json.decode(path.read_bytes(), type=dict[str, Position])
        except FileNotFoundError:
            self._all = {}
        except (OSError, msgspec.MsgspecError) as error:
            raise ImportFileError(
                f"{path} cannot be read: {error}; remove it to import from the start"
            ) from error

    def of(self, path: Path, market: str | None) -> Position:
        """Where the import of the file goes on; a file that has changed begins anew."""
        try:
            found = path.stat()
        except OSError as error:
            raise ImportFileError(f"{path} cannot be read: {error}; nothing is imported") from error
        fresh = Position(found.st_size, found.st_mtime_ns, market, -(2**62), done=False)
        known = self._all.get(str(path.absolute()))
        if known is None or (known.size, known.mtime_ns, known.market) != (
            fresh.size,
            fresh.mtime_ns,
            market,
        ):
            return fresh
        return known

    def remember(self, path: Path, position: Position) -> None:
        """Keep the position. Raises ImportFileError where the disk refuses."""
        self._all[str(path.absolute())] = position
        try:
            replace_json(self._path, self._all, indented=True)
        except OSError as error:
            raise ImportFileError(
                f"{self._path} cannot be written: {error}; the import stops here"
            ) from error


def open_source(path: Path, market: str | None = None) -> Source:
    """What kind of file it is, by its content. Raises ImportFileError, naming it, for none that is known."""
    if is_parquet(path):
        columns = parquet_columns(path)
        if "ts_ms" in columns:
            return import_trades.table_source(path, columns, parquet=True)
        return import_bars.table_source(path, columns, parquet=True)
    line = first_line(path)
    if import_bars.is_line_protocol(line):
        return import_bars.line_source(path)
    columns = tuple(next(csv.reader([line]), ()))
    if "ts_ms" in columns:
        return import_trades.table_source(path, columns, parquet=False)
    if "open" in columns or "market" in columns:
        return import_bars.table_source(path, columns, parquet=False)
    source = import_trades.binance_source(path, line, market)
    if source is None:
        raise ImportFileError(
            f"{path}, line 1: {line[:80]!r} is neither a header of trades or bars, nor a row of Binance's"
            " trades or aggTrades, nor line protocol; nothing is imported"
        )
    return source


def import_file(
    store: BarStore,
    path: Path,
    positions: Positions,
    market: str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    day_over: Callable[[int], object] = lambda _: None,
) -> Progress:
    """Import what is not imported yet; ``day_over`` is told each second before which a day is complete.

    Raises ImportFileError with file and line for what cannot be used, and StoreConflictError where an earlier
    import said something else; everything before that place is stored.
    """
    position = positions.of(path, market)
    if position.done:
        return Progress(path, 1.0, 0, 0)
    source = open_source(path, market)
    covered = _coverage(source)
    names = {interval.market for interval in covered}
    name = f"{IMPORTER}:{min(names)}" if len(names) == 1 else IMPORTER
    segments = _segments(covered)
    rows = bars = 0
    for until, made, batch in _bars(source):
        rows += len(batch.table) if batch is not None else 0
        if until > position.until:
            fresh = [bar for bar in made if bar.second >= position.until]
            bars += len(fresh)
            for day, stop in _days(fresh, segments, position.until, until):
                for records in _grouped(_records(name, fresh, segments, day, stop)):
                    store.append(records)
                position = msgspec.structs.replace(position, until=stop)
                positions.remember(path, position)
                if stop % _DAY_S == 0:
                    day_over(stop)
            position = msgspec.structs.replace(position, until=until)
        if batch is not None:
            progress(Progress(path, batch.fraction, rows, bars))
    positions.remember(path, msgspec.structs.replace(position, done=True))
    done = Progress(path, 1.0, rows, bars)
    progress(done)
    return done


def _coverage(source: Source) -> tuple[Interval, ...]:
    """What the file covers; see the module's text."""
    beside = source.path.with_name(source.path.name + COVERAGE_SUFFIX)
    if beside.exists():
        types = {"market": pa.string(), "start": pa.int64(), "stop": pa.int64()}
        intervals = []
        for batch in read_csv(beside, list(types), types, header=True):
            intervals += [Interval(*row) for row in zip(*batch.table.to_pydict().values(), strict=True)]
        return merge_intervals(intervals, -(2**62), 2**62)
    spans: dict[str, tuple[int, int]] = {}
    for batch in source.batches():
        found = batch.table.group_by("market").aggregate([("second", "min"), ("second", "max")])
        for row in found.to_pylist():
            first, last = spans.get(row["market"], (2**62, -(2**62)))
            spans[row["market"]] = (min(first, row["second_min"]), max(last, row["second_max"]))
        if source.period is not None and batch.table.num_rows:
            break  # the name says the rest
    if not spans:
        raise ImportFileError(f"{source.path} holds no rows; nothing is imported")
    if source.period is not None:
        return tuple(Interval(market, *source.period) for market in sorted(spans))
    return tuple(Interval(market, first, last + 1) for market, (first, last) in sorted(spans.items()))


def _segments(covered: Sequence[Interval]) -> list[tuple[int, int, tuple[str, ...]]]:
    """Stretches of equal coverage in the order of time, with the markets covered."""
    begins: dict[int, list[str]] = {}
    ends: dict[int, list[str]] = {}
    for each in covered:
        begins.setdefault(each.start, []).append(each.market)
        ends.setdefault(each.stop, []).append(each.market)
    names: set[str] = set()
    stretches = []
    for start, stop in pairwise(sorted(begins.keys() | ends.keys())):
        names = (names - set(ends.get(start, ()))) | set(begins.get(start, ()))
        if names:
            stretches.append((start, stop, tuple(sorted(names))))
    return stretches


def _days(
    bars: Sequence[Bar], segments: Sequence[tuple[int, int, tuple[str, ...]]], start: int, stop: int
) -> Iterator[tuple[int, int]]:
    """The part of ``[start, stop)`` that has anything, cut at the ends of days."""
    edges = [edge for first, last, _ in segments for edge in (first, last)]
    edges += [bar.second + after for bar in bars for after in (0, 1)]
    start, stop = max(start, min(edges, default=stop)), min(stop, max(edges, default=start))
    while start < stop:
        end = min((start // _DAY_S + 1) * _DAY_S, stop)
        yield start, end
        start = end


def _records(
    name: str,
    bars: Iterable[Bar],
    segments: Sequence[tuple[int, int, tuple[str, ...]]],
    start: int,
    stop: int,
) -> Iterator[ClosingRecord]:
    """Records of ``[start, stop)``: of each covered second, and of each other one that has a bar."""
    by_second: dict[int, list[Bar]] = {}
    for bar in bars:
        if start <= bar.second < stop:
            by_second.setdefault(bar.second, []).append(bar)
    for first, last, covered in segments:
        for second in range(max(first, start), min(last, stop)):
            yield _record(name, second, by_second.pop(second, []), covered)
    for second in sorted(by_second):
        yield _record(name, second, by_second[second], ())


def _record(name: str, second: int, bars: Sequence[Bar], covered: tuple[str, ...]) -> ClosingRecord:
    return ClosingRecord(name, second, (second + 1) * NS_PER_SECOND, tuple(bars), covered=covered)


def _grouped(records: Iterator[ClosingRecord]) -> Iterator[list[ClosingRecord]]:
    while group := list(islice(records, _RECORDS_AT_ONCE)):
        yield group


def _bars(source: Source) -> Iterator[tuple[int, list[Bar], Batch | None]]:
    """Bars in the order of time, each time all that are left before the second beside them."""
    order = _Order()
    make = _bars_of_trades if source.kind == "trades" else _bars_of_table
    for batch in source.batches():
        ready = order.add(batch)
        yield order.given, [] if ready is None else make(ready, source), batch
    left = order.rest()
    yield 2**62, [] if left is None else make(left, source), None


class _Order:
    """Rows held back until no earlier one can follow."""

    def __init__(self) -> None:
        self.given = -(2**62)
        """Every row of an earlier second has been given out."""
        self._held: list[pa.Table] = []
        self._count = 0
        self._newest = -(2**62)

    def add(self, batch: Batch) -> pa.Table | None:
        """Take a batch; gives the rows that are ready. Raises ImportFileError for a late row."""
        second = numbers(batch.table, "second")
        late = second < self.given
        if late.any():
            batch.where.refuse(
                int(np.argmax(late)),
                f"its second {second[np.argmax(late)]} comes more than {_HOLD_S} s after a later one, and the"
                f" file has more than {_WHOLE_ROWS:,} rows: sort it by time",
            )
        self._held.append(batch.table.append_column("line", pa.array(batch.where.numbers(len(second)))))
        self._count += len(second)
        self._newest = max(self._newest, int(second.max(initial=self._newest)))
        if self._count < _WHOLE_ROWS:
            return None
        table = pa.concat_tables(self._held)
        self.given = self._newest - _HOLD_S
        is_ready = pc.less(table.column("second"), self.given)
        self._held = [table.filter(pc.invert(is_ready))]
        self._count = len(self._held[0])
        return table.filter(is_ready)

    def rest(self) -> pa.Table | None:
        """Whatever is still held."""
        return pa.concat_tables(self._held) if self._held else None


def _bars_of_trades(table: pa.Table, _: Source) -> list[Bar]:
    market = table.column("market").combine_chunks().dictionary_encode()
    ids = table.column("id")
    ranks = id_ranks(ids.to_numpy() if pa.types.is_integer(ids.type) else ids.to_pylist())
    columns = (numbers(table, name) for name in ("price", "quote", "signed", "liquidation"))
    names = tuple(market.dictionary.to_pylist())
    trades = TradeColumns(names, market.indices.to_numpy(), numbers(table, "ns"), ranks, *columns)
    return bars_of_trades(trades).bars()


def _bars_of_table(table: pa.Table, source: Source) -> list[Bar]:
    table = table.sort_by([("second", "ascending"), ("market", "ascending"), ("line", "ascending")])
    market = table.column("market").combine_chunks().dictionary_encode().indices.to_numpy()
    second = numbers(table, "second")
    twice = (np.diff(market) == 0) & (np.diff(second) == 0)
    if twice.any():
        at = int(np.argmax(twice)) + 1
        raise ImportFileError(
            f"{source.path}, {source.unit} {table.column('line')[at]}: a second bar of"
            f" {table.column('market')[at]} at {second[at]}; the import stops here"
        )
    columns = (table.column(name).to_pylist() for name in ("market", "second", *BAR_FIELDS))
    return [Bar(*row) for row in zip(*columns, strict=True)]
