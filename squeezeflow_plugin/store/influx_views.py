"""The views of the contract over InfluxDB's rows: bars and coverage, final and as known.

A bar of one version stands in ``trades_1s`` only and became known with the record of its own second. Where a
bar has more versions, every one of them is in a closing record (``revised``, ``kept``), so a view leaves
such bars out of the rows and takes the latest version it may know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.errors import StoreIncompleteError
from squeezeflow_plugin.market import BAR_FIELDS, Bar, Interval
from squeezeflow_plugin.store.contract import BarColumns
from squeezeflow_plugin.store.influx_read import InfluxReader
from squeezeflow_plugin.store.influx_rows import BarTable
from squeezeflow_plugin.store.influx_schema import LAST_SECOND
from squeezeflow_plugin.store.intervals import merge_intervals

_N = TypeVar("_N", bound=np.generic)
_COUNTS = ("cbuy", "csell")


@dataclass(frozen=True)
class _Image:
    """A version of a bar that a closing record holds."""

    known: int
    collector: str
    bar: Bar

    @property
    def age(self) -> tuple[int, int, str]:
        return self.known, self.bar.revision, self.collector


def bars_of(
    reader: InfluxReader, start: int, stop: int, markets: Iterable[str] | None, known_at: int | None
) -> BarColumns:
    """The latest version of each bar of the span, as known at record ``known_at`` where that is given."""
    wanted = None if markets is None else frozenset(markets)
    versions: dict[tuple[int, str], list[_Image]] = {}
    kept: dict[int, int] = {}
    known_stop = min(stop + reader.largest_lag(start), LAST_SECOND)
    for known, collector, bar, is_own in reader.images(start, known_stop):
        if start <= bar.second < stop:
            versions.setdefault((bar.second, bar.market), []).append(_Image(known, collector, bar))
            if is_own:
                kept[bar.second] = kept.get(bar.second, 0) + 1
    # Whether every row belongs to a record can only be told with all of them.
    tables = list(reader.bar_tables(start, stop, wanted if known_at is None else None))
    names = tuple(sorted({name for table in tables for name in table.names} | {m for _, m in versions}))
    rows = _Rows(tables, names).without(versions)
    if known_at is not None:
        _check_owned(reader, rows.second, kept, start, stop)
        rows = rows.where(rows.second <= known_at)
    chosen = [max(found, key=lambda image: image.age) for found in _known(versions, known_at)]
    if wanted is not None:
        chosen = [image for image in chosen if image.bar.market in wanted]
        rows = rows.where(np.isin(rows.market, [i for i, name in enumerate(names) if name in wanted]))
    return rows.with_images(chosen)


def coverage_of(
    reader: InfluxReader, start: int, stop: int, markets: Iterable[str] | None, known_at: int | None
) -> tuple[Interval, ...]:
    """The covered intervals of the span, as known at record ``known_at`` where that is given."""
    wanted = None if markets is None else frozenset(markets)
    known_stop = LAST_SECOND if known_at is None else min(known_at + 1, LAST_SECOND)
    spans = list(_covered(reader, start, min(stop, known_stop)))
    for closing in reader.repairs(start, known_stop):
        spans += closing.repaired_spans()
    return merge_intervals((one for one in spans if wanted is None or one.market in wanted), start, stop)


def _known(versions: Mapping[tuple[int, str], list[_Image]], known_at: int | None) -> Iterator[list[_Image]]:
    for found in versions.values():
        known = [image for image in found if known_at is None or image.known <= known_at]
        if known:
            yield known


def _check_owned(
    reader: InfluxReader, second: npt.NDArray[np.int64], kept: Mapping[int, int], start: int, stop: int
) -> None:
    """Raise StoreIncompleteError unless the rows of one version are those that the records announce."""
    found = dict(zip(*(part.tolist() for part in np.unique(second, return_counts=True)), strict=True))
    announced: dict[int, int] = {}
    for closing in reader.closings(start, stop):
        count = int(closing.bars, 16).bit_count()
        announced[closing.second] = announced.get(closing.second, 0) + count
    for at in sorted(found.keys() | announced.keys()):
        expected = announced.get(at, 0) - kept.get(at, 0)
        if found.get(at, 0) != expected:
            raise StoreIncompleteError(
                f"second {at} holds {found.get(at, 0)} bars of one version, closing records announce"
                f" {expected}: when bars became known cannot be told (an aggr-server's have no records)"
            )


def _covered(reader: InfluxReader, start: int, stop: int) -> Iterator[Interval]:
    """Each collector's covered seconds, one interval for each run of equal coverage."""
    runs: dict[str, tuple[tuple[str, str, str | None], int, int, tuple[str, ...]]] = {}
    for closing in reader.closings(start, stop):
        state = (closing.markets, closing.covered, closing.odd)
        run = runs.get(closing.collector)
        if run is not None and run[0] == state and run[2] == closing.second:
            runs[closing.collector] = (state, run[1], closing.second + 1, run[3])
            continue
        if run is not None:
            yield from (Interval(market, run[1], run[2]) for market in run[3])
        covered = closing.coverage(reader.market_list(closing.markets))[0]
        runs[closing.collector] = (state, closing.second, closing.second + 1, covered)
    for _, first, last, covered in runs.values():
        yield from (Interval(market, first, last) for market in covered)


class _Rows:
    """Rows of ``trades_1s`` as arrays of one length, markets numbered as in ``names``."""

    def __init__(self, tables: list[BarTable], names: tuple[str, ...]) -> None:
        ids = {name: number for number, name in enumerate(names)}
        self.names = names
        self.second = _joined([table.second for table in tables], np.int64)
        self.market = _joined(
            [np.array([ids[n] for n in t.names], dtype=np.int32)[t.market] for t in tables], np.int32
        )
        self.fields = {name: _joined([t.fields[name] for t in tables], np.float64) for name in BAR_FIELDS}

    def where(self, keep: npt.NDArray[np.bool_]) -> _Rows:
        if keep.all():
            return self
        rows = _Rows([], self.names)
        rows.second, rows.market = self.second[keep], self.market[keep]
        rows.fields = {name: values[keep] for name, values in self.fields.items()}
        return rows

    def without(self, keys: Iterable[tuple[int, str]]) -> _Rows:
        """The rows whose (second, market) is none of the keys."""
        ids = {name: number for number, name in enumerate(self.names)}
        listed = np.array([second * len(ids) + ids[market] for second, market in keys], dtype=np.int64)
        if not len(listed):
            return self
        return self.where(~np.isin(self.second * len(ids) + self.market, listed))

    def with_images(self, images: list[_Image]) -> BarColumns:
        """The rows and the images as the contract's columns, ordered by (second, market)."""
        ids = {name: number for number, name in enumerate(self.names)}
        bars = [image.bar for image in images]
        count = len(self.second)
        second = np.concatenate([self.second, np.array([bar.second for bar in bars], dtype=np.int64)])
        market = np.concatenate([self.market, np.array([ids[bar.market] for bar in bars], dtype=np.int32)])
        known = np.concatenate([self.second, np.array([image.known for image in images], dtype=np.int64)])
        revision = np.concatenate(
            [np.zeros(count, dtype=np.int32), np.array([bar.revision for bar in bars], dtype=np.int32)]
        )
        key = second * max(len(ids), 1) + market
        order = np.argsort(key, kind="stable") if np.any(key[1:] < key[:-1]) else np.arange(len(key))
        used, numbers = np.unique(market[order], return_inverse=True)

        def column(name: str) -> npt.NDArray[np.float64]:
            more = np.array([getattr(bar, name) for bar in bars], dtype=np.float64)
            return np.concatenate([self.fields[name], more])[order]

        return BarColumns(
            names=tuple(self.names[int(i)] for i in used),
            market=numbers.astype(np.int32),
            second=second[order],
            known=known[order],
            revision=revision[order],
            cbuy=column("cbuy").astype(np.int64),
            csell=column("csell").astype(np.int64),
            **{name: column(name) for name in BAR_FIELDS if name not in _COUNTS},
        )


def _joined(parts: list[npt.NDArray[_N]], kind: type[_N]) -> npt.NDArray[_N]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind)
