"""Features alone are the engine's features."""

from __future__ import annotations

import numpy as np

from squeezeflow_plugin.features.batch import features_of
from squeezeflow_plugin.features.layout import FEATURE_COUNT
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params
from tests.reference.flows import flow_of, market_day


def test_features_alone_are_the_engines_to_the_bit() -> None:
    flow = flow_of(market_day(5, 20_000))
    assert np.array_equal(features_of(flow), Engine().run(flow).values[:, :FEATURE_COUNT])
    regular = Params(regular=True)
    found = features_of(flow, regular.noise_rows)
    assert np.array_equal(found, Engine(regular).run(flow).values[:, :FEATURE_COUNT])


def test_no_rows_have_no_features() -> None:
    assert features_of(flow_of(market_day(5, 10)).part(0, 0)).shape == (0, FEATURE_COUNT)
