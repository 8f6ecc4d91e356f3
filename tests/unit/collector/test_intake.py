"""Trades on their way in: journalled first; a journal that fails is loud and stops nothing."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.feeds.adapter import LeftOut
from squeezeflow_plugin.feeds.recovery import Continuity
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord, Trade
from tests.unit.bars.tapes import as_block

MARKET = "BINANCE:btcusdt"
KINDS = {
    MARKET: Continuity(sequence=True),
    "BINANCE:ethusdt": Continuity(sequence=True),
    "BINANCE:solusdt": Continuity(sequence=False, replayed=True),
    "BINANCE:xrpusdt": Continuity(sequence=False),
}
START = 1_767_225_600
DELAY_NS = 40_000_000


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


class Stage:
    """A collector's intake, and the records it closes."""

    def __init__(self, journal: TradeJournal) -> None:
        self.journal = journal
        self.tally = Tally()
        self.closer = Closer("main", KINDS, started_ns=START * NS_PER_SECOND, horizon_s=5, continuity=KINDS)
        self.intake = Intake(self.closer, journal, self.tally)
        self.records: list[ClosingRecord] = []
        self.told: list[object] = []

    def close(self, now_ns: int) -> None:
        while self.closer.due_local_ns() <= now_ns:
            self.records.append(self.closer.close(now_ns))
            self.told.append(self.intake.due("BINANCE", now_ns))
            # of those that were refused at once, which one is the last depends on how they came
            self.told += sorted(
                (each.market, each.outcome.value, each.count, round(each.quote, 6))
                for each in self.closer.take_refused()
            )
            self.intake.name_lost()

    def outcome(self) -> dict[str, object]:
        tally = self.tally
        return {
            "records": self.records,
            "told": self.told,
            "counts": self.closer.builder.counts,
            "tally": (tally.received, tally.liquidations, tally.gaps_lost, tally.trades_missing),
            "journal": [repr(trade) for trade in self.journal.replay(0)],
        }


def moments(rng: random.Random, seconds: int) -> Iterator[list[Trade] | str]:
    """What comes at once, again and again: trades in the order of receipt, or a word for something else."""
    newest, now_ns, kept = dict.fromkeys(KINDS, 10_000), START * NS_PER_SECOND, []
    while now_ns < (START + seconds) * NS_PER_SECOND:
        now_ns += rng.randrange(300_000_000)
        if rng.random() < 0.05:
            yield rng.choice(("down", "live", "live", "left out"))
        came = []
        for _ in range(rng.randrange(1, 30)):
            now_ns += rng.randrange(1_000_000)
            market, count = rng.choice(list(KINDS)), rng.choice((1, 1, 3))
            newest[market] += count + (rng.randrange(9) if rng.random() < 0.02 else 0)
            late_ns = rng.randrange(8 * NS_PER_SECOND) if rng.random() < 0.03 else 0
            price, size, number = rng.uniform(1, 9), rng.lognormvariate(0, 1), str(newest[market])
            when, side = now_ns - DELAY_NS - late_ns, rng.choice((1, -1))
            made = Trade(market, when, number, price, size, price * size, side, count, False, now_ns)
            came.append(made)
            kept.append(made)
            if rng.random() < 0.02:
                again = rng.choice(kept[-60:])
                came.append(
                    msgspec.structs.replace(again, received_ns=now_ns, price=rng.choice((again.price, 2.0)))
                )
        yield came


def deliver(stage: Stage, rng: random.Random, came: list[Trade], *, in_blocks: bool) -> None:
    while came:
        size = rng.randrange(1, len(came) + 1)
        some, came = came[:size], came[size:]
        if rng.random() < 0.2 and in_blocks:
            stage.intake.block(as_block(some))
        elif in_blocks and size > 1:
            stage.intake.block(as_block(some[:-1]))
            stage.intake.trades(some[-1:])
        else:
            for each in some:
                stage.intake.trades((each,))


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_blocks_and_frames_one_by_one_come_to_the_same(seed: int) -> None:
    outcomes = []
    for in_blocks in (False, True):
        rng, sizes = random.Random(seed), random.Random(seed + 1)
        with TemporaryDirectory() as directory, TradeJournal(directory) as journal:
            stage = Stage(journal)
            stage.intake.live(list(KINDS), START * NS_PER_SECOND)
            now_ns = START * NS_PER_SECOND
            for came in moments(rng, 14):
                match came:
                    case "down":
                        stage.intake.down(list(KINDS), now_ns, "gone")
                    case "live":
                        stage.intake.live(list(KINDS), now_ns)
                    case "left out":
                        next_id = str(stage.closer.watch.of(MARKET).last + 1)
                        stage.intake.left_out([LeftOut(MARKET, next_id, "by design")])
                    case _:
                        assert isinstance(came, list)
                        now_ns = came[-1].received_ns
                        deliver(stage, sizes, came, in_blocks=in_blocks)
                stage.close(now_ns)
            stage.close(now_ns + 9 * NS_PER_SECOND)
            outcomes.append(stage.outcome())
    values, blocks = outcomes
    for name, said in values.items():
        assert blocks[name] == said, name
    assert len(stage.records) > 15
