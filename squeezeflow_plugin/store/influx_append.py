"""Writing closing records into InfluxDB, which has no transactions and acknowledges what it may lose.

A record is there when its point in ``closings_1s`` is, and that point is written last: first the bars that
a newer version is about to replace in ``trades_1s`` are kept with the records they belong to, then the bars,
then the closings. Each step is read back before the next begins and written again where it is not there, so
a call that ends early - the server gone, half a batch written, a batch lost after its acknowledgement - has
damaged nothing, and the same call again completes it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import msgspec

from squeezeflow_plugin.errors import StoreConflictError, StoreLostError
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.store.influx_read import InfluxReader
from squeezeflow_plugin.store.influx_record import Closing, closing_of, pack
from squeezeflow_plugin.store.influx_rows import Rows, Values, bar_of, values_of
from squeezeflow_plugin.store.influx_schema import (
    COVERAGE,
    COVERAGE_EVERY,
    LIVE_POLICY,
    LIVE_RECORDS,
    MARKET_LISTS,
    META_POLICY,
    SECOND,
    BarLines,
    tag,
    text,
    ticker_lines,
)
from squeezeflow_plugin.store.validation import check_record

_CHUNK_RECORDS = 1800
_ATTEMPTS = 3

_T = TypeVar("_T")
_Key = tuple[int, str]  # second and market of a bar, or second and collector of a record


@dataclass(frozen=True)
class _Entry:
    """A record and its point, made when it is needed: in a bulk load, while the server takes the bars in."""

    record: ClosingRecord

    @property
    def closing(self) -> Closing:
        return self._point[0]

    @property
    def names(self) -> tuple[str, ...]:
        return self._point[1]

    @cached_property
    def _point(self) -> tuple[Closing, tuple[str, ...]]:
        return closing_of(self.record)


@dataclass(frozen=True)
class _Version:
    """One version of a bar; ``bar`` None: it stands in ``trades_1s``."""

    known: int
    revision: int
    collector: str
    bar: Bar | None
    is_new: bool


@dataclass
class _Plan:
    """What one chunk changes: bars that win their place, bars to keep by (second, collector)."""

    contested: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    winners: list[Bar] = field(default_factory=list)
    kept: dict[_Key, dict[str, Bar]] = field(default_factory=lambda: defaultdict(dict))

    def with_kept(self, closing: Closing) -> Closing | None:
        """The stored point with what it has to keep from now on; None where that is nothing new."""
        more = self.kept.get((closing.second, closing.collector))
        if more is None:
            return None
        kept = _packed({bar.market: bar for bar in closing.kept_bars()} | more)
        return None if kept == closing.kept else replace(closing, kept=kept)


class InfluxAppender:
    """``BarStore.append`` for InfluxDB. With ``verify`` off acknowledgements are trusted (bulk loads)."""

    def __init__(self, reader: InfluxReader, verify: bool = True) -> None:
        self._reader = reader
        self._server = reader.server
        self._verify = verify
        self._lines = BarLines()
        self._known_lists: set[str] = set()
        self._coverage: dict[str, tuple[int, frozenset[str]]] = {}

    def append(self, records: Iterable[ClosingRecord]) -> None:
        """Write what is not there yet; raises StoreConflictError before anything is written."""
        new = self._new(records)
        for at in range(0, len(new), _CHUNK_RECORDS):
            self._write(new[at : at + _CHUNK_RECORDS])

    def _new(self, records: Iterable[ClosingRecord]) -> list[_Entry]:
        entries: dict[_Key, _Entry] = {}
        for record in records:
            check_record(record)
            entry = _Entry(record)
            first = entries.setdefault((record.second, record.collector), entry)
            if first is not entry:
                self._check_same(first.closing, entry.closing)
        if not entries:
            return []
        start, stop = min(entries)[0], max(entries)[0] + 1
        for stored in self._reader.closings(start, stop):
            entry_of_it = entries.pop((stored.second, stored.collector), None)
            if entry_of_it is not None:
                self._check_same(stored, entry_of_it.closing)
        return [entries[key] for key in sorted(entries)]

    @staticmethod
    def _check_same(stored: Closing, other: Closing) -> None:
        if not stored.says_the_same(other):
            raise StoreConflictError(
                f"collector {stored.collector!r} has closed second {stored.second} with another record;"
                " the stored one stays, nothing of this call was kept"
            )

    def _write(self, chunk: Sequence[_Entry]) -> None:
        seconds = {entry.record.second for entry in chunk}
        seconds |= {bar.second for entry in chunk for bar in entry.record.revisions}
        stored = self._stored(min(seconds), max(seconds))
        plan = self._plan(chunk, stored, seconds)
        own = [bar for entry in chunk for bar in self._uncontested(entry.record, plan)]
        self._keep([closing for closing in map(plan.with_kept, stored) if closing is not None])
        self._write_bars([*own, *plan.winners], lambda: [entry.closing for entry in chunk])
        self._write_lists(chunk)
        self._write_live(chunk)
        self._write_closings([plan.with_kept(entry.closing) or entry.closing for entry in chunk], chunk)

    def _stored(self, first: int, last: int) -> list[Closing]:
        """Every stored closing that has its own bars in the seconds, or may revise bars of them."""
        lag = self._reader.largest_lag(last + 1)
        return list(self._reader.closings(first, last + lag + 1))

    def _plan(self, chunk: Sequence[_Entry], stored: Sequence[Closing], seconds: set[int]) -> _Plan:
        plan = _Plan()
        revised = {closing: closing.revisions() for closing in stored if closing.revised is not None}
        owners: dict[int, list[tuple[str, ...]]] = defaultdict(list)
        for entry in chunk:
            for bar in entry.record.revisions:
                plan.contested[bar.second].add(bar.market)
            for bar in entry.record.bars:
                if bar.revision:
                    plan.contested[bar.second].add(bar.market)
            owners[entry.record.second].append(tuple(bar.market for bar in entry.record.bars))
        for bars in revised.values():
            for bar in bars:
                if bar.second in seconds:
                    plan.contested[bar.second].add(bar.market)
        stored_own = {
            closing: closing.own_markets(self._reader.market_list(closing.markets))
            for closing in stored
            if closing.second in owners or closing.second in plan.contested
        }
        for closing, own in stored_own.items():
            owners[closing.second].append(own)
        for second, groups in owners.items():
            for number, group in enumerate(groups[1:], 1):
                others = {market for other in groups[:number] for market in other}
                plan.contested[second] |= others & set(group)
        if any(plan.contested.values()):
            self._settle(plan, self._versions(plan, chunk, stored_own, revised))
        return plan

    def _versions(
        self,
        plan: _Plan,
        chunk: Sequence[_Entry],
        stored_own: Mapping[Closing, tuple[str, ...]],
        revised: Mapping[Closing, tuple[Bar, ...]],
    ) -> dict[_Key, list[_Version]]:
        """Every version of every contested bar; keeps what only ``trades_1s`` shows."""
        versions: dict[_Key, list[_Version]] = defaultdict(list)
        for closing, own in stored_own.items():
            kept = {bar.market: bar for bar in closing.kept_bars()}
            for market in own:
                if market in plan.contested.get(closing.second, ()):
                    bar = kept.get(market)
                    version = _Version(
                        closing.second, bar.revision if bar else 0, closing.collector, bar, False
                    )
                    versions[closing.second, market].append(version)
        for closing, bars in revised.items():
            for bar in bars:
                if bar.market in plan.contested.get(bar.second, ()):
                    version = _Version(closing.second, bar.revision, closing.collector, bar, False)
                    versions[bar.second, bar.market].append(version)
        for entry in chunk:
            record = entry.record
            for bar in record.bars + record.revisions:
                if bar.market in plan.contested.get(bar.second, ()):
                    version = _Version(record.second, bar.revision, record.collector, bar, True)
                    versions[bar.second, bar.market].append(version)
        return versions

    def _settle(self, plan: _Plan, versions: Mapping[_Key, list[_Version]]) -> None:
        """Say which version stands in ``trades_1s`` and which records keep theirs."""
        bare = {(v.known, v.collector): None for found in versions.values() for v in found if v.bar is None}
        rows = self._reader.rows_at(second for second, _ in bare)
        for (second, market), found in versions.items():
            winner = max(found, key=lambda version: (version.known, version.revision, version.collector))
            if winner.is_new and winner.bar is not None:
                plan.winners.append(winner.bar)
            for version in found:
                if version.known != second:
                    continue  # a revision: its record holds it
                bar = version.bar
                if bar is None and market in rows.get(second, {}):
                    bar = bar_of(market, second, rows[second][market])
                if bar is not None:
                    plan.kept[second, version.collector][market] = bar

    @staticmethod
    def _uncontested(record: ClosingRecord, plan: _Plan) -> Iterable[Bar]:
        contested = plan.contested.get(record.second)
        if not contested:
            return record.bars
        return (bar for bar in record.bars if bar.market not in contested)

    def _keep(self, closings: Sequence[Closing]) -> None:
        """Add to stored records the bars that are about to be replaced; always read back."""
        wanted = {(closing.second, closing.collector): closing for closing in closings}

        def missing() -> list[Closing]:
            found = self._stored_of(wanted.values())
            return [c for key, c in wanted.items() if key not in found or found[key].kept != c.kept]

        if wanted:
            self._until_there(
                "kept bars",
                lambda lost: (closing.kept_line() for closing in lost),
                list(wanted.values()),
                missing,
                verify=True,
            )

    def _write_bars(self, bars: list[Bar], meanwhile: Callable[[], object]) -> None:
        def missing() -> list[Bar]:
            rows = self._reader.rows_at(bar.second for bar in bars)
            return [bar for bar in bars if not _is_there(bar, rows)]

        if bars:
            self._until_there(
                "bars", lambda lost: map(self._lines.line, lost), bars, missing, meanwhile=meanwhile
            )

    def _write_live(self, chunk: Sequence[_Entry]) -> None:
        """Recent records whole; where one is lost again, the reader puts it together from its parts."""
        lines = [
            f"{LIVE_RECORDS},collector={tag(one.record.collector)} record={text(pack(one.record))}"
            f" {one.record.second}"
            for one in chunk
            if self._reader.is_live(one.record.second)
        ]
        if lines:
            self._server.write(LIVE_POLICY, lines)

    def _write_closings(self, closings: list[Closing], chunk: Sequence[_Entry]) -> None:
        def missing() -> list[Closing]:
            found = self._stored_of(closings)
            return [c for c in closings if found.get((c.second, c.collector)) != c]

        coverage = [line for entry in chunk for line in self._coverage_lines(entry.record)]
        coverage += [line for entry in chunk for line in ticker_lines(entry.record)]
        if coverage:
            self._server.write(SECOND.policy, coverage)
        self._until_there("closings", lambda lost: (c.line() for c in lost), closings, missing)

    def _stored_of(self, closings: Iterable[Closing]) -> dict[_Key, Closing]:
        seconds = [closing.second for closing in closings]
        found = self._reader.closings(min(seconds), max(seconds) + 1)
        return {(closing.second, closing.collector): closing for closing in found}

    def _until_there(
        self,
        what: str,
        lines: Callable[[list[_T]], Iterable[str]],
        items: list[_T],
        missing: Callable[[], list[_T]],
        verify: bool | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Write, read back, write again what is not there; ``meanwhile`` runs while the server works."""
        lost = items
        for _ in range(_ATTEMPTS):
            with self._server.writing(SECOND.policy, lines(lost)):
                meanwhile()
            lost = missing() if (self._verify if verify is None else verify) else []
            if not lost:
                return
        raise StoreLostError(
            f"InfluxDB has acknowledged {len(items)} {what} {_ATTEMPTS} times and does not hold {len(lost)}"
            " of them; what it acknowledged before stays"
        )

    def _write_lists(self, chunk: Sequence[_Entry]) -> None:
        for entry in chunk:
            digest = entry.closing.markets
            if digest not in self._known_lists:
                names = text(msgspec.json.encode(entry.names).decode())
                self._server.write(META_POLICY, [f"{MARKET_LISTS},digest={digest} names={names} 0"])
                self._reader.market_list(digest)  # raises where it is not there
                self._known_lists.add(digest)

    def _coverage_lines(self, record: ClosingRecord) -> Iterable[str]:
        covered = frozenset(record.covered)
        last_second, last_covered = self._coverage.get(record.collector, (None, frozenset()))
        self._coverage[record.collector] = (record.second, covered)
        markets: Iterable[str] = sorted(covered | frozenset(record.uncovered))
        if last_second == record.second - 1 and record.second % COVERAGE_EVERY:
            markets = sorted(covered ^ last_covered)
        series = f"{COVERAGE},collector={tag(record.collector)},market="
        for market in markets:
            state = "true" if market in covered else "false"
            yield f"{series}{tag(market)} covered={state} {record.second}"


def _packed(bars: Mapping[str, Bar] | None) -> str | None:
    return pack(tuple(bars[market] for market in sorted(bars))) if bars else None


def _is_there(bar: Bar, rows: Rows) -> bool:
    found = rows.get(bar.second, {}).get(bar.market)
    return found is not None and _equal(values_of(bar), found)


def _equal(wanted: Values, found: Values) -> bool:
    """A NaN price cannot be written, so an older price may stand in its place."""
    return wanted == found or all(a == b or math.isnan(a) for a, b in zip(wanted, found, strict=True))
