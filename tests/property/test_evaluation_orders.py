"""However the seconds reach the engine, every column of every row has the same bits.

At once, one by one, in chunks that overlap by the warm-up, or on an engine that was restarted and fed the
last 7,200 rows: over a seeded day, and over whatever flows Hypothesis thinks of.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.features.batch import FeatureRecorder
from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.phases.bank import EngineBank
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.layout import COLUMN_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.recorded import RecordedEngine
from tests.reference.flows import START, Episode, flow_of, scripted_frame, silence

DAY = 86_400
WARMUP = 7_200
EVENT = COLUMN_NAMES.index("event")
FEW = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def day() -> Flow:
    """A day with a squeeze every ninety minutes, quiet stretches, holes, a stale reference, open interest."""
    sides = (1, -1, -1, 1)
    episodes = tuple(
        Episode(
            2_500 + 5_400 * place, sides[place % 4], drift=0.12 + 0.02 * (place % 5), push=420 * (place % 2)
        )
        for place in range(15)
    )
    frame = scripted_frame(11, DAY, episodes)
    rng = np.random.default_rng(11)
    for start in rng.integers(0, DAY - 900, 12).tolist():
        silence(frame, start, start + 900, float(rng.uniform(0.5, 1.0)), start)
    coverage = np.ones((2, DAY))
    for start in rng.integers(0, DAY - 60, 20).tolist():
        coverage[start % 2, start : start + 40] = 0.4
    live = np.ones(DAY)
    live[40_000:40_030] = 0.0
    change = np.repeat(rng.choice([-0.02, 0.0, 0.01, 0.06, 0.2, np.nan], DAY // 60), 60)
    covered = {"coverage_spot": coverage[0], "coverage_perp": coverage[1]}
    return flow_of(frame.assign(**covered, reference_live=live, oi_change=change))


@pytest.fixture(scope="module")
def batch(day: Flow) -> FloatArray:
    values = Engine().run(day).values
    assert np.count_nonzero(values[:, EVENT]) >= 8
    assert len(np.unique(values[:, COLUMN_NAMES.index("veto_code")])) >= 4
    return values


def test_a_day_second_by_second(day: Flow, batch: FloatArray) -> None:
    bank = EngineBank(1)
    rows = day.matrix().T.copy()
    first = int(day.time[0])
    stepped = np.stack([bank.step(first + place, rows[place : place + 1])[0].copy() for place in range(DAY)])
    assert np.array_equal(stepped, batch)


def test_a_day_in_chunks_that_overlap_by_the_warmup(day: Flow, batch: FloatArray) -> None:
    parts = [batch[: WARMUP - 1]]
    for start in range(WARMUP - 1, DAY, 3_600):
        engine = Engine()
        engine.feed(day.part(start - (WARMUP - 1), start))
        parts.append(engine.run(day.part(start, min(start + 3_600, DAY))).values)
    assert np.array_equal(np.concatenate(parts), batch)


def test_a_day_restarted_at_any_row(day: Flow, batch: FloatArray) -> None:
    """Every 97th row, which meets every place in a block, and the rows around each event."""
    events = np.flatnonzero(batch[:, EVENT])
    around = (events[:, None] + np.array([-1, 0, 1, 4, 5, 6])).ravel().tolist()
    for row in (row for row in (*range(WARMUP - 1, DAY - 5, 97), *around) if row < DAY - 5):
        engine = Engine()
        engine.feed(day.part(row - (WARMUP - 1), row))
        again = engine.run(day.part(row, row + 5)).values
        assert np.array_equal(again, batch[row : row + 5]), row


def test_a_day_from_recorded_features(day: Flow, batch: FloatArray) -> None:
    recorder = FeatureRecorder()
    recorded = np.concatenate([recorder.record(day.part(at, at + 14_400)) for at in range(0, DAY, 14_400)])
    found = RecordedEngine(Params()).columns(int(day.time[0]), recorded, COLUMN_NAMES)
    assert np.array_equal(found, batch)


@st.composite
def wild_flows(draw: st.DrawFn, rows: int = 9_000) -> Flow:
    """Volumes from 1e-4 to 1e12, classes that hardly or never trade, gaps, prices that stand, outliers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns: dict[str, FloatArray] = {}
    for kind in ("spot", "perp"):
        scale = 10.0 ** draw(st.integers(-4, 12))
        tail, traded = draw(st.sampled_from((0.0, 0.8, 3.0))), draw(st.sampled_from((0.0, 0.02, 0.5, 1.0)))
        silent = rng.random(rows) >= traded
        for side in ("buy", "sell"):
            volume = np.clip(scale * rng.lognormal(0.0, tail, rows), 1e-4, 1e12)
            columns[f"{kind}_{side}"] = np.where(silent, 0.0, volume)
        for place in draw(st.lists(st.integers(0, rows - 1), max_size=4)):
            columns[f"{kind}_{draw(st.sampled_from(('buy', 'sell')))}"][place] = 1e12
    steps = draw(st.sampled_from((0.0, 4e-5, 1e-2))) * rng.normal(0.0, 1.0, rows)
    steps[rng.random(rows) < draw(st.sampled_from((0.0, 0.001)))] = draw(st.sampled_from((-0.5, 0.7)))
    close = 10.0 ** draw(st.integers(-6, 6)) * np.exp(np.cumsum(steps - steps.mean()))
    opening = np.concatenate([close[:1], close[:-1]])
    gap = draw(st.integers(0, rows - 1))
    stop = min(gap + draw(st.sampled_from((0, 30, 900, 4_000))), rows)
    for volume in columns.values():
        volume[gap:stop] = 0.0
    coverage = np.ones(rows)
    coverage[gap:stop] = 0.0
    prices = {"open": opening, "high": np.maximum(opening, close), "low": np.minimum(opening, close)}
    covered = {"coverage_spot": coverage, "coverage_perp": coverage, "reference_live": coverage}
    start = START + draw(st.integers(0, 3_600))
    return Flow.from_columns(
        {"time": np.arange(start, start + rows), **prices, "close": close, **columns, **covered}
    )


@FEW
@given(wild_flows(), st.integers(1, 8_999), st.integers(50, 900))
def test_wild_flows_have_one_evaluation(flow: Flow, restart: int, chunk: int) -> None:
    params = Params(
        div_threshold=0.5, min_score=1.0, min_activity=0.0
    )  # so that the later phases are reached
    batch, engine = Engine(params).run(flow), Engine(params)
    whole = batch.values
    assert np.isfinite(whole).all()
    engine.feed(flow.part(0, restart))
    stop = min(restart + 60, len(flow))
    assert [engine.step(flow.row(row)) for row in range(restart, stop)] == [
        batch.at(row) for row in range(restart, stop)
    ]
    assert engine.run(flow.part(stop, len(flow))).values.tobytes() == whole[stop:].tobytes()
    for start in range(WARMUP - 1, len(flow), chunk):
        again = Engine(params)
        again.feed(flow.part(start - (WARMUP - 1), start))
        part = again.run(flow.part(start, min(start + chunk, len(flow)))).values
        assert part.tobytes() == whole[start : start + chunk].tobytes()
    recorded = FeatureRecorder().record(flow)
    again_recorded = RecordedEngine(params).columns(int(flow.time[0]), recorded, COLUMN_NAMES)
    assert again_recorded.tobytes() == whole.tobytes()
