"""The engine's features as one would write them with a library of rolling windows, to time it against.

The same 40 columns over the same windows; running sums carry a residue, so they agree to a few digits only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from squeezeflow_plugin.features import layout as at
from squeezeflow_plugin.features.flow import Flow

FloatArray = npt.NDArray[np.float64]
Rolling = Callable[[FloatArray, int], FloatArray]


@dataclass(frozen=True)
class Library:
    """Sums, lowest and highest of the last so many rows, or of what there is of them."""

    sums: Rolling
    lowest: Rolling
    highest: Rolling


def libraries() -> dict[str, Library]:
    """Those that are installed; pandas always is."""
    found = {
        "pandas": Library(
            lambda x, rows: pd.Series(x).rolling(rows, 1).sum().to_numpy(),
            lambda x, rows: pd.Series(x).rolling(rows, 1).min().to_numpy(),
            lambda x, rows: pd.Series(x).rolling(rows, 1).max().to_numpy(),
        )
    }
    if find_spec("bottleneck"):
        bn: Any = import_module("bottleneck")

        found["bottleneck"] = Library(
            lambda x, rows: bn.move_sum(x, rows, 1),
            lambda x, rows: bn.move_min(x, rows, 1),
            lambda x, rows: bn.move_max(x, rows, 1),
        )
    if find_spec("polars"):
        pl: Any = import_module("polars")

        found["polars"] = Library(
            lambda x, rows: pl.Series(x).rolling_sum(rows, min_samples=1).to_numpy(),
            lambda x, rows: pl.Series(x).rolling_min(rows, min_samples=1).to_numpy(),
            lambda x, rows: pl.Series(x).rolling_max(rows, min_samples=1).to_numpy(),
        )
    return found


def peer_features(flow: Flow, library: Library) -> FloatArray:
    """float64[n, 40] in the order of FEATURE_NAMES."""
    n = len(flow)
    out = np.zeros((n, at.FEATURE_COUNT))
    seen = {rows: np.minimum(np.arange(1, n + 1), rows) for rows in at.WINDOW_ROWS}
    log_close = np.log(flow.close)
    squared = np.diff(log_close, prepend=log_close[0]) ** 2
    sums, sides = library.sums, ((flow.spot_buy, flow.spot_sell), (flow.perp_buy, flow.perp_sell))
    out[:, at.SIGMA_R] = np.sqrt(sums(squared, 3600) / seen[3600])
    coverage = (flow.coverage_spot, flow.coverage_perp)
    for kind, (buy, sell) in enumerate(sides):
        delta, traded = buy - sell, (buy + sell > 0).astype(np.float64)
        sigma = np.sqrt(sums(delta * delta, 3600) / seen[3600])
        out[:, at.SIGMA_SPOT + kind] = sigma
        for window, rows in enumerate(at.WINDOW_ROWS):
            u = sums(delta, rows) / sigma
            out[:, at.U_SPOT + 4 * kind + window] = u
            out[:, at.Z_SPOT + 4 * kind + window] = u / np.sqrt(rows)
            out[:, at.COVERAGE_SPOT + 4 * kind + window] = sums(coverage[kind], rows) / seen[rows]
        out[:, at.ACTIVITY_SPOT_15M + kind] = sums(traded, 900) / seen[900]
        out[:, at.ACTIVITY_SPOT_30M + kind] = sums(traded, 1800) / seen[1800]
    for window, rows in enumerate(at.WINDOW_ROWS):
        earlier = np.concatenate([np.full(rows, log_close[0]), log_close[:-rows]])
        scale = out[:, at.SIGMA_R] * np.sqrt(rows)
        move = log_close - earlier
        out[:, at.Z_R + window] = np.divide(move, scale, out=np.zeros(n), where=scale > 0)
    out[:, at.VOL_5M] = np.sqrt(sums(squared, 300) / seen[300])
    out[:, at.VOL_30M] = np.sqrt(sums(squared, 1800) / seen[1800])
    out[:, at.RANGE_LOW] = library.lowest(flow.low, 1800)
    out[:, at.RANGE_HIGH] = library.highest(flow.high, 1800)
    speed = np.abs(out[:, at.Z_SPOT]) + np.abs(out[:, at.Z_PERP])
    out[300:, at.DECELERATION] = np.clip(1 - speed[300:] / speed[:-300], 0.0, 1.0)
    for rolling, column in ((library.lowest, flow.low), (library.highest, flow.high)):
        rolling(column, 300)  # the candles' extremes, which the engine keeps too
    sums(flow.spot_buy + flow.spot_sell + flow.perp_buy + flow.perp_sell, 300)
    return out
