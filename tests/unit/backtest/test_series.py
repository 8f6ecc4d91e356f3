"""Candles of the report hold the same as the seconds."""

from __future__ import annotations

import numpy as np

from squeezeflow_plugin.backtest.flows import AssetChunk
from squeezeflow_plugin.backtest.series import Series, grid_of
from tests.reference.flows import flow_of, scripted_frame


def test_a_month_has_no_more_points_than_a_screen() -> None:
    assert grid_of(3600) == 60
    assert all(days * 86_400 / grid_of(days * 86_400) <= 10_000 for days in (1, 7, 30, 365))


def test_candles_add_up() -> None:
    flow = flow_of(scripted_frame(5, 9000, ()))
    start = int(flow.time[0]) + 100
    series = Series(start, int(flow.time[-1]) + 1)
    for first, stop in ((0, 3000), (3000, 9000)):
        part = flow.part(first, stop)
        series.add(AssetChunk(part, np.ones(len(part)), 1.0, 0.0))
    frame = series.candles()
    assert frame["volume"].sum() == 8900
    assert frame["date"].is_monotonic_increasing
    assert np.isclose(frame["spot_delta"].sum(), (flow.spot_buy - flow.spot_sell)[100:].sum())
    assert frame["high"].max() == flow.high[100:].max()
    assert frame["low"].min() == flow.low[100:].min()
    assert frame["open"].iloc[0] == flow.open[100]
    assert frame["close"].iloc[-1] == flow.close[-1]


def test_nothing_is_an_empty_frame() -> None:
    frame = Series(0, 60).candles()
    assert len(frame) == 0
    assert str(frame["date"].dtype).endswith("UTC]")
