"""Records follow each other second by second, on time in market time, whatever happens around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.bars.columns import bars_of_trades, columns_of_trades
from squeezeflow_plugin.bars.outcomes import Outcome
from squeezeflow_plugin.feeds.recovery import Continuity
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord, Interval, Trade
from tests.unit.bars.tapes import MARKETS, START, as_block, bits, contents, reference_frame, tapes, trades_of

MS = 1_000_000
Bars = dict[tuple[str, int], Bar]


def ns(seconds: float) -> int:
    return START * NS_PER_SECOND + round(seconds * NS_PER_SECOND)


def trade(at: float, trade_id: int, lag: float = 0.05, market: str = "X:a") -> Trade:
    """A trade that happened ``at`` seconds after START and came ``lag`` later by the local clock."""
    return Trade(market, ns(at), str(trade_id), 10.0, 1.0, 10.0, 1, 1, False, ns(at + lag))


def settled(skew: float = 0.0, **options: Any) -> Closer:
    """A closer that is live and knows its clock, which is ``skew`` seconds ahead, before START."""
    closer = Closer("test", MARKETS, started_ns=ns(skew), **options)
    closer.on_live(MARKETS, ns(skew - 1))
    closer.on_trades([trade(-0.5, -n, lag=skew) for n in range(1, 6)])
    return closer


def drained(closer: Closer, until_ns: int) -> list[ClosingRecord]:
    records = []
    while (due_ns := closer.due_local_ns()) <= until_ns:
        records.append(closer.close(due_ns))
    return records


def known_after(records: list[ClosingRecord]) -> Bars:
    known: Bars = {}
    for record in records:
        for bar in (*record.bars, *record.revisions):
            before = known.get((bar.market, bar.second))
            assert bar.revision == (0 if before is None else before.revision + 1)
            known[bar.market, bar.second] = bar
    return known


def replayed(tape: list[Trade], closer: Closer, until_ns: int) -> list[ClosingRecord]:
    """Every trade at its receive time, every second at its due time."""
    records = []
    for each in tape:
        records += drained(closer, each.received_ns - 1)
        closer.on_trades([each])
    return records + drained(closer, until_ns)


@pytest.mark.parametrize("skew", [0.0, -1.25, 3600.0])
def test_a_second_is_due_at_its_deadline_in_market_time_whatever_the_local_clock(skew: float) -> None:
    closer = settled(skew)
    assert closer.due_local_ns() == ns(1.4 + skew)
    with pytest.raises(ValueError, match="due"):
        closer.close(ns(1.4 + skew) - 1)
    record = closer.close(ns(1.4 + skew))
    assert (record.collector, record.second, record.closed_ns) == ("test", START, ns(1.4))
    assert (record.covered, record.uncovered) == (MARKETS, ())
    assert closer.due_local_ns() == ns(2.4 + skew)


def test_an_empty_second_has_its_record_too() -> None:
    records = drained(settled(), ns(10))
    assert [record.second for record in records] == list(range(START, START + 9))
    assert not any(record.bars or record.revisions for record in records)


def test_without_any_trade_the_local_clock_is_believed_after_a_grace() -> None:
    closer = Closer("test", MARKETS, started_ns=ns(0.3), grace_s=10)
    assert closer.due_local_ns() == ns(10.3)
    records = drained(closer, ns(10.3))
    assert [record.second for record in records] == list(range(START, START + 9))
    assert all(record.uncovered == MARKETS for record in records)
    assert closer.due_local_ns() == ns(10.4)


@pytest.mark.parametrize("years", [1, 0])
def test_a_clock_far_ahead_of_the_last_record_closes_nothing_before_an_exchange_is_heard(years: int) -> None:
    first = drained(settled(), ns(1.4))
    ahead = years * 365 * 86_400 + 7200
    closer = Closer("test", MARKETS, started_ns=ns(ahead), grace_s=10)
    closer.resume(first, [])
    assert drained(closer, ns(ahead + 3600)) == []
    now = 4000.0 if years else ahead + 3601.0
    lag = ahead if years else 0.05
    closer.on_trades([trade(now + n / 10, n, lag=lag) for n in range(5)])
    records = drained(closer, ns(now + lag))
    assert [record.second for record in records] == list(range(START + 1, START + int(now) - 1))


def test_a_late_trade_rides_with_the_next_record() -> None:
    closer = settled()
    closer.on_trades([trade(0.2, 1)])
    [first] = drained(closer, ns(1.5))
    closer.on_trades([trade(0.1, 2, lag=1.6)])
    [second] = drained(closer, ns(2.5))
    assert [bar.cbuy for bar in first.bars] == [1]
    assert [(bar.second, bar.revision, bar.cbuy) for bar in second.revisions] == [(START, 1, 2)]


def test_market_time_never_steps_back() -> None:
    closer = settled(skew=0.0)
    records = drained(closer, ns(5))
    # The exchange's clock falls back by 20 s (or ours leapt), then by as much again ahead.
    for step in range(400):
        closer.on_trades([trade(step, 100 + step, lag=20.0)])
        records += drained(closer, ns(step + 20.0))
    for step in range(10):
        closer.on_trades([trade(450 + step, 600 + step, lag=-30.0)])
        records += drained(closer, ns(420 + step))
    assert [record.second for record in records] == list(range(START, START + len(records)))
    closed = [record.closed_ns for record in records]
    assert closed == sorted(closed)


def test_a_late_close_before_the_offset_rises_holds_market_time() -> None:
    closer = settled()
    # Five minutes of trades 20 s late: the window forgets the quick ones just after second 304.
    for step in range(310):
        closer.on_trades([trade(step - 20, 100 + step, lag=20.0)])
        if step == 298:
            late = [closer.close(ns(298)) for _ in range(280)]
        closer.due_local_ns()
    assert closer.offsets.market_offset_ns() == 20 * NS_PER_SECOND
    later = drained(closer, ns(320))
    assert late[-1].closed_ns == ns(298)
    assert later[0].closed_ns == ns(298)


def test_the_clock_is_told_by_the_same_trades_at_once_and_one_by_one() -> None:
    """The first that tell it; after these the newest ones do."""
    trades = [trade(0.1 + n / 100, n, lag=0.05 if n < 8 else 0.01) for n in range(9)]
    trades.append(trade(0.2, 9, lag=0.07))
    due = []
    for took in (
        lambda closer: [closer.on_trades([each]) for each in trades],
        lambda closer: closer.on_trades(trades),
        lambda closer: closer.on_block(as_block(trades)),
    ):
        closer = Closer("test", MARKETS, started_ns=ns(0))
        took(closer)
        due.append(closer.due_local_ns())
    assert due == [ns(0.45)] * 3


def test_one_trade_from_the_future_closes_nothing_early_and_uncovers_its_market() -> None:
    closer = settled()
    drained(closer, ns(3))
    closer.on_trades([trade(86_400.0, 9, lag=-86_397.0)])
    assert closer.due_local_ns() == ns(3.4)
    records = drained(closer, ns(8))
    assert [record.second for record in records] == [START + each for each in (2, 3, 4, 5, 6)]
    assert ["X:a" in record.covered for record in records] == [False, False, True, True, True]
    [refused] = [each for each in closer.take_refused() if each.outcome is Outcome.AHEAD]
    assert (refused.market, refused.count, refused.last_id) == ("X:a", 1, "9")


def test_trades_a_little_ahead_wait_for_their_second() -> None:
    closer = settled()
    closer.on_trades([trade(5.5, 1, lag=-4.0)])
    records = drained(closer, ns(8))
    assert [record.second - START for record in records if record.bars] == [5]


def test_disconnection_and_repair_are_in_the_records() -> None:
    closer = settled()
    drained(closer, ns(2))
    closer.on_down(["X:a"], ns(2.5))
    closer.on_live(["X:a"], ns(4.5))
    records = drained(closer, ns(6))
    assert [record.second - START for record in records if "X:a" in record.uncovered] == [2, 3, 4]
    closer.ledger.repair(Interval("X:a", START + 2, START + 5))
    [record] = drained(closer, ns(6.5))
    assert record.repaired == (Interval("X:a", START + 2, START + 5),)


def test_the_same_events_give_the_same_records() -> None:
    tape = [trade(n * 0.13, n, lag=0.02 * (n % 90)) for n in range(200)]
    tape.sort(key=lambda each: each.received_ns)
    encoded = {msgspec.msgpack.encode(replayed(tape, settled(), ns(40))) for _ in range(2)}
    assert len(encoded) == 1


def test_resuming_needs_a_record() -> None:
    with pytest.raises(ValueError, match="no record"):
        settled().resume([], [])


@given(tapes(seconds=4), st.data())
def test_a_restart_at_any_point_ends_in_the_same_bars(tape: list[Trade], data: st.DataObject) -> None:
    """Records are stored and trades journaled; the process dies anywhere, and another goes on."""
    steps = data.draw(st.lists(st.floats(0, 2), min_size=len(tape), max_size=len(tape)))
    now = 0.0
    arrivals = []
    for each, step in zip(tape, steps, strict=True):
        now += step
        arrivals.append(msgspec.structs.replace(each, received_ns=ns(now)))
    end_ns = ns(now + 20)
    early = [each for each in arrivals if each.second < START]
    assert not early
    kill = data.draw(st.integers(0, len(arrivals)))
    closer = settled()
    records = drained(closer, ns(1.4))
    records += replayed(arrivals[:kill], closer, arrivals[kill - 1].received_ns if kill else 0)
    down_s = data.draw(st.floats(0, 10))
    dead_ns = max(records[-1].closed_ns, arrivals[kill - 1].received_ns if kill else 0)
    started_ns = dead_ns + round(down_s * NS_PER_SECOND)
    successor = Closer("test", MARKETS, started_ns=started_ns, grace_s=0)
    successor.resume(records, arrivals[:kill])
    assert successor.last_second == records[-1].second
    for each in arrivals[kill:]:
        records += drained(successor, max(each.received_ns, started_ns))
        successor.on_trades([msgspec.structs.replace(each, received_ns=0)])
    records += drained(successor, end_ns + started_ns - ns(0))
    assert [record.second for record in records] == list(range(START, START + len(records)))
    whole = {(bar.market, bar.second): bar for bar in bars_of_trades(columns_of_trades(arrivals)).bars()}
    assert contents(known_after(records)) == contents(whole)


def test_the_seconds_missed_while_dead_are_uncovered_and_have_what_was_received() -> None:
    closer = settled()
    records = drained(closer, ns(3))
    received = [trade(2.2, 7), trade(3.1, 8)]
    successor = Closer("test", MARKETS, started_ns=ns(10))
    successor.resume(records, received)
    successor.on_live(MARKETS, ns(10))
    successor.on_trades([trade(10.1, 20 + n) for n in range(5)])
    more = drained(successor, ns(12.5))
    assert [record.second - START for record in more] == list(range(2, 11 + 1))[: len(more)]
    assert [record.second - START for record in more if record.bars] == [2, 3, 10]
    assert [record.second - START for record in more if record.covered] == [10, 11][: len(more) - 8]
    assert more[0].closed_ns >= ns(9.95)


def test_trades_received_after_the_last_record_end_no_gap_of_before_it() -> None:
    """A clock 3 s ahead had stored the second that they are of; a life in between heard them, and no more."""
    continuity = {"X:a": Continuity(sequence=False)}
    closer = settled(continuity=continuity)
    records = drained(closer, ns(10))
    successor = Closer("test", MARKETS, started_ns=ns(20), continuity=continuity)
    successor.resume(records, [trade(1.2, 7)], [trade(7.2, 8)])
    assert successor.watch.of("X:a").doubted(START + 20, ns(20)) == [(START, START + 21)]


def test_a_connection_that_ends_before_the_clock_is_known_leaves_every_open_second_in_doubt() -> None:
    continuity = {"X:a": Continuity(sequence=True)}
    closer = settled(continuity=continuity)
    records = drained(closer, ns(3))
    last = records[-1].second
    successor = Closer("test", MARKETS, started_ns=ns(4), continuity=continuity)
    successor.resume(records, [trade(1.2, 7)])
    successor.on_live(MARKETS, ns(4))
    successor.on_trades([trade(4.5, 8)])
    successor.on_down(MARKETS, ns(6.5))
    assert successor.watch.of("X:a").doubted(START + 7, ns(7))[0][0] == last + 1


def test_replayed_trades_of_another_market_do_not_end_a_gap_too_early() -> None:
    """They make it seem 15 s earlier than it is, when the market without a sequence goes live again."""
    continuity = {"X:a": Continuity(sequence=False)}
    closer = settled(continuity=continuity)
    records = drained(closer, ns(3))
    successor = Closer("test", MARKETS, started_ns=ns(20), continuity=continuity)
    successor.resume(records, [trade(1.2, 7)])
    successor.on_trades([trade(5 + n, 30 + n, lag=15 - n, market="X:b") for n in range(5)])
    successor.on_live(["X:a"], ns(20.0))
    successor.on_trades([trade(19.9, 40, lag=0.1)])
    assert successor.watch.of("X:a").pending is not None, "trades from before it was live end nothing"
    successor.on_trades([trade(21.1, 41)])
    drained(successor, ns(24))
    first, stop = successor.watch.of("X:a").doubted(START + 24, ns(24))[0]
    assert first <= START + 1
    assert stop == START + 21


def test_a_frame_that_cannot_be_read_just_after_a_start_ends_no_gap_too_early() -> None:
    continuity = {"X:a": Continuity(sequence=False)}
    records = drained(settled(continuity=continuity), ns(3))
    successor = Closer("test", MARKETS, started_ns=ns(20), continuity=continuity)
    successor.resume(records, [trade(1.2, 7)])
    successor.on_trades([trade(5 + n, 30 + n, lag=15 - n, market="X:b") for n in range(5)])
    successor.on_live(["X:a"], ns(20.0))
    successor.on_unread(["X:a"], ns(20.3))
    successor.on_trades([trade(19.9, 40, lag=0.5)])
    assert successor.watch.of("X:a").pending is not None, "trades from before it was live end nothing"


def test_the_recording_of_2024_streamed_with_its_lag_ends_in_the_vectorised_bars(shared: Path) -> None:
    """46,452 real trades as they arrived, 1.25 s before they happened; every hundredth 3 to 400 s late."""
    tape = trades_of(reference_frame(shared))
    for place in range(0, len(tape), 100):
        delay_ns = (3 + place % 397) * NS_PER_SECOND
        tape[place] = msgspec.structs.replace(tape[place], received_ns=tape[place].received_ns + delay_ns)
    tape.sort(key=lambda each: (each.received_ns, each.exchange_ns, int(each.trade_id)))
    markets = sorted({each.market for each in tape})
    closer = Closer("test", markets, started_ns=tape[0].received_ns - NS_PER_SECOND)
    closer.on_live(markets, tape[0].received_ns - NS_PER_SECOND)
    half = len(tape) // 2
    records = replayed(tape[:half], closer, tape[half].received_ns)
    skews = closer.offsets.skews_ns()
    assert skews.keys() == {"BINANCE", "BINANCE_FUTURES"}
    assert all(-1_290 * MS < skew < -1_240 * MS for skew in skews.values())
    # At the end of the tape nothing is left but late trades, and after minutes of them the offset follows.
    records += replayed(tape[half:], closer, tape[-1].received_ns + 400 * NS_PER_SECOND)
    seconds = [record.second for record in records]
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
    final = known_after(records)
    batch = {(bar.market, bar.second): bar for bar in bars_of_trades(columns_of_trades(tape)).bars()}
    assert contents(final) == contents(batch)
    assert closer.builder.counts.beyond_horizon == closer.builder.counts.duplicates == 0
    assert closer.builder.counts.late > 400
    # On time despite the clock: what was on time is in the bar the first time.
    assert sum(bar.revision for bar in final.values()) < 1.2 * closer.builder.counts.late
    assert {bits(bar) for record in records for bar in record.bars if bar.revision} == set()
