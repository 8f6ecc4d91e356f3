"""Keeping beside collecting: rolls and drops at its turns, says what fails, stops when asked."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.collector.keeping import MARGIN_S, StoreKeeping
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.rolling import Periods, StoreKeeper

T0 = 1_723_161_600
DAY = 86_400


def record(second: int, collector: str = "main") -> ClosingRecord:
    bar = Bar("BINANCE:btcusdt", second, 1.0, 2.0, 0.5, 1.5, 10.0, 20.0, 1, 2, 0.0, 0.0)
    return ClosingRecord(collector, second, second * 10**9, (bar,))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, retention_days=2, revision_horizon_s=10)


@pytest.fixture
def store(settings: Settings) -> Iterator[EmbeddedBarStore]:
    store = EmbeddedBarStore(settings.store_path)
    store.append(record(second) for second in (T0 - 5 * DAY, T0 - DAY, *range(T0, T0 + 100)))
    store.append([record(T0 - 9 * DAY, "import:BINANCE:btcusdt")])
    yield store
    store.close()


def rows(settings: Settings) -> int:
    connection = sqlite3.connect(settings.store_path)
    [(count,)] = connection.execute("SELECT COUNT(*) FROM closings").fetchall()
    connection.close()
    return int(count)


async def test_a_turn_rolls_what_is_over_and_drops_what_is_old(
    settings: Settings, store: EmbeddedBarStore
) -> None:
    failures: list[None] = []
    clock = SteppedClock((T0 + 1000) * 10**9)
    last = T0 + 50 + 10 + MARGIN_S
    keeping = StoreKeeping(settings, clock, lambda: last, lambda: failures.append(None), Periods(10, 40))
    keeping.stored()
    running = asyncio.create_task(keeping.run())
    async with asyncio.timeout(20):
        while rows(settings) > 50:
            clock.advance(10**9)
            keeping.stored()
            await asyncio.sleep(0.01)
        while store.span() != (T0 - 9 * DAY, T0 + 100) or len(list(store.records(0, 2**40))) != 102:
            keeping.stored()
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [each.second for each in store.records(0, 2**40)] == [T0 - 9 * DAY, T0 - DAY, *range(T0, T0 + 100)]
    assert not failures


def test_a_failure_is_said_and_counted(
    settings: Settings, store: EmbeddedBarStore, caplog: pytest.LogCaptureFixture
) -> None:
    (settings.data_dir / "store.partitions").touch()
    failures: list[None] = []
    keeping = StoreKeeping(
        settings, SteppedClock(0), lambda: None, lambda: failures.append(None), Periods(10, 40)
    )
    with caplog.at_level(logging.ERROR):
        keeping.turn(T0 + 40)
    assert len(failures) == 2  # neither dropping nor rolling
    assert "store.partitions cannot be used" in caplog.text
    assert rows(settings) == 103


def test_a_damaged_partition_keeps_nothing_from_being_dropped(
    settings: Settings, store: EmbeddedBarStore, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(StoreKeeper(settings.store_path, Periods(10, 40))) as keeper:
        keeper.roll_over(T0 + 10)
    [newest] = (settings.data_dir / "store.partitions").glob(f"{T0}-*.bars.parquet")
    newest.write_bytes(b"")
    failures: list[None] = []
    keeping = StoreKeeping(
        settings, SteppedClock(0), lambda: None, lambda: failures.append(None), Periods(10, 40)
    )
    keeping.turn(T0 + 40)
    assert newest.name in caplog.text
    assert len(failures) == 1
    connection = sqlite3.connect(settings.store_path)
    starts = {start for (start,) in connection.execute("SELECT start FROM partitions")}
    connection.close()
    assert starts == {start // 40 * 40 for start in (T0 - 9 * DAY, T0 - DAY)} | {T0}
