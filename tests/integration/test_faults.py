"""The short form of the fault schedules, and that their oracle sees what it is there to see.

`make soak` plays the long ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from squeezeflow_plugin.bars.columns import bars_of_trades, columns_of_trades
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord, Trade
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.soak.oracle import UNSETTLED_S, Sent, Verdict, judge
from tests.soak.outage import run_outage
from tests.soak.schedules import SHORT

MARKET = "BINANCE:btcusdt"
T0 = 1_767_225_600
SECONDS = 8
BROKEN = 2


@pytest.mark.slow
def test_a_kill_a_full_disk_an_empty_redis_and_a_dead_influxdb(tmp_path: Path) -> None:
    outcome = SHORT("short", tmp_path, seed=1)
    assert outcome.is_ok, outcome.line()
    assert outcome.faults == {
        "kill_collector": 1, "refuse_writes": 1, "flush_redis": 1, "kill_influx": 1, "kills": 1
    }  # fmt: skip  # one line
    assert outcome.verdict.trades > 1000


@pytest.mark.slow
def test_influxd_dead_for_ten_minutes_of_eighty_markets(tmp_path: Path) -> None:
    outcome = run_outage(tmp_path, seed=1, seconds=600)
    assert outcome.is_ok, outcome.line()
    assert outcome.peak_spool_s == 600
    assert outcome.peak_spool_bytes < 32 << 20
    assert outcome.catch_up_s < 60


def trade(second: int, number: int) -> Trade:
    price = 100.0 + number
    return Trade(
        MARKET,
        (T0 + second) * NS_PER_SECOND + number * 10**7,
        str(10 * second + number),
        price,
        1.0,
        price,
        1,
    )


class Recording:
    """Three trades a second, sent, heard, stored and covered; each test breaks one link of it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder)
        self.truth = folder / "truth.jsonl"
        self.sent = [trade(second, number) for second in range(SECONDS) for number in range(3)]
        self.heard = list(self.sent)
        self.built = list(self.sent)
        self.uncovered: set[int] = set()
        self.seen: dict[int, bytes] = {}
        self.late_ms = 0

    def judge(self) -> Verdict:
        with self.truth.open("wb") as out:
            out.writelines(msgspec.json.encode(self._line(each)) + b"\n" for each in self.sent)
        with TradeJournal(self.settings.journal_dir) as journal:
            journal.append(self.heard)
        store = EmbeddedBarStore(self.settings.store_path)
        store.append(self.records())
        store.close()
        return judge(self.settings, self.truth, self.seen)

    def records(self) -> list[ClosingRecord]:
        bars = self.bars()
        return [
            ClosingRecord(
                "main", T0 + second, (T0 + second + 2) * NS_PER_SECOND,
                tuple(bar for bar in bars if bar.second == T0 + second), (),
                *(((), (MARKET,)) if second in self.uncovered else ((MARKET,), ())),
            )
            for second in range(SECONDS)
        ]  # fmt: skip  # the record's fields in their order

    def bars(self) -> Sequence[Bar]:
        return bars_of_trades(columns_of_trades(self.built)).bars()

    def _line(self, each: Trade) -> Sent:
        sent_ms = each.exchange_ns // 10**6 + (self.late_ms if each == trade(BROKEN, 1) else 20)
        return Sent(
            MARKET,
            each.exchange_ns // 10**6,
            int(each.trade_id),
            each.price,
            each.size,
            "buy",
            False,
            sent_ms,
        )


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording(tmp_path)


CLEAN = Verdict(seconds=SECONDS - UNSETTLED_S, trades=3 * (SECONDS - UNSETTLED_S), bars=SECONDS - UNSETTLED_S)


def test_all_is_well(recording: Recording) -> None:
    assert recording.judge() == CLEAN
    assert CLEAN.is_clean


def test_a_trade_that_was_heard_and_is_in_no_bar_is_lost(recording: Recording) -> None:
    recording.built.remove(trade(BROKEN, 1))
    assert recording.judge() == replace(CLEAN, lost=1)
    assert not replace(CLEAN, lost=1).is_clean


def test_a_trade_that_nobody_heard_is_unflagged_where_its_second_is_covered(recording: Recording) -> None:
    recording.built.remove(trade(BROKEN, 1))
    recording.heard.remove(trade(BROKEN, 1))
    assert recording.judge() == replace(CLEAN, unflagged=1)


def test_a_trade_that_nobody_heard_is_a_named_hole_where_its_second_is_not_covered(
    recording: Recording,
) -> None:
    recording.built.remove(trade(BROKEN, 1))
    recording.heard.remove(trade(BROKEN, 1))
    recording.uncovered.add(BROKEN)
    assert recording.judge() == replace(CLEAN, uncovered=1)


def test_a_trade_sent_after_the_deadline_while_nobody_listened_is_unflagged_too(recording: Recording) -> None:
    recording.built.remove(trade(BROKEN, 1))
    recording.heard.remove(trade(BROKEN, 1))
    recording.late_ms = 2000
    assert recording.judge() == replace(CLEAN, unflagged=1)


def test_a_trade_counted_twice_is_duplicated(recording: Recording) -> None:
    recording.built.append(msgspec.structs.replace(trade(BROKEN, 1), trade_id="999"))
    assert recording.judge() == replace(CLEAN, duplicated=1)


def test_another_price_is_wrong(recording: Recording) -> None:
    recording.built[3 * BROKEN] = msgspec.structs.replace(recording.built[3 * BROKEN], price=99.0)
    assert recording.judge() == replace(CLEAN, wrong=1)


def test_a_record_that_was_read_and_is_another_now_is_altered(recording: Recording) -> None:
    recording.seen = {T0 + BROKEN: b"as it was"}
    assert recording.judge() == replace(CLEAN, altered=1)
