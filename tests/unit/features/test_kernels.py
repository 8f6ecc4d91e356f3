"""The sums, extremes and logarithms under the features, against numpy on the rows themselves."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from squeezeflow_plugin.features.kernels import log_ratio
from squeezeflow_plugin.features.layout import FEATURE_NAMES
from squeezeflow_plugin.phases.engine import Engine
from tests.reference.flows import flow_of, market_day


@njit
def logarithms(later, earlier):  # type: ignore[no-untyped-def]  # a bare loop over a compiled part
    out = np.empty_like(later)
    for i in range(len(later)):
        out[i] = log_ratio(later[i], earlier[i])
    return out


def test_log_ratio_is_exact_for_one_tick_and_for_a_crash() -> None:
    later = np.array([65_000.01, 1.0, 2.0, 1e-6, 65_000.0])
    earlier = np.array([65_000.0, 65_000.0, 1.0, 1e6, 65_000.0])
    exact = np.log(later.astype(np.longdouble) / earlier.astype(np.longdouble)).astype(float)
    np.testing.assert_allclose(logarithms(later, earlier), exact, rtol=2e-11)
    assert logarithms(later, earlier)[-1] == 0.0
    assert (logarithms(later * 8, earlier * 8) == logarithms(later, earlier)).all()


def test_log_ratio_keeps_what_the_difference_of_logarithms_loses() -> None:
    tick = logarithms(np.array([65_000.01]), np.array([65_000.0]))[0]
    exact = float(np.log1p(np.longdouble(65_000.01 - 65_000.0) / 65_000))
    assert abs(tick - exact) <= 1e-15 * exact
    assert abs(math.log(65_000.01) - math.log(65_000.0) - exact) > 1e-10 * exact


def test_windows_equal_numpy_over_their_rows() -> None:
    frame = market_day(5, 9_000)
    scored = Engine().run(flow_of(frame))
    delta = (frame["spot_buy"] - frame["spot_sell"]).to_numpy()
    for i in range(7_199, 9_000, 97):
        sigma = math.sqrt(np.mean(delta[i - 3_599 : i + 1] ** 2))
        assert math.isclose(scored.column("sigma_spot")[i], sigma, rel_tol=1e-12)
        for window, rows in (("5m", 300), ("15m", 900), ("30m", 1_800), ("1h", 3_600)):
            total = math.fsum(delta[i - rows + 1 : i + 1])
            assert math.isclose(scored.column(f"u_spot_{window}")[i], total / sigma, abs_tol=1e-9)
        assert scored.column("range_low")[i] == frame["low"][i - 1_799 : i + 1].min()
        assert scored.column("range_high")[i] == frame["high"][i - 1_799 : i + 1].max()


def test_features_of_a_young_frame_are_means_over_what_there_is() -> None:
    frame = market_day(6, 400)
    scored = Engine().run(flow_of(frame))
    delta = (frame["perp_buy"] - frame["perp_sell"]).to_numpy()
    assert math.isclose(scored.column("sigma_perp")[9], math.sqrt(np.mean(delta[:10] ** 2)), rel_tol=1e-12)
    assert scored.column("activity_spot_30m")[0] == 1.0
    assert scored.column("coverage_spot_1h")[399] == 1.0
    assert scored.column("range_low")[50] == frame["low"][:51].min()
    assert not scored.values[:, FEATURE_NAMES.index("z_r_1h")][0]
