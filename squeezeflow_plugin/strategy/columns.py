"""The names that decisions have in FreqTrade's frames, in the decision log and in plots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from squeezeflow_plugin.phases.decision import FloatArray, veto_names
from squeezeflow_plugin.phases.layout import COLUMN_NAMES, PHASE_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.candles import FLOW_COLUMNS
from squeezeflow_plugin.provider.digest import INPUTS

SHOWN = (
    "z_spot_5m",
    "z_perp_5m",
    "z_r_5m",
    "z_spot_15m",
    "z_perp_15m",
    "sigma_spot",
    "sigma_perp",
    "range_low",
    "range_high",
    *PHASE_NAMES,
)
"""The fields of a decision that are logged and shown, in the order of the log."""
LOGGED = (*SHOWN, INPUTS)
"""What is logged of each second: the fields shown, and the digest of the row they came from."""

LABEL, STEP = "phase", "phase_step"
SCORE_HIGH, SCORE_LEAST = "score_high", "score_least"
DIVERGENCE_HIGH, DIVERGENCE_LOW = "divergence_high", "divergence_low"
FLOW_SPOT, FLOW_PERP = "flow_spot", "flow_perp"
VETO = "veto"
_PLACES = [COLUMN_NAMES.index(name) for name in SHOWN]


def shown(values: FloatArray) -> FloatArray:
    """The shown fields of decisions: float64[len(COLUMN_NAMES), ...] to float64[len(SHOWN), ...]."""
    return values[_PLACES]


def phase_labels(frame: pd.DataFrame) -> list[str]:
    """The furthest phase of each row in a word, from its shown columns; empty where nothing was decided.

    >>> row = {"ready": 1.0, "entry": 0.0, "reset_active": 0.0, "setup": -1.0, "regime": 0.0}
    >>> phase_labels(pd.DataFrame([row]))
    ['divergence_short']
    """
    names = ("ready", "entry", "reset_active", "setup", "regime")
    return [_label(*row) for row in zip(*(frame[name].tolist() for name in names), strict=True)]


def phase_steps(columns: Mapping[str, FloatArray]) -> FloatArray:
    """The furthest phase of each row as a number, signed by its direction: float64[n], NaN for no decision.

    >>> one = {"ready": 1.0, "entry": 0.0, "reset_active": 2.0, "setup": -1.0, "regime": 0.0}
    >>> phase_steps({name: np.array([value]) for name, value in one.items()}).tolist()
    [-3.0]
    """
    steps = columns["regime"]
    for step, direction in (
        (2.0, columns["setup"]),
        (3.0, columns["setup"] * (columns["reset_active"] != 0)),
        (4.0, columns["entry"]),
    ):
        steps = np.where(direction != 0, step * direction, steps)
    return np.where(np.isnan(columns["ready"]), math.nan, steps)


def with_flow(frame: pd.DataFrame, candles: pd.DataFrame) -> pd.DataFrame:
    """A candle frame without flow, with that of ``candles`` of the same length beside it; NaN for none."""
    beside = candles.set_index("date").reindex(frame["date"])
    return frame.assign(**{name: beside[name].to_numpy() for name in FLOW_COLUMNS})


def flow_columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Taker buying minus selling of each candle in quote currency, from the sums beside the candles.

    A frame of the exchange's own candles has no such sums, and gets none.
    """
    if "spot_buy" not in frame:
        return {}
    return {
        FLOW_SPOT: frame["spot_buy"] - frame["spot_sell"],
        FLOW_PERP: frame["perp_buy"] - frame["perp_sell"],
    }


def _label(ready: float, entry: float, reset: float, setup: float, regime: float) -> str:
    if ready != ready:  # noqa: PLR0124 - NaN: no decision was made
        return ""
    if ready == 0:
        return "warming_up"
    for phase, direction in (("entry", entry), ("reset", setup if reset else 0.0), ("divergence", setup)):
        if direction:
            return f"{phase}_long" if direction > 0 else f"{phase}_short"
    return {1.0: "short_squeeze", -1.0: "long_squeeze"}.get(regime, "quiet")


def decision_columns(values: FloatArray, highs: FloatArray, params: Params) -> dict[str, Any]:
    """Columns for a candle frame from float64[len(COLUMN_NAMES), n], each candle's last decision.

    The shown fields, ``phase`` in a word and as ``phase_step`` (0 quiet, 1 regime, 2 setup, 3 reset, 4
    entry; negative for shorts), ``veto``, and the thresholds as constant columns, because FreqUI draws
    columns only. ``highs`` float64[n], the largest score within each candle, is a column of its own: what a
    candle ended with is never mixed with what it had. NaN (and empty text) where no decision was made.
    """
    columns: dict[str, Any] = dict(zip(SHOWN, shown(values), strict=True))
    known = np.where(np.isnan(columns["ready"]), math.nan, 1.0)
    columns[SCORE_HIGH] = highs
    columns[SCORE_LEAST] = known * params.min_score
    columns[DIVERGENCE_HIGH], columns[DIVERGENCE_LOW] = (
        known * params.div_threshold,
        -known * params.div_threshold,
    )
    columns[STEP] = phase_steps(columns)
    codes = pd.Series(columns["veto_code"]).fillna(0).to_numpy()
    columns[LABEL] = phase_labels(pd.DataFrame(columns))
    columns[VETO] = veto_names(codes)
    return columns


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """The frame with further columns, which replace those of the same name.

    All at once: ``assign`` inserts them one by one, which for 50 columns takes 13 times as long, each second.
    """
    kept = frame.drop(columns=[name for name in columns if name in frame.columns])
    return pd.concat([kept, pd.DataFrame(dict(columns), index=frame.index)], axis=1)
