"""Fills reach the decision log, however often the disk refuses them first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from squeezeflow_plugin.errors import StoreConflictError, StoreError
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.strategy.trades import Fill, FillLog, OpenTrade

TRADE = OpenTrade("BTC/USDT", 1, 1, None)
ENTRY = Fill(is_entry=True, ordered_ns=1_700_000_000_000_000_000, filled_ns=1_700_000_001_000_000_000,
             price=100.0, stake=50.0)  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    log = DecisionLog(tmp_path / "decisions.sqlite")
    log.append(())  # the file is made by its first writer
    yield log
    log.close()


def renamed(path: Path, before: str, after: str) -> None:
    raw = sqlite3.connect(path)
    raw.execute(f"ALTER TABLE {before} RENAME TO {after}")
    raw.close()


def kinds(log: DecisionLog) -> list[str]:
    return [event.kind for event in log.events()]


def test_what_the_log_refuses_waits_for_the_next_call(tmp_path: Path, log: DecisionLog) -> None:
    fills, path = FillLog(log), tmp_path / "decisions.sqlite"
    fills.put(TRADE, "sf:5.0", ENTRY, 1_700_000_000)
    renamed(path, "events", "elsewhere")
    with pytest.raises(StoreError):
        fills.flush()
    renamed(path, "elsewhere", "events")
    fills.flush()
    fills.flush()
    assert kinds(log) == ["entry_order", "entry_fill"]


def test_a_conflict_holds_up_nothing_after_it(log: DecisionLog) -> None:
    fills = FillLog(log)
    for price in (100.0, 101.0):
        fills.put(TRADE, "sf:5.0", Fill(True, ENTRY.ordered_ns, ENTRY.filled_ns, price, 50.0), 1_700_000_000)
        if price == 100.0:
            fills.flush()
    with pytest.raises(StoreConflictError):
        fills.flush()
    fills.put(
        TRADE, "range", Fill(False, ENTRY.ordered_ns + 1, ENTRY.filled_ns + 1, 102.0, 50.0), 1_700_000_002
    )
    fills.flush()
    assert kinds(log) == ["entry_order", "exit_order", "entry_fill", "exit_fill"]
