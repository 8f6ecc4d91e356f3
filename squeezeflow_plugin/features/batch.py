"""The features of many seconds at once, without the phases."""

from __future__ import annotations

import numpy as np

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.features.kernels import feature_rows, feature_state_size
from squeezeflow_plugin.features.layout import FEATURE_COUNT, NOISE_ROWS, RECORD_WIDTH


def features_of(flow: Flow, noise_rows: int = NOISE_ROWS) -> FloatArray:
    """float64[n, 40]: the features of each row from the rows up to it, columns in the order of FEATURE_NAMES.

    Units and meanings are those of ``phases.decision.Decision``; nothing is NaN. ``noise_rows`` is a multiple
    of 300.

    >>> flat = {name: np.full(3, 2.0) for name in ("open", "high", "low", "close")}
    >>> buys = {name: np.ones(3) for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell")}
    >>> features_of(Flow.from_columns({"time": [60, 61, 62], **flat, **buys})).shape
    (3, 40)
    """
    out = np.empty((len(flow), FEATURE_COUNT))
    if len(flow):
        state = np.zeros(feature_state_size(noise_rows))
        feature_rows(state, noise_rows, int(flow.time[0]), 0, flow.matrix(), out)
    return out


class FeatureRecorder:
    """Records features piece after piece, with what ``RecordedEngine`` needs beside them.

    The features depend on no parameter that a search may vary, so they are made once for all of its epochs.
    """

    def __init__(self, noise_rows: int = NOISE_ROWS) -> None:
        self._noise_rows = noise_rows
        self._state = np.zeros(feature_state_size(noise_rows))
        self._rows = 0
        self._second: int | None = None

    def record(self, flow: Flow) -> FloatArray:
        """float64[n, RECORD_WIDTH] of rows that follow those before; EngineError where they do not."""
        out = np.empty((len(flow), RECORD_WIDTH))
        if len(flow) == 0:
            return out
        first = int(flow.time[0])
        if self._second is not None and first != self._second + 1:
            raise EngineError(f"second {first} does not follow {self._second}; nothing is recorded")
        feature_rows(self._state, self._noise_rows, first, self._rows, flow.matrix(), out)
        self._rows += len(flow)
        self._second = int(flow.time[-1])
        return out
