"""The compiled engine against its slow twins, on seeded flow with everything in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.phases.decision import DecisionArrays
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, ExitWatch, first_exit
from squeezeflow_plugin.phases.layout import COLUMN_NAMES
from squeezeflow_plugin.phases.params import Params
from tests.reference.exits_twin import slow_exit
from tests.reference.flows import flow_of, market_day, noise_frame
from tests.reference.score_twin import Twin, score_twin

TOLERANCE = 1e-9
NOT_IN_TWIN = {"range_low", "range_high", "ready", "tradable", "veto_code"}  # compared on their own


@pytest.fixture(scope="module")
def day() -> pd.DataFrame:
    return market_day()


@pytest.fixture(scope="module")
def twin(day: pd.DataFrame) -> Twin:
    return score_twin(day)


@pytest.fixture(scope="module")
def scored(day: pd.DataFrame) -> DecisionArrays:
    return Engine().run(flow_of(day))


def comparable(twin: Twin, params: Params) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The ready rows that remember no tie; ties are where another order of summation may decide otherwise."""
    rows = np.arange(len(twin.near)) >= params.warmup_rows - 1
    for tie in np.flatnonzero(twin.near):
        rows[tie : tie + params.warmup_rows] = False
    assert twin.near.sum() * 1000 <= len(rows)
    return rows


def assert_equal(scored: DecisionArrays, twin: Twin, params: Params) -> None:
    rows = comparable(twin, params)
    assert rows.any()
    for name in COLUMN_NAMES:
        if name not in NOT_IN_TWIN:
            np.testing.assert_allclose(
                scored.column(name)[rows], twin.columns[name][rows], TOLERANCE, TOLERANCE, err_msg=name
            )
    assert (scored.veto[rows] == np.array(twin.veto, dtype=object)[rows]).all()


def test_every_column_of_six_hours_equals_the_twin(scored: DecisionArrays, twin: Twin) -> None:
    assert_equal(scored, twin, Params())


def test_rows_before_readiness_say_nothing_and_are_vetoed(scored: DecisionArrays, twin: Twin) -> None:
    first = COLUMN_NAMES.index("context")
    last = COLUMN_NAMES.index("ready")
    assert not scored.values[:7199, first : last + 1].any()
    assert set(scored.veto[:7199]) == {"warming_up"} == set(twin.veto[:7199])
    assert scored.column("ready")[7199:].all()


def test_the_day_has_everything_in_it(scored: DecisionArrays) -> None:
    """Without this, equality would be cheap."""
    assert set(scored.event) == {-1, 0, 1}
    assert set(scored.column("setup")) == {-1.0, 0.0, 1.0}
    assert set(scored.column("reset")) == {0.0, 1.0, 2.0}
    assert set(scored.column("regime")) == {-1.0, 0.0, 1.0}
    assert set(scored.column("score_oi")) == {-1.0, 0.0, 0.5, 1.5, 2.0}
    assert len(set(scored.column("score_breakdown"))) >= 3
    assert {"", "warming_up", "reference_stale", "hole_spot_5m", "hole_perp_5m", "hole_spot_15m"} <= set(
        scored.veto
    )


def test_other_parameters_equal_the_twin() -> None:
    params = Params(
        ctx_threshold=0.6,
        div_threshold=1.4,
        price_threshold=0.4,
        min_activity=0.4,
        retrace_threshold=0.2,
        retrace_full=0.8,
        stall_threshold=1.1,
        explosion_threshold=1.5,
        min_score=3.0,
        setup_ttl=1000,
        reset_ttl=200,
        explosion_memory=700,
        vol_ratio=0.98,
        rearm=120,
        entry_ttl=9,
        min_coverage=0.9,
        weights=(4.0, 3.0, 1.0, 2.0),
    )
    frame = market_day(11, 12_000)
    assert_equal(Engine(params).run(flow_of(frame)), score_twin(frame, params), params)


def test_longer_memories_equal_the_twin() -> None:
    params = Params(setup_ttl=2200, reset_ttl=400, explosion_memory=1200, rearm=900, min_score=3.0)
    frame = market_day(12, 12_000)
    assert params.warmup_rows == 8600
    assert_equal(Engine(params).run(flow_of(frame)), score_twin(frame, params), params)


def test_exits_equal_the_twin_and_the_watch(day: pd.DataFrame, twin: Twin, scored: DecisionArrays) -> None:
    """From a ready second in every 290, in both directions, as if an entry had been there."""
    flow, found = flow_of(day), set()
    for entry in range(7_300, len(day) - 2_000, 290):
        for direction in (1, -1):
            baseline = Baseline.of(scored.at(entry), direction)
            fast = first_exit(flow, scored, baseline)
            slow = slow_exit(day, twin.columns, entry, direction)
            assert (fast is None) == (slow is None)
            if fast is not None and slow is not None:
                assert (fast.second, fast.name) == (flow.time[slow[0]], slow[1])
                found.add(fast.name)
    assert found == {"flow_reversal", "range_break", "cvd_invalidation", "context_invalidation"}


def test_every_event_is_left_at_the_same_second_by_all_three(
    day: pd.DataFrame, twin: Twin, scored: DecisionArrays
) -> None:
    flow = flow_of(day)
    entries = np.flatnonzero(scored.event)
    assert len(entries) >= 3
    for entry in map(int, entries):
        baseline = Baseline.of(scored.at(entry))
        watch, stepped = ExitWatch(baseline), None
        for i in range(entry + 1, len(day)):
            name = watch.step(flow.row(i), scored.at(i))
            if name is not None:
                stepped = (i, name)
                break
        assert stepped == slow_exit(day, twin.columns, entry, baseline.direction)
        fast = first_exit(flow, scored, baseline)
        assert stepped == (None if fast is None else (fast.second - int(flow.time[0]), fast.name))


def test_noise_fires_as_rarely_in_the_twin_as_in_the_engine() -> None:
    """A day of independent seconds, event for event."""
    frame = noise_frame(21, 86_400)
    fast = Engine().run(flow_of(frame)).event
    assert (fast == score_twin(frame).columns["event"]).all()
    assert np.count_nonzero(fast) == 2


def test_how_often_pure_noise_fires() -> None:
    """1.65 events a day and asset on this noise; benchmarks/bench_engine.py prints other tails."""
    events = sum(
        np.count_nonzero(Engine().columns(flow_of(noise_frame(seed, 86_400)), ("event",)))
        for seed in range(40)
    )
    assert 40 <= events <= 90, f"{events} events in 40 days of noise"
