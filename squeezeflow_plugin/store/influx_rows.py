"""Rows of InfluxDB's answers as bars, closings and columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

from squeezeflow_plugin.errors import StoreCorruptError
from squeezeflow_plugin.market import BAR_FIELDS, Bar
from squeezeflow_plugin.store.influx_client import Series
from squeezeflow_plugin.store.influx_record import Closing
from squeezeflow_plugin.store.influx_schema import SECOND

Values = tuple[
    float, float, float, float, float, float, float, float, float, float
]  # in the order of BAR_FIELDS
Rows = dict[int, dict[str, Values]]  # second, then market


@dataclass(frozen=True, eq=False)
class BarTable:
    """Rows of one slice: ``second`` int64[n]; ``market`` int32[n] indexes ``names``; ``fields`` float64[n]
    each, prices NaN where absent, volumes and counts 0.
    """

    names: tuple[str, ...]
    second: npt.NDArray[np.int64]
    market: npt.NDArray[np.int32]
    fields: Mapping[str, npt.NDArray[np.float64]]


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


def bar_table(table: pa.Table) -> BarTable:
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


def collect(rows: Rows, values: Iterable[Sequence[Any]]) -> None:
    for time_ms, market, *numbers in values:
        prices = [math.nan if value is None else float(value) for value in numbers[:4]]
        volumes = [0.0 if value is None else float(value) for value in numbers[4:]]
        rows.setdefault(second_of(time_ms), {})[market] = (*prices, *volumes)  # type: ignore[assignment]  # ten of them


def closings_of(rows: Iterable[Sequence[Any]]) -> list[Closing]:
    """Points with the mandatory fields; a point that only has ``kept`` is the rest of a lost one."""
    found = [Closing(second_of(row[0]), *row[1:]) for row in rows if row[2] is not None]
    return sorted(found, key=lambda closing: (closing.second, closing.collector))


def values_in(series: Sequence[Series]) -> list[list[Any]]:
    return [row for one in series for row in one.values]


def second_of(time_ms: int) -> int:
    if time_ms % 1000:
        raise _not_whole(time_ms)
    return time_ms // 1000


def _not_whole(time_ms: int) -> StoreCorruptError:
    return StoreCorruptError(
        f"{SECOND.measurement} holds a point at {time_ms} ms, which is no whole second; these are no"
        " one-second bars, nothing of it is used"
    )
