"""The names that decisions have in FreqTrade's frames, in the decision log and in plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from squeezeflow_plugin.phases.decision import FloatArray, veto_names
from squeezeflow_plugin.phases.layout import COLUMN_NAMES, PHASE_NAMES
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

LABEL = "phase"
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


def _label(ready: float, entry: float, reset: float, setup: float, regime: float) -> str:
    if ready != ready:  # noqa: PLR0124 - NaN: no decision was made
        return ""
    if ready == 0:
        return "warming_up"
    for phase, direction in (("entry", entry), ("reset", setup if reset else 0.0), ("divergence", setup)):
        if direction:
            return f"{phase}_long" if direction > 0 else f"{phase}_short"
    return {1.0: "short_squeeze", -1.0: "long_squeeze"}.get(regime, "quiet")


def decision_columns(values: FloatArray) -> dict[str, Any]:
    """Columns for a candle frame from float64[len(COLUMN_NAMES), n]: shown fields, ``phase``, ``veto``.

    NaN (and empty text) where no decision was made in the candle.
    """
    columns: dict[str, Any] = dict(zip(SHOWN, shown(values), strict=True))
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


PLOT_CONFIG: dict[str, Any] = {
    "main_plot": {"vwma_5m": {"color": "#c28f2c"}},
    "subplots": {
        "score": {
            "score": {"color": "#2a6fdb"},
            "score_reset": {"color": "#8a8a8a"},
            "score_absorption": {"color": "#c28f2c"},
            "score_breakdown": {"color": "#b0413e"},
            "score_bias": {"color": "#3c8d5a"},
        },
        "context": {"context": {"color": "#2a6fdb"}, "setup": {"color": "#b0413e", "type": "bar"}},
        "flow 15m": {"z_spot_15m": {"color": "#3c8d5a"}, "z_perp_15m": {"color": "#b0413e"}},
        "retrace": {"retrace": {"color": "#8a8a8a"}},
        "CVD 5m": {"cvd_spot_5m": {"color": "#3c8d5a"}, "cvd_perp_5m": {"color": "#b0413e"}},
        "RSI 5m": {"rsi_5m": {"color": "#2a6fdb"}},
    },
}
