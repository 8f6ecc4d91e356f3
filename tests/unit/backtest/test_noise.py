"""Noise has no squeezes left in it."""

from __future__ import annotations

import numpy as np

from squeezeflow_plugin.backtest.noise import NoiseCount
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params
from tests.reference.flows import Episode, flow_of, scripted_frame


def test_an_episode_is_gone() -> None:
    flow = flow_of(scripted_frame(5, 9000, (Episode(7000, 1),)))
    assert np.count_nonzero(Engine().run(flow).event) >= 1
    count = NoiseCount(Params(), int(flow.time[0]), seed=1)
    count.add(flow)
    assert count.events == 0
