"""What the method finds in the same span as noise; how noise is made: features/noise.py."""

from __future__ import annotations

import numpy as np

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.features.noise import NoiseMaker
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params


class NoiseCount:
    """Counts entry events on one asset's noise; ``first`` is the first second that counts."""

    def __init__(self, params: Params, first: int, seed: int) -> None:
        self.events = 0
        self._engine = Engine(params)
        self._first = first
        self._maker = NoiseMaker(seed)

    def add(self, flow: Flow) -> None:
        """Count the events of these seconds, which follow those before."""
        if len(flow) == 0:
            return
        found = self._engine.columns(self._maker.shuffled(flow), ("event",))[:, 0]
        self.events += int(np.count_nonzero(found[max(self._first - int(flow.time[0]), 0) :]))
