"""The loss: better trades are better, noise costs, few trades prove little."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.strategy.loss import NOISE_EVENTS, ExpectancyLoss, sure_expectancy

profits = st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=60)
costs = st.floats(1e-4, 0.01)


def results(ratios: list[float], leverage: float = 1.0) -> pd.DataFrame:
    fees = {"fee_open": 0.0005, "fee_close": 0.0005, "leverage": leverage}
    return pd.DataFrame({"profit_ratio": ratios}).assign(**fees)


def loss(ratios: list[float], noise: int = 0, leverage: float = 1.0) -> float:
    processed = {
        "BTC/USDT": pd.DataFrame({"close": [1.0] * 5, NOISE_EVENTS: [0, noise, 0, 0, 0]}),
        "ETH/USDT": pd.DataFrame({"close": [1.0]}),
    }
    return ExpectancyLoss.hyperopt_loss_function(results=results(ratios, leverage), processed=processed)


@given(profits, costs)
def test_a_sure_expectancy_is_never_above_the_mean(ratios: list[float], cost: float) -> None:
    assert sure_expectancy(ratios, cost, 0) <= sum(ratios) / len(ratios) + 1e-12


@given(profits, costs, st.integers(0, 20))
def test_noise_makes_winners_worse(ratios: list[float], cost: float, noise: int) -> None:
    won = [abs(ratio) + cost for ratio in ratios]
    means = [(sum(won) - count * cost) / (len(won) + count) for count in (noise, noise + 1)]
    assert means[1] < means[0]


def test_the_same_mean_of_more_trades_is_better() -> None:
    assert loss([0.01, -0.005] * 50) < loss([0.01, -0.005] * 5) < 0.5
    assert loss([0.3]) == pytest.approx(0.0), "one trade proves nothing"
    assert loss([-0.01]) == pytest.approx(2.0)


def test_an_event_on_noise_is_a_trade_that_loses_its_costs() -> None:
    assert loss([0.01] * 4, noise=2) == pytest.approx(loss([0.01] * 4 + [-0.001] * 2))
    assert loss([0.01] * 4, noise=2, leverage=3.0) == pytest.approx(loss([0.01] * 4 + [-0.003] * 2))
