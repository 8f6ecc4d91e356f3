"""The public functions on tables: columns, types, index, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import squeezeflow_plugin
from squeezeflow_plugin.errors import FrameError
from squeezeflow_plugin.frames import score_frame
from squeezeflow_plugin.phases.decision import SCORE_COLUMNS
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params
from tests.reference.flows import flow_of, market_day


def test_score_frame_has_the_columns_of_the_method_and_the_frames_index() -> None:
    frame = market_day(1, 8_000)
    frame.index = pd.to_datetime(frame["time"], unit="s", utc=True)
    before = frame.copy()
    scored = score_frame(frame)
    assert tuple(scored.columns) == (*SCORE_COLUMNS, "veto")
    assert scored.index.equals(frame.index)
    pd.testing.assert_frame_equal(frame, before)


def test_score_frame_is_what_the_engine_says() -> None:
    frame = market_day(2, 9_000)
    scored, decisions = score_frame(frame), Engine().run(flow_of(frame))
    for name in SCORE_COLUMNS:
        assert np.array_equal(scored[name].to_numpy().astype(float), decisions.column(name)), name
    assert (scored["veto"] == decisions.veto).all()


def test_score_frame_has_whole_directions_and_real_flags() -> None:
    scored = score_frame(market_day(1, 100))
    for name in ("regime", "setup", "reset", "eligible", "entry"):
        assert scored[name].dtype == np.int64
    for name in ("ready", "tradable"):
        assert scored[name].dtype == np.bool_
    assert scored["score"].dtype == np.float64
    assert not scored.isna().to_numpy().any()


def test_score_frame_takes_parameters() -> None:
    frame = market_day(3, 11_000)
    assert (score_frame(frame)["eligible"] != 0).any()
    strict = score_frame(frame, Params(min_score=10.0))
    assert not strict["eligible"].any()
    assert strict["score"].equals(score_frame(frame)["score"])


def test_score_frame_of_no_rows() -> None:
    assert score_frame(market_day(1, 5).iloc[:0]).empty


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.drop(columns="low"), "lacks the column(s) low"),
        (lambda f: f.drop(index=4), "column 'time', row 4"),
        (lambda f: f.assign(spot_buy=-f["spot_buy"]), "column 'spot_buy', row 0"),
        (lambda f: f.assign(close=np.nan), "column 'close', row 0"),
    ],
)
def test_score_frame_names_what_it_refuses(damage: object, message: str) -> None:
    assert callable(damage)
    with pytest.raises(FrameError, match=re.escape(message)):
        score_frame(damage(market_day(1, 10)))


def test_the_package_offers_it_lazily() -> None:
    assert squeezeflow_plugin.score_frame is score_frame
    assert squeezeflow_plugin.Params is Params
