"""A bar is a function of its set of trades: any order, any number of deliveries, early or late."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.bars.builder import BarBuilder
from squeezeflow_plugin.bars.outcomes import Outcome
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, Trade
from tests.reference.bars_twin import twin_bars
from tests.unit.bars.tapes import START, assert_equals_twin, bits, contents, tapes

SECONDS = 6
Bars = dict[tuple[str, int], Bar]


def trade(second: int, trade_id: int, price: float = 10.0, size: float = 1.0, **more: object) -> Trade:
    made = Trade("X:a", second * NS_PER_SECOND + trade_id, str(trade_id), price, size, price * size, 1)
    return msgspec.structs.replace(made, **more)


def enter(known: Bars, bars: tuple[Bar, ...]) -> None:
    """Take in what a close said; a revision follows the one before it and never has less."""
    for bar in bars:
        before = known.get((bar.market, bar.second))
        assert bar.revision == (0 if before is None else before.revision + 1)
        if before is not None:
            for name in ("cbuy", "csell"):
                assert getattr(bar, name) >= getattr(before, name)
            for name in ("vbuy", "vsell", "lbuy", "lsell"):
                assert getattr(bar, name) >= getattr(before, name) * (1 - 1e-12)
            assert bits(bar) != bits(before)
        known[bar.market, bar.second] = bar


def run(tape: list[Trade], closes: list[int], horizon_s: int = 600) -> tuple[Bars, BarBuilder]:
    """Feed the tape; ``closes[k]`` seconds are closed before trade k, the rest at the end."""
    builder = BarBuilder(horizon_s)
    builder.begin(START)
    known: Bars = {}
    closed = 0
    for each, before in zip(tape, closes, strict=True):
        while closed < before:
            enter(known, sum(builder.close(START + closed), ()))
            closed += 1
        builder.add(each)
    for second in range(closed, SECONDS + 1):
        enter(known, sum(builder.close(START + second), ()))
    return known, builder


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Trade], list[int]]:
    tape = draw(tapes(seconds=SECONDS))
    closes = sorted(draw(st.lists(st.integers(0, SECONDS), min_size=len(tape), max_size=len(tape))))
    return tape, closes


@given(runs(), st.randoms(use_true_random=False))
def test_order_number_and_lateness_of_deliveries_change_nothing(
    told: tuple[list[Trade], list[int]], rng: random.Random
) -> None:
    tape, closes = told
    known, builder = run(tape, closes)
    twice = tape + tape
    rng.shuffle(twice)
    again, _ = run(twice, [0] * len(twice))
    assert contents(known) == contents(again)
    twins = twin_bars(tape)
    assert known.keys() == twins.keys()
    for key, bar in known.items():
        assert_equals_twin(bar, twins[key])
    unique = {(each.market, each.liquidation, each.trade_id) for each in tape}
    assert builder.counts.received == len(tape)
    assert builder.counts.duplicates == len(tape) - len(unique)


@given(runs(), st.integers(1, 3))
def test_volume_in_is_volume_in_bars_and_volume_reported_late(
    told: tuple[list[Trade], list[int]], horizon_s: int
) -> None:
    tape, closes = told
    tape = list({(each.market, each.liquidation, each.trade_id): each for each in tape}.values())
    known, builder = run(tape, closes[: len(tape)], horizon_s)
    in_bars = sum(bar.vbuy + bar.vsell + bar.lbuy + bar.lsell for bar in known.values())
    refused = builder.take_refused()
    late = sum(each.quote for each in refused)
    assert in_bars + late == pytest.approx(sum(each.quote for each in tape), rel=1e-12)
    assert sum(each.count for each in refused) == builder.counts.beyond_horizon
    assert all(each.outcome is Outcome.BEYOND_HORIZON for each in refused)


def test_a_repeat_that_comes_late_is_no_revision() -> None:
    builder = BarBuilder()
    builder.begin(START)
    builder.add(trade(START, 1))
    builder.close(START)
    assert builder.add(trade(START, 1)) is Outcome.REVISION
    assert builder.close(START + 1).revisions == ()
    assert builder.counts.duplicates == 1


def test_a_late_trade_where_none_was_gives_the_bar_its_first_time() -> None:
    builder = BarBuilder()
    builder.begin(START)
    builder.close(START)
    builder.add(trade(START, 1))
    [bar] = builder.close(START + 1).revisions
    assert (bar.second, bar.revision, bar.cbuy) == (START, 0, 1)


def test_a_conflicting_repeat_ends_in_the_same_bar_early_or_late() -> None:
    low, high = trade(START, 1, price=9.0), trade(START, 1, price=11.0)
    finals = set()
    for first, second, is_late in ((low, high, True), (high, low, True), (low, high, False)):
        builder = BarBuilder()
        builder.begin(START)
        builder.add(first)
        bars = builder.close(START).bars if is_late else ()
        builder.add(second)
        bars += sum(builder.close(START + 1 if is_late else START), ())
        finals.add(bits(bars[-1]))
        assert builder.counts.conflicts == 1
    assert len(finals) == 1


def test_liquidations_and_trades_of_one_id_are_two_things() -> None:
    builder = BarBuilder()
    builder.begin(START)
    builder.add(trade(START, 1))
    builder.add(trade(START, 1, liquidation=True, side=-1))
    [bar] = builder.close(START).bars
    assert (bar.cbuy, bar.vbuy, bar.lsell, bar.csell) == (1, 10.0, 10.0, 0)
    builder.add(trade(START, 2, liquidation=True))
    [bar] = builder.close(START + 1).revisions
    assert (bar.cbuy, bar.lbuy, bar.lsell, bar.revision) == (1, 10.0, 10.0, 1)


def test_the_horizon_ends_where_it_says() -> None:
    builder = BarBuilder(horizon_s=3)
    builder.begin(START)
    for second in range(START, START + 4):
        builder.close(second)
    assert builder.add(trade(START, 1)) is Outcome.BEYOND_HORIZON
    assert builder.add(trade(START + 1, 2)) is Outcome.REVISION
    [bar] = builder.close(START + 4).revisions
    assert bar.second == START + 1
    [refused] = builder.take_refused()
    assert (refused.market, refused.count, refused.last_id) == ("X:a", 1, "1")
    assert builder.take_refused() == ()


def test_what_is_dated_too_far_ahead_is_refused_also_where_it_waits() -> None:
    builder = BarBuilder()
    builder.add(trade(START + 1000, 1))
    builder.add(trade(START, 2))
    builder.begin(START)
    builder.accept_until(START + 600)
    assert builder.add(trade(START + 601, 3)) is Outcome.AHEAD
    assert len(builder.close(START).bars) == 1
    assert [(each.outcome, each.count) for each in builder.take_refused()] == [(Outcome.AHEAD, 2)]


def test_trades_ahead_are_in_quarantine_until_their_second_comes() -> None:
    builder = BarBuilder(horizon_s=600)
    builder.begin(START)
    early, far, absurd = (trade(START + ahead, number) for number, ahead in ((1, 5), (2, 400), (3, 700)))
    builder.accept_until(START + 2, START + 600)
    assert [builder.add(each) for each in (early, far, absurd)] == [Outcome.HELD, Outcome.HELD, Outcome.AHEAD]
    assert builder.pending() == ()  # nobody sees them before
    assert (builder.counts.received, builder.counts.quarantined, builder.counts.ahead) == (3, 2, 1)
    for second in range(START, START + 5):
        builder.accept_until(second + 2, second + 600)
        assert builder.close(second).bars == ()
    builder.accept_until(START + 7, START + 605)
    assert builder.close(START + 5).bars[0].cbuy == 1
    assert (builder.counts.received, builder.counts.quarantined) == (3, 2)


def test_trades_from_before_the_beginning_are_refused() -> None:
    builder = BarBuilder()
    builder.add(trade(START - 1, 1))
    builder.begin(START)
    assert builder.add(trade(START - 1, 2)) is Outcome.EARLIER
    assert builder.close(START) == ((), ())
    assert (builder.counts.earlier, builder.counts.beyond_horizon, builder.counts.received) == (2, 0, 2)


def test_what_a_restored_builder_can_no_longer_merge_is_a_loss_not_history() -> None:
    builder = BarBuilder()
    builder.restore(START, START, (), ())
    assert builder.add(trade(START - 1, 1)) is Outcome.BEYOND_HORIZON


def test_seconds_are_closed_in_order_and_begun_once() -> None:
    builder = BarBuilder()
    builder.begin(START)
    with pytest.raises(ValueError, match="does not follow"):
        builder.close(START + 1)
    with pytest.raises(ValueError, match="began already"):
        builder.begin(START)


def test_memory_holds_the_horizon_and_no_more() -> None:
    builder = BarBuilder(horizon_s=5)
    builder.begin(START)
    for second in range(START, START + 50):
        builder.add_all(trade(second, n) for n in range(20))
        builder.close(second)
        assert builder._held.count() <= 5
        assert not builder._open
        assert not builder._late


@given(runs(), st.data())
def test_a_builder_restored_from_its_trades_ends_in_the_same_bars(
    told: tuple[list[Trade], list[int]], data: st.DataObject
) -> None:
    tape, closes = told
    whole, _ = run(tape, closes)
    stop = data.draw(st.integers(0, len(tape)))
    builder = BarBuilder()
    builder.begin(START)
    known: Bars = {}
    enter(known, sum(builder.close(START), ()))
    for each, before in zip(tape[:stop], closes[:stop], strict=True):
        while (builder.closed or 0) < START + before:
            enter(known, sum(builder.close((builder.closed or 0) + 1), ()))
        builder.add(each)
    last = builder.closed or 0
    received = tape[:stop]
    restored = BarBuilder()
    restored.restore(START, last, known.values(), data.draw(st.permutations(received)))
    assert restored.closed == last
    restored.add_all(tape[stop:])
    for second in range(last + 1, START + SECONDS + 2):
        enter(known, sum(restored.close(second), ()))
    assert contents(known) == contents(whole)


def restored_with_less() -> BarBuilder:
    """Trades 1, 2 and 6 of the first second were given out, 1 alone is on record."""
    builder = BarBuilder()
    builder.begin(START)
    builder.add_all([trade(START, 1), trade(START, 2), trade(START, 6), trade(START + 1, 3)])
    known = [*builder.close(START).bars, *builder.close(START + 1).bars]
    restored = BarBuilder()
    restored.restore(START, START + 1, known, [trade(START, 1), trade(START + 1, 3)])
    return restored


def test_a_restored_bar_whose_trades_are_lost_is_never_replaced_by_less() -> None:
    restored = restored_with_less()
    assert restored.add(trade(START, 4)) is Outcome.REVISION
    assert restored.add(trade(START + 1, 5)) is Outcome.REVISION
    [bar] = restored.close(START + 2).revisions
    assert (bar.second, bar.cbuy, bar.revision) == (START + 1, 2, 1)
    assert restored.lacking == {(START, "X:a")}


def test_a_restored_bar_goes_on_once_it_has_all_its_trades_again() -> None:
    restored = restored_with_less()
    restored.add_all([trade(START, 2), trade(START, 1)])
    assert restored.close(START + 2).revisions == ()
    restored.add_all([trade(START, 6), trade(START, 4)])
    [bar] = restored.close(START + 3).revisions
    assert (bar.second, bar.cbuy, bar.revision) == (START, 4, 1)
    restored.add(trade(START, 7))
    [bar] = restored.close(START + 4).revisions
    assert (bar.cbuy, bar.revision) == (5, 2)
    assert not restored.lacking


def test_a_restored_bar_that_gets_its_own_trades_again_is_not_given_out_again() -> None:
    restored = restored_with_less()
    restored.add_all([trade(START, 6), trade(START, 2)])
    assert restored.close(START + 2).revisions == ()
    assert not restored.lacking


def test_liquidations_that_are_on_record_nowhere_stay_in_a_restored_bar() -> None:
    builder = BarBuilder()
    builder.begin(START)
    forced = trade(START, 9, liquidation=True)
    builder.add_all([trade(START, 1), trade(START, 2), forced])
    known = builder.close(START).bars
    restored = BarBuilder()
    restored.restore(START, START, known, [trade(START, 1)])
    restored.add_all([trade(START, 2), trade(START, 3)])
    [bar] = restored.close(START + 1).revisions
    assert (bar.cbuy, bar.lbuy, bar.lsell, bar.revision) == (3, known[0].lbuy, known[0].lsell, 1)
    restored.add(trade(START, 4))
    [bar] = restored.close(START + 2).revisions
    assert (bar.cbuy, bar.lbuy, bar.lsell, bar.revision) == (4, known[0].lbuy, known[0].lsell, 2)
    assert not restored.lacking


@given(runs())
def test_what_is_pending_is_what_the_next_closes_bring(run_: tuple[list[Trade], list[int]]) -> None:
    tape, _ = run_
    builder = BarBuilder()
    builder.begin(START)
    builder.add_all(tape)
    counts = builder.counts
    pending = builder.pending()
    assert builder.counts == counts
    closed = [bar for second in range(SECONDS + 1) for bar in builder.close(START + second).bars]
    assert [bits(bar) for bar in pending] == [bits(bar) for bar in closed]


def test_a_late_trade_revises_a_second_that_was_shrunk_long_ago() -> None:
    builder = BarBuilder(600)
    builder.begin(START)
    builder.add_all([trade(START, 1), trade(START, 3, liquidation=True), trade(START, 2, price=11.0)])
    for second in range(START, START + 400):
        builder.close(second)
    builder.add_all([trade(START, 4, price=12.0), trade(START, 2, price=11.0)])
    (revised,) = builder.close(START + 400).revisions
    assert (revised.open, revised.close, revised.cbuy, revised.vbuy) == (10.0, 12.0, 3, 33.0)
    assert (revised.lbuy, revised.revision) == (10.0, 1)
    assert builder.counts.duplicates == 1


def test_trades_handed_in_at_once_are_counted_before_the_next_close() -> None:
    builder = BarBuilder(600)
    builder.begin(START)
    builder.add_all([trade(START, 1), trade(START + 1, 2)])
    assert builder.counts.received == 2
    assert [bar.second for bar in builder.pending()] == [START, START + 1]
    assert [each.trade_id for each in builder.take_newest()] == ["2"]
    builder.add_all([trade(START - 5, 7), trade(START + 900, 8)])
    builder.accept_until(START + 600)
    assert {refused.last_id for refused in builder.take_refused()} == {"7", "8"}


def test_an_id_is_a_markets_own() -> None:
    builder = BarBuilder()
    builder.begin(START)
    builder.add_all([trade(START, 1), trade(START, 1, market="X:b"), trade(START, 1, liquidation=True)])
    first, second = builder.close(START).bars
    assert (first.market, first.vbuy, first.lbuy) == ("X:a", 10.0, 10.0)
    assert (second.market, second.vbuy) == ("X:b", 10.0)
    assert builder.counts.duplicates == 0
