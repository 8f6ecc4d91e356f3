"""Each exit on rows made for it, its order, and the watch's discipline; markets are in tests/reference."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import FlowRow
from squeezeflow_plugin.phases.decision import Decision, decision_of
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, ExitWatch, first_exit
from squeezeflow_plugin.phases.layout import COLUMN_COUNT, COLUMN_NAMES
from squeezeflow_plugin.phases.params import Params
from tests.reference.flows import flow_of, market_day

LONG = Baseline(second=1000, direction=1, sigma_spot=2.0, sigma_perp=4.0, low=90.0, high=110.0)
SHORT = replace(LONG, direction=-1)


def decision(second: int, **given: float) -> Decision:
    values = np.zeros(COLUMN_COUNT)
    for name, value in given.items():
        values[COLUMN_NAMES.index(name)] = value
    return decision_of(second, values)


def watch(
    baseline: Baseline, rows: int, spot: float, perp: float, close: float, **given: float
) -> tuple[int, str] | None:
    """(rows after E, name) of the exit when every row is the same: net flows a second, close, features."""
    guard = ExitWatch(baseline)
    for after in range(1, rows + 1):
        second = baseline.second + after
        sides = max(spot, 0.0), max(-spot, 0.0), max(perp, 0.0), max(-perp, 0.0)
        name = guard.step(FlowRow(second, close, close, close, close, *sides), decision(second, **given))
        if name is not None:
            return after, name
    return None


@pytest.mark.parametrize(("baseline", "d"), [(LONG, 1), (SHORT, -1)])
def test_flow_reversal_at_the_second_row_count_demands(baseline: Baseline, d: int) -> None:
    """A flow of a fifth of sigma a second is z = 2 after 100 rows."""
    assert watch(baseline, 300, -d * 0.4, d * 0.8, 100.0) == (100, "flow_reversal")
    assert watch(baseline, 99, -d * 0.4, d * 0.8, 100.0) is None
    assert watch(baseline, 300, -d * 0.4, -d * 0.8, 100.0) is None
    assert watch(baseline, 300, d * 0.4, d * 0.8, 100.0) is None


def test_nothing_before_the_minimum_hold() -> None:
    assert watch(LONG, 59, -40.0, 40.0, 80.0, context=-1.0) is None
    assert watch(LONG, 61, -40.0, 40.0, 80.0, context=-1.0) == (60, "flow_reversal")


@pytest.mark.parametrize(("baseline", "inside", "outside"), [(LONG, 90.0, 89.99), (SHORT, 110.0, 110.01)])
def test_range_break_is_exact(baseline: Baseline, inside: float, outside: float) -> None:
    assert watch(baseline, 80, 0.0, 0.0, inside) is None
    assert watch(baseline, 80, 0.0, 0.0, outside) == (60, "range_break")


@pytest.mark.parametrize(("baseline", "d"), [(LONG, 1), (SHORT, -1)])
def test_both_classes_against_the_trade_end_it(baseline: Baseline, d: int) -> None:
    both = {"z_spot_15m": -2.0 * d, "z_perp_15m": -2.0 * d}
    assert watch(baseline, 80, 0.0, 0.0, 100.0, **both) == (60, "cvd_invalidation")
    assert watch(baseline, 80, 0.0, 0.0, 100.0, z_spot_15m=-3.0 * d, z_perp_15m=-1.9 * d) is None
    assert watch(baseline, 80, 0.0, 0.0, 100.0, context=-0.5 * d) == (60, "context_invalidation")
    assert watch(baseline, 80, 0.0, 0.0, 100.0, context=-0.3 * d) is None


def test_of_several_the_first_in_the_methods_order() -> None:
    against = {"z_spot_15m": -3.0, "z_perp_15m": -3.0, "context": -1.0}
    assert watch(LONG, 60, 0.0, 0.0, 80.0, **against) == (60, "range_break")
    assert watch(LONG, 60, 0.0, 0.0, 100.0, **against) == (60, "cvd_invalidation")


def test_a_tie_falls_towards_the_exit_whatever_the_rounding() -> None:
    assert watch(LONG, 60, 0.0, 0.0, 100.0, context=-0.5 + 1e-10) == (60, "context_invalidation")
    assert watch(LONG, 60, 0.0, 0.0, 100.0, context=-0.5 + 1e-8) is None


def test_no_scale_is_no_reversal() -> None:
    silent = replace(LONG, sigma_spot=0.0)
    assert watch(silent, 200, -40.0, 40.0, 100.0) is None


def test_minimum_hold_and_threshold_are_parameters() -> None:
    guard = ExitWatch(LONG, Params(min_hold=1, exit_threshold=50.0))
    row = FlowRow(1001, 95.0, 95.0, 95.0, 95.0, 0.0, 50.0, 100.0, 0.0)
    assert guard.step(row, decision(1001)) is None
    assert guard.step(row._replace(time=1002, close=80.0, low=80.0), decision(1002)) == "range_break"


@pytest.mark.parametrize(("row_second", "decision_second"), [(1002, 1002), (1000, 1000), (1001, 1002)])
def test_a_row_out_of_order_is_refused(row_second: int, decision_second: int) -> None:
    guard = ExitWatch(LONG)
    row = FlowRow(row_second, 95.0, 95.0, 95.0, 95.0, 0.0, 0.0, 0.0, 0.0)
    with pytest.raises(EngineError, match="needs second 1001"):
        guard.step(row, decision(decision_second))
    assert guard.second == 1000


def test_the_baseline_is_what_the_decision_says() -> None:
    at = decision(7, entry=-1.0, sigma_spot=2.0, sigma_perp=3.0, range_low=4.0, range_high=5.0)
    assert Baseline.of(at) == Baseline(7, -1, 2.0, 3.0, 4.0, 5.0)
    assert Baseline.of(at, 1).direction == 1
    with pytest.raises(EngineError, match="baseline of second 7 needs a direction"):
        Baseline.of(decision(7))


def test_the_batch_names_what_it_cannot_do() -> None:
    flow = flow_of(market_day(1, 400))
    scored = Engine().run(flow)
    with pytest.raises(EngineError, match="do not cover the same seconds"):
        first_exit(flow.part(0, 100), scored, LONG)
    with pytest.raises(EngineError, match="second 1001, the first after the entry, is outside the rows"):
        first_exit(flow, scored, LONG)
    last = replace(LONG, second=int(flow.time[-1]), low=0.0, high=math.inf)
    assert first_exit(flow, scored, last) is None


def test_a_fed_watch_stands_where_a_stepped_one_does() -> None:
    """And its copy goes its own way."""
    flow = flow_of(market_day(1, 600))
    scored = Engine().run(flow)
    baseline = replace(LONG, second=int(flow.time[99]), low=0.0, high=math.inf)
    stepped, fed = ExitWatch(baseline), ExitWatch(baseline)
    for i in range(100, 300):
        stepped.step(flow.row(i), scored.at(i))
    fed.feed(flow.part(100, 300))
    fed.feed(flow.part(300, 300))
    assert fed.second == stepped.second == flow.time[299]
    apart = fed.copy()
    apart.feed(flow.part(300, 500))
    for i in range(300, 600):
        assert fed.step(flow.row(i), scored.at(i)) == stepped.step(flow.row(i), scored.at(i))
    assert apart.second == flow.time[499]
    with pytest.raises(EngineError, match="was fed rows from"):
        fed.feed(flow.part(0, 5))
