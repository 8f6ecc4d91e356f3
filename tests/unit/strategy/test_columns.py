"""Columns of decisions in FreqTrade's frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.phases.layout import COLUMN_NAMES, VETO_NAMES
from squeezeflow_plugin.strategy.columns import (
    PLOT_CONFIG,
    SHOWN,
    decision_columns,
    phase_labels,
    shown,
    with_columns,
)
from squeezeflow_plugin.strategy.informed import informative_columns


def decided(**fields: float) -> list[float]:
    return [float(fields.get(name, 0.0)) for name in COLUMN_NAMES]


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({}, "warming_up"),
        ({"ready": 1}, "quiet"),
        ({"ready": 1, "regime": -1}, "long_squeeze"),
        ({"ready": 1, "regime": 1, "setup": 1}, "divergence_long"),
        ({"ready": 1, "setup": -1, "reset_active": 2}, "reset_short"),
        ({"ready": 1, "setup": -1, "reset_active": 1, "entry": -1}, "entry_short"),
        ({"ready": 1, "entry": 1}, "entry_long"),
    ],
)
def test_the_label_is_the_furthest_phase(fields: dict[str, float], label: str) -> None:
    values = np.array([decided(**fields)]).T
    assert decision_columns(values)["phase"] == [label]


def test_a_candle_without_a_decision_is_nan_and_empty_text() -> None:
    values = np.array([np.full(len(COLUMN_NAMES), np.nan), decided(ready=1, score=5.5, veto_code=2)]).T
    frame = pd.DataFrame(decision_columns(values))
    assert np.isnan(frame["score"].iloc[0])
    assert frame["score"].iloc[1] == 5.5
    assert frame["phase"].tolist() == ["", "quiet"]
    assert frame["veto"].tolist() == ["", VETO_NAMES[2]]
    assert phase_labels(frame) == frame["phase"].tolist()


def test_no_candle_is_no_row() -> None:
    assert pd.DataFrame(decision_columns(np.empty((len(COLUMN_NAMES), 0)))).empty


def test_what_is_shown_is_named_once_and_plotted_columns_are_shown() -> None:
    assert len(set(SHOWN)) == len(SHOWN)
    plotted = {name for plot in PLOT_CONFIG["subplots"].values() for name in plot}
    informative = set(informative_columns(None, np.empty(0, dtype=np.int64)))
    assert plotted | set(PLOT_CONFIG["main_plot"]) <= set(SHOWN) | informative
    numbers = np.arange(float(len(COLUMN_NAMES)))
    assert dict(zip(SHOWN, shown(numbers), strict=True))["score"] == COLUMN_NAMES.index("score")


def test_columns_are_added_at_once_as_assign_adds_them() -> None:
    frame = pd.DataFrame({"close": [1.0, 2.0], "score": [9.0, 9.0]}, index=[4, 5])
    columns: dict[str, Any] = {"score": np.array([0.5, np.nan]), "phase": ["", "quiet"], "armed": 0}
    found = with_columns(frame, columns)
    pd.testing.assert_frame_equal(found[list(frame.assign(**columns))], frame.assign(**columns))
