"""Noise has no squeezes left in it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from squeezeflow_plugin.backtest.noise import NoiseCount
from squeezeflow_plugin.features.noise import NoiseMaker
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params
from tests.reference.flows import Episode, flow_of, noise_frame, scripted_frame
from tests.reference.score_twin import score_twin

NAMES = ("time", "open", "high", "low", "close", "spot_buy", "spot_sell", "perp_buy", "perp_sell")


def test_an_episode_is_gone() -> None:
    flow = flow_of(scripted_frame(5, 9000, (Episode(7000, 1),)))
    assert np.count_nonzero(Engine().run(flow).event) >= 1
    count = NoiseCount(Params(), int(flow.time[0]), seed=1)
    count.add(flow)
    assert count.events == 0


def test_a_day_of_noise_has_as_many_events_as_the_slow_twin_counts() -> None:
    """Two, in chunks of two hours as a backtest makes them."""
    flow = flow_of(noise_frame(21, 86_400))
    count, maker = NoiseCount(Params(), int(flow.time[0]), seed=1), NoiseMaker(1)
    shuffled = []
    for start in range(0, len(flow), 7200):
        count.add(flow.part(start, start + 7200))
        shuffled.append(maker.shuffled(flow.part(start, start + 7200)))
    frame = pd.DataFrame({name: np.concatenate([getattr(part, name) for part in shuffled]) for name in NAMES})
    assert count.events == np.count_nonzero(score_twin(frame).columns["event"]) == 2
