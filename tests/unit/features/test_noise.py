"""Noise keeps what single seconds are and loses what they say about each other."""

from __future__ import annotations

import numpy as np
import pytest

from squeezeflow_plugin.features.noise import NoiseMaker
from tests.reference.flows import Episode, flow_of, scripted_frame


def test_the_seconds_are_the_same_in_another_order() -> None:
    flow = flow_of(scripted_frame(5, 9000, (Episode(7000, 1),)))
    noise = NoiseMaker(seed=1).shuffled(flow)
    for name in ("spot", "perp"):
        before = np.sort(getattr(flow, f"{name}_buy") + getattr(flow, f"{name}_sell"))
        after = np.sort(getattr(noise, f"{name}_buy") + getattr(noise, f"{name}_sell"))
        assert before.tolist() == after.tolist()
    moves = [np.sort(np.abs(np.log(each.close[1:] / each.close[:-1]))) for each in (flow, noise)]
    assert moves[0][-50:] == pytest.approx(moves[1][-50:], rel=1e-6)
    assert (noise.high >= np.maximum(noise.open, noise.close) * (1 - 1e-12)).all()
    assert (noise.low <= np.minimum(noise.open, noise.close) * (1 + 1e-12)).all()


def test_the_walk_goes_on_over_chunks_and_repeats_with_its_seed() -> None:
    flow = flow_of(scripted_frame(5, 9000, ()))
    closes = []
    for _ in range(2):
        maker = NoiseMaker(seed=4)
        parts = [maker.shuffled(flow.part(0, 4000)), maker.shuffled(flow.part(4000, 9000))]
        closes.append(np.concatenate([part.close for part in parts]).tolist())
        assert parts[1].time[0] == parts[0].time[-1] + 1
    assert closes[0] == closes[1]
    steps = np.abs(np.diff(np.log(closes[0])))
    assert steps[3999] <= steps.max()
    assert len(NoiseMaker(1).shuffled(flow.part(0, 0))) == 0
