from __future__ import annotations

import numpy as np
import pytest

from squeezeflow_plugin.simulator.arrivals import MAX_FILLS, MINUTE_MS, ordinary_orders, pushed_orders
from squeezeflow_plugin.simulator.profiles import asset_profile

SIZES = asset_profile("BTC").spot.sizes
EVEN = np.full(60, 0.5)


def test_orders_come_in_time_order_with_as_many_sizes_as_fills() -> None:
    orders = ordinary_orders(np.random.default_rng(1), np.full(60, 10.0), EVEN, 1.3, SIZES)
    assert (np.diff(orders.at_ms) >= 0).all()
    assert 0 <= orders.at_ms.min() <= orders.at_ms.max() < MINUTE_MS
    assert len(orders.quote) == orders.fills.sum()
    assert orders.quote.min() > 0.0
    assert 1 <= orders.fills.min() <= orders.fills.max() <= MAX_FILLS
    assert set(orders.side.tolist()) == {1, -1}
    assert 400 < len(orders.at_ms) < 800


def test_buyers_take_the_share_they_are_given() -> None:
    shares = np.where(np.arange(60) < 30, 1.0, 0.0)
    orders = ordinary_orders(np.random.default_rng(2), np.full(60, 20.0), shares, 1.3, SIZES)
    bought = orders.side > 0
    assert bought[orders.at_ms < 30_000].all()
    # a follower may come a little after the half minute
    assert bought[orders.at_ms >= 35_000].mean() < 0.02


def test_a_silent_minute_is_possible() -> None:
    orders = ordinary_orders(np.random.default_rng(3), np.zeros(60), EVEN, 1.3, SIZES)
    assert len(orders.at_ms) == len(orders.quote) == 0


def test_a_push_adds_exactly_its_target_in_each_second() -> None:
    target = np.linspace(-5e5, 8e5, 60)
    target[10] = 0.0
    orders = pushed_orders(np.random.default_rng(4), target, 1e5, 1.2)
    signed = orders.quote * np.repeat(orders.side, orders.fills)
    second = np.repeat(orders.at_ms, orders.fills) // 1000
    sums = np.bincount(second, weights=signed, minlength=60)
    assert sums == pytest.approx(target, rel=1e-9)
    assert (np.diff(orders.at_ms) >= 0).all()


@pytest.mark.parametrize("second", [0, 1, 31, 59])
def test_a_later_target_changes_no_earlier_order(second: int) -> None:
    target = np.full(60, 3e4)
    changed = target.copy()
    changed[second:] = -9e5
    before, after = (pushed_orders(np.random.default_rng(5), each, 1e5, 1.2) for each in (target, changed))
    n = int((before.at_ms < second * 1000).sum())
    fills = int(before.fills[:n].sum())
    assert (before.at_ms[:n] == after.at_ms[:n]).all()
    assert (before.fills[:n] == after.fills[:n]).all()
    assert (before.quote[:fills] == after.quote[:fills]).all()


def test_no_target_is_no_order() -> None:
    assert len(pushed_orders(np.random.default_rng(6), np.zeros(60), 1e5, 1.2).at_ms) == 0
