"""Phase 5 once more, slowly: a plain loop over the seconds after an entry, in Python floats."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from squeezeflow_plugin.phases.params import Params

EPS = 1e-9


def slow_exit(
    frame: pd.DataFrame,
    columns: dict[str, npt.NDArray[np.float64]],
    entry_row: int,
    direction: int,
    params: Params | None = None,
) -> tuple[int, str] | None:
    """(row, name) of the first exit after the entry at ``entry_row``, None where none comes.

    ``columns`` are the twin's features and phases of the same rows.
    """
    p = Params() if params is None else params
    d = direction
    rows = slice(max(entry_row - 1799, 0), entry_row + 1)
    low, high = frame["low"].to_numpy()[rows].min(), frame["high"].to_numpy()[rows].max()
    delta = {k: (frame[f"{k}_buy"] - frame[f"{k}_sell"]).to_numpy() for k in ("spot", "perp")}
    close = frame["close"].to_numpy()
    flow, z = {"spot": 0.0, "perp": 0.0}, {"spot": 0.0, "perp": 0.0}
    for i in range(entry_row + 1, len(frame)):
        for k in ("spot", "perp"):
            sigma = columns[f"sigma_{k}"][entry_row]
            flow[k] += delta[k][i]
            z[k] = 0.0 if sigma == 0 else flow[k] / (sigma * math.sqrt(i - entry_row))
        if i - entry_row < p.min_hold or (p.regular and (frame["time"].iloc[i] + 1) % 300 != 0):
            continue
        if d * z["spot"] <= -p.exit_threshold + EPS and d * z["perp"] >= p.exit_threshold - EPS:
            return i, "flow_reversal"
        if (d > 0 and close[i] < low) or (d < 0 and close[i] > high):
            return i, "range_break"
        against = (d * columns[f"z_{k}_15m"][i] <= -p.exit_threshold + EPS for k in ("spot", "perp"))
        if all(against):
            return i, "cvd_invalidation"
        if d * columns["context"][i] <= -0.5 + EPS:
            return i, "context_invalidation"
    return None
