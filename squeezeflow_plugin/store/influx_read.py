"""Reading InfluxDB: small answers as JSON, large ones as CSV, an hour at a time.

An hour is a shard of the default retention, so slices open one shard each and memory is bounded by the
markets, not by the span. A slice without rows is followed by the question for the next row, which skips
empty stretches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import StoreCorruptError, StoreIncompleteError, StoreMissingError
from squeezeflow_plugin.market import BAR_FIELDS, NS_PER_SECOND, Bar, ClosingRecord
from squeezeflow_plugin.store.influx_client import InfluxServer, Series
from squeezeflow_plugin.store.influx_record import FIELDS, Closing, closing_of, unpack
from squeezeflow_plugin.store.influx_schema import (
    CLOSINGS,
    HOUR,
    LIVE_POLICY,
    LIVE_RECORDS,
    LIVE_SECONDS,
    MARKET_LISTS,
    META_POLICY,
    SECOND,
    Timeframe,
    clipped,
    literal,
    quoted,
    select,
    span,
)

Values = tuple[
    float, float, float, float, float, float, float, float, float, float
]  # in the order of BAR_FIELDS
Rows = dict[int, dict[str, Values]]  # second, then market

_SMALL_SECONDS = 120  # up to here one JSON answer is faster than a CSV one
_PAGE_SECONDS = 900
_GAP_SECONDS = 5
_STATEMENTS = 50
_ATTEMPTS = 3
_BAR_TYPES = {
    "market": pa.dictionary(pa.int32(), pa.string()),
    **{name: pa.float64() for name in BAR_FIELDS},
}
_STRINGS = frozenset({"collector", "markets", "covered", "bars", "revised", "repaired", "odd", "kept"})
_CLOSING_TYPES = {name: pa.string() if name in _STRINGS else pa.int64() for name in FIELDS}
_BAR_COLUMNS = ", ".join(map(quoted, ("market", *BAR_FIELDS)))
_CLOSING_COLUMNS = ", ".join(map(quoted, FIELDS))


@dataclass(frozen=True, eq=False)
class BarTable:
    """Rows of one slice: ``second`` int64[n]; ``market`` int32[n] indexes ``names``; ``fields`` float64[n]
    each, prices NaN where absent, volumes and counts 0.
    """

    names: tuple[str, ...]
    second: npt.NDArray[np.int64]
    market: npt.NDArray[np.int32]
    fields: Mapping[str, npt.NDArray[np.float64]]


class InfluxReader:
    """The rows of one database. Raises what ``InfluxServer`` raises."""

    def __init__(self, server: InfluxServer, clock: Clock) -> None:
        self.server = server
        self.has_live_policy = False
        self._clock = clock
        self._database = server.database
        self._market_lists: dict[str, tuple[str, ...]] = {}

    def source(self, measurement: str, policy: str = SECOND.policy) -> str:
        """The full name of a measurement."""
        return f"{quoted(self._database)}.{quoted(policy)}.{quoted(measurement)}"

    def bar_tables(
        self, start: int, stop: int, markets: Iterable[str] | None = None, timeframe: Timeframe = SECOND
    ) -> Iterator[BarTable]:
        """The bars of the span, an hour at a time (of one-second bars; more of higher ones), none empty."""
        source = self.source(timeframe.measurement, timeframe.policy)
        wanted = _any_of("market", markets)

        def read(at: int, end: int) -> pa.Table:
            return self.server.table(select(_BAR_COLUMNS, source, span(at, end) + wanted), _BAR_TYPES)

        first = ("vbuy, vsell, lbuy, lsell, open", source)
        for table in self._slices(read, first, start, stop, HOUR * min(timeframe.seconds, 1000)):
            yield _bar_table(table)

    def closings(self, start: int, stop: int, collectors: Iterable[str] | None = None) -> Iterator[Closing]:
        """The points of ``closings_1s``, ordered by (second, collector)."""
        source = self.source(CLOSINGS)
        wanted = _any_of("collector", collectors)
        if stop - start <= _SMALL_SECONDS:
            statement = select(_CLOSING_COLUMNS, source, span(start, stop) + wanted)
            yield from _closings(_values(self.server.ask(statement)[0]))
            return

        def read(at: int, end: int) -> pa.Table:
            return self.server.table(select(_CLOSING_COLUMNS, source, span(at, end) + wanted), _CLOSING_TYPES)

        for table in self._slices(read, ("closed_ns", source), start, stop, HOUR):
            columns = [table.column(name).to_pylist() for name in ("time", *FIELDS)]
            yield from _closings(list(zip(*columns, strict=True)))

    def images(self, start: int, stop: int) -> Iterator[tuple[int, str, Bar, bool]]:
        """Every version that the closings of the span hold besides ``trades_1s``.

        Yields (second of the record, collector, bar, whether the bar is the record's own).
        """
        source = self.source(CLOSINGS)
        names = ("collector", "revised", "kept")
        types = dict.fromkeys(names, pa.string())

        def read(at: int, end: int) -> pa.Table:
            return self.server.table(select(", ".join(names), source, span(at, end)), types)

        for table in self._slices(read, ("lag, kept", source), start, stop, HOUR):
            columns = [table.column(name).to_pylist() for name in ("time", *names)]
            for time_ms, collector, revised, kept in zip(*columns, strict=True):
                closing = Closing(_second(time_ms), collector, 0, "", "0", "0", 0, revised=revised, kept=kept)
                for bar in closing.revisions():
                    yield closing.second, collector, bar, False
                for bar in closing.kept_bars():
                    yield closing.second, collector, bar, True

    def repairs(self, start: int, stop: int) -> Iterator[Closing]:
        """The records of the span that repaired something; only that field of them is filled."""
        statement = select("repaired, collector", self.source(CLOSINGS), span(start, stop))
        for time_ms, repaired, collector in _values(self.server.ask(statement)[0]):
            yield Closing(_second(time_ms), collector, 0, "", "0", "0", 0, repaired=repaired)

    def largest_lag(self, start: int) -> int:
        """The most seconds any record from ``start`` on reaches back; 0 where none revises."""
        statement = select("max(lag)", self.source(CLOSINGS), f"time >= {clipped(start)}s")
        rows = _values(self.server.ask(statement)[0])
        return int(rows[0][1]) if rows else 0

    def records(
        self, start: int, stop: int, collectors: Iterable[str] | None = None
    ) -> Iterator[ClosingRecord]:
        """The closing records of the span as they were written, ordered by (second, collector).

        Raises StoreIncompleteError where the bars of one are not (all) there.
        """
        wanted = None if collectors is None else tuple(collectors)
        while start < stop:
            if stop - start > _SMALL_SECONDS:
                found = self.next_second("closed_ns", self.source(CLOSINGS), start, stop)
                if found is None:
                    return
                start = found
            end = min(start + _PAGE_SECONDS, stop)
            yield from self._records_page(start, end, wanted)
            start = end

    def is_live(self, second: int) -> bool:
        """Whether a record of the second is kept whole beside its closing."""
        return self.has_live_policy and second >= self._clock.now_ns() // NS_PER_SECOND - LIVE_SECONDS

    def rows(self, start: int, stop: int) -> Rows:
        """The rows of ``trades_1s`` by second and market, for a span that fits into memory."""
        rows: Rows = {}
        if stop - start <= _SMALL_SECONDS:
            _collect(rows, _values(self.server.ask(self._rows_statement(start, stop))[0]))
            return rows
        for table in self.bar_tables(start, stop):
            columns = [table.fields[name].tolist() for name in BAR_FIELDS]
            names = [table.names[i] for i in table.market.tolist()]
            for second, name, *values in zip(table.second.tolist(), names, *columns, strict=True):
                rows.setdefault(second, {})[name] = tuple(values)
        return rows

    def rows_at(self, seconds: Iterable[int]) -> Rows:
        """The rows of scattered seconds; what lies close to them may come along."""
        rows: Rows = {}
        runs = [(first, last + 1) for first, last in _runs(sorted(set(seconds)))]
        small = [self._rows_statement(*run) for run in runs if run[1] - run[0] <= _SMALL_SECONDS]
        for at in range(0, len(small), _STATEMENTS):
            for answer in self.server.ask(*small[at : at + _STATEMENTS]):
                _collect(rows, _values(answer))
        for start, stop in runs:
            if stop - start > _SMALL_SECONDS:
                rows.update(self.rows(start, stop))
        return rows

    def market_list(self, digest: str) -> tuple[str, ...]:
        """The markets that a digest stands for."""
        if digest not in self._market_lists:
            source = self.source(MARKET_LISTS, META_POLICY)
            statement = select("names", source, f"digest = {literal(digest)}")
            rows = _values(self.server.ask(statement)[0])
            if not rows:
                raise StoreIncompleteError(
                    f"market list {digest} of database {self._database} is not there; records cannot be read"
                )
            self._market_lists[digest] = msgspec.json.decode(rows[0][1], type=tuple[str, ...])
        return self._market_lists[digest]

    def next_second(self, columns: str, source: str, start: int, stop: int) -> int | None:
        """The first second of the span at which one of the columns has a value; None where there is none."""
        statement = select(columns, source, f"{span(start, stop)} ORDER BY time LIMIT 1")
        rows = _values(self.server.ask(statement)[0])
        return rows[0][0] // 1000 if rows else None

    def column(self, statement: str, name: str) -> list[Any]:
        """One column of a small answer over all its series."""
        return [
            row[series.columns.index(name)]
            for series in self.server.ask(statement)[0]
            for row in series.values
        ]

    def require_policy(self) -> None:
        """Raise StoreMissingError where the database or its one-second policy is not there, with what is."""
        policies = self.column(f"SHOW RETENTION POLICIES ON {quoted(self._database)}", "name")
        self.has_live_policy = LIVE_POLICY in policies
        if SECOND.policy not in policies:
            coarser = [name for name in policies if name.startswith("aggr_")]
            hint = (
                f"it holds {', '.join(coarser)}, and one-second bars cannot be made of coarser ones: set"
                " influxTimeframe to 1000 in aggr-server's config.json"
                if coarser
                else "`squeezeflow db setup` makes what is missing"
            )
            raise StoreMissingError(
                f"InfluxDB database {self._database} has no retention policy {SECOND.policy}: {hint}"
            )

    def _slices(
        self,
        read: Callable[[int, int], pa.Table],
        first: tuple[str, str],
        start: int,
        stop: int,
        seconds: int,
    ) -> Iterator[pa.Table]:
        start, stop = clipped(start), clipped(stop)
        while start < stop:
            end = min((start // seconds + 1) * seconds, stop)
            table = read(start, end)
            if len(table):
                yield table
            else:
                found = self.next_second(*first, end, stop) if end < stop else None
                end = stop if found is None else found
            start = end

    def _records_page(self, start: int, stop: int, collectors: Sequence[str] | None) -> list[ClosingRecord]:
        """The records of a page, read again where a writer has superseded a bar in between."""
        if stop - start <= _SMALL_SECONDS and self.is_live(start):
            recent = self._recent(start, stop, collectors)
            if recent is not None:
                return recent
        for attempt in range(1, _ATTEMPTS + 1):
            closings, rows = self._closings_and_rows(start, stop, collectors)
            try:
                return [self._record(closing, rows.get(closing.second, {})) for closing in closings]
            except StoreIncompleteError:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _recent(self, start: int, stop: int, collectors: Sequence[str] | None) -> list[ClosingRecord] | None:
        """The records of a span as they were announced whole; None where one was not."""
        condition = span(start, stop) + _any_of("collector", collectors)
        found, whole = self.server.ask(
            select(_CLOSING_COLUMNS, self.source(CLOSINGS), condition),
            select("collector, record", self.source(LIVE_RECORDS, LIVE_POLICY), condition),
        )
        packed = {(time_ms // 1000, collector): record for time_ms, collector, record in _values(whole)}
        records = []
        for closing in _closings(_values(found)):
            key = (closing.second, closing.collector)
            if key not in packed:
                return None
            record: ClosingRecord = unpack(packed[key], ClosingRecord, f"{key[1]!r}, second {key[0]}")
            if not closing.says_the_same(closing_of(record)[0]):
                return None
            records.append(record)
        return records

    def _closings_and_rows(
        self, start: int, stop: int, collectors: Sequence[str] | None
    ) -> tuple[list[Closing], Rows]:
        """Closings first: what they announce was written before them."""
        if stop - start > _SMALL_SECONDS:
            return list(self.closings(start, stop, collectors)), self.rows(start, stop)
        rows: Rows = {}
        wanted = _any_of("collector", collectors)
        closings = select(_CLOSING_COLUMNS, self.source(CLOSINGS), span(start, stop) + wanted)
        found, bars = self.server.ask(closings, self._rows_statement(start, stop))
        _collect(rows, _values(bars))
        return _closings(_values(found)), rows

    def _record(self, closing: Closing, rows: Mapping[str, Values]) -> ClosingRecord:
        names = self.market_list(closing.markets)
        kept = {bar.market: bar for bar in closing.kept_bars()}
        own = []
        for market in closing.own_markets(names):
            bar = kept.get(market)
            if bar is None and market in rows:
                bar = bar_of(market, closing.second, rows[market])
            if bar is not None:
                own.append(bar)
        return closing.record(names, own)

    def _rows_statement(self, start: int, stop: int) -> str:
        return select(_BAR_COLUMNS, self.source(SECOND.measurement), span(start, stop))


def bar_of(market: str, second: int, values: Values) -> Bar:
    """A row as a bar of revision 0."""
    o, h, low, c, vbuy, vsell, cbuy, csell, lbuy, lsell = values
    return Bar(market, second, o, h, low, c, vbuy, vsell, int(cbuy), int(csell), lbuy, lsell)


def values_of(bar: Bar) -> Values:
    """What a bar's row holds."""
    return (
        bar.open, bar.high, bar.low, bar.close, bar.vbuy, bar.vsell,
        float(bar.cbuy), float(bar.csell), bar.lbuy, bar.lsell,
    )  # fmt: skip  # one line a group of fields


def _bar_table(table: pa.Table) -> BarTable:
    time_ms = table.column("time").to_numpy()
    if (time_ms % 1000).any():
        raise _not_whole(int(time_ms[np.flatnonzero(time_ms % 1000)[0]]))
    market = table.column("market").unify_dictionaries().combine_chunks()
    if isinstance(market, pa.ChunkedArray):
        market = market.chunk(0)
    fields = {}
    for name in BAR_FIELDS:
        values = np.array(table.column(name).to_numpy(), dtype=np.float64)
        fields[name] = values if name in BAR_FIELDS[:4] else np.nan_to_num(values, copy=False, nan=0.0)
    return BarTable(
        names=tuple(market.dictionary.to_pylist()),
        second=time_ms // 1000,
        market=market.indices.to_numpy().astype(np.int32, copy=False),
        fields=fields,
    )


def _collect(rows: Rows, values: Iterable[Sequence[Any]]) -> None:
    for time_ms, market, *numbers in values:
        prices = [math.nan if value is None else float(value) for value in numbers[:4]]
        volumes = [0.0 if value is None else float(value) for value in numbers[4:]]
        rows.setdefault(_second(time_ms), {})[market] = (*prices, *volumes)  # type: ignore[assignment]  # ten of them


def _closings(rows: Iterable[Sequence[Any]]) -> list[Closing]:
    """Points with the mandatory fields; a point that only has ``kept`` is the rest of a lost one."""
    found = [Closing(_second(row[0]), *row[1:]) for row in rows if row[2] is not None]
    return sorted(found, key=lambda closing: (closing.second, closing.collector))


def _values(series: Sequence[Series]) -> list[list[Any]]:
    return [row for one in series for row in one.values]


def _any_of(name: str, values: Iterable[str] | None) -> str:
    if values is None:
        return ""
    listed = " OR ".join(f"{quoted(name)} = {literal(value)}" for value in sorted(set(values)))
    return f" AND ({listed})" if listed else f" AND {quoted(name)} = ''"


def _runs(seconds: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each stretch of seconds no further apart than reading them together is worth."""
    first = last = None
    for second in seconds:
        if first is None or last is None:
            first = last = second
        elif second - last <= _GAP_SECONDS:
            last = second
        else:
            yield first, last
            first = last = second
    if first is not None and last is not None:
        yield first, last


def _second(time_ms: int) -> int:
    if time_ms % 1000:
        raise _not_whole(time_ms)
    return time_ms // 1000


def _not_whole(time_ms: int) -> StoreCorruptError:
    return StoreCorruptError(
        f"{SECOND.measurement} holds a point at {time_ms} ms, which is no whole second; these are no"
        " one-second bars, nothing of it is used"
    )
