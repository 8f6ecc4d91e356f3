"""The queue in front of the store: in order, patient, bounded."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from squeezeflow_plugin.collector.storing import StoreQueue
from squeezeflow_plugin.errors import StoreConflictError, StoreError
from squeezeflow_plugin.market import ClosingRecord
from squeezeflow_plugin.store.embedded import EmbeddedBarStore


def record(second: int, closed_ns: int = 0) -> ClosingRecord:
    return ClosingRecord("main", second, closed_ns)


class Watched:
    """What the queue reported."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.failures = 0
        self.failed = asyncio.Event()
        self.all_stored = asyncio.Event()

    def on_stored(self, records: tuple[ClosingRecord, ...]) -> None:
        self.stored += [each.second for each in records]
        if 2 in self.stored:
            self.all_stored.set()

    def on_failed(self) -> None:
        self.failures += 1
        self.failed.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[EmbeddedBarStore]:
    store = EmbeddedBarStore(path, busy_timeout_s=0.01)
    yield store
    store.close()


@pytest.fixture
def blocker(path: Path, store: EmbeddedBarStore) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


async def test_records_arrive_in_order_and_the_end_waits_for_them(store: EmbeddedBarStore) -> None:
    watched = Watched()
    queue = StoreQueue(store, 10_000, watched.on_stored, watched.on_failed)
    running = asyncio.create_task(queue.run())
    for second in range(5000):  # more than are let to wait: putting waits for the store
        await queue.put(record(second))
    await queue.stop()
    await running
    assert watched.stored == list(range(5000))
    assert [each.second for each in store.records(0, 10_000)] == watched.stored
    assert len(queue) == 0


async def test_a_locked_store_is_tried_again(store: EmbeddedBarStore, blocker: sqlite3.Connection) -> None:
    watched = Watched()
    queue = StoreQueue(store, 10, watched.on_stored, watched.on_failed)
    running = asyncio.create_task(queue.run())
    await queue.put(record(1))
    await asyncio.wait_for(watched.failed.wait(), 10)
    await queue.put(record(2))
    assert len(queue) == 2
    blocker.execute("ROLLBACK")
    await asyncio.wait_for(watched.all_stored.wait(), 10)
    await queue.stop()
    await running
    assert watched.stored == [1, 2]
    assert watched.failures >= 1


async def test_a_full_queue_stops_the_collector(store: EmbeddedBarStore, blocker: sqlite3.Connection) -> None:
    watched = Watched()
    queue = StoreQueue(store, 3, watched.on_stored, watched.on_failed)
    running = asyncio.create_task(queue.run())
    for second in range(3):
        await queue.put(record(second))
    await asyncio.wait_for(watched.failed.wait(), 10)
    with pytest.raises(StoreError, match="has taken no record for 3 seconds"):
        await queue.put(record(3))
    await queue.stop()
    with pytest.raises(StoreError, match="locked"):
        await asyncio.wait_for(running, 10)


async def test_who_waits_for_a_busy_store_goes_on_once_it_fails(
    store: EmbeddedBarStore, blocker: sqlite3.Connection
) -> None:
    watched = Watched()
    queue = StoreQueue(store, 2402, watched.on_stored, watched.on_failed)
    for second in range(2400):  # as many as are let to wait while the store works
        await queue.put(record(second))
    putting = asyncio.create_task(queue.put(record(2400)))
    await asyncio.sleep(0)
    running = asyncio.create_task(queue.run())
    await asyncio.wait_for(watched.failed.wait(), 10)
    await asyncio.wait_for(putting, 10)
    await queue.put(record(2401))
    with pytest.raises(StoreError, match="has taken no record for 2402 seconds"):
        await queue.put(record(2402))
    await queue.stop()
    with pytest.raises(StoreError, match="locked"):
        await asyncio.wait_for(running, 10)


async def test_what_trying_again_cannot_mend_is_raised(store: EmbeddedBarStore) -> None:
    watched = Watched()
    store.append([record(1)])
    queue = StoreQueue(store, 3, watched.on_stored, watched.on_failed)
    await queue.put(record(1, closed_ns=5))
    with pytest.raises(StoreConflictError):
        await asyncio.wait_for(queue.run(), 10)
    assert watched.failures == 0
