"""Backtest data on disk: a store's final view as files that FreqTrade reads, made again where it changed.

A *set* is one folder ``<digest>`` with every file of some pairs for one span, and a manifest. It is written
under another name and renamed when it is whole, and never changed afterwards, so several programs can use
the same sets at the same time. The digest is of the rows themselves: the same data gives the same folder, and
FreqTrade, which keeps results by the configuration that made them, meets another folder name when the
store was revised.

Reading the store again only to find that nothing changed would cost each run what the first one cost. The
manifest therefore remembers the *stamp* of the store's files, their sizes and times of change, as git's index
does; a set whose stamp still holds is used as it is. Files that changed within the last two seconds have no
stamp, because the next write may leave no trace in them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from squeezeflow_plugin import __version__
from squeezeflow_plugin.bars.flow import HOUR_S, AssetMarkets
from squeezeflow_plugin.clock import Clock, SystemClock
from squeezeflow_plugin.errors import StoreEmptyError, StoreError
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.features.layout import INPUT_NAMES
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.provider.datadir import MINUTE_S, PairWriter, rows_path
from squeezeflow_plugin.provider.final import Rows, final_rows
from squeezeflow_plugin.provider.spans import HOW_TO_FILL, shown_span
from squeezeflow_plugin.store.contract import BarStore

_LOG = logging.getLogger(__name__)
FORMAT = 2  # raised whenever the files of the same rows change
KEPT_SETS = 4
_UNUSED_NS = 6 * 3600 * NS_PER_SECOND
_SETTLED_NS = 2 * NS_PER_SECOND
_MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Wanted:
    """Pairs and the seconds ``[start, stop)`` of them.

    ``funding_rate`` is what futures pay each eight hours, None for spot.
    """

    pairs: Mapping[str, AssetMarkets]
    start: int
    stop: int
    funding_rate: float | None = None


class PairPart(msgspec.Struct, frozen=True):
    """One pair of a set: its markets, its first priced second, its quote volume and how much was revised."""

    markets: AssetMarkets
    first_priced: int
    traded: float
    revised: float


class Manifest(msgspec.Struct, frozen=True):
    """What a set holds, what it was made with, and the stamp of the store it was made from."""

    format: int
    plugin: str
    digest: str
    start: int
    stop: int
    funding_rate: float | None
    stamp: str
    pairs: dict[str, PairPart]


@dataclass(frozen=True)
class DataSet:
    """A finished set; ``folder`` is what FreqTrade takes as its data folder. Small, and safe to pickle."""

    folder: Path
    manifest: Manifest

    def rows(self, pair: str) -> Rows:
        """The pair's rows from ``manifest.start`` on, as ``FinalRows`` has them, mapped into memory."""
        mapped: Rows = np.load(rows_path(self.folder, pair), mmap_mode="r")
        return mapped

    def flow(self, pair: str, start: int, stop: int) -> Flow:
        """The pair's rows of ``[start, stop)`` as the engine's input, those that are held and priced."""
        part = self.manifest.pairs[pair]
        start = max(start, part.first_priced)
        stop = max(min(stop, self.manifest.stop), start)
        first = self.manifest.start
        values = np.array(self.rows(pair)[: len(INPUT_NAMES), start - first : stop - first])
        return Flow(np.arange(start, stop, dtype=np.int64), *values)


def materialise(
    store: BarStore, wanted: Wanted, root: Path, stamp: str = "", clock: Clock | None = None
) -> DataSet:
    """The set with what is wanted, from ``root`` where it is there, else written from the store.

    The span is cut to what the store holds, to its last full minute, and widened to full hours. ``stamp`` is
    the store's, "" where it has none. Raises StoreEmptyError where the store holds nothing of the span,
    StoreError where the files cannot be written.
    """
    clock = clock or SystemClock()
    cut = _cut(store, wanted)
    try:
        made = _usable(root, cut, stamp) or _make(store, _widened(store, cut), root, stamp)
        os.utime(made.folder / _MANIFEST, ns=(clock.now_ns(), clock.now_ns()))
        _prune(root, made.folder, clock.now_ns())
    except OSError as error:
        raise StoreError(f"backtest data under {root} cannot be written: {error}; nothing is run") from error
    return made


def store_stamp(path: Path, clock: Clock | None = None) -> str:
    """The names, sizes and times of change of an embedded store's files; "" where one has just changed.

    ``path`` is the store's SQLite file; its log and its partitions lie beside it under the same stem.
    """
    clock = clock or SystemClock()
    entries = []
    for each in sorted(path.parent.glob(f"{path.stem}*")):
        for file in (each, *sorted(each.rglob("*"))):
            try:
                state = file.stat()
            except FileNotFoundError:  # a log that was folded back meanwhile
                return ""
            if file.name.endswith("-shm") or state.st_size == 0:
                continue  # what a reader makes: the log's index, and a log without anything in it
            if clock.now_ns() - state.st_mtime_ns < _SETTLED_NS:
                return ""
            if file.is_file():
                entries.append(f"{file.relative_to(path.parent)} {state.st_size} {state.st_mtime_ns}")
    return hashlib.blake2b("\n".join(entries).encode(), digest_size=16).hexdigest() if entries else ""


def _sets(root: Path) -> Iterator[tuple[Path, int]]:
    """The finished sets and when each was last used, the newest first."""
    found = [(path.parent, path.stat().st_mtime_ns) for path in root.glob(f"*/{_MANIFEST}")]
    yield from sorted((item for item in found if not item[0].name.startswith(".")), key=lambda item: -item[1])


def _usable(root: Path, wanted: Wanted, stamp: str) -> DataSet | None:
    """A set that holds what is wanted, made by this version from a store that has not changed since."""
    for folder, _ in _sets(root):
        manifest = _read_manifest(folder)
        if manifest is None or not stamp or manifest.stamp != stamp:
            continue
        same = {pair: part.markets for pair, part in manifest.pairs.items() if pair in wanted.pairs}
        if same != dict(wanted.pairs) or manifest.funding_rate != wanted.funding_rate:
            continue
        if manifest.start <= wanted.start and wanted.stop <= manifest.stop:
            _LOG.info("backtest data %s is up to date", folder)
            return DataSet(folder, manifest)
    return None


def _read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a set; None for one of another version, which is left to be forgotten."""
    try:
        manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
    except (msgspec.MsgspecError, FileNotFoundError):
        return None
    return manifest if (manifest.format, manifest.plugin) == (FORMAT, __version__) else None


def _cut(store: BarStore, wanted: Wanted) -> Wanted:
    """What is wanted within what the store holds, to the last full minute."""
    span = store.span()
    if span is None:
        raise StoreEmptyError(f"the store holds no data; {HOW_TO_FILL}")
    start = max(wanted.start, span[0])
    stop = min(wanted.stop, span[1] // MINUTE_S * MINUTE_S)
    if start >= stop:
        raise StoreEmptyError(
            f"the store holds data {shown_span(*span)} and nothing of what was asked for, "
            f"{shown_span(wanted.start, wanted.stop)}; {HOW_TO_FILL}"
        )
    return replace(wanted, start=start, stop=stop)


def _widened(store: BarStore, cut: Wanted) -> Wanted:
    """The full hours around it, as far as the store goes: other time ranges then find their data ready."""
    first, last = store.span() or (cut.start, cut.stop)
    start = max(cut.start // HOUR_S * HOUR_S, first)
    stop = min(-(-cut.stop // HOUR_S) * HOUR_S, last // MINUTE_S * MINUTE_S)
    return replace(cut, start=start, stop=stop)


def _make(store: BarStore, wanted: Wanted, root: Path, stamp: str) -> DataSet:
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f"{_UNFINISHED}{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        manifest = _write(store, wanted, folder, stamp)
        (folder / _MANIFEST).write_bytes(msgspec.json.encode(manifest))
        return _put_in_place(folder, root / manifest.digest, manifest)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(folder: Path, target: Path, manifest: Manifest) -> DataSet:
    """Give the finished set its name; where the same data is there already, only its stamp is renewed."""
    try:
        folder.rename(target)
    except OSError:
        if _read_manifest(target) is None:  # of another version, or damaged
            shutil.rmtree(target, ignore_errors=True)
            folder.rename(target)
        else:
            (folder / _MANIFEST).replace(target / _MANIFEST)
    return DataSet(target, manifest)


def _write(store: BarStore, wanted: Wanted, folder: Path, stamp: str) -> Manifest:
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((FORMAT, __version__, wanted)).encode())
    hours = (wanted.stop - wanted.start) / HOUR_S
    pairs = {}
    for pair, markets in wanted.pairs.items():
        traded = revised = 0.0
        with PairWriter(folder, pair, wanted.start, wanted.stop, wanted.funding_rate) as writer:
            for piece in final_rows(store, markets, wanted.start, wanted.stop):
                writer.add(piece)
                digest.update(piece.values.tobytes())
                traded, revised = traded + piece.traded, revised + piece.revised
                done = (piece.stop - wanted.start) / (wanted.stop - wanted.start)
                _LOG.info("%s: %.0f %% of %.1f hours read", pair, 100 * done, hours)
            writer.finish()
        pairs[pair] = PairPart(markets, writer.first_priced, traded, revised)
    return Manifest(
        FORMAT,
        __version__,
        digest.hexdigest(),
        wanted.start,
        wanted.stop,
        wanted.funding_rate,
        stamp,
        pairs,
    )


def _prune(root: Path, used: Path, now_ns: int) -> None:
    """Remove sets beyond the newest few that nobody used for hours, and what was never finished."""
    for folder, used_ns in list(_sets(root))[KEPT_SETS:]:
        if folder != used and now_ns - used_ns > _UNUSED_NS:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in root.glob(f"{_UNFINISHED}*"):
        if now_ns - folder.stat().st_mtime_ns > _UNUSED_NS:
            shutil.rmtree(folder, ignore_errors=True)
