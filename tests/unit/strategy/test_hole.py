"""Thirty seconds of a class's largest venue are missing: no entries until the hole has left the windows.

Once it is repaired everything is as if it had never been.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from squeezeflow_plugin.features.flow import FloatArray
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord, Interval
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.provider.final import final_rows
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.strategy.columns import LOGGED
from squeezeflow_plugin.strategy.session import Session
from squeezeflow_plugin.strategy.trades import Entry
from tests.integration.freqtrade_stage import StoreClock
from tests.reference.flows import flow_of
from tests.unit.provider.crowds import INSTRUMENTS, MARKETS, PERP, crowd, frame_of

PAIR = "BTC/USDT"
HOLE_S = 30
LARGEST = PERP[0]  # 45 % of the perpetual volume; not the reference market, whose absence is another veto
BEFORE_S, AFTER_S = 150, 240


@dataclass(frozen=True)
class Lived:
    """What a session decided of each second, the entry at the event's second, its rows in the end."""

    logged: dict[int, LoggedDecision]
    entry: Entry | None
    rows: FloatArray
    final: FloatArray


@pytest.fixture(scope="module")
def faultless() -> tuple[ClosingRecord, ...]:
    return crowd(1)


@pytest.fixture(scope="module")
def event(faultless: tuple[ClosingRecord, ...]) -> int:
    decided = Engine().run(flow_of(frame_of(faultless)))
    return int(decided.second[np.flatnonzero(decided.event)[0]])


def holed(
    records: tuple[ClosingRecord, ...], start: int, repaired_at: int | None
) -> tuple[ClosingRecord, ...]:
    """The records without the largest venue in ``[start, start + 30)``, its bars late at ``repaired_at``."""
    stop = start + HOLE_S
    lost = tuple(
        bar for each in records if start <= each.second < stop for bar in each.bars if bar.market == LARGEST
    )
    told = []
    for record in records:
        if start <= record.second < stop:
            record = msgspec.structs.replace(  # noqa: PLW2901 - the same record, less of it
                record,
                bars=tuple(bar for bar in record.bars if bar.market != LARGEST),
                covered=tuple(market for market in record.covered if market != LARGEST),
                uncovered=(LARGEST,),
            )
        elif record.second == repaired_at:
            span = Interval(LARGEST, start, stop)
            record = msgspec.structs.replace(record, revisions=lost, repaired=(span,))  # noqa: PLW2901 - as above
        told.append(record)
    return tuple(told)


def lived(records: tuple[ClosingRecord, ...], event: int, path: Path) -> Lived:
    """A session through the records around the event."""
    start = event - BEFORE_S
    store = MemoryBarStore()
    store.put_instruments(INSTRUMENTS)
    store.append(record for record in records if record.second < start)
    coming = [record for record in records if record.second >= start]
    clock = StoreClock(start * NS_PER_SECOND + 450_000_000, store, coming)
    log = DecisionLog(path / "decisions.sqlite", LOGGED, "engine")
    session = Session(store, log, Settings(lookback_hours=2.25, quotes=("USDT",)), {PAIR: MARKETS}, clock)
    session.start()
    entry = None
    while (log.last_second(PAIR) or 0) < event + AFTER_S:
        session.advance(())
        if log.last_second(PAIR) == event:
            entry = session.entry(PAIR)
            assert entry is None or session.confirm(PAIR, entry.tag, entry.direction) == ""
    rows = session.desk.timelines[PAIR].rows
    found = rows.values(event - 3_600, rows.stop).copy()
    final = np.concatenate(
        [piece.values for piece in final_rows(store, MARKETS, event - 3_600, rows.stop)], axis=1
    )
    logged = {row.second: row for row in log.read(0, 2**40)}
    session.close()
    return Lived(logged, entry, found, final)


@pytest.fixture(scope="module")
def fault_free(
    faultless: tuple[ClosingRecord, ...], event: int, tmp_path_factory: pytest.TempPathFactory
) -> Lived:
    found = lived(faultless, event, tmp_path_factory.mktemp("whole"))
    assert found.entry is not None
    assert {row.veto for row in found.logged.values()} == {""}
    return found


def test_the_hole_is_the_reason_until_it_has_left_the_window(
    faultless: tuple[ClosingRecord, ...], fault_free: Lived, event: int, tmp_path: Path
) -> None:
    start = event - HOLE_S - 20
    found = lived(holed(faultless, start, None), event, tmp_path)
    weight = share_of_largest(faultless, start)
    assert weight >= 0.30
    for second, row in found.logged.items():
        missing = len(range(max(start, second - 299), min(start + HOLE_S, second + 1)))
        mean = 1.0 - weight * missing / 300
        assert row.veto == ("hole_perp_5m" if mean < 0.98 else ""), second
    assert found.logged[event].veto == "hole_perp_5m"
    assert found.entry is None
    assert found.logged[event + AFTER_S].veto == "hole_perp_5m", "most of the hole is in the window still"
    assert not np.array_equal(found.final, fault_free.final)


def share_of_largest(records: tuple[ClosingRecord, ...], second: int) -> float:
    """The venue's share of its class's volume before the hour of ``second``, its weight in the coverage."""
    hour = second - second % 3600
    volumes = dict.fromkeys(PERP, 0)
    for bar in (bar for record in records if record.second < hour for bar in record.bars):
        if bar.market in volumes:
            volumes[bar.market] += int(np.rint((bar.vbuy + bar.vsell) * 100))
    return volumes[LARGEST] / sum(volumes.values())


def test_a_hole_that_leaves_the_window_lets_entries_through_again(
    faultless: tuple[ClosingRecord, ...], event: int, tmp_path: Path
) -> None:
    start = event - 90
    found = lived(holed(faultless, start, None), event, tmp_path)
    weight = share_of_largest(faultless, start)
    most = int(0.02 * 300 / weight)  # so many of its seconds may be in the window
    free = start + HOLE_S - most + 299
    assert found.logged[free - 1].veto == "hole_perp_5m"
    assert {found.logged[second].veto for second in found.logged if second >= free} == {""}


def test_once_repaired_everything_is_as_if_there_had_been_no_hole(
    faultless: tuple[ClosingRecord, ...], fault_free: Lived, event: int, tmp_path: Path
) -> None:
    """The bars come late, with the span they complete: rows, decisions, entry and final view are equal."""
    start, repaired_at = event - 100, event - 40
    found = lived(holed(faultless, start, repaired_at), event, tmp_path)
    assert {row.veto for second, row in found.logged.items() if start + 20 <= second < repaired_at} == {
        "hole_perp_5m"
    }
    assert found.rows.tobytes() == fault_free.rows.tobytes()
    assert found.final.tobytes() == fault_free.final.tobytes()
    assert found.entry == fault_free.entry
    after = [second for second in fault_free.logged if second >= repaired_at]
    assert len(after) > 200
    for second in after:
        one, two = found.logged[second], fault_free.logged[second]
        assert (one.numbers, one.veto) == (two.numbers, two.veto)
