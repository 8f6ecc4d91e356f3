"""What is kept of a journal, and what happens when it cannot be."""

from __future__ import annotations

import asyncio
from pathlib import Path

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.collector.journaling import JournalKeeping
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

START = 1_700_000_000
HOUR_S = 3600


def received(second: int) -> list[Trade]:
    when = second * NS_PER_SECOND
    return [Trade("X:a", when, str(second), 10.0, 1.0, 10.0, 1, 1, False, when)]


def test_what_is_too_old_goes_unless_records_wait(tmp_path: Path) -> None:
    waiting = [1]
    with TradeJournal(tmp_path) as journal:
        for hour in range(5):
            journal.append(received(START + hour * HOUR_S))
        clock = SteppedClock((START + 5 * HOUR_S) * NS_PER_SECOND)
        keeping = JournalKeeping(journal, Tally(), clock, 2.5, lambda: waiting[0])
        asyncio.run(keeping.turn(prune=True))
        assert len(journal.segments()) == 5
        waiting[0] = 0
        asyncio.run(keeping.turn(prune=False))
        assert len(journal.segments()) == 5
        asyncio.run(keeping.turn(prune=True))
        assert [trade.second for trade in journal.replay(0)] == [START + 3 * HOUR_S, START + 4 * HOUR_S]


def test_a_journal_that_cannot_be_kept_is_counted(tmp_path: Path) -> None:
    tally = Tally()
    with TradeJournal(tmp_path) as journal:
        (tmp_path / "trades-none.sfj").touch()
        clock = SteppedClock(START * NS_PER_SECOND)
        asyncio.run(JournalKeeping(journal, tally, clock, 1.0, lambda: 0).turn(prune=True))
        assert tally.journal_failures == 1
        (tmp_path / "trades-none.sfj").unlink()
