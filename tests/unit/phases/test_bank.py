"""Many engines in one call: the same bits as one by one, and refusals that leave every state as it was."""

from __future__ import annotations

import math

import numpy as np
import pytest

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.layout import INPUT_NAMES
from squeezeflow_plugin.phases.bank import EngineBank
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params
from tests.reference.flows import flow_of, market_day

SIZE = 5


@pytest.mark.parametrize("params", [Params(), Params(min_score=2.0, setup_ttl=2_200), Params(regular=True)])
def test_a_bank_is_its_engines_to_the_bit(params: Params) -> None:
    flows = [flow_of(market_day(seed, 9_000)) for seed in range(SIZE)]
    bank, engines = EngineBank(SIZE, params), [Engine(params) for _ in range(SIZE)]
    for asset, flow in enumerate(flows):
        bank.feed(asset, flow.part(0, 8_900))
        engines[asset].feed(flow.part(0, 8_900))
    inputs = np.stack([flow.matrix() for flow in flows])
    whole = [engine.run(flow.part(8_900, 9_000)).values for engine, flow in zip(engines, flows, strict=True)]
    for place in range(100):
        rows = np.ascontiguousarray(inputs[:, :, 8_900 + place])
        found = bank.step(int(flows[0].time[8_900 + place]), rows)
        assert np.array_equal(found, np.stack([values[place] for values in whole]))


def test_an_asset_that_was_reset_and_fed_again_goes_on() -> None:
    flow = flow_of(market_day(1, 8_000))
    bank = EngineBank(2)
    for asset in range(2):
        bank.feed(asset, flow.part(0, 7_900))
    bank.reset(1)
    bank.feed(1, flow.part(600, 7_900))
    rows = np.ascontiguousarray(np.stack([flow.matrix()[:, 7_900]] * 2))
    found = bank.step(int(flow.time[7_900]), rows)
    assert np.array_equal(found[0], found[1])
    assert bank.state_bytes == Engine().state_bytes <= 1_000_000


@pytest.mark.parametrize(
    ("name", "value"),
    [("close", 0.0), ("open", math.nan), ("high", 0.5), ("spot_buy", -1.0), ("perp_sell", math.inf),
     ("coverage_spot", 1.1), ("reference_live", 0.5), ("oi_change", math.inf)],
)  # fmt: skip
def test_a_row_that_cannot_be_scored_is_refused_for_all(name: str, value: float) -> None:
    bank = EngineBank(2)
    row = np.array([1.0, 1.0, 1.0, 1.0, 5.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, math.nan])
    bad = np.stack([row, row])
    bad[1, INPUT_NAMES.index(name)] = value
    with pytest.raises(EngineError, match=f"asset 1, second 60: {name} .* nothing is scored"):
        bank.step(60, bad)
    bank.step(60, np.stack([row, row]))
    with pytest.raises(EngineError, match="asset 0: second 62 does not follow 60"):
        bank.step(62, np.stack([row, row]))
    with pytest.raises(EngineError, match=r"rows must be float64\[2, 12\]"):
        bank.step(61, row)
