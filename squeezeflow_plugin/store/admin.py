"""``squeezeflow db``: make InfluxDB ready, show what it holds, prove it equal to the embedded store."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from squeezeflow_plugin.errors import StoreIncompleteError
from squeezeflow_plugin.market import BAR_FIELDS, ClosingRecord
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.influx import InfluxBarStore
from squeezeflow_plugin.store.influx_client import InfluxServer
from squeezeflow_plugin.store.influx_read import InfluxReader
from squeezeflow_plugin.store.influx_resample import STEPS, aggregate
from squeezeflow_plugin.store.influx_rows import Values
from squeezeflow_plugin.store.influx_schema import HIGHER, SECOND, Timeframe, quoted, select, span
from squeezeflow_plugin.store.influx_setup import (
    continuous_queries,
    policies,
    wanted_policies,
    wanted_queries,
)

_PAGE_SECONDS = 3600
_HIGHER_SECONDS = 8 * 3600  # whole bars of every timeframe
_NAMED = 20

_Key = tuple[int, str]  # second and market


def set_up_database(settings: Settings, shorten: bool = False) -> list[str]:
    """Make what is missing; a sentence for each thing done. See ``influx_setup.set_up``."""
    store = InfluxBarStore(settings)
    try:
        return store.set_up(shorten) or [f"database {settings.influx_database} is as it should be"]
    finally:
        store.close()


def drop_database(settings: Settings) -> None:
    """Delete the database and everything in it; nothing where there is none."""
    server = InfluxServer(settings)
    try:
        server.command(f"DROP DATABASE {quoted(settings.influx_database)}")
    finally:
        server.close()


def describe_database(settings: Settings) -> list[str]:
    """What the database holds, a line each: version, policies, queries, spans and positions."""
    store = InfluxBarStore(settings, readonly=True)
    try:
        reader = store.reader
        server = reader.server
        lines = [f"InfluxDB {server.version()} at {server.url}, database {server.database}"]
        found, wanted = policies(server), wanted_policies(settings)
        for name, seconds in found.items():
            keeps = "for ever" if seconds is None else f"{seconds / 3600:g} h"
            is_ours = name in wanted
            differs = is_ours and seconds != (None if wanted[name] is None else (wanted[name] or 0) * 3600)
            note = " (the settings say otherwise: squeezeflow db setup)" if differs else ""
            lines.append(f"policy {name}: keeps {keeps}{note}")
        lines += [f"policy {name}: MISSING" for name in wanted if name not in found]
        there = continuous_queries(server)
        lines += [
            f"continuous query {name}: {'there' if name in there else 'MISSING'}"
            for name in wanted_queries(server)
        ]
        lines += [_timeframe_line(reader, timeframe) for timeframe in (SECOND, *HIGHER)]
        lines += [
            f"collector {name}: closed up to second {store.last_second(name)}" for name in store.collectors()
        ]
        return lines
    finally:
        store.close()


@dataclass(frozen=True)
class Comparison:
    """What of ``[start, stop)`` was compared, and the first differences as sentences.

    ``waiting`` seconds are closed but not shipped yet; ``differences`` counts all of them.
    """

    start: int
    stop: int
    waiting: int = 0
    records: int = 0
    bars: int = 0
    higher_bars: int = 0
    differences: int = 0
    named: tuple[str, ...] = ()


def verify_database(settings: Settings, start: int, stop: int) -> Comparison:
    """Compare embedded store and InfluxDB over ``[start, stop)``, as far as both reach.

    Record by record as they were written, second by second and bar by bar as they stand now, and each higher
    bar with what the bars below it make. What a running collector has not shipped yet is left out.
    """
    embedded = EmbeddedBarStore(settings.store_path, readonly=True)
    influx = InfluxBarStore(settings, readonly=True)
    try:
        return _Verification(embedded, influx, settings).run(start, stop)
    finally:
        embedded.close()
        influx.close()


class _Verification:
    """One comparison. What differs is read a second time: a running collector may have shipped in between."""

    def __init__(self, embedded: BarStore, influx: InfluxBarStore, settings: Settings) -> None:
        self._embedded = embedded
        self._influx = influx
        self._settings = settings
        self._counts: Counter[str] = Counter()
        self._named: list[str] = []

    def run(self, start: int, stop: int) -> Comparison:
        held = self._embedded.span()
        if held is None:
            return Comparison(start, start)
        shipped = [second + 1 for second in self._limits().values() if second is not None]
        hours = self._settings.influx_retention_hours
        # Whole shards are dropped: what is older than the policy may or may not be there.
        oldest = 0 if hours is None else held[1] - hours * 3600 + self._settings.revision_horizon_s
        start = max(start, held[0], oldest)
        stop = max(start, min(stop, held[1]))
        reached = min(stop, max(shipped, default=stop))
        for at in range(start, reached, _PAGE_SECONDS):
            end = min(at + _PAGE_SECONDS, reached)
            self._settle("records", partial(self._record_differences, at, end))
            self._settle("bars", partial(self._bar_differences, at, end))
        for source, target in STEPS:
            first = -(-start // target.seconds) * target.seconds
            last = reached // target.seconds * target.seconds
            for at in range(first, last, _HIGHER_SECONDS):
                end = min(at + _HIGHER_SECONDS, last)
                self._settle("higher_bars", partial(self._higher_differences, source, target, at, end))
        return Comparison(start, reached, stop - reached, named=tuple(self._named), **self._counts)

    def _settle(self, what: str, compare: Callable[[], tuple[int, list[str]]]) -> None:
        count, differences = compare()
        if differences:
            count, differences = compare()
        self._counts[what] += count
        self._counts["differences"] += len(differences)
        self._named += differences[: max(0, _NAMED - len(self._named))]

    def _limits(self) -> dict[str, int | None]:
        return {name: self._influx.last_second(name) for name in self._embedded.collectors()}

    def _record_differences(self, start: int, stop: int) -> tuple[int, list[str]]:
        limits = self._limits()
        wanted = {
            (record.second, record.collector): record
            for record in self._embedded.records(start, stop)
            if (limit := limits[record.collector]) is None or record.second <= limit
        }
        try:
            found = {(one.second, one.collector): one for one in self._influx.records(start, stop)}
        except StoreIncompleteError as error:
            return len(wanted), [str(error)]
        differences = []
        for key in sorted(wanted.keys() | found.keys()):
            name = f"record of {key[1]}, second {key[0]}"
            if key not in found:
                differences.append(f"{name} is not in InfluxDB")
            elif key not in wanted:
                differences.append(f"{name} is not in the embedded store")
            elif _encoded(wanted[key]) != _encoded(found[key]):
                differences.append(f"{name} differs")
        return len(wanted), differences

    def _bar_differences(self, start: int, stop: int) -> tuple[int, list[str]]:
        known_at = min((second for second in self._limits().values() if second is not None), default=None)
        columns = self._embedded.bars(start, stop, known_at=known_at)
        fields = [getattr(columns, name).tolist() for name in BAR_FIELDS]
        names = [columns.names[i] for i in columns.market.tolist()]
        keys = zip(columns.second.tolist(), names, strict=True)
        wanted = {key: _values(field[i] for field in fields) for i, key in enumerate(keys)}
        rows = self._influx.reader.rows(start, stop)
        found = {(second, market): row for second, of_it in rows.items() for market, row in of_it.items()}
        return len(wanted), _differences("bar", wanted, found, "the embedded store", 0.0)

    def _higher_differences(
        self, source: Timeframe, target: Timeframe, start: int, stop: int
    ) -> tuple[int, list[str]]:
        """Each higher bar of the span against the aggregation of the bars below it."""
        reader = self._influx.reader
        statement = aggregate(reader.server.database, source, target, span(start, stop), into=False)
        wanted = {
            (row[0] // 1000, series.tags["market"]): _values(row[1:])
            for series in reader.server.ask(statement)[0]
            for row in series.values
        }
        found: dict[_Key, Values] = {}
        for table in reader.bar_tables(start, stop, timeframe=target):
            fields = [table.fields[name].tolist() for name in BAR_FIELDS]
            names = [table.names[i] for i in table.market.tolist()]
            for i, key in enumerate(zip(table.second.tolist(), names, strict=True)):
                found[key] = _values(field[i] for field in fields)
        return len(wanted), _differences(f"{target.name} bar", wanted, found, source.measurement, 1e-9)


def _differences(
    what: str, wanted: Mapping[_Key, Values], found: Mapping[_Key, Values], source: str, tolerance: float
) -> list[str]:
    out = []
    for key in sorted(wanted.keys() | found.keys()):
        name = f"{what} of {key[1]}, second {key[0]}"
        if key not in found:
            out.append(f"{name} is not in InfluxDB")
        elif key not in wanted:
            out.append(f"{name} is not in {source}")
        elif not _same(wanted[key], found[key], tolerance):
            out.append(f"{name} should be {wanted[key]}, is {found[key]} in InfluxDB")
    return out


def _timeframe_line(reader: InfluxReader, timeframe: Timeframe) -> str:
    source = reader.source(timeframe.measurement, timeframe.policy)
    ends = [reader.column(select(f"{end}(vbuy)", source, "time >= 0"), "time") for end in ("first", "last")]
    if not ends[0]:
        return f"{timeframe.measurement}: no bars"
    markets = reader.column(f"SHOW TAG VALUES FROM {source} WITH KEY = market", "value")
    first, last = (end[0] // 1000 for end in ends)
    return f"{timeframe.measurement}: {len(markets)} markets, seconds {first} to {last}"


def _values(numbers: Iterable[Any]) -> Values:
    return tuple(math.nan if n is None else float(n) for n in numbers)  # type: ignore[return-value]  # ten of them


def _same(one: Values, other: Values, tolerance: float) -> bool:
    """Whether both rows hold the same; a NaN price cannot be written, so it says nothing."""
    return all(
        a == b or math.isnan(a) or math.isclose(a, b, rel_tol=tolerance, abs_tol=0.0)
        for a, b in zip(one, other, strict=True)
    )


def _encoded(record: ClosingRecord) -> bytes:
    """A record's bytes, in which NaN equals itself."""
    return msgspec.msgpack.encode(record)
