"""What FreqUI draws: the plot configuration in its own types, and areas for setups, resets and holes.

FreqUI draws columns as lines, bars or points; a threshold is a constant column. More than some 25 of them
make it slow, so the parts that are seldom looked at are left to the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from freqtrade.strategy import IStrategy

from squeezeflow_plugin.bars.flow import MIN_COVERAGE
from squeezeflow_plugin.features.flow import FloatArray
from squeezeflow_plugin.strategy.columns import (
    DIVERGENCE_HIGH,
    DIVERGENCE_LOW,
    FLOW_PERP,
    FLOW_SPOT,
    SCORE_HIGH,
    SCORE_LEAST,
    STEP,
)

_SPOT, _PERP, _SCORE, _GREY, _RED = "#3c8d5a", "#b0413e", "#2a6fdb", "#8a8a8a", "#c9302c"
_AREAS = {"long": "rgba(60, 141, 90, 0.14)", "short": "rgba(176, 65, 62, 0.14)"}
_RESETS = {"long": "rgba(60, 141, 90, 0.30)", "short": "rgba(176, 65, 62, 0.30)"}
_HOLE = "rgba(138, 138, 138, 0.35)"


def _line(color: str) -> dict[str, str]:
    return {"color": color, "type": "line"}


def _bar(color: str) -> dict[str, str]:
    return {"color": color, "type": "bar"}


PLOT_CONFIG: dict[str, Any] = {
    "main_plot": {},
    "subplots": {
        "score": {"score": _line(_SCORE), SCORE_HIGH: _line(_GREY), SCORE_LEAST: _line(_RED)},
        "score parts": {
            "score_reset": _bar(_GREY),
            "score_absorption": _bar("#c28f2c"),
            "score_breakdown": _bar(_PERP),
            "score_bias": _bar(_SPOT),
            "score_oi": _bar("#6f5aa8"),
        },
        "phase": {STEP: _bar(_SCORE), "context": _line("#c28f2c")},
        "divergence 15m": {
            "z_spot_15m": _line(_SPOT),
            "z_perp_15m": _line(_PERP),
            DIVERGENCE_HIGH: _line(_GREY),
            DIVERGENCE_LOW: _line(_GREY),
        },
        "CVD 1h": {"cvd_spot_5m": _line(_SPOT), "cvd_perp_5m": _line(_PERP)},
        "flow": {FLOW_SPOT: _bar(_SPOT), FLOW_PERP: _bar(_PERP)},
        "liquidations": {"liquidated_buy": _bar(_SPOT), "liquidated_sell": _bar(_PERP)},
        "open interest, 1h": {"oi_change_5m": _line(_SCORE)},
        "coverage": {"coverage_spot": _line(_SPOT), "coverage_perp": _line(_PERP)},
    },
}


def plotted_columns() -> list[str]:
    """Every column that FreqUI is asked to draw.

    >>> len(plotted_columns())
    23
    """
    subplots = (name for plot in PLOT_CONFIG["subplots"].values() for name in plot)
    return [*PLOT_CONFIG["main_plot"], *subplots]


def areas(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Areas over the candles of each setup, each reset in memory, and each hole; in FreqTrade's types.

    A candle belongs to a setup or reset that stood at its close, and to a hole where either class's mean
    coverage was less than the method needs.
    """
    if frame.empty or "setup" not in frame:
        return []
    setup = np.nan_to_num(frame["setup"].to_numpy(np.float64))
    reset = np.where(np.nan_to_num(frame["reset_active"].to_numpy(np.float64)) != 0, setup, 0.0)
    found = [_area(frame, run, f"setup {_side(run)}", _AREAS[_side(run)]) for run in _runs(setup)]
    found += [_area(frame, run, f"reset {_side(run)}", _RESETS[_side(run)]) for run in _runs(reset)]
    if "coverage_spot" in frame:
        covered = frame[["coverage_spot", "coverage_perp"]].min(axis=1).to_numpy(np.float64)
        found += [_area(frame, run, "hole", _HOLE) for run in _runs((covered < MIN_COVERAGE).astype(float))]
    return found


Run = tuple[int, int, float]
"""First and last row of candles that follow each other, and their common value."""


def _runs(values: FloatArray) -> Iterator[Run]:
    """The runs of one value that is not 0."""
    edges = np.flatnonzero(np.diff(values)) + 1
    for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), len(values)], strict=True):
        if values[start]:
            yield start, stop - 1, float(values[start])


def _side(run: Run) -> str:
    return "long" if run[2] > 0 else "short"


def _area(frame: pd.DataFrame, run: Run, label: str, color: str) -> dict[str, Any]:
    dates = frame["date"]
    length = dates.iloc[-1] - dates.iloc[-2] if len(dates) > 1 else pd.Timedelta(0)
    return {
        "type": "area",
        "label": label,
        "color": color,
        "start": dates.iloc[run[0]].to_pydatetime(),
        "end": (dates.iloc[run[1]] + length).to_pydatetime(),
    }


class PlottedStrategy(IStrategy):  # type: ignore[misc]  # FreqTrade ships no types
    """What FreqUI is told to draw."""

    plot_config: ClassVar = PLOT_CONFIG

    def plot_annotations(
        self,
        pair: str,  # noqa: ARG002 - FreqTrade's signature, as the following ones
        start_date: datetime,  # noqa: ARG002
        end_date: datetime,  # noqa: ARG002
        dataframe: pd.DataFrame,
        **_kwargs: Any,
    ) -> list[dict[str, Any]]:
        """Setups, resets and holes as areas of the chart."""
        return areas(dataframe)
