"""Tiers, stakes and leverage."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.phases.sizing import leverage_for, stake_for, tier_of


@pytest.mark.parametrize(
    ("score", "name", "factor", "leverage"),
    [
        (4.0, "medium", 0.5, 2.0),
        (5.99, "medium", 0.5, 2.0),
        (6.0, "high", 1.0, 3.0),
        (8.0 - 1e-10, "premium", 1.5, 5.0),
    ],
)
def test_tiers(score: float, name: str, factor: float, leverage: float) -> None:
    tier = tier_of(score)
    assert (tier.name, tier.stake_factor, tier.leverage) == (name, factor, leverage)


def test_stakes_stay_within_the_exchanges_bounds() -> None:
    assert stake_for(5.0, 100.0, None, 1_000.0) == 50.0
    assert stake_for(9.0, 100.0, 5.0, 1_000.0) == 150.0
    assert stake_for(5.0, 100.0, 80.0, 1_000.0) == 80.0
    assert stake_for(9.0, 100.0, 5.0, 90.0) == 90.0


def test_leverage_stays_under_every_cap_and_above_one() -> None:
    assert leverage_for(9.0, 20.0, 5.0) == 5.0
    assert leverage_for(7.0, 20.0, 5.0) == 3.0
    assert leverage_for(9.0, 2.5, 5.0) == 2.5
    assert leverage_for(9.0, 0.5) == 1.0
