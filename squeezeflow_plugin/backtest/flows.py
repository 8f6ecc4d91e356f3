"""The final view of several assets side by side, in chunks of two hours.

Chunks follow each other and end at full hours, whole or not at the ends of the span; joined they are the
span, to the bit, whatever their length (``provider.final``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.bars.interest import KnownTicker
from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.features.layout import CLOSE, INPUT_NAMES
from squeezeflow_plugin.market import Interval
from squeezeflow_plugin.provider.final import VOLUME, FinalRows, final_rows
from squeezeflow_plugin.store.contract import BarColumns, BarStore

CHUNK_HOURS = 2
_NAMED = ("names", "market")


@dataclass(frozen=True, eq=False)
class AssetChunk:
    """Contiguous seconds of one asset; fewer than the chunk's, or none, before its first known price.

    ``volume`` float64[n] is what the reference market traded, in base units. ``traded_quote`` is the quote
    volume of all its markets in the chunk, ``revised_quote`` the part of it in bars that were written again
    after their second had closed.
    """

    flow: Flow
    volume: FloatArray
    traded_quote: float
    revised_quote: float


@dataclass(frozen=True, eq=False)
class Chunk:
    """The seconds ``[start, stop)`` of every asset, by the key that was given."""

    start: int
    stop: int
    assets: Mapping[str, AssetChunk]


def chunks(
    store: BarStore,
    assets: Mapping[str, AssetMarkets],
    start: int,
    stop: int,
    chunk_hours: int = CHUNK_HOURS,
) -> Iterator[Chunk]:
    """The seconds ``[start, stop)`` of the assets, chunk by chunk; ``assets`` maps a key to markets."""
    once = _ReadOnce(store, sorted({name for markets in assets.values() for name in markets.all}))
    readers = [final_rows(once, markets, start, stop, chunk_hours) for markets in assets.values()]
    for parts in zip(*readers, strict=True):
        yield Chunk(
            parts[0].first,
            parts[0].stop,
            {key: _asset_chunk(part) for key, part in zip(assets, parts, strict=True)},
        )


class _ReadOnce:
    """A store that reads the markets of all assets at once and hands each asset its part.

    Assets ask for the same seconds one after the other; the store unpacks whole records whatever is asked.
    """

    def __init__(self, store: BarStore, markets: Sequence[str]) -> None:
        self._store = store
        self._markets = markets
        self._bars: tuple[tuple[int, int, int | None], BarColumns] | None = None
        self._covered: tuple[tuple[int, int, int | None], tuple[Interval, ...]] | None = None
        self._tickers: tuple[tuple[int, int], tuple[KnownTicker, ...]] | None = None

    def span(self) -> tuple[int, int] | None:
        return self._store.span()

    def bars(
        self, start: int, stop: int, markets: Iterable[str] | None = None, known_at: int | None = None
    ) -> BarColumns:
        asked = (start, stop, known_at)
        if self._bars is None or self._bars[0] != asked:
            self._bars = asked, self._store.bars(start, stop, self._markets, known_at)
        return part_of(self._bars[1], self._markets if markets is None else markets)

    def coverage(
        self, start: int, stop: int, markets: Iterable[str] | None = None, known_at: int | None = None
    ) -> tuple[Interval, ...]:
        asked = (start, stop, known_at)
        if self._covered is None or self._covered[0] != asked:
            self._covered = asked, self._store.coverage(start, stop, self._markets, known_at)
        wanted = frozenset(self._markets if markets is None else markets)
        return tuple(span for span in self._covered[1] if span.market in wanted)

    def tickers(self, start: int, stop: int, markets: Iterable[str] | None = None) -> tuple[KnownTicker, ...]:
        asked = (start, stop)
        if self._tickers is None or self._tickers[0] != asked:
            self._tickers = asked, self._store.tickers(start, stop, self._markets)
        wanted = frozenset(self._markets if markets is None else markets)
        return tuple(each for each in self._tickers[1] if each[1].market in wanted)


def part_of(bars: BarColumns, markets: Iterable[str]) -> BarColumns:
    """The bars of some of the markets, as a store hands them out that was asked for these."""
    wanted = frozenset(markets)
    kept = [number for number, name in enumerate(bars.names) if name in wanted]
    if len(kept) == len(bars.names):
        return bars
    numbers = np.full(len(bars.names), -1, dtype=np.int32)
    numbers[kept] = np.arange(len(kept), dtype=np.int32)
    market = numbers[bars.market]
    rows = np.flatnonzero(market >= 0)
    columns = {item.name: getattr(bars, item.name)[rows] for item in fields(bars) if item.name not in _NAMED}
    return BarColumns(names=tuple(bars.names[number] for number in kept), market=market[rows], **columns)


def _asset_chunk(rows: FinalRows) -> AssetChunk:
    unpriced = int(np.isnan(rows.values[CLOSE]).sum())  # the first ones only: a price once known is repeated
    values = rows.values[:, unpriced:]
    time = np.arange(rows.first + unpriced, rows.stop, dtype=np.int64)
    return AssetChunk(Flow(time, *values[: len(INPUT_NAMES)]), values[VOLUME], rows.traded, rows.revised)
