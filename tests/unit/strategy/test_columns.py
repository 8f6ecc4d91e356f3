"""Columns of decisions in FreqTrade's frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.ft_types.plot_annotation_type import AnnotationTypeTA

from squeezeflow_plugin.phases.decision import FloatArray
from squeezeflow_plugin.phases.layout import COLUMN_NAMES, VETO_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.candles import FLOW_COLUMNS
from squeezeflow_plugin.strategy.columns import (
    SHOWN,
    decision_columns,
    flow_columns,
    phase_labels,
    shown,
    with_columns,
)
from squeezeflow_plugin.strategy.informed import informative_columns
from squeezeflow_plugin.strategy.plots import PLOT_CONFIG, areas, plotted_columns


def columns_of(values: FloatArray) -> dict[str, Any]:
    return decision_columns(values, values[COLUMN_NAMES.index("score")] + 1.0, Params())


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
    assert columns_of(values)["phase"].tolist() == [label]


def test_a_candle_without_a_decision_is_nan_and_empty_text() -> None:
    values = np.array([np.full(len(COLUMN_NAMES), np.nan), decided(ready=1, score=5.5, veto_code=2)]).T
    frame = pd.DataFrame(columns_of(values))
    assert np.isnan(frame["score"].iloc[0])
    assert frame["score"].iloc[1] == 5.5
    assert frame["phase"].tolist() == ["", "quiet"]
    assert frame["veto"].tolist() == ["", VETO_NAMES[2]]
    assert phase_labels({name: frame[name].to_numpy() for name in SHOWN}).tolist() == ["", "quiet"]


def test_no_candle_is_no_row() -> None:
    assert pd.DataFrame(columns_of(np.empty((len(COLUMN_NAMES), 0)))).empty


def test_what_is_shown_is_named_once() -> None:
    assert len(set(SHOWN)) == len(SHOWN)
    numbers = np.arange(float(len(COLUMN_NAMES)))
    assert dict(zip(SHOWN, shown(numbers), strict=True))["score"] == COLUMN_NAMES.index("score")


def test_columns_are_added_at_once_as_assign_adds_them() -> None:
    frame = pd.DataFrame({"close": [1.0, 2.0], "score": [9.0, 9.0]}, index=[4, 5])
    columns: dict[str, Any] = {
        "score": np.array([0.5, np.nan]),
        "retrace": np.array([1.0, 2.0]),
        "phase": ["", "quiet"],
        "armed": 0,
        "flow_spot": np.array([3.0, 4.0]),
    }
    found = with_columns(frame, columns)
    pd.testing.assert_frame_equal(found[list(frame.assign(**columns))], frame.assign(**columns))


def test_every_plotted_column_is_there_and_they_are_not_too_many() -> None:
    known = np.empty(0, dtype=np.int64)
    there = {*columns_of(np.empty((len(COLUMN_NAMES), 0))), *informative_columns(None, known), *FLOW_COLUMNS}
    there |= set(flow_columns(pd.DataFrame(columns=list(FLOW_COLUMNS))))
    assert set(plotted_columns()) <= there
    assert len(plotted_columns()) <= 25
    kinds = {each["type"] for plot in PLOT_CONFIG["subplots"].values() for each in plot.values()}
    assert kinds == {"line", "bar"}


def test_a_candles_close_and_its_highest_score_are_two_columns() -> None:
    values = np.array([decided(ready=1, score=3.5)]).T
    found = columns_of(values)
    assert (found["score"].tolist(), found["score_high"].tolist()) == ([3.5], [4.5])
    assert found["score_least"].tolist() == [4.0]
    assert (found["divergence_high"].tolist(), found["divergence_low"].tolist()) == ([2.0], [-2.0])


@pytest.mark.parametrize(
    ("fields", "step"),
    [({}, 0.0), ({"regime": -1}, -1.0), ({"setup": 1}, 2.0), ({"setup": -1, "reset_active": 2}, -3.0)],
)
def test_the_phase_is_a_signed_number(fields: dict[str, float], step: float) -> None:
    values = np.array([decided(ready=1, **fields)]).T
    assert columns_of(values)["phase_step"].tolist() == [step]


def test_a_candle_without_flow_has_no_flow_columns() -> None:
    assert flow_columns(pd.DataFrame({"close": [1.0]})) == {}


def frame_of(**columns: list[float]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    dates = pd.date_range("2026-01-01", periods=count, freq="1min", tz="UTC")
    return pd.DataFrame({"date": dates, **columns})


def test_setups_resets_and_holes_are_areas_in_freqtrades_types() -> None:
    frame = frame_of(
        setup=[0.0, 1.0, 1.0, -1.0, 0.0],
        reset_active=[0.0, 0.0, 2.0, 0.0, 0.0],
        coverage_spot=[1.0, 1.0, 1.0, 1.0, 0.5],
        coverage_perp=[1.0] * 5,
    )
    found = areas(frame)
    minutes = [(each["label"], each["start"].minute, each["end"].minute) for each in found]
    assert minutes == [("setup long", 1, 3), ("setup short", 3, 4), ("reset long", 2, 3), ("hole", 4, 5)]
    for each in found:
        AnnotationTypeTA.validate_python(each, extra="forbid")


def test_nothing_is_marked_where_nothing_was_decided() -> None:
    nan = [float("nan")] * 2
    assert areas(frame_of(setup=nan, reset_active=nan)) == []
    assert areas(frame_of(close=[1.0])) == []
    assert areas(pd.DataFrame()) == []
