"""The collector's counts as a file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from squeezeflow_plugin.bars.outcomes import Counts
from squeezeflow_plugin.collector.stats import Stats, Tally, write_stats


def snapshot(tally: Tally) -> Stats:
    return tally.snapshot(
        collector="main",
        last_second=7,
        markets=2,
        counts=Counts(10, 1, 2, 3, 4, 5),
        reconnects=6,
        pending_records=8,
        offsets_ns={"BINANCE": -1_261_000_000},
        skew_ns=-1_261_000_000,
    )


def test_the_file_says_what_was_counted(tmp_path: Path) -> None:
    tally = Tally()
    tally.bars, tally.trades_received, tally.revisions = 3, 9, 1
    tally.rejected["BINANCE: broken"] += 2
    for delay in (410.0, 430.0, 420.0):
        tally.stored(delay)
    path = tmp_path / "run" / "collector.json"
    write_stats(path, snapshot(tally))
    write_stats(path, snapshot(tally))
    assert [each.name for each in path.parent.iterdir()] == ["collector.json"]
    stats = msgspec.json.decode(path.read_bytes(), type=Stats)
    assert (stats.bars, stats.trades_received, stats.revisions, stats.late, stats.ahead) == (3, 9, 1, 1, 5)
    assert stats.rejected == {"BINANCE: broken": 2}
    assert stats.closing_delay_ms == (420.0, 430.0)
    assert stats.skew_ms == -1261.0


def test_nothing_stored_is_no_delay() -> None:
    assert snapshot(Tally()).closing_delay_ms is None
