"""What may enter the engine, and what the refusals say."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from squeezeflow_plugin.errors import EngineError, FrameError
from squeezeflow_plugin.features.flow import Flow, FlowRow, check_row


def columns(**changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"time": [100, 101, 102]}
    given |= {name: [2.0, 2.0, 2.0] for name in ("open", "high", "low", "close")}
    given |= {name: [1.0, 0.0, 3.0] for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell")}
    return given | changed


def test_optional_columns_have_the_defaults_of_the_method() -> None:
    flow = Flow.from_columns(columns(unknown=["ignored"] * 3))
    assert flow.coverage_spot.tolist() == flow.coverage_perp.tolist() == [1.0, 1.0, 1.0]
    assert flow.reference_live.tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(flow.oi_change).all()
    assert flow.matrix().shape == (12, 3)


def test_rows_and_parts_are_the_columns() -> None:
    flow = Flow.from_columns(columns(oi_change=[0.1, math.nan, -0.1]))
    assert flow.row(2) == FlowRow(102, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, oi_change=-0.1)
    part = flow.part(1, 3)
    assert part.time.tolist() == [101, 102]
    assert np.shares_memory(part.close, flow.close)


def test_columns_cannot_be_written_and_the_given_array_still_can() -> None:
    close = np.full(3, 2.0)
    flow = Flow.from_columns(columns(close=close))
    with pytest.raises(ValueError, match="read-only"):
        flow.close[0] = 1.0
    close[0] = 5.0


def test_an_empty_flow_is_one() -> None:
    assert len(Flow.from_columns({name: [] for name in columns()})) == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"close": [2.0, 0.0, 2.0]}, "column 'close', row 1 (second 101): 0.0 cannot be used"),
        ({"low": [2.0, math.nan, math.nan]}, "row 1 (second 101): nan cannot be used, and 1 more"),
        ({"open": [2.0, 2.0, math.inf]}, "column 'open', row 2 (second 102): inf"),
        ({"high": [2.0, 1.5, 2.0]}, "column 'high', row 1 (second 101): 1.5 cannot be used"),
        ({"spot_sell": [1.0, -3.0, 0.0]}, "column 'spot_sell', row 1 (second 101): -3.0"),
        ({"perp_buy": [1.0, math.nan, 0.0]}, "column 'perp_buy', row 1 (second 101): nan"),
        ({"perp_buy": [1.0, 1e101, 0.0]}, "column 'perp_buy', row 1 (second 101): 1e+101"),
        ({"perp_buy": ["a", "b", "c"]}, "column 'perp_buy' does not hold numbers"),
        ({"perp_buy": [1.0, 2.0]}, "column 'perp_buy' has shape (2,), expected (3,)"),
        ({"coverage_spot": [1.0, 1.1, 1.0]}, "column 'coverage_spot', row 1 (second 101): 1.1"),
        ({"coverage_perp": [1.0, 1.0, math.nan]}, "column 'coverage_perp', row 2 (second 102): nan"),
        ({"reference_live": [1.0, 0.5, 0.0]}, "column 'reference_live', row 1 (second 101): 0.5"),
        ({"oi_change": [0.0, math.inf, 0.0]}, "column 'oi_change', row 1 (second 101): inf"),
        ({"time": [100, 101, 103]}, "column 'time', row 2: 103 does not follow 101 by one second"),
        ({"time": [100, 100, 101]}, "column 'time', row 1: 100 does not follow 100"),
        ({"time": [100.0, 101.5, 102.0]}, "column 'time', row 1: 101.5 cannot be used"),
        ({"time": [[100, 101, 102]]}, "column 'time' must have one dimension, has 2"),
    ],
)
def test_a_refusal_names_column_row_second_and_value(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(FrameError, match=re.escape(message)):
        Flow.from_columns(columns(**changed))


def test_missing_columns_are_named() -> None:
    given = columns()
    del given["close"], given["perp_sell"]
    with pytest.raises(FrameError, match="lacks the column\\(s\\) close, perp_sell"):
        Flow.from_columns(given)


def test_whole_floats_are_seconds() -> None:
    assert Flow.from_columns(columns(time=[100.0, 101.0, 102.0])).time.dtype == np.int64


GOOD = FlowRow(100, 2.0, 3.0, 1.0, 2.0, 0.0, 1.0, 2.0, 3.0)


def test_a_good_row_passes() -> None:
    check_row(GOOD)
    check_row(GOOD._replace(oi_change=-0.5, reference_live=0.0, coverage_perp=0.0))


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("close", math.nan, "is no usable price"),
        ("open", 0.0, "is no usable price"),
        ("high", 0.5, "is below the low"),
        ("spot_buy", -1.0, "is no usable volume"),
        ("perp_sell", math.inf, "is no usable volume"),
        ("coverage_spot", math.nan, "is no share"),
        ("reference_live", 2.0, "is neither 0 nor 1"),
        ("oi_change", -math.inf, "is infinite"),
    ],
)
def test_a_bad_row_is_named(name: str, value: float, what: str) -> None:
    with pytest.raises(EngineError, match=re.escape(f"second 100: {name} {value!r} {what}")):
        check_row(FlowRow(**(GOOD._asdict() | {name: value})))
