"""Gaps that begin before the first trade of a market, and those an earlier run left."""

from __future__ import annotations

import msgspec

from squeezeflow_plugin.bars.continuity import ContinuityWatch
from squeezeflow_plugin.bars.gaps import ASK_AFTER_LIVE_NS, LATE_NS, MarketGaps
from squeezeflow_plugin.bars.holes import TRY_AGAIN_NS, UNHEARD
from squeezeflow_plugin.feeds.recovery import Continuity, Gap
from squeezeflow_plugin.market import Interval, Trade
from tests.unit.bars.gap_market import LATER, MARKET, START, market, ns, seconds, taken, trade


def unheard(*, sequence: bool = True) -> MarketGaps:
    """Live from second 2 on, down from 4 to 6, and no trade came."""
    gaps = market(sequence=sequence)
    gaps.down(START)  # it was never live
    assert not gaps.is_troubled
    gaps.live(START + 2, ns(2.1))
    gaps.down(START + 4)
    gaps.live(START + 6, ns(6.1))
    return gaps


def test_a_market_that_was_live_and_never_heard_is_asked_about_from_then_on() -> None:
    gaps = unheard()
    assert seconds(gaps.settle(START + 6, ns(7))[0]) == [2, 3, 4, 5, 6]
    assert not list(gaps.due(ns(6.1) + ASK_AFTER_LIVE_NS - 1))
    (wanted,) = gaps.due(ns(6.1) + ASK_AFTER_LIVE_NS)
    assert wanted == Gap(MARKET, "", ns(2))
    past = [trade(3, 1.9), trade(4, 4.5), trade(5, 5.5)]
    assert gaps.wants(wanted, past) == past[1:]
    for each in past[:0:-1]:  # newest first
        gaps.take(each, recovered=True)
    gaps.answered(wanted, complete=True, now_ns=ns(12))
    # what is older than the oldest of them is asked for once more
    (rest,) = gaps.due(ns(12))
    assert rest == Gap(MARKET, "", ns(2), "4", ns(4.5))
    gaps.answered(rest, complete=True, now_ns=ns(12))
    assert seconds(gaps.settle(START + 11, ns(13))[1]) == [2, 3, 4, 5, 6]
    taken(gaps, trade(6, 13.5))
    assert not gaps.is_troubled
    assert gaps.take_lost() == ()


def test_what_came_before_the_first_trade_of_a_market_is_asked_for_by_its_time() -> None:
    gaps = taken(unheard(), trade(7, 8.0))
    assert seconds(gaps.settle(START + 8, LATER)[0]) == [2, 3, 4, 5, 6, 7, 8]
    (wanted,) = gaps.due(ns(8.0))
    assert wanted == Gap(MARKET, "", ns(2), "7", ns(8.0))
    past = [trade(4, 1.9), trade(5, 4.5), trade(6, 5.5), trade(7, 8.0)]
    assert gaps.wants(wanted, past) == past[1:3]
    gaps.take(past[1], recovered=True)
    gaps.answered(wanted, complete=True, now_ns=ns(9))
    # the exchange has nothing before 5, and the ids say that 6 is missing
    assert list(gaps.due(LATER)) == [Gap(MARKET, "5", ns(4.5), "7", ns(8.0))]
    assert seconds(gaps.settle(START + 9, LATER)[1]) == [2, 3]
    gaps.take(past[2], recovered=True)
    assert seconds(gaps.settle(START + 10, LATER)[1]) == [4, 5, 6, 7, 8]
    assert not gaps.is_troubled


def test_replayed_trades_from_before_it_was_live_say_that_nothing_was_missed() -> None:
    for numbers in ((3, 4, 5), (5, 4, 3)):
        gaps = taken(unheard(), *(trade(number, number - 1.2, received=6.2) for number in numbers))
        assert not list(gaps.due(LATER))
        assert seconds(gaps.settle(START + 7, LATER)[1]) == [2, 3, 4, 5, 6]


def test_what_the_exchange_does_not_show_before_the_first_trade_is_a_named_hole() -> None:
    gaps = taken(unheard(), trade(5, 8.0))
    wanted = Gap(MARKET, "", ns(2), "5", ns(8.0))
    for _ in range(len(TRY_AGAIN_NS) + 1):
        assert gaps.take_lost() == ()
        assert list(gaps.due(LATER)) == [wanted]
        gaps.answered(wanted, complete=False, now_ns=ns(9))
    assert not list(gaps.due(LATER))
    assert seconds(gaps.settle(START + 9, LATER)[0]) == [2, 3, 4, 5, 6, 7, 8]
    (lost,) = gaps.take_lost()
    assert (lost.gap, lost.reason, lost.trades) == (wanted, UNHEARD, 0)


def test_a_market_without_a_sequence_is_asked_about_before_its_first_trade_too() -> None:
    gaps = taken(unheard(sequence=False), trade(5, 8.0))
    wanted = Gap(MARKET, "", ns(2) - LATE_NS, "5", ns(8.0))
    assert list(gaps.due(ns(8.0))) == [wanted]
    assert seconds(gaps.settle(START + 8, LATER)[0]) == [2, 3, 4, 5, 6]
    gaps.answered(wanted, complete=True, now_ns=LATER)
    assert seconds(gaps.settle(START + 9, LATER)[1]) == [2, 3, 4, 5, 6]


def test_an_answer_from_before_the_connection_ended_again_closes_nothing() -> None:
    gaps = unheard(sequence=False)
    (wanted,) = gaps.due(ns(12))
    gaps.down(START + 13)
    gaps.live(START + 14, ns(14.1))
    gaps.answered(wanted, complete=True, now_ns=ns(12))
    assert seconds(gaps.settle(START + 14, ns(15))[0]) == list(range(2, 15))
    assert list(gaps.due(ns(14.1) + ASK_AFTER_LIVE_NS)) == [wanted]
    gaps.answered(wanted, complete=True, now_ns=ns(20))
    assert seconds(gaps.settle(START + 20, ns(21))[1]) == list(range(2, 15))


def test_what_the_exchange_shows_and_is_not_taken_stays_missing() -> None:
    """A sum of fills, of which 5 and 6 are missing and 7 is in hand, is not used."""
    gaps = taken(unheard(), trade(7, 8.0))
    (wanted,) = gaps.due(ns(8.0))
    fills = trade(7, 8.0, count=3)
    assert not gaps.wants(wanted, [fills])
    gaps.show(wanted, [trade(3, 1.9), fills])
    gaps.answered(wanted, complete=True, now_ns=ns(9))
    (left,) = gaps.due(LATER)
    assert (left.after_id, left.before_id) == ("4", "7")
    assert seconds(gaps.settle(START + 9, LATER)[0]) == [8]


def test_a_market_that_is_silent_from_its_beginning_is_asked_about_and_complete() -> None:
    gaps = market()
    gaps.silent(START, ns(1))
    assert not gaps.is_troubled, "it was never live"
    gaps.live(START + 2, ns(2.1))
    gaps.silent(START + 61, ns(62))
    (wanted,) = gaps.due(ns(62))
    assert wanted == Gap(MARKET, "", ns(2))
    gaps.answered(wanted, complete=True, now_ns=ns(63))
    taken(gaps, trade(7, 70.0))
    assert (list(gaps.due(LATER)), gaps.settle(START + 71, ns(72))[0]) == ([], [])
    gaps.down(START + 80)
    gaps.live(START + 82, ns(82.1))
    taken(gaps, trade(9, 83.0))
    assert list(gaps.due(LATER)) == [Gap(MARKET, "7", ns(70.0), "9", ns(83.0))]


def test_a_trade_that_is_left_out_before_the_first_one_is_not_missing() -> None:
    gaps = unheard()
    gaps.leave_out("6")
    gaps.take(trade(7, 8.0))
    (wanted,) = gaps.due(ns(8.0))
    assert (wanted.after_id, wanted.before_id) == ("", "6")
    gaps.answered(wanted, complete=True, now_ns=ns(9))
    assert not list(gaps.due(LATER))


def restarted(
    covered: list[tuple[int, int]],
    trades: list[Trade],
    later: list[Trade] | None = None,
    *,
    since: int = 0,
    sequence: bool = False,
) -> ContinuityWatch:
    """A watch that has taken in what a run of the seconds from ``since`` on left, all after START."""
    watch = ContinuityWatch({MARKET: Continuity(sequence)})
    intervals = [Interval(MARKET, START + first, START + stop) for first, stop in covered]
    later = later or []
    heard = watch.interrupted(trades, later, intervals, {MARKET: START + since}, START + 700)
    assert list(heard) == [*trades, *later]
    return watch


def test_what_an_earlier_run_did_not_cover_is_asked_for_again() -> None:
    heard = [trade(1, 8.0), trade(2, 9.5), trade(7, 14.2), trade(6, 14.1), trade(8, 19.0)]
    watch = restarted([(5, 10), (14, 20)], heard, since=5)
    [gap] = watch.due(ns(30))
    assert gap == Gap(MARKET, "2", ns(9.5) - LATE_NS, "6", ns(14.1))
    assert seconds(watch.of(MARKET).doubted(START + 20, ns(30)))[:4] == [10, 11, 12, 13]
    watch.settle(START + 20, ns(30))
    watch.of(MARKET).answered(gap, True, ns(31))
    assert Interval(MARKET, START + 10, START + 14) in watch.settle(START + 21, ns(31))


def test_an_answer_that_comes_before_the_first_close_repairs_too() -> None:
    watch = restarted([(0, 10), (14, 20)], [trade(2, 9.5), trade(7, 14.2), trade(8, 19.0)])
    [gap] = watch.due(ns(30))
    watch.of(MARKET).answered(gap, True, ns(30))
    assert Interval(MARKET, START + 10, START + 14) in watch.settle(START + 20, ns(31))


def test_what_was_repeated_or_asked_for_after_all_that_is_known_ends_no_gap() -> None:
    """The stream brought nothing after trade 1; what shows it was not stored before the end."""
    asked = msgspec.structs.replace(trade(3, 8.5), received_ns=0)
    repeated = [trade(5, 12.5, received=12.6), trade(4, 9.0, received=12.6)]
    watch = restarted([(0, 10)], [trade(1, 4.0), asked], repeated)
    assert seconds(watch.of(MARKET).doubted(START + 9, ns(20))) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_run_that_stored_nothing_does_not_hide_the_gap_before_it() -> None:
    """Its trades are of seconds that were stored before, by a clock that was ahead."""
    watch = restarted([(0, 20)], [trade(1, 4.0)], [trade(9, 17.5), trade(10, 18.2)])
    gaps = watch.of(MARKET)
    gaps.live(START + 22, ns(22.1))
    gaps.take(trade(12, 23.5))
    [gap] = watch.due(ns(24))
    assert gap == Gap(MARKET, "1", ns(4.0) - LATE_NS, "12", ns(23.5))
    assert seconds(gaps.doubted(START + 24, ns(24))) == list(range(1, 23))


def test_a_market_of_which_no_second_is_covered_any_more_is_asked_about_from_its_first_on() -> None:
    watch = restarted([], [trade(1, 0.8)])
    gaps = watch.of(MARKET)
    assert seconds(gaps.doubted(START + 9, ns(10))) == list(range(10))
    gaps.live(START + 10, ns(10.1))
    gaps.take(trade(2, 12.5))
    assert list(watch.due(ns(13))) == [Gap(MARKET, "", ns(0) - LATE_NS, "2", ns(12.5))]


def test_covered_seconds_without_a_trade_after_a_gap_are_asked_about_with_it() -> None:
    watch = restarted([(0, 10), (14, 16)], [trade(1, 9.5)])
    gaps = watch.of(MARKET)
    assert seconds(gaps.doubted(START + 18, ns(19)))[:12] == list(range(6, 18))
    gaps.live(START + 19, ns(19.1))
    assert list(watch.due(ns(60))) == [Gap(MARKET, "1", ns(9.5) - LATE_NS)]


def test_ids_repair_what_an_earlier_run_did_not_cover() -> None:
    heard = [trade(number, number + 0.5) for number in range(1, 9)]
    watch = restarted([(1, 3), (5, 7)], heard, sequence=True)
    gaps = watch.of(MARKET)
    assert seconds(gaps.settle(START + 8, ns(9))[1]) == [2, 3, 4, 5, 6]
    gaps.live(START + 9, ns(9.5))
    gaps.take(trade(9, 10.2))
    assert seconds(gaps.settle(START + 10, ns(11))[1]) == [7, 8, 9]


def test_trades_that_are_in_no_bar_say_nothing_after_a_restart() -> None:
    """One is from before the first second on record, one is dated further ahead than anything is held."""
    early, ahead = trade(1, 0.5), trade(4, 900, received=5.5)
    watch = restarted([(2, 6)], [early, trade(2, 3.5), ahead], since=2, sequence=True)
    gaps = watch.of(MARKET)
    assert gaps.last_id == "2"
    assert not list(watch.due(LATER)), "what was missed before the first trade is on record"


def test_a_market_of_a_sequence_that_was_never_heard_is_asked_about_after_a_restart() -> None:
    watch = restarted([(0, 4)], [], sequence=True)
    gaps = watch.of(MARKET)
    watch.live([MARKET], START + 8, ns(8.1))
    watch.add([trade(5, 9.5)])
    (hole,) = watch.settle(START + 10, LATER)
    assert (hole.start - START, hole.stop - START, hole.complete) == (4, 10, False)
    assert list(watch.due(LATER)) == [Gap(MARKET, "", ns(4), "5", ns(9.5))]
    gaps.take(trade(4, 6.5), recovered=True)
    gaps.answered(Gap(MARKET, "", ns(4), "5", ns(9.5)), complete=True, now_ns=LATER)
    assert watch.settle(START + 11, LATER) == (Interval(MARKET, START + 4, START + 10),)
    assert watch.take_lost() == ()


def test_what_was_missed_before_the_first_trade_of_an_earlier_run_is_asked_for_by_its_time() -> None:
    """Trades 8, 9 and 6, in this order, came with the second that was not stored."""
    heard = [trade(number, 4.9 + (number - 8) / 50) for number in (8, 9, 6)]
    watch = restarted([(2, 4)], heard[:2], heard[2:], since=2, sequence=True)
    gaps = watch.of(MARKET)
    watch.live([MARKET], START + 8, ns(8.1))
    watch.add([trade(10, 9.5)])
    before, between = watch.due(LATER)
    assert before == Gap(MARKET, "", ns(4), "6", ns(4.86))
    assert (between.after_id, between.before_id) == ("6", "8")
    freed = Interval(MARKET, START + 5, START + 9)
    doubted = Interval(MARKET, START + 4, START + 5, complete=False)
    assert watch.settle(START + 10, LATER) == (freed, doubted)
    gaps.answered(before, complete=True, now_ns=LATER)
    assert watch.settle(START + 11, LATER) == ()
    gaps.take(trade(7, 4.88), recovered=True)
    assert watch.settle(START + 12, LATER) == (Interval(MARKET, START + 4, START + 5),)


def test_of_two_gaps_without_a_trade_before_them_each_has_its_own_answer() -> None:
    watch = restarted([(5, 8), (12, 20)], [trade(3, 12.5)])
    earlier, later = watch.due(LATER)
    assert (earlier.after_id, later.after_id, earlier.before_id, later.before_id) == ("", "", "3", "3")
    gaps = watch.of(MARKET)
    gaps.postpone(earlier, LATER + 1)
    gaps.answered(later, complete=True, now_ns=LATER)
    assert list(watch.due(LATER)) == []
    assert list(watch.due(LATER + 1)) == [earlier]
