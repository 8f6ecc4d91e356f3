"""Gaps of one market: what is missing is known at once, and nothing is called complete that is not."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.bars.continuity import ContinuityWatch
from squeezeflow_plugin.bars.gaps import LATE_NS, MAX_JUMP
from squeezeflow_plugin.bars.holes import ASK_NS, DOUBT_NS, MAX_GAPS, TRY_AGAIN_NS
from squeezeflow_plugin.bars.spans import FAR
from squeezeflow_plugin.feeds.recovery import Continuity, Gap
from squeezeflow_plugin.market import NS_PER_SECOND
from tests.unit.bars.gap_market import LATER, MARKET, START, market, ns, seconds, taken, trade


def test_a_jump_is_asked_for_and_doubted_once_it_is_no_mere_lateness() -> None:
    gaps = taken(market(), trade(1, 1.0), trade(2, 2.5), trade(5, 4.5))
    assert not list(gaps.due(ns(4.5) + ASK_NS - 1))
    wanted = Gap(MARKET, "2", ns(2.5), "5", ns(4.5))
    assert list(gaps.due(ns(4.5) + ASK_NS)) == [wanted]
    assert gaps.settle(START + 5, ns(4.5) + DOUBT_NS - 1) == ([], [])
    doubted, freed = gaps.settle(START + 6, ns(4.5) + DOUBT_NS)
    assert (seconds(doubted), freed) == ([2, 3, 4], [])
    assert gaps.settle(START + 7, LATER) == ([], [])  # told once
    gaps.take(trade(3, 3.1, received=9.0))
    doubted, freed = gaps.settle(START + 8, LATER)
    assert (doubted, seconds(freed)) == ([], [2])
    assert list(gaps.due(LATER)) == [Gap(MARKET, "3", ns(3.1), "5", ns(4.5))]
    gaps.take(trade(4, 3.2, received=9.0))
    assert seconds(gaps.settle(START + 9, LATER)[1]) == [3, 4]
    assert not list(gaps.due(LATER))


def test_a_late_trade_that_comes_soon_leaves_no_trace() -> None:
    gaps = taken(market(), trade(1, 1.0), trade(3, 1.2), trade(2, 1.1, received=1.3), trade(4, 1.4))
    assert not list(gaps.due(LATER))
    assert gaps.settle(START + 1, LATER) == ([], [])
    assert not gaps.is_troubled


def test_a_push_of_several_fills_covers_their_ids() -> None:
    gaps = taken(market(), trade(10, 1.0), trade(13, 1.1, count=3), trade(20, 2.0, count=2))
    assert list(gaps.due(LATER)) == [Gap(MARKET, "13", ns(1.1), "19", ns(2.0))]
    assert gaps.wants(Gap(MARKET, "13", 0, "19", 1), [trade(18, 1.5, count=5)])
    assert not gaps.wants(Gap(MARKET, "13", 0, "19", 1), [trade(19, 1.5, count=5)])
    assert not gaps.wants(Gap(MARKET, "13", 0, "19", 1), [trade(14, 1.5, count=2)])


def test_left_out_ids_are_not_missing_wherever_they_come() -> None:
    gaps = taken(market(), trade(1, 1.0))
    gaps.leave_out("2")
    gaps.take(trade(3, 1.5))
    assert not gaps.is_troubled
    gaps.leave_out("5")  # 4 is missing
    gaps.take(trade(6, 2.0))
    assert list(gaps.due(LATER)) == [Gap(MARKET, "3", ns(1.5), "5", ns(2.0))]
    gaps.leave_out("4")
    assert not gaps.is_troubled


def test_a_reconnect_that_missed_nothing_repairs_its_seconds_by_the_next_id() -> None:
    gaps = taken(market(), trade(1, 1.5))
    gaps.down(START + 2)
    # from its last trade on: a clock that jumped may say the end was later
    assert seconds(gaps.settle(START + 3, ns(4.4))[0]) == [1, 2, 3]
    gaps.live(START + 4, ns(4.5))
    gaps.take(trade(2, 7.0))
    doubted, freed = gaps.settle(START + 6, ns(7.4))
    assert (doubted, seconds(freed)) == ([], [2, 3, 4])


def test_what_was_missed_while_down_is_doubted_until_the_last_of_it_is_there() -> None:
    gaps = taken(market(), trade(1, 1.5))
    gaps.down(START + 2)
    gaps.live(START + 4, ns(4.5))
    gaps.take(trade(4, 4.9))
    wanted = Gap(MARKET, "1", ns(1.5), "4", ns(4.9))
    assert list(gaps.due(ns(4.9))) == [wanted]  # at once: this is no lateness
    assert seconds(gaps.settle(START + 4, ns(5.4))[0]) == [1, 2, 3, 4]
    for number in (3, 2):
        assert gaps.wants(wanted, [trade(number, number)])
        gaps.take(trade(number, number, received=0.0), recovered=True)
    gaps.answered(wanted, complete=True, now_ns=ns(6))
    # second 1 is the first of all: its beginning nobody knows
    assert seconds(gaps.settle(START + 5, ns(6.4))[1]) == [2, 3, 4]
    assert not gaps.is_troubled


def test_recovered_trades_do_not_end_an_open_gap_before_the_answer_does() -> None:
    gaps = taken(market(), trade(1, 1.5))
    gaps.down(START + 2)
    gaps.live(START + 4, ns(4.5))
    (wanted,) = gaps.due(ns(9.5))
    assert wanted == Gap(MARKET, "1", ns(1.5))
    gaps.take(trade(2, 2.5, received=0.0), recovered=True)
    assert list(gaps.due(ns(9.5))) == [wanted]
    gaps.answered(wanted, complete=True, now_ns=ns(10))
    assert not list(gaps.due(FAR))
    assert seconds(gaps.settle(START + 9, ns(10.4))[1]) == [2, 3, 4]


def test_ids_the_exchange_does_not_give_are_given_up_and_stay_doubted() -> None:
    gaps = taken(market(), trade(1, 1.0), trade(3, 2.0))
    wanted = Gap(MARKET, "1", ns(1.0), "3", ns(2.0))
    now_ns = LATER
    for wait_ns in TRY_AGAIN_NS:
        gaps.answered(wanted, complete=True, now_ns=now_ns)
        assert not list(gaps.due(now_ns + wait_ns - 1))
        now_ns += wait_ns
        assert list(gaps.due(now_ns)) == [wanted]
    assert gaps.take_lost() == ()
    gaps.answered(wanted, complete=True, now_ns=now_ns)
    (lost,) = gaps.take_lost()
    assert (lost.gap, lost.trades) == (wanted, 1)
    assert gaps.take_lost() == ()
    assert not list(gaps.due(FAR))
    assert seconds(gaps.settle(START + 3, now_ns)[0]) == [1, 2]
    assert gaps.settle(START + 4, now_ns) == ([], [])


def test_an_exchange_that_cannot_be_asked_is_asked_later_and_costs_no_try() -> None:
    gaps = taken(market(), trade(1, 1.0), trade(3, 2.0))
    (wanted,) = gaps.due(LATER)
    for _ in range(20):
        gaps.postpone(wanted, LATER + 60 * NS_PER_SECOND)
    assert not list(gaps.due(LATER + 59 * NS_PER_SECOND))
    assert list(gaps.due(LATER + 60 * NS_PER_SECOND)) == [wanted]
    gaps.expire(START + 2)
    assert gaps.take_lost() == ()
    gaps.expire(START + 3)
    assert [lost.gap for lost in gaps.take_lost()] == [wanted]


def test_an_exchange_is_told_of_its_own_lost_gaps_alone() -> None:
    watch = ContinuityWatch({name: Continuity(True, False) for name in ("X:a", "Y:a")})
    for name in ("X:a", "Y:a"):
        watch.add([msgspec.structs.replace(trade(number, number), market=name) for number in (1, 3)])
    watch.expire(START + 10)
    assert watch.take_lost("Z") == ()
    assert [lost.gap.market for lost in watch.take_lost("Y")] == ["Y:a"]
    assert [lost.gap.market for lost in watch.take_lost()] == ["X:a"]


def test_without_a_sequence_a_reconnect_is_a_gap_from_trade_to_trade() -> None:
    gaps = taken(market(sequence=False), trade(77, 1.5), trade(5, 2.5))
    gaps.down(START + 3)
    gaps.live(START + 5, ns(5.2))
    gaps.take(trade(77, 1.5, received=5.3))  # replayed
    gaps.take(trade(9, 6.5))
    # one that happened before the last known trade may have been late
    wanted = Gap(MARKET, "5", ns(2.5) - LATE_NS, "9", ns(6.5))
    assert list(gaps.due(ns(6.5))) == [wanted]
    assert seconds(gaps.settle(START + 6, ns(7.4))[0]) == [1, 2, 3, 4, 5]
    assert gaps.wants(wanted, [trade(1, 4.0)])
    assert not gaps.wants(wanted, [trade(1, 7.0)])
    gaps.answered(wanted, complete=False, now_ns=LATER)
    assert gaps.settle(START + 7, LATER) == ([], [])
    gaps.answered(wanted, complete=True, now_ns=LATER)
    assert seconds(gaps.settle(START + 8, LATER)[1]) == [2, 3, 4, 5]


def test_replayed_trades_that_reach_back_behind_the_last_known_one_leave_no_gap() -> None:
    """So far that none could have been late: 3 s."""
    for order in ((-1, 5, 6, 7), (7, 6, 5, -1)):
        gaps = taken(market(sequence=False, replayed=True), trade(4, 1.0), trade(5, 2.5))
        gaps.down(START + 3)
        gaps.live(START + 5, ns(5.2))
        taken(gaps, *(trade(number, number / 2, received=5.3) for number in order))
        doubted, freed = gaps.settle(START + 6, LATER)
        assert (doubted, seconds(freed)) == ([], [2, 3, 4, 5])
        assert not list(gaps.due(LATER))


def test_a_silent_market_is_asked_about_at_once_and_quiet_where_nothing_is_newer() -> None:
    gaps = taken(market(), trade(1, 1.0))
    gaps.silent(START + 61, ns(62))
    (wanted,) = gaps.due(ns(62))
    assert wanted == Gap(MARKET, "1", ns(1.0))
    assert gaps.settle(START + 62, ns(63)) == ([], [])  # nothing speaks against it yet
    gaps.answered(wanted, complete=True, now_ns=ns(63))
    assert seconds(gaps.settle(START + 63, ns(64))[1]) == [61, 62]
    assert not list(gaps.due(FAR))


def test_a_quiet_market_without_a_sequence_has_no_gap_when_it_trades_again() -> None:
    gaps = taken(market(sequence=False), trade(9, 1.0))
    gaps.silent(START + 61, ns(62))
    gaps.settle(START + 80, ns(81))
    gaps.take(trade(3, 90.0))
    assert seconds(gaps.settle(START + 90, ns(91))[1]) == list(range(61, 81))
    assert not list(gaps.due(FAR))
    gaps.silent(START + 150, ns(151))
    gaps.down(START + 160)  # but its connection may end meanwhile
    assert gaps.settle(START + 161, ns(162))[0]


def test_ids_that_begin_anew_are_a_named_hole_and_counted_from_there() -> None:
    gaps = taken(market(), trade(MAX_JUMP * 5, 1.0), trade(3, 2.5))
    (lost,) = gaps.take_lost()
    assert (lost.gap.after_id, lost.gap.before_id) == (str(MAX_JUMP * 5), "3")
    assert seconds(gaps.settle(START + 3, LATER)[0]) == [1, 2]
    gaps.take(trade(5, 3.0))
    assert list(gaps.due(LATER)) == [Gap(MARKET, "3", ns(2.5), "5", ns(3.0))]


def test_memory_is_bounded_and_what_goes_is_named() -> None:
    gaps = market()
    for number in range(1, 4 * MAX_GAPS, 2):
        gaps.take(trade(number, number * 0.01))
    assert len(list(gaps.due(LATER))) == MAX_GAPS
    assert len(gaps.take_lost()) == MAX_GAPS - 1


@given(st.data())
def test_what_is_not_doubted_is_complete(data: st.DataObject) -> None:
    """Any delivery with losses, repeats and disorder: seconds without doubt hold all their trades."""
    times = sorted(data.draw(st.lists(st.integers(0, 120), min_size=2, max_size=40)))
    truth = [trade(number, at / 10) for number, at in enumerate(times, 1)]
    stream = data.draw(st.permutations(truth)) if data.draw(st.booleans()) else truth
    lost = data.draw(st.sets(st.sampled_from(truth)))
    stream = [each for each in stream if each not in lost for _ in range(data.draw(st.integers(1, 2)))]
    gaps = taken(market(), *stream)
    doubted, _ = gaps.settle(START + 20, LATER)
    known = set(stream)
    if not known:
        return
    first, last = min(known, key=lambda each: each.exchange_ns), max(known, key=lambda each: each.exchange_ns)
    # Ids before the first that came, and after the newest, nobody can know of.
    base = int(stream[0].trade_id)
    between = [
        each for each in truth if base < int(each.trade_id) < max(int(each.trade_id) for each in known)
    ]
    missing = {each.second for each in between if each not in known}
    assert missing <= {second + START for second in seconds(doubted)}
    assert set(seconds(doubted)) <= set(range(first.second - START, last.second - START + 1))
    for each in between:
        if each not in known:
            gaps.take(each, recovered=True)
    assert not list(gaps.due(LATER))
    assert gaps.settle(START + 21, LATER)[0] == []


def test_a_gap_ends_with_a_trade_from_after_the_connection_stood() -> None:
    gaps = taken(market(sequence=False), trade(5, 2.5))
    gaps.down(START + 3)
    gaps.live(START + 5, ns(5.2))
    gaps.take(trade(6, 4.9))  # late: what happened between it and the subscription was not sent
    assert list(gaps.due(ns(6.0))) == []
    gaps.take(trade(9, 6.5))
    (wanted,) = gaps.due(ns(6.5))
    assert wanted.before_id == "9"
