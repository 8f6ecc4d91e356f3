"""What must hold of the engine whatever the market does (methodology of the checks: see the names)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.features.layout import FEATURE_COUNT
from squeezeflow_plugin.phases.decision import DecisionArrays
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.layout import COLUMN_NAMES
from squeezeflow_plugin.phases.params import Params
from tests.property.causality import first_row_that_knew_the_future
from tests.reference.flows import START, Episode, flow_of, market_day, scripted_frame, silence

WARMUP = 7200
PHASES = slice(FEATURE_COUNT, len(COLUMN_NAMES))
FEW = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

seeds = st.integers(0, 2**32 - 1)
directions = st.sampled_from((1, -1))


@st.composite
def flows(draw: st.DrawFn, rows: int = 10_500) -> pd.DataFrame:
    """Markets with a squeeze after readiness, sometimes silent stretches, on any second of a block."""
    episodes = (
        Episode(draw(st.integers(4_000, 7_000)), draw(directions), drift=draw(st.floats(0.05, 0.3))),
        Episode(8_200, draw(directions), build=1_200, push=draw(st.sampled_from((0, 420)))),
    )
    seed = draw(seeds)
    frame = scripted_frame(seed, rows, episodes, START + draw(st.integers(0, 3_600)))
    if draw(st.booleans()):
        start = draw(st.integers(0, rows - 1_000))
        silence(frame, start, start + 900, draw(st.floats(0.3, 1.0)), seed)
    return frame


def values(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    return Engine().run(flow_of(frame)).values


def scaled(frame: pd.DataFrame, names: tuple[str, ...], factor: float) -> pd.DataFrame:
    return frame.assign(**{name: frame[name] * factor for name in names})


PRICES = ("open", "high", "low", "close")
VOLUMES = ("spot_buy", "spot_sell", "perp_buy", "perp_sell")


@FEW
@given(flows(), st.integers(1, 10_499))
def test_cutting_the_frame_changes_no_earlier_row(frame: pd.DataFrame, cut: int) -> None:
    assert first_row_that_knew_the_future(values, frame, (cut,)) is None


@pytest.mark.parametrize("name", ["close", "spot_buy", "perp_sell"])
def test_a_lookahead_of_one_second_is_caught(name: str) -> None:
    frame = market_day(3, 9_000)

    def peeking(part: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Knows one column's next second, where the frame has one."""
        return values(part.assign(**{name: part[name].shift(-1).ffill()}))

    cuts = range(7_400, 9_000, 50)
    assert first_row_that_knew_the_future(values, frame, cuts) is None
    caught = first_row_that_knew_the_future(peeking, frame, cuts)
    assert caught is not None
    assert caught + 1 in cuts


@FEW
@given(flows(), st.integers(1, 2_500))
def test_a_ready_row_does_not_depend_on_where_the_frame_began(frame: pd.DataFrame, cut: int) -> None:
    whole, part = values(frame), values(frame.iloc[cut:])
    assert np.array_equal(part[WARMUP - 1 :], whole[cut + WARMUP - 1 :])


@FEW
@given(flows(), st.integers(1, 1_500))
def test_longer_memories_need_the_longer_warmup_and_no_more(frame: pd.DataFrame, cut: int) -> None:
    params = Params(setup_ttl=2_400, reset_ttl=500, explosion_memory=1_200, min_score=2.0)
    assert params.warmup_rows == 8_300
    whole = Engine(params).run(flow_of(frame)).values
    part = Engine(params).run(flow_of(frame.iloc[cut:])).values
    assert np.array_equal(part[8_299:], whole[cut + 8_299 :])
    assert not part[:8_299, PHASES.start : COLUMN_NAMES.index("tradable")].any()


@FEW
@given(flows(9_000), st.integers(1, 8_999))
def test_second_by_second_is_the_batch_is_the_restart(frame: pd.DataFrame, restart: int) -> None:
    """A fresh engine that is fed the rows up to ``restart`` at once goes on with the same bits."""
    flow = flow_of(frame)
    batch = Engine().run(flow)
    engine = Engine()
    engine.feed(flow.part(0, restart))
    stop = min(restart + 200, len(flow))
    for i in range(restart, stop):
        assert engine.step(flow.row(i)) == batch.at(i)
    assert np.array_equal(engine.run(flow.part(stop, len(flow))).values, batch.values[stop:])


@FEW
@given(flows(12_000), st.integers(100, 3_000))
def test_chunks_that_overlap_by_the_warmup_give_what_one_pass_gives(frame: pd.DataFrame, chunk: int) -> None:
    flow = flow_of(frame)
    batch = Engine().run(flow).values
    for start in range(WARMUP - 1, len(flow), chunk):
        engine = Engine()
        first = start - (WARMUP - 1)
        engine.feed(flow.part(first, start))
        part = engine.run(flow.part(start, min(start + chunk, len(flow)))).values
        assert np.array_equal(part, batch[start : start + chunk])


@FEW
@given(flows(), st.integers(-40, 40), st.integers(-20, 20))
def test_powers_of_two_change_no_bit(frame: pd.DataFrame, volumes: int, prices: int) -> None:
    other = scaled(scaled(frame, VOLUMES, 2.0**volumes), PRICES, 2.0**prices)
    one, two = Engine().run(flow_of(frame)), Engine().run(flow_of(other))
    for name in COLUMN_NAMES:
        factor = {"sigma_spot": 2.0**volumes, "sigma_perp": 2.0**volumes}.get(name, 1.0)
        factor = 2.0**prices if name.startswith("range_") else factor
        assert np.array_equal(one.column(name) * factor, two.column(name)), name


def assert_close(one: DecisionArrays, two: DecisionArrays, signs: dict[str, float]) -> None:
    """Equal to 1e-9. A tie could part two rows; the seeds are fixed and meet none."""
    for name in COLUMN_NAMES:
        if name in ("sigma_spot", "sigma_perp") or name.startswith("range_"):
            continue
        np.testing.assert_allclose(
            signs.get(name, 1.0) * one.column(name), two.column(name), 1e-9, 1e-9, err_msg=name
        )


@FEW
@given(flows(), st.floats(1e-6, 1e6), st.floats(1e-3, 1e3))
def test_other_factors_change_nothing_to_nine_digits(
    frame: pd.DataFrame, volumes: float, prices: float
) -> None:
    other = scaled(scaled(frame, VOLUMES, volumes), PRICES, prices)
    assert_close(Engine().run(flow_of(frame)), Engine().run(flow_of(other)), {})


MIRRORED = {
    name: -1.0
    for name in COLUMN_NAMES
    if name.startswith(("z_", "u_")) or name in ("context", "regime", "setup", "eligible", "event", "entry")
}


@FEW
@given(flows())
def test_the_mirror_image_gives_the_mirrored_outputs(frame: pd.DataFrame) -> None:
    mirror = frame.assign(
        **{name: 1.0 / frame[name] for name in ("open", "close")},
        high=1.0 / frame["low"],
        low=1.0 / frame["high"],
        spot_buy=frame["spot_sell"],
        spot_sell=frame["spot_buy"],
        perp_buy=frame["perp_sell"],
        perp_sell=frame["perp_buy"],
    )
    assert_close(Engine().run(flow_of(frame)), Engine().run(flow_of(mirror)), MIRRORED)


@FEW
@given(flows())
def test_the_parts_add_up_to_the_score_before_the_clip(frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(1)
    change = rng.choice([-0.1, 0.01, 0.06, 0.3, math.nan], len(frame))
    scored = Engine().run(flow_of(frame.assign(oi_change=change)))
    names = ("score_reset", "score_absorption", "score_breakdown", "score_bias", "score_oi")
    parts = sum(scored.column(name) for name in names)
    assert np.array_equal(np.clip(parts, 0.0, 10.0), scored.score)
    for name, most in zip(names, (3.5, 2.5, 2.0, 2.0, 2.0), strict=True):
        assert scored.column(name).max() <= most + 1e-12
    assert np.isfinite(scored.values).all()
    without = scored.column("setup") == 0
    assert not np.abs(np.stack([scored.column(name) for name in names]))[:, without].any()


@FEW
@given(flows())
def test_entries_hold_for_five_rows_of_one_event(frame: pd.DataFrame) -> None:
    scored = Engine().run(flow_of(frame))
    ready = np.flatnonzero(scored.event)
    for row in map(int, ready):
        assert (scored.entry[row : row + 5] == scored.event[row]).all()
        assert scored.column("eligible")[row] == scored.event[row]
        assert not scored.column("eligible")[max(row - 300, 0) : row].any()
    assert np.count_nonzero(scored.entry[WARMUP + 5 :]) <= 5 * np.count_nonzero(scored.event[WARMUP:])


def test_silence_sums_to_exactly_zero() -> None:
    n = 8_000
    frame = pd.DataFrame({"time": np.arange(START, START + n)} | {name: np.full(n, 3.0) for name in PRICES})
    scored = Engine().run(flow_of(frame.assign(**{name: np.zeros(n) for name in VOLUMES})))
    for name in COLUMN_NAMES:
        if name not in ("ready", "tradable", "veto_code") and not name.startswith(("coverage", "range")):
            assert not scored.column(name).any(), name
    assert scored.tradable[WARMUP - 1 :].all()


def test_an_outlier_leaves_no_residue_behind_it() -> None:
    """A volume 1e18 times the usual, gone after an hour: the windows are then what they would have been."""
    frame = market_day(4, 16_000)
    spoilt = frame.copy()
    spoilt.loc[1_000, "spot_buy"] = 1e23
    one, two = values(frame), values(spoilt)
    assert not np.array_equal(one[1_000:4_600], two[1_000:4_600])
    after = 1_000 + WARMUP
    assert np.array_equal(one[after:], two[after:])


def test_constant_flow_has_no_divergence() -> None:
    """Both classes buy the same amount every second: one way, so no divergence, however strong."""
    n = 8_000
    columns = {"time": np.arange(START, START + n)} | {name: np.full(n, 7.0) for name in PRICES}
    columns |= {"spot_buy": np.full(n, 5.0), "perp_buy": np.full(n, 9.0)}
    columns |= {"spot_sell": np.zeros(n), "perp_sell": np.zeros(n)}
    scored = Engine().run(Flow.from_columns(columns))
    np.testing.assert_allclose(scored.column("u_spot_15m")[WARMUP:], 900.0, rtol=1e-12)
    assert not scored.column("setup").any()
    assert not scored.column("vol_5m").any()
