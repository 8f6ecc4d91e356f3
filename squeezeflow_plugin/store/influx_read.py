"""Reading InfluxDB: small answers as JSON, large ones as CSV, an hour at a time.

An hour is a shard of the default retention, so slices open one shard each and memory is bounded by the
markets, not by the span. A slice without rows is followed by the question for the next row, which skips
empty stretches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import StoreIncompleteError, StoreMissingError
from squeezeflow_plugin.market import BAR_FIELDS, NS_PER_SECOND, Bar, ClosingRecord
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_record import FIELDS, Closing, closing_of, unpack
from squeezeflow_plugin.store.influx_rows import (
    BarTable,
    Rows,
    Values,
    bar_of,
    bar_table,
    closings_of,
    collect,
    second_of,
    values_in,
)
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

_SMALL_SECONDS = 120  # up to here one JSON answer is faster than a CSV one
_PAGE_SECONDS = 900
_GAP_SECONDS = 5
_STATEMENTS = 50
_READ_AHEAD = 2  # the server answers a statement on one core
_ATTEMPTS = 3
_BAR_TYPES = {
    "market": pa.dictionary(pa.int32(), pa.string()),
    **{name: pa.float64() for name in BAR_FIELDS},
}
_STRINGS = frozenset(
    {"collector", "markets", "covered", "bars", "revised", "repaired", "odd", "kept", "tickers"}
)
_CLOSING_TYPES = {name: pa.string() if name in _STRINGS else pa.int64() for name in FIELDS}
_BAR_COLUMNS = ", ".join(map(quoted, ("market", *BAR_FIELDS)))
_CLOSING_COLUMNS = ", ".join(map(quoted, FIELDS))


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
            yield bar_table(table)

    def closings(self, start: int, stop: int, collectors: Iterable[str] | None = None) -> Iterator[Closing]:
        """The points of ``closings_1s``, ordered by (second, collector)."""
        source = self.source(CLOSINGS)
        wanted = _any_of("collector", collectors)
        if stop - start <= _SMALL_SECONDS:
            statement = select(_CLOSING_COLUMNS, source, span(start, stop) + wanted)
            yield from closings_of(values_in(self.server.ask(statement)[0]))
            return

        def read(at: int, end: int) -> pa.Table:
            return self.server.table(select(_CLOSING_COLUMNS, source, span(at, end) + wanted), _CLOSING_TYPES)

        for table in self._slices(read, ("closed_ns", source), start, stop, HOUR):
            columns = [table.column(name).to_pylist() for name in ("time", *FIELDS)]
            yield from closings_of(list(zip(*columns, strict=True)))

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
                closing = Closing(
                    second_of(time_ms), collector, 0, "", "0", "0", 0, revised=revised, kept=kept
                )
                for bar in closing.revisions():
                    yield closing.second, collector, bar, False
                for bar in closing.kept_bars():
                    yield closing.second, collector, bar, True

    def repairs(self, start: int, stop: int) -> Iterator[Closing]:
        """The records of the span that repaired something; only that field of them is filled."""
        statement = select("repaired, collector", self.source(CLOSINGS), span(start, stop))
        for time_ms, repaired, collector in values_in(self.server.ask(statement)[0]):
            yield Closing(second_of(time_ms), collector, 0, "", "0", "0", 0, repaired=repaired)

    def tickers(self, start: int, stop: int) -> Iterator[Closing]:
        """The records of the span that carry tickers; only that field of them is filled."""
        statement = select("tickers, collector", self.source(CLOSINGS), span(start, stop))
        for time_ms, tickers, collector in values_in(self.server.ask(statement)[0]):
            yield Closing(second_of(time_ms), collector, 0, "", "0", "0", 0, tickers=tickers)

    def largest_lag(self, start: int) -> int:
        """The most seconds any record from ``start`` on reaches back; 0 where none revises."""
        statement = select("max(lag)", self.source(CLOSINGS), f"time >= {clipped(start)}s")
        rows = values_in(self.server.ask(statement)[0])
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
            collect(rows, values_in(self.server.ask(self._rows_statement(start, stop))[0]))
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
                collect(rows, values_in(answer))
        for start, stop in runs:
            if stop - start > _SMALL_SECONDS:
                rows.update(self.rows(start, stop))
        return rows

    def market_list(self, digest: str) -> tuple[str, ...]:
        """The markets that a digest stands for."""
        if digest not in self._market_lists:
            source = self.source(MARKET_LISTS, META_POLICY)
            statement = select("names", source, f"digest = {literal(digest)}")
            rows = values_in(self.server.ask(statement)[0])
            if not rows:
                raise StoreIncompleteError(
                    f"market list {digest} of database {self._database} is not there; records cannot be read"
                )
            self._market_lists[digest] = msgspec.json.decode(rows[0][1], type=tuple[str, ...])
        return self._market_lists[digest]

    def next_second(self, columns: str, source: str, start: int, stop: int) -> int | None:
        """The first second of the span at which one of the columns has a value; None where there is none."""
        statement = select(columns, source, f"{span(start, stop)} ORDER BY time LIMIT 1")
        rows = values_in(self.server.ask(statement)[0])
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
        """The tables of the span, a few read ahead while one is used; empty stretches are skipped."""
        position, stop = clipped(start), clipped(stop)
        ahead: deque[tuple[int, Future[pa.Table]]] = deque()
        with ThreadPoolExecutor(_READ_AHEAD, "influx-read") as pool:
            while True:
                while position < stop and len(ahead) < _READ_AHEAD:
                    end = min((position // seconds + 1) * seconds, stop)
                    ahead.append((end, pool.submit(read, position, end)))
                    position = end
                if not ahead:
                    return
                end, reading = ahead.popleft()
                table = reading.result()
                if len(table):
                    yield table
                    continue
                found = self.next_second(*first, end, stop) if end < stop else None
                if found is None:
                    return
                while ahead and ahead[0][0] <= found:
                    ahead.popleft()[1].cancel()
                if not ahead:
                    position = found

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
        packed = {(time_ms // 1000, collector): record for time_ms, collector, record in values_in(whole)}
        records = []
        for closing in closings_of(values_in(found)):
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
        collect(rows, values_in(bars))
        return closings_of(values_in(found)), rows

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
