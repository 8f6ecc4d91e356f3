"""The timeline against frames built anew from the records, over revisions, gaps and restarts."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.frames import score_frame
from squeezeflow_plugin.market import Interval
from squeezeflow_plugin.phases.decision import SCORE_COLUMNS, Decision
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, first_exit
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.closings import ClosedSecond
from squeezeflow_plugin.provider.timeline import AssetTimeline, TimelineSpec
from tests.reference.flows import Episode, scripted_frame
from tests.unit.provider.known import known_frame
from tests.unit.provider.records import MARKETS, Script, script

SPEC = TimelineSpec(Params(), hold_rows=7_800, horizon_s=600)
ROWS = 9_600
EPISODE = Episode(6_600, 1)
TURN = Episode(9_000, -1, build=900)  # the flow turns against a long entry, so that it exits


@pytest.fixture(scope="module")
def told() -> Script:
    return script(scripted_frame(5, ROWS, (EPISODE,)), seed=5, late=0.02)


def closed(records: Script, start: int, stop: int) -> list[ClosedSecond]:
    first = records.records[0].second
    return [
        ClosedSecond(record.second, (record,)) for record in records.records[start - first : stop - first]
    ]


def history(records: Script, seconds: int) -> AssetTimeline:
    """A timeline that absorbed the first ``seconds`` seconds and is warm."""
    first = records.records[0].second
    timeline = AssetTimeline(MARKETS, SPEC, first)
    for item in closed(records, first, first + seconds):
        timeline.absorb(item)
    timeline.prime()
    return timeline


def same(decision: Decision, other: Decision) -> bool:
    return msgspec.structs.asdict(decision) == msgspec.structs.asdict(other)


def test_each_decision_is_the_frame_as_known_then(told: Script) -> None:
    timeline = history(told, 7_900)
    start = timeline.next_second
    compared = 0
    for item in closed(told, start, start + 300):
        decision = timeline.push(item)
        assert decision is not None
        if item.records[0].revisions or item.second % 50 == 0:
            scored = score_frame(known_frame(told.records, MARKETS, item.second)).iloc[-1]
            for name in SCORE_COLUMNS:
                assert float(getattr(decision, name)) == float(scored[name]), (item.second, name)
            assert decision.veto == scored["veto"]
            compared += 1
        if compared == 6:
            break
    assert compared == 6


def test_rows_equal_the_frame_as_known(told: Script) -> None:
    timeline = history(told, 5_000)
    frame = known_frame(told.records, MARKETS, timeline.next_second - 1)
    flow = timeline.rows.flow(timeline.rows.first, timeline.next_second)
    for name in frame.columns:
        np.testing.assert_array_equal(getattr(flow, name), frame[name].to_numpy(), err_msg=name)
    assert 0.0 < frame["coverage_perp"].mean() < 1.0


def test_a_restart_decides_the_same_to_the_bit(told: Script) -> None:
    long_lived = history(told, 7_800)
    start = long_lived.next_second
    for item in closed(told, start, start + 1_300):
        long_lived.push(item)
    middle = long_lived.next_second
    restarted = history(told, middle - told.records[0].second)
    events = 0
    for item in closed(told, middle, middle + 400):
        one, other = long_lived.push(item), restarted.push(item)
        assert one is not None
        assert other is not None
        assert same(one, other), item.second
        events += abs(one.event)
    assert long_lived.rows.first == restarted.rows.first


def test_rows_are_dropped_without_changing_a_decision() -> None:
    told = script(scripted_frame(6, 15_900, (Episode(13_900, -1),)), seed=6, late=0.01)
    timeline = history(told, 15_000)
    first = timeline.rows.first
    newest = None
    for item in closed(told, timeline.next_second, told.records[-1].second + 1):
        newest = timeline.push(item)
    assert timeline.rows.first > first
    assert newest is not None
    assert same(newest, Engine().run(_flow(told, newest.second)).at(-1))


def _flow(told: Script, at: int) -> Flow:
    frame = known_frame(told.records, MARKETS, at)
    return Flow.from_columns({name: frame[name].to_numpy() for name in frame.columns})


def test_entry_and_exit_are_those_of_the_batch_functions() -> None:
    told = script(scripted_frame(5, 10_400, (EPISODE, TURN)), seed=5)
    timeline = history(told, 7_200)
    event: Decision | None = None
    for item in closed(told, timeline.next_second, told.records[-1].second + 1):
        decision = timeline.push(item)
        assert decision is not None
        if decision.event and event is None:
            event = decision
        elif event is not None and item.second == event.second + 2:
            timeline.watch(1, event.second, event.event)  # the order was filled in between
    assert event is not None
    flow = _flow(told, told.records[-1].second)
    decided = Engine().run(flow)
    rows = np.flatnonzero(decided.event)
    assert event.second == decided.second[rows[0]]
    expected = first_exit(flow, decided, Baseline.of(decided.at(int(rows[0]))))
    assert expected is not None
    assert timeline.exits == {1: expected}
    timeline.unwatch([1])
    assert timeline.watched == frozenset()
    assert timeline.exits == {}


def test_a_watch_taken_up_after_a_restart_comes_to_the_same_exit() -> None:
    told = script(scripted_frame(5, 10_400, (EPISODE, TURN)), seed=5, late=0.02)
    first, last = told.records[0].second, told.records[-1].second + 1
    lived = history(told, 7_200)
    event: Decision | None = None
    for item in closed(told, lived.next_second, last):
        decision = lived.push(item)
        assert decision is not None
        if decision.event and event is None:
            event = decision
            lived.watch(1, event.second, event.event)
    assert event is not None
    found = lived.exits[1]
    for restart in (event.second + 1, found.second):
        timeline = AssetTimeline(MARKETS, SPEC, first)
        timeline.watch(1, event.second, event.event)
        for item in closed(told, first, restart):
            timeline.absorb(item)
        timeline.prime()
        for item in closed(told, restart, found.second + 1):
            timeline.push(item)
        assert timeline.exits == {1: found}, restart


def test_an_exit_of_a_long_trade_outlives_the_rows_of_its_entry() -> None:
    patient = dataclasses.replace(Params(), min_hold=8_200)
    spec = TimelineSpec(patient, hold_rows=7_800, horizon_s=600)
    records = script(scripted_frame(5, 17_200, (Episode(5_800, 1), Episode(15_300, -1))), seed=5, late=0.01)
    first = records.records[0].second
    timeline = AssetTimeline(MARKETS, spec, first)
    for item in closed(records, first, first + 7_200):
        timeline.absorb(item)
    event: Decision | None = None
    for item in closed(records, first + 7_200, records.records[-1].second + 1):
        if event is not None and item.second < event.second + 8_100:
            timeline.absorb(item)
            continue
        decision = timeline.push(item)
        if decision is not None and decision.event and event is None:
            event = decision
            timeline.watch(7, event.second, event.event)
    assert event is not None
    assert timeline.rows.first > event.second
    flow = _flow(records, records.records[-1].second)
    at = event.second - int(flow.time[0])
    decided = Engine(patient).run(flow)
    late = first_exit(flow, decided, Baseline.of(decided.at(at), event.event), patient)
    assert late is not None
    assert late.second - event.second >= 8_200
    # As known then: a bar revised after its exit moves nothing, so seconds may differ by what was late.
    assert abs(timeline.exits[7].second - late.second) <= 300


def test_gaps_become_rows_that_nothing_covers(told: Script) -> None:
    timeline = history(told, 7_500)
    start = timeline.next_second
    close = timeline.rows.row(start - 1).close
    for second in range(start, start + 20):
        decision = timeline.push(ClosedSecond(second))
    assert decision is not None
    assert decision.veto in {"reference_stale", "hole_spot_5m"}
    row = timeline.rows.row(start + 19)
    assert (row.close, row.spot_buy, row.coverage_spot, row.reference_live) == (close, 0.0, 0.0, 0.0)


def test_a_repaired_span_counts_as_covered_from_then_on(told: Script) -> None:
    timeline = history(told, 7_300)
    start = timeline.next_second
    for second in range(start, start + 10):
        timeline.push(ClosedSecond(second))
    spans = tuple(Interval(market, start, start + 10) for market in MARKETS.all)
    record = msgspec.structs.replace(told.records[7_310], repaired=spans)
    timeline.push(ClosedSecond(record.second, (record,)))
    flow = timeline.rows.flow(start, start + 10)
    assert flow.coverage_spot.tolist() == flow.coverage_perp.tolist() == [1.0] * 10


def test_nothing_is_decided_before_the_reference_market_trades(told: Script) -> None:
    first = told.records[0].second
    timeline = AssetTimeline(MARKETS, SPEC, first - 3)
    for second in range(first - 3, first):
        assert timeline.push(ClosedSecond(second)) is None
    decision = timeline.push(ClosedSecond(first, (told.records[0],)))
    assert decision is not None
    assert decision.veto == "warming_up"


def test_what_does_not_fit_is_refused(told: Script) -> None:
    timeline = history(told, 7_300)
    second = timeline.next_second
    with pytest.raises(EngineError, match=f"second {second + 1} was given, {second} comes next"):
        timeline.push(ClosedSecond(second + 1))
    old = msgspec.structs.replace(told.records[0].bars[0], revision=1)
    record = msgspec.structs.replace(told.records[7_300], revisions=(old,))
    with pytest.raises(EngineError, match="same revision_horizon_s"):
        timeline.push(ClosedSecond(second, (record,)))
    with pytest.raises(EngineError, match="no entry event"):
        timeline.watch(1, second - 5, 1)


def test_candles_show_the_rows_and_what_was_decided_last_in_each(told: Script) -> None:
    timeline = history(told, 7_800)
    decision = timeline.push(closed(told, timeline.next_second, timeline.next_second + 1)[0])
    frame = timeline.candles(60)
    flow = timeline.rows.flow(timeline.rows.first, timeline.next_second)
    starts = frame["date"].dt.as_unit("s").astype("int64").to_numpy()
    inside = (flow.time >= starts[-2]) & (flow.time < starts[-1])
    assert frame["high"].iloc[-2] == flow.high[inside].max()
    assert frame["spot_buy"].iloc[-2] == np.add.reduceat(flow.spot_buy[inside], [0])[0]
    assert frame["close"].iloc[-1] == flow.close[-1]
    assert starts[-1] == (timeline.next_second - 1) // 60 * 60
    scores = timeline.decisions_at_close(starts.tolist())
    assert decision is not None
    assert np.isnan(scores).sum() == 0
    assert timeline.candles(1)["close"].tolist() == flow.close[-1000:].tolist()
    assert len(timeline.candles(3600)) <= 2
