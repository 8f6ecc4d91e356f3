"""As final: what was decided live differs only where a revision or a repair explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from squeezeflow_plugin.market import ClosingRecord, Interval
from squeezeflow_plugin.phases.layout import COLUMN_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.digest import INPUTS, input_digest
from squeezeflow_plugin.provider.final_parity import compare_final
from squeezeflow_plugin.provider.replay import Replay, compare
from squeezeflow_plugin.provider.timeline import TimelineSpec, numbers_of
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.store.memory import MemoryBarStore
from tests.reference.flows import Episode, scripted_frame
from tests.unit.provider.records import INSTRUMENTS, MARKETS, PERP_A, SPOT_A, SPOT_B, script

PAIR = "BTC/USDT"
PAIRS = {PAIR: MARKETS}
SPEC = TimelineSpec(Params(), hold_rows=8_100, horizon_s=600)
ROWS, LIVE = 9_600, 1_200
LOGGED = (*COLUMN_NAMES, INPUTS)


def store_of(records: Sequence[ClosingRecord]) -> MemoryBarStore:
    store = MemoryBarStore()
    store.put_instruments(INSTRUMENTS)
    store.append(records)
    return store


@dataclass(frozen=True)
class Lived:
    """Records, and the log of the last seconds decided on them as they came."""

    records: tuple[ClosingRecord, ...]
    log: DecisionLog
    start: int
    stop: int


def lived(folder: Path, records: Sequence[ClosingRecord]) -> Lived:
    stop = records[-1].second + 1
    start = stop - LIVE
    replay = Replay(store_of(records), PAIRS, SPEC, start)
    rows = []
    for scored in replay.run(stop):
        decision = scored.decision
        digest = input_digest(replay.desk.timelines[PAIR].rows.row(decision.second))
        numbers = (*numbers_of(decision).tolist(), digest)
        rows.append(LoggedDecision(PAIR, decision.second, decision.second, 0, 430.0, numbers, decision.veto))
    log = DecisionLog(folder / "decisions.sqlite", LOGGED, "engine")
    log.append(rows)
    return Lived(tuple(records), log, start, stop)


def frame_records(late: float) -> tuple[ClosingRecord, ...]:
    return script(scripted_frame(5, ROWS, (Episode(7_000, 1),)), seed=5, late=late).records


def test_without_revisions_nothing_differs(tmp_path: Path) -> None:
    life = lived(tmp_path, frame_records(late=0.0))
    found = compare_final(life.log, store_of(life.records), PAIRS, SPEC, life.start, life.stop)
    assert (found.seconds, found.causes, found.differences) == (LIVE, (), ())


def test_exactly_the_revisions_are_found_and_explain_every_difference(tmp_path: Path) -> None:
    records = frame_records(late=0.0005)
    life = lived(tmp_path, records)
    found = compare_final(life.log, store_of(records), PAIRS, SPEC, life.start, life.stop)
    begin = found.causes[0].second
    injected = {
        (bar.market, bar.second, record.second)
        for record in records
        for bar in record.revisions
        if bar.second >= begin
    }
    assert {(each.market, each.second, each.known) for each in found.causes} == injected
    assert len(injected) > 5
    living = {
        second
        for _, second_, known in injected
        for second in range(max(second_, life.start), min(known, life.stop))
    }
    assert {each.second for each in found.differences} == living
    assert found.unexplained == ()
    for each in found.differences:
        assert each.cause is not None
        assert each.cause.second <= each.second < each.cause.known
        assert each.logged != each.final


def test_the_first_input_that_a_revision_changed_is_named(tmp_path: Path) -> None:
    records = list(frame_records(late=0.0))
    place, known = ROWS - 700, ROWS - 600
    bars = {bar.market: bar for bar in records[place].bars}
    columns = {SPOT_A.market: "close", SPOT_B.market: "spot_buy", PERP_A.market: "perp_sell"}
    changes = {
        SPOT_A.market: {"close": bars[SPOT_A.market].low},
        SPOT_B.market: {"vbuy": bars[SPOT_B.market].vbuy * 2},
        PERP_A.market: {"vsell": bars[PERP_A.market].vsell * 3},
    }
    revised = tuple(
        msgspec.structs.replace(bars[market], revision=1, **change) for market, change in changes.items()
    )
    records[known] = msgspec.structs.replace(records[known], revisions=revised)
    life = lived(tmp_path, records)
    found = compare_final(life.log, store_of(records), PAIRS, SPEC, life.start, life.stop)
    second = records[place].second
    assert {(each.market, each.column) for each in found.causes} == set(columns.items())
    doubled = next(each for each in found.causes if each.column == "spot_buy")
    assert (doubled.second, doubled.known) == (second, records[known].second)
    assert doubled.after == 2 * doubled.before
    assert [each.second for each in found.differences] == list(range(second, records[known].second))


def test_a_span_that_was_covered_later_is_a_cause(tmp_path: Path) -> None:
    records = list(frame_records(late=0.0))
    hole, known = range(ROWS - 900, ROWS - 880), ROWS - 500
    for place in hole:
        left = tuple(name for name in records[place].covered if name != PERP_A.market)
        records[place] = msgspec.structs.replace(records[place], covered=left)
    span = Interval(PERP_A.market, records[hole[0]].second, records[hole[-1]].second + 1)
    records[known] = msgspec.structs.replace(records[known], repaired=(span,))
    life = lived(tmp_path, records)
    found = compare_final(life.log, store_of(records), PAIRS, SPEC, life.start, life.stop)
    assert [(each.market, each.second, each.known, each.column) for each in found.causes] == [
        (PERP_A.market, span.start, records[known].second, "coverage_perp")
    ]
    assert {each.second for each in found.differences} == set(range(span.start, records[known].second))
    assert found.unexplained == ()
    assert {each.column[:13] for each in found.differences} == {"coverage_perp"}


@pytest.mark.parametrize("market", [SPOT_A.market, PERP_A.market])
def test_one_flipped_trade_is_found_at_its_second(tmp_path: Path, market: str) -> None:
    records = list(frame_records(late=0.0))
    life = lived(tmp_path, records)
    place = ROWS - 400
    bars = tuple(
        msgspec.structs.replace(bar, vbuy=bar.vbuy - 100.0, vsell=bar.vsell + 100.0)
        if bar.market == market
        else bar
        for bar in records[place].bars
    )
    records[place] = msgspec.structs.replace(records[place], bars=bars)
    store = store_of(records)
    known = compare(life.log, store, PAIRS, SPEC, life.start, life.stop)
    second = records[place].second
    assert known.differences[0].second == second
    assert [each.second for each in known.differences if each.column == INPUTS] == [second]
    final = compare_final(life.log, store, PAIRS, SPEC, life.start, life.stop)
    assert final.causes == ()
    assert final.unexplained == final.differences
    assert final.differences[0].second == second
