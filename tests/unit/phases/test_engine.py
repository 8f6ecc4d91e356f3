"""The engine's edges: order of rows, state, fingerprint; its numbers are compared in tests/reference."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import FlowRow
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params
from tests.reference.flows import flow_of, market_day

ROW = FlowRow(100, 2.0, 2.0, 2.0, 2.0, 1.0, 0.0, 0.0, 1.0)


def test_a_second_that_does_not_follow_is_refused_and_the_state_stays() -> None:
    engine = Engine()
    engine.step(ROW)
    for second in (100, 102, 99):
        with pytest.raises(EngineError, match=f"second {second} does not follow 100"):
            engine.step(ROW._replace(time=second))
    with pytest.raises(EngineError, match="second 100: close nan"):
        engine.step(ROW._replace(close=math.nan))
    assert (engine.second, engine.rows) == (100, 1)
    engine.step(ROW._replace(time=101))
    assert (engine.second, engine.rows) == (101, 2)


def test_a_flow_that_does_not_follow_is_refused() -> None:
    flow = flow_of(market_day(1, 100))
    engine = Engine()
    engine.feed(flow.part(0, 50))
    with pytest.raises(EngineError, match="does not follow"):
        engine.run(flow.part(51, 100))
    assert engine.rows == 50


def test_nothing_in_nothing_out() -> None:
    engine = Engine()
    flow = flow_of(market_day(1, 10))
    assert len(engine.run(flow.part(0, 0))) == 0
    assert engine.second is None


def test_reset_forgets_every_row() -> None:
    flow = flow_of(market_day(2, 9_000))
    engine = Engine()
    first = engine.run(flow).values
    engine.reset()
    assert engine.second is None
    assert np.array_equal(engine.run(flow).values, first)


def test_the_state_of_an_asset_is_below_a_megabyte() -> None:
    assert Engine().state_bytes < 1_000_000


def test_some_columns_are_the_same_columns() -> None:
    flow = flow_of(market_day(2, 9_000))
    scored = Engine().run(flow)
    some = Engine().columns(flow, ("score", "z_r_1h"))
    assert np.array_equal(some[:, 0], scored.score)
    assert np.array_equal(some[:, 1], scored.column("z_r_1h"))


def test_an_engine_that_was_pickled_goes_on_with_the_same_bits() -> None:
    flow = flow_of(market_day(3, 8_000))
    engine = Engine()
    engine.feed(flow.part(0, 7_500))
    copy = pickle.loads(pickle.dumps(engine))  # noqa: S301  # our own bytes
    assert np.array_equal(
        copy.run(flow.part(7_500, 8_000)).values, engine.run(flow.part(7_500, 8_000)).values
    )


def test_the_fingerprint_names_parameters_and_build() -> None:
    fingerprint = Engine(Params(min_score=5.5)).fingerprint
    assert "min_score=5.5" in fingerprint
    for part in ("method ", "numba ", "numpy ", "llvm ", "cpu "):
        assert part in fingerprint
    assert fingerprint == Engine(Params(min_score=5.5)).fingerprint != Engine().fingerprint
