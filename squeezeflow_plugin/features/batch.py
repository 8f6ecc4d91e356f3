"""The features of many seconds at once, without the phases."""

from __future__ import annotations

import numpy as np

from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.features.kernels import feature_rows, feature_state_size
from squeezeflow_plugin.features.layout import FEATURE_COUNT, NOISE_ROWS


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
        feature_rows(state, noise_rows, int(flow.time[0]), flow.matrix(), out)
    return out
