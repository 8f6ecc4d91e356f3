"""What must hold of an explanation whatever the market did."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.explain import Explanation, explain
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.reasons import lines, reason
from tests.property.test_engine_properties import flows
from tests.reference.flows import Episode, flow_of, scripted_frame

FEW = settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
ROWS = 10_500
OTHER = Params(min_score=2.5, setup_ttl=1500, weights=(4.0, 3.0, 1.0, 2.0), retrace_full=0.8, rearm=120)


def assert_told(told: Explanation) -> None:
    """The parts are the engine's, follow from what they name, and add up to the score."""
    decision = told.decision
    assert min(max(told.score_before_clip, 0.0), 10.0) == decision.score
    for part in told.parts:
        assert part.points == getattr(decision, part.name)
        assert part.evaluate() == part.points, part.name
        assert all(check.start < check.stop <= decision.second + 1 for check in part.checks)
    qualifies = bool(told.entry) and all(check.holds for check in told.entry)
    assert qualifies == (decision.eligible != 0)
    assert bool(told.parts) == (decision.setup != 0)
    if decision.setup:
        assert told.setup is not None
        assert told.setup.direction == decision.setup
        assert told.setup.since <= decision.second
        exhausted = all(check.holds for check in told.exhaustion)
        exploded = all(check.holds for check in told.explosion)
        assert decision.reset == (2 if exploded else 1 if exhausted else 0)
    if decision.event:
        assert told.last_qualified is None
    assert reason(told)
    assert next(iter(lines(told))) == reason(told)


@FEW
@given(flows(ROWS), st.sampled_from((Params(), OTHER)), st.integers(0, 2**32 - 1))
def test_parts_add_up_and_follow_from_what_they_name(frame: pd.DataFrame, params: Params, seed: int) -> None:
    rng = np.random.default_rng(seed)
    flow = flow_of(frame.assign(oi_change=rng.choice([-0.1, 0.01, 0.06, 0.3, math.nan], len(frame))))
    scored = Engine(params).run(flow)
    events = np.flatnonzero(scored.event)
    near = (events[:, None] + np.array([-1, 0, 1, 4, 5, 250])).ravel()
    setups = np.flatnonzero(scored.column("setup"))
    rows = {*near.tolist(), *rng.choice(setups, min(len(setups), 20)).tolist(), *rng.integers(0, ROWS, 5)}
    for row in (int(row) for row in rows if row < ROWS):
        first = max(row + 1 - params.warmup_rows, 0)
        told = explain(flow.part(first, row + 1), params)
        assert told.decision == scored.at(row)
        assert_told(told)


def test_the_regular_mode_is_explained_too() -> None:
    params = Params(regular=True)
    frame = scripted_frame(31, 21_000, (Episode(17_000, 1, build=1_800, reset=500, push=700, drift=0.2),))
    flow = flow_of(frame)
    scored = Engine(params).run(flow)
    events = np.flatnonzero(scored.event)
    assert len(events)
    for row in (int(events[0]) + step for step in (-300, -1, 0, 7, 299, 300)):
        told = explain(flow.part(row + 1 - params.warmup_rows, row + 1), params)
        assert told.decision == scored.at(row)
        assert_told(told)
