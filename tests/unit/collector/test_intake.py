"""Trades on their way in: journalled first; a journal that fails is loud and stops nothing."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

MARKET = "BINANCE:btcusdt"


def trade(number: int, at_ns: int) -> Trade:
    return Trade(MARKET, at_ns, str(number), 2.0, 1.0, 2.0, 1, received_ns=at_ns)


def test_trades_are_in_the_journal_and_in_the_bar(tmp_path: Path) -> None:
    closer, tally = Closer("main", [MARKET], started_ns=0), Tally()
    with TradeJournal(tmp_path) as journal:
        intake = Intake(closer, journal, tally)
        intake.live([MARKET], 0)
        trades = tuple(trade(n, n * 1000) for n in range(1, 7))
        intake.trades(trades[:2])
        intake.trades(trades[2:])
        assert tuple(journal.replay(0)) == trades
    assert tally.trades_received == 6
    record = closer.close(2 * NS_PER_SECOND)
    assert (record.bars[0].cbuy, record.covered) == (6, (MARKET,))
    intake.down([MARKET], 2 * NS_PER_SECOND, "gone")
    assert closer.close(3 * NS_PER_SECOND).uncovered == (MARKET,)


def test_a_closed_second_is_marked_in_the_journal(tmp_path: Path) -> None:
    closer, tally = Closer("main", [MARKET], started_ns=0), Tally()
    with TradeJournal(tmp_path) as journal:
        intake = Intake(closer, journal, tally)
        intake.trades((trade(1, 1000),))
        intake.closed(0, 2 * NS_PER_SECOND)
        intake.trades((trade(2, 2000),))
        parts = journal.split(0, 0)
        assert [[each.trade_id for each in part] for part in parts] == [["1"], ["2"]]
    assert tally.journal_failures == 0


def test_a_failing_journal_is_named_once_a_minute_and_bars_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    closer, tally = Closer("main", [MARKET], started_ns=0), Tally()
    directory = tmp_path / "journal"
    with TradeJournal(directory) as journal, caplog.at_level(logging.ERROR):
        intake = Intake(closer, journal, tally)
        shutil.rmtree(directory)
        for n in range(1, 121):
            intake.trades((trade(n, n * NS_PER_SECOND),))
        assert tally.journal_failures == 120
        assert [each.levelname for each in caplog.records] == ["ERROR", "ERROR"]
        assert str(directory) in caplog.records[0].getMessage()
        directory.mkdir()
        intake.trades((trade(121, 121 * NS_PER_SECOND),))
        assert sorted(int(each.trade_id) for each in journal.replay(0)) == list(range(1, 122))
        intake.trades((trade(122, 122 * NS_PER_SECOND),))
        assert len(list(journal.replay(0))) == 122
    assert closer.builder.counts.received == 122


def test_a_journal_that_fails_for_long_lacks_the_oldest_trades(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    with TradeJournal(directory) as journal:
        intake = Intake(Closer("main", [MARKET], started_ns=0), journal, Tally(), waiting=3)
        shutil.rmtree(directory)
        for n in range(1, 6):
            intake.trades((trade(n, n * NS_PER_SECOND),))
        directory.mkdir()
        intake.trades((trade(6, 6 * NS_PER_SECOND),))
        assert [each.trade_id for each in journal.replay(0)] == ["6", "3", "4", "5"]


def test_unreadable_frames_are_counted_by_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    with TradeJournal(tmp_path) as journal, caplog.at_level(logging.WARNING):
        intake = Intake(Closer("main", [MARKET], started_ns=0), journal, tally)
        for n in range(300):
            intake.rejected("BINANCE", f"reason {n % 150}", "x" * 10_000)
    assert tally.rejected["BINANCE: reason 7"] == 2
    assert tally.rejected["BINANCE: other"] == 100
    assert tally.rejected.total() == 300
    assert len(tally.rejected) == 101
    assert len(caplog.records) == 101
    assert max(len(each.getMessage()) for each in caplog.records) < 300
