from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.simulator.candles import candle_of
from squeezeflow_plugin.simulator.episodes import Script
from squeezeflow_plugin.simulator.profiles import asset_profile
from squeezeflow_plugin.simulator.tape import KEPT_MINUTES, Delays, Tape
from squeezeflow_plugin.simulator.trades import AssetMinute
from tests.unit.simulator.markets import ORIGIN, minutes_of

SOL = asset_profile("SOL")
MINUTES = minutes_of(SOL, 4, Script(), 4)
START_MS, STOP_MS = ORIGIN * 1000, (ORIGIN + 240) * 1000
LATE = Delays(late_share=0.02)


def tape_of(minutes: list[AssetMinute], delays: Delays = LATE) -> Tape:
    tape = Tape(SOL.perp, 4, SOL.key, delays)
    for minute in minutes:
        market = SOL.perp.market
        tape.put(minute.second, minute.trades[market], minute.liquidations[market])
    return tape


TAPE = tape_of(MINUTES)
IDS = [int(i) for minute in MINUTES for i in minute.trades[SOL.perp.market].ids]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(START_MS, STOP_MS + 5000), max_size=40))
def test_every_trade_is_due_exactly_once_and_never_before_it_happened(times: list[int]) -> None:
    sent: list[int] = []
    last = START_MS - 1
    for now in [*sorted(times), STOP_MS + 10_000]:
        for due in TAPE.due(last, now):
            assert (due.sent_ms > last).all()
            assert (due.sent_ms <= now).all()
            assert (due.minute.trades.at_ms[due.rows] < due.sent_ms).all()
            sent += due.minute.trades.ids[due.rows].tolist()
        last = max(now, last)
    assert Counter(sent) == Counter(IDS)


def test_trades_come_in_order_but_for_the_late_ones() -> None:
    rows = [
        (int(sent), int(due.minute.trades.at_ms[row]), int(due.minute.trades.ids[row]))
        for due in TAPE.due(START_MS - 1, STOP_MS + 10_000)
        for row, sent in zip(due.rows, due.sent_ms, strict=True)
    ]
    late = [row for row in rows if row[0] - row[1] >= 500]
    prompt = [row[2] for row in sorted(rows) if row[0] - row[1] < 500]
    assert 0 < len(late) < 0.05 * len(rows)
    assert max(row[0] - row[1] for row in rows) <= 3000
    assert prompt == sorted(prompt)


def test_without_late_trades_all_arrive_within_the_sixtieth_millisecond() -> None:
    tape = tape_of(MINUTES, Delays(late_share=0.0))
    for due in tape.due(START_MS - 1, STOP_MS + 10_000):
        travel = due.sent_ms - due.minute.trades.at_ms[due.rows]
        assert travel.min() >= 5
        assert travel.max() <= 60


def test_the_next_due_time_leads_to_the_next_trade() -> None:
    now, seen = START_MS - 1, 0
    while (due := TAPE.next_due_ms(now)) is not None:
        assert due > now
        rows = sum(len(each.rows) for each in TAPE.due(now, due))
        assert rows > 0
        seen, now = seen + rows, due
    assert seen == len(IDS)


def test_a_minute_put_again_with_a_changed_end_keeps_what_was_sent() -> None:
    tape = tape_of(MINUTES[:2])
    minute, market = MINUTES[1], SOL.perp.market
    cut = (minute.second + 30) * 1000
    before = [due.minute.trades.ids[due.rows].tolist() for due in tape.due(START_MS, cut)]
    shorter = minute.trades[market].between(0, cut)
    tape.put(minute.second, shorter, minute.liquidations[market])
    assert [due.minute.trades.ids[due.rows].tolist() for due in tape.due(START_MS, cut)] == before


def test_liquidations_are_due_once() -> None:
    forced = MINUTES[0].trades[SOL.perp.market].select(slice(0, 5))
    tape = Tape(SOL.perp, 4, SOL.key, LATE)
    tape.put(ORIGIN, MINUTES[0].trades[SOL.perp.market], forced)
    steps = range(START_MS - 1, START_MS + 61_000, 7)
    assert sum(len(d.forced) for a in steps for d in tape.due(a, a + 7)) == 5


def test_candles_are_of_the_trades_and_the_last_one_forms() -> None:
    now = START_MS + 150_000
    market = SOL.perp.market
    minutes = TAPE.candles("1m", now)
    assert [candle.start_ms for candle in minutes] == [START_MS, START_MS + 60_000, START_MS + 120_000]
    assert minutes[0] == candle_of(START_MS, MINUTES[0].trades[market], None)
    forming = MINUTES[2].trades[market].between(0, now + 1)
    assert minutes[2] == candle_of(START_MS + 120_000, forming, None)
    (hour,) = TAPE.candles("1h", now)
    assert hour.lots == sum(candle.lots for candle in minutes)
    seconds = TAPE.candles("1s", now)
    assert sum(candle.count for candle in seconds) == hour.count
    assert {b.start_ms - a.start_ms for a, b in pairwise(seconds)} == {1000}


def test_aggregates_share_time_price_and_side_and_count_on() -> None:
    trades, numbers = TAPE.aggregates(STOP_MS)
    assert len(trades) == len(numbers) == len(IDS)
    assert (np.diff(numbers) >= 0).all()
    assert set(np.diff(numbers).tolist()) == {0, 1}
    keys = list(zip(trades.at_ms.tolist(), trades.ticks.tolist(), trades.side.tolist(), strict=True))
    for row in range(1, len(keys)):
        assert (numbers[row] == numbers[row - 1]) == (keys[row] == keys[row - 1])


def test_the_last_trade_and_a_span_stop_at_the_time_given() -> None:
    now = START_MS + 90_500
    last = TAPE.last_trade(now)
    assert len(last) == 1
    assert last.at_ms[0] <= now
    trades, _ = TAPE.span(START_MS + 30_000, START_MS + 90_000)
    assert trades.at_ms.min() >= START_MS + 30_000
    assert trades.at_ms.max() < START_MS + 90_000
    assert len(TAPE.last_trade(START_MS - 1)) == 0


def test_old_trades_are_forgotten_and_their_candles_kept() -> None:
    minutes = minutes_of(SOL, 4, Script(), KEPT_MINUTES + 5)
    tape = tape_of(minutes)
    now = (minutes[-1].second + 60) * 1000 - 1
    assert tape.trades(now).at_ms[0] >= minutes[5].second * 1000
    assert len(tape.candles("1m", now)) == KEPT_MINUTES + 5


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_of_late_trades_is_as_set(share: float) -> None:
    at_ms = np.arange(0, 50_000, 10)
    sent, _ = Delays(late_share=share).sent_ms((1, 2), at_ms, 0.0)
    assert ((sent - at_ms >= 500).mean()) == share
