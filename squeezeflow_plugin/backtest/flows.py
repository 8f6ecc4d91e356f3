"""The final view of several assets side by side, in chunks of two hours.

Chunks follow each other and end at full hours, whole or not at the ends of the span; joined they are the
span, to the bit, whatever their length (``provider.final``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.features.layout import CLOSE, INPUT_NAMES
from squeezeflow_plugin.provider.final import VOLUME, FinalRows, final_rows
from squeezeflow_plugin.store.contract import BarStore

CHUNK_HOURS = 2


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
    readers = [final_rows(store, markets, start, stop, chunk_hours) for markets in assets.values()]
    for parts in zip(*readers, strict=True):
        yield Chunk(
            parts[0].first,
            parts[0].stop,
            {key: _asset_chunk(part) for key, part in zip(assets, parts, strict=True)},
        )


def _asset_chunk(rows: FinalRows) -> AssetChunk:
    unpriced = int(np.isnan(rows.values[CLOSE]).sum())  # the first ones only: a price once known is repeated
    values = rows.values[:, unpriced:]
    time = np.arange(rows.first + unpriced, rows.stop, dtype=np.int64)
    return AssetChunk(Flow(time, *values[: len(INPUT_NAMES)]), values[VOLUME], rows.traded, rows.revised)
