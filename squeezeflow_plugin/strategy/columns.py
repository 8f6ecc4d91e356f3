"""The names that decisions have in FreqTrade's frames, in the decision log and in plots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
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
_LABELS = np.array(
    [
        *(f"{phase}_short" for phase in ("entry", "reset", "divergence")),
        *("long_squeeze", "quiet", "short_squeeze"),
        *(f"{phase}_long" for phase in ("divergence", "reset", "entry")),
        *("warming_up", ""),
    ],
    dtype=object,
)
"""What the steps -4..4 are called, then what is not ready, then what was not decided."""
_QUIET, _NOT_READY, _UNDECIDED = 4, 9, 10


def shown(values: FloatArray) -> FloatArray:
    """The shown fields of decisions: float64[len(COLUMN_NAMES), ...] to float64[len(SHOWN), ...]."""
    return values[_PLACES]


def phase_labels(columns: Mapping[str, FloatArray]) -> npt.NDArray[np.object_]:
    """The furthest phase of each row in a word, object[n], from its shown columns; empty for no decision.

    >>> one = {"ready": 1.0, "entry": 0.0, "reset_active": 0.0, "setup": -1.0, "regime": 0.0}
    >>> phase_labels({name: np.array([value]) for name, value in one.items()}).tolist()
    ['divergence_short']
    """
    ready = columns["ready"]
    places = np.nan_to_num(phase_steps(columns)).astype(np.int64) + _QUIET
    places[ready == 0] = _NOT_READY
    places[np.isnan(ready)] = _UNDECIDED
    return _LABELS[places]


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


def starts_of(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The epoch second at which each candle of FreqTrade's frame begins: int64[n]."""
    return frame["date"].to_numpy(dtype="datetime64[s]").view(np.int64)


def signal_columns(rows: int) -> dict[str, Any]:
    """FreqTrade's signals and tags of so many rows, none given; FreqTrade would insert them one by one."""
    none, untold = np.zeros(rows, dtype=np.int64), np.full(rows, "", dtype=object)
    return {
        "enter_tag": untold,
        "enter_long": none,
        "enter_short": none,
        "exit_tag": untold,
        "exit_long": none,
        "exit_short": none,
    }


def flow_columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Taker buying minus selling of each candle in quote currency, from the sums beside the candles.

    A frame of the exchange's own candles has no such sums, and gets none.
    """
    if "spot_buy" not in frame:
        return {}
    spot_buy, spot_sell, perp_buy, perp_sell = (
        frame[name].to_numpy(np.float64) for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell")
    )
    return {FLOW_SPOT: spot_buy - spot_sell, FLOW_PERP: perp_buy - perp_sell}


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
    columns[LABEL] = phase_labels(columns)
    columns[VETO] = veto_names(np.nan_to_num(columns["veto_code"]))
    return columns


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """The frame with further columns, which replace those of the same name.

    All at once, and numbers that stand side by side as one block: ``assign`` inserts column by column, which
    for 50 of them takes 13 times as long, each second.
    """
    replaced = columns.keys() & set(frame.columns)
    parts = [frame.drop(columns=list(replaced)) if replaced else frame]
    for is_block, run in groupby(columns.items(), lambda item: _is_numbers(item[1])):
        added = dict(run)
        if is_block:
            block = np.stack(list(added.values()))
            parts.append(pd.DataFrame(block.T, index=frame.index, columns=_index(tuple(added)), copy=False))
        else:
            parts.append(pd.DataFrame(added, index=frame.index))
    return pd.concat(parts, axis=1)


def _is_numbers(column: Any) -> bool:
    return isinstance(column, np.ndarray) and column.dtype == np.float64


@cache
def _index(names: tuple[str, ...]) -> pd.Index[str]:
    """The same names, second after second, made into an index once."""
    return pd.Index(names)
