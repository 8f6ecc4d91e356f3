"""Bars of one closing record as one blob of fixed rows, and many blobs as columns.

A record is what is written, announced and read again, so it is also the unit at rest: one blob a record
makes an append one row and a day of twenty markets 86,400 of them instead of 1.7 million (measured: reading
such a day took 4.6 s with a database row for each bar).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.errors import StoreError
from squeezeflow_plugin.market import BAR_FIELDS, Bar, ClosingRecord
from squeezeflow_plugin.store.contract import BarColumns

# market id, lag (record second - bar second), revision, cbuy, csell, then the eight float64 fields
_ROW = struct.Struct("<iiiII8d")
NUMBERS = ("revision", *BAR_FIELDS)
_PRICES_AND_VOLUMES = ("open", "high", "low", "close", "vbuy", "vsell", "lbuy", "lsell")
_DTYPE = np.dtype(
    [("market", "<i4"), ("lag", "<i4"), ("revision", "<i4"), ("cbuy", "<u4"), ("csell", "<u4")]
    + [(name, "<f8") for name in _PRICES_AND_VOLUMES]
)


@dataclass(frozen=True, eq=False)
class Rows:
    """n bars of any number of records, as columns.

    ``market`` int32[n] and ``collector`` int64[n] are ids; ``known`` int64[n] is the second of the record
    that carries the bar, ``second`` int64[n] the bar's own, ``place`` int32[n] its place in the record (bars,
    then revisions). ``numbers`` are ``revision`` and the bar's fields by name.
    """

    market: npt.NDArray[np.int32]
    collector: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    place: npt.NDArray[np.int32]
    numbers: Mapping[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.second)

    def take(self, rows: npt.NDArray[Any]) -> Rows:
        """The rows at these positions, or where the mask is true."""
        return Rows(
            self.market[rows],
            self.collector[rows],
            self.known[rows],
            self.second[rows],
            self.place[rows],
            {name: values[rows] for name, values in self.numbers.items()},
        )

    def bars(self, names: Sequence[str]) -> list[Bar]:
        """The rows as ``Bar`` values; ``names`` are the markets by id."""
        columns = (self.numbers[name].tolist() for name in (*BAR_FIELDS, "revision"))
        markets = (names[market] for market in self.market.tolist())
        return [Bar(*row) for row in zip(markets, self.second.tolist(), *columns, strict=True)]


def join(parts: Sequence[Rows]) -> Rows:
    """All rows of the parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    empty = np.empty(0, dtype=_DTYPE)
    ids, places = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32)
    nothing = Rows(empty["market"], ids, ids, ids, places, {name: empty[name] for name in NUMBERS})
    parts = parts or [nothing]
    return Rows(
        np.concatenate([part.market for part in parts]),
        np.concatenate([part.collector for part in parts]),
        np.concatenate([part.known for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.place for part in parts]),
        {name: np.concatenate([part.numbers[name] for part in parts]) for name in NUMBERS},
    )


def pack(record: ClosingRecord, market_ids: Mapping[str, int]) -> bytes:
    """The record's bars, then its revisions, in their order; StoreError where a number does not fit."""
    packed = bytearray()
    try:
        for bar in record.bars + record.revisions:
            packed += _ROW.pack(
                market_ids[bar.market],
                record.second - bar.second,
                bar.revision,
                bar.cbuy,
                bar.csell,
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.vbuy,
                bar.vsell,
                bar.lbuy,
                bar.lsell,
            )
    except struct.error as error:
        raise StoreError(f"{bar} cannot be stored: {error}; nothing was stored") from error
    return bytes(packed)


def is_intact(packed: bytes, checksum: int) -> bool:
    """Whether the blob is what was written: whole rows under their CRC-32 (SQLite keeps no checksums)."""
    return len(packed) % _ROW.size == 0 and zlib.crc32(packed) == checksum


def unpack(packed: bytes, second: int, names: Sequence[str]) -> tuple[tuple[Bar, ...], tuple[Bar, ...]]:
    """Bars and revisions of the record of ``second``; ``names`` are the markets by id."""
    bars: list[Bar] = []
    revisions: list[Bar] = []
    for market, lag, revision, cbuy, csell, o, h, low, c, vbuy, vsell, lbuy, lsell in _ROW.iter_unpack(
        packed
    ):
        bar = Bar(names[market], second - lag, o, h, low, c, vbuy, vsell, cbuy, csell, lbuy, lsell, revision)
        (revisions if lag else bars).append(bar)
    return tuple(bars), tuple(revisions)


def select(
    blobs: Sequence[bytes],
    known: npt.NDArray[np.int64],
    collector: npt.NDArray[np.int64],
    start: int,
    stop: int,
    market_ids: npt.NDArray[np.int32] | None,
) -> Rows:
    """The rows of the records' blobs whose bar lies in ``[start, stop)`` and whose market is wanted."""
    counts = np.array([len(blob) for blob in blobs], dtype=np.int64) // _ROW.size
    rows = np.frombuffer(b"".join(blobs), dtype=_DTYPE)
    known = np.repeat(known, counts)
    collector = np.repeat(collector, counts)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    second = known - rows["lag"]
    found = Rows(
        rows["market"],
        collector,
        known,
        second,
        place.astype(np.int32),
        {name: rows[name] for name in NUMBERS},
    )
    keep = (second >= start) & (second < stop)
    if market_ids is not None:
        keep &= np.isin(rows["market"], market_ids)
    return found if keep.all() else found.take(keep)


def latest(parts: Sequence[Rows], names: Sequence[str], collector_rank: npt.NDArray[np.int64]) -> BarColumns:
    """The latest row of each (second, market), ordered by them.

    Latest is by (known, revision, collector's name); ``collector_rank`` orders the collectors' ids by name.
    """
    rows = join(parts)
    used = np.flatnonzero(np.bincount(rows.market, minlength=len(names)))
    used_names = [names[int(market)] for market in used]
    rank = np.zeros(len(names), dtype=np.int32)
    rank[used[sorted(range(len(used)), key=used_names.__getitem__)]] = np.arange(len(used), dtype=np.int32)
    market = rank[rows.market]
    # One integer a bar; the span of an int64 is 9.2e18, seconds are below 1e11.
    key = rows.second * max(len(used), 1) + market
    order: Any = slice(None)
    if not np.all(key[1:] > key[:-1]):
        order = _latest_of_each(rows, key, collector_rank)
    return BarColumns(
        names=tuple(sorted(used_names)),
        market=market[order],
        second=rows.second[order],
        known=rows.known[order],
        revision=np.ascontiguousarray(rows.numbers["revision"][order]),
        cbuy=rows.numbers["cbuy"][order].astype(np.int64),
        csell=rows.numbers["csell"][order].astype(np.int64),
        **{name: np.ascontiguousarray(rows.numbers[name][order]) for name in _PRICES_AND_VOLUMES},
    )


def _latest_of_each(
    rows: Rows, key: npt.NDArray[np.int64], collector_rank: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The places of the latest row of each key, ordered by key."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    repeats = ordered[1:] == ordered[:-1]
    if not repeats.any():
        return order
    # Only the few keys that are there more than once are ordered by what makes a row the latest.
    several = np.append(repeats, False) | np.append(False, repeats)
    few = order[several]
    by_known = (collector_rank[rows.collector[few]], rows.numbers["revision"][few], rows.known[few])
    order[several] = few[np.lexsort((*by_known, key[few]))]
    newest: npt.NDArray[np.int64] = order[np.append(~repeats, True)]
    return newest
