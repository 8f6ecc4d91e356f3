"""Entries that one venue alone makes, in a bot's session."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.strategy.columns import LOGGED
from squeezeflow_plugin.strategy.session import Session
from squeezeflow_plugin.strategy.trades import Entry
from tests.integration.freqtrade_stage import StoreClock
from tests.reference.flows import flow_of
from tests.unit.provider.crowds import INSTRUMENTS, MARKETS, crowd, frame_of

PAIR = "BTC/USDT"


def entry_of(records: tuple[ClosingRecord, ...], path: Path, *, refuse: bool) -> tuple[Entry | None, int]:
    """The entry that is open at the event's second, and that second."""
    decided = Engine().run(flow_of(frame_of(records)))
    event = int(decided.second[np.flatnonzero(decided.event)[0]])
    start = event - 3
    store = MemoryBarStore()
    store.put_instruments(INSTRUMENTS)
    store.append(record for record in records if record.second < start)
    coming = [record for record in records if record.second >= start]
    clock = StoreClock(start * NS_PER_SECOND + 450_000_000, store, coming)
    settings = Settings(lookback_hours=2.25, quotes=("USDT",), refuse_fragile=refuse)
    log = DecisionLog(path / "decisions.sqlite", LOGGED, "engine")
    session = Session(store, log, settings, {PAIR: MARKETS}, clock)
    session.start()
    while (log.last_second(PAIR) or 0) < event:
        session.advance(())
    entry = session.entry(PAIR)
    if entry is not None:
        assert session.confirm(PAIR, entry.tag, entry.direction) == ""
    session.close()
    return entry, event


def test_a_squeeze_on_all_venues_is_entered(tmp_path: Path) -> None:
    entry, event = entry_of(crowd(1), tmp_path, refuse=True)
    assert entry is not None
    assert entry.tag.second == event
    assert "fragile" not in entry.tag.note


def test_a_one_venue_wash_is_not_entered_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        entry, event = entry_of(crowd(1, wash=2), tmp_path, refuse=True)
    assert entry is None
    assert f"entry of second {event}: fragile: without OKX spot the score is" in caplog.text
    assert caplog.text.rstrip().endswith("refused")


def test_a_one_venue_wash_is_marked_where_the_settings_let_it_pass(tmp_path: Path) -> None:
    entry, event = entry_of(crowd(1, wash=0), tmp_path, refuse=False)
    assert entry is not None
    assert str(entry.tag).split("|")[-2:] == ["fragile", f"e={event}"]
