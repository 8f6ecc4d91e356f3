"""Scoring from recorded features is scoring: the same bits, in pieces, from a later start."""

from __future__ import annotations

import numpy as np
import pytest

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.batch import FeatureRecorder
from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.layout import COLUMN_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.recorded import RecordedEngine
from tests.reference.flows import Episode, flow_of, scripted_frame

ROWS = 12_000
OTHER = Params(
    ctx_threshold=0.7, div_threshold=1.6, min_score=3.0, setup_ttl=900, weights=(2.0, 3.0, 1.0, 4.0)
)


@pytest.fixture(scope="module")
def flow() -> Flow:
    frame = scripted_frame(5, ROWS, (Episode(4_000, -1), Episode(8_500, 1)))
    rng = np.random.default_rng(5)
    return flow_of(
        frame.assign(
            oi_change=rng.choice([np.nan, 0.2, -0.1], ROWS), reference_live=rng.integers(0, 2, ROWS) * 1.0
        )
    )


@pytest.fixture(scope="module")
def recorded(flow: Flow) -> FloatArray:
    recorder = FeatureRecorder()
    pieces = [recorder.record(flow.part(start, start + 700)) for start in range(0, ROWS, 700)]
    return np.concatenate(pieces)


@pytest.mark.parametrize("params", [Params(), OTHER])
def test_every_column_has_the_engines_bits(flow: Flow, recorded: FloatArray, params: Params) -> None:
    batch = Engine(params).run(flow).values
    engine = RecordedEngine(params)
    first = int(flow.time[0])
    for start in range(0, ROWS, 5_000):
        part = engine.columns(first + start, recorded[start : start + 5_000], COLUMN_NAMES)
        assert part.tobytes() == batch[start : start + 5_000].tobytes()
    assert np.count_nonzero(batch[:, COLUMN_NAMES.index("event")]) > 0


def test_ready_rows_are_the_same_wherever_the_phases_begin(flow: Flow, recorded: FloatArray) -> None:
    batch = Engine().run(flow).values
    start = 1_234
    part = RecordedEngine(Params()).columns(int(flow.time[start]), recorded[start:], COLUMN_NAMES)
    ready = Params().warmup_rows - 1
    assert part[ready:].tobytes() == batch[start + ready :].tobytes()


def test_the_regular_mode_has_its_own_recording(flow: Flow) -> None:
    params = Params(regular=True)
    recorded = FeatureRecorder(params.noise_rows).record(flow)
    found = RecordedEngine(params).columns(int(flow.time[0]), recorded, ("sigma_spot", "context"))
    assert found.tobytes() == Engine(params).columns(flow, ("sigma_spot", "context")).tobytes()


def test_what_does_not_follow_or_is_no_recording_is_refused(flow: Flow, recorded: FloatArray) -> None:
    first = int(flow.time[0])
    engine = RecordedEngine(Params())
    engine.columns(first, recorded[:10], ("score",))
    with pytest.raises(EngineError, match=f"second {first + 11} does not follow {first + 9}"):
        engine.columns(first + 11, recorded[11:20], ("score",))
    with pytest.raises(EngineError, match=r"must be float64\[n, 50\], were float64\[10, 40\]"):
        engine.columns(first + 10, recorded[:10, :40], ("score",))
    recorder = FeatureRecorder()
    recorder.record(flow.part(0, 10))
    with pytest.raises(EngineError, match=f"second {first + 11} does not follow {first + 9}"):
        recorder.record(flow.part(11, 20))
    assert len(recorder.record(flow.part(10, 10))) == 0
