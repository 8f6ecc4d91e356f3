"""The collector on a live wire: late, doubled and broken frames, a locked store, kill -9, no exchange yet."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import msgspec

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector import app
from squeezeflow_plugin.collector.stats import Stats
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.settings import Settings, process_environ, to_environ
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.integration.binance_venue import (
    COIN,
    PERP,
    SPOT,
    Sent,
    Venue,
    expected_bars,
    has_no_gap,
    invent,
    stored_bars,
    trade_of,
    wait_for,
)


async def test_a_live_wire_with_late_doubled_and_broken_frames(tmp_path: Path, venue: Venue) -> None:
    settings = Settings(
        assets=("BTC",), data_dir=tmp_path, endpoints=await venue.start(), api_port=0, health_port=0
    )
    clock, rng, stop = SystemClock(), random.Random(7), asyncio.Event()
    store = EmbeddedBarStore(settings.store_path, busy_timeout_s=0.1)
    reader = EmbeddedBarStore(settings.store_path, readonly=True)
    sent: list[Sent] = []
    numbers: Counter[str] = Counter()
    with TradeJournal(settings.journal_dir) as journal:
        running = asyncio.create_task(app.Collector(settings, clock, store, journal).run(stop))
        await asyncio.wait_for(venue.subscribed(SPOT, PERP, COIN), 30)
        blocker = sqlite3.connect(settings.store_path, isolation_level=None)
        for number in range(1, 301):
            trade = invent(rng, numbers, clock.now_ns())
            if number == 150:
                numbers[SPOT] += 1  # of a trade that comes seconds later
                late = Sent(0, SPOT, trade.time_ms, numbers[SPOT], 61_000.0, 0.5, 1)
            sent.append(trade)
            for _ in range(1 + (number % 20 == 0)):
                await venue.send(trade.market, trade.frame)
            if number % 100 == 0:
                await venue.send(trade.market, '{"e":"trade","s":"BTCUSDT","p":')
                blocker.execute(
                    "BEGIN IMMEDIATE" if number == 100 else "ROLLBACK" if number == 200 else "SELECT 1"
                )
            await asyncio.sleep(0.01)
        blocker.close()
        last = sent[-1].time_ms // 1000
        await wait_for(lambda: (reader.last_second("main") or 0) >= last)
        sent.append(late)
        await venue.send(SPOT, late.frame)
        await wait_for(lambda: (reader.last_second("main") or 0) >= last + 2)
        stop.set()
        await asyncio.wait_for(running, 30)
    records = list(reader.records(0, 2**40))
    assert has_no_gap(records)
    assert stored_bars(reader) == expected_bars(map(trade_of, sent))
    assert [(b.market, b.second, b.revision) for r in records for b in r.revisions if b.high == 61_000.0] == [
        (SPOT, late.time_ms // 1000, 1)
    ]
    assert all(
        r.covered == (SPOT, COIN, PERP) for r in records if sent[99].time_ms // 1000 < r.second <= last
    )
    assert [i.market for i in reader.instruments()] == [SPOT, COIN, PERP]
    stats = msgspec.json.decode((settings.run_dir / "collector.json").read_bytes(), type=Stats)
    assert (stats.trades_received, stats.duplicates, stats.rejected_frames) == (316, 15, 3)
    assert (stats.bars, stats.reconnects, stats.pending_records) == (sum(len(r.bars) for r in records), 0, 0)
    assert stats.store_failures >= 1
    assert stats.closing_delay_ms is not None
    reader.close()
    store.close()


async def test_a_killed_collector_goes_on_without_a_gap(tmp_path: Path, venue: Venue) -> None:
    settings = Settings(
        assets=("BTC",), data_dir=tmp_path, endpoints=await venue.start(), api_port=0, health_port=0
    )
    environ = {**process_environ(), **to_environ(settings)}
    command = [sys.executable, "-m", "squeezeflow_plugin.cli", "collect"]
    reader = EmbeddedBarStore(settings.store_path, readonly=True)
    rng, clock = random.Random(11), SystemClock()
    delivered: list[Sent] = []
    numbers: Counter[str] = Counter()

    async def keep_sending() -> None:
        while True:
            age_ms = rng.randint(1500, 3000) if rng.random() < 0.03 else 0
            trade = invent(rng, numbers, clock.now_ns(), age_ms)
            if await venue.send(trade.market, trade.frame):
                delivered.append(trade)
            await asyncio.sleep(0.002)

    def closed() -> int:
        assert process.returncode is None, "the collector ended by itself"
        return reader.last_second("main") or 0

    def is_whole() -> bool:
        """However long starting took: the newest second has every market."""
        newest = list(reader.records(closed(), closed() + 1))
        return bool(newest) and newest[0].covered == (SPOT, COIN, PERP)

    sending = asyncio.create_task(keep_sending())
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    try:
        await wait_for(lambda: is_whole() and closed() - reader.span()[0] >= 3)  # type: ignore[index]  # whole, so it has a span
        await asyncio.sleep(rng.random())
        process.kill()
        await process.wait()
        before = list(reader.records(0, 2**40))
        arrived = len(delivered)
        process = await asyncio.create_subprocess_exec(*command, env=environ)
        await wait_for(lambda: closed() >= before[-1].second + 6 and is_whole())
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        end = closed()
        await wait_for(lambda: closed() >= end + 2)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        sending.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    after = list(reader.records(0, 2**40))
    assert after[: len(before)] == before
    assert has_no_gap(after)
    with TradeJournal(settings.journal_dir) as journal:
        journalled = list(journal.replay(0))
    known = {(trade.market, trade.trade_id) for trade in journalled}
    read_before_kill = delivered[: arrived - 300]  # the last frames may still have been in a socket
    assert all((each.market, str(each.trade_id)) in known for each in read_before_kill)
    first, last = after[0].second, after[-1].second
    assert stored_bars(reader) == expected_bars(t for t in journalled if first <= t.second <= last)
    interrupted = after[len(before) : len(before) + 2]  # the first is whole by its ids where it had ended
    assert any(record.covered == () for record in interrupted)
    assert interrupted[0].bars
    assert before[-1].covered == after[-3].covered == (SPOT, COIN, PERP)
    assert any(record.revisions for record in after)
    reader.close()


async def test_an_exchange_that_is_missing_at_the_first_start_joins_later(
    tmp_path: Path, venue: Venue
) -> None:
    venue.is_maintained = True
    settings = Settings(
        assets=("BTC",), data_dir=tmp_path, endpoints=await venue.start(), api_port=0, health_port=0
    )
    environ = {**process_environ(), **to_environ(settings)}
    command = [sys.executable, "-m", "squeezeflow_plugin.cli", "collect"]
    reader = EmbeddedBarStore(settings.store_path, readonly=True)
    counted = settings.run_dir / "collector.json"

    def missing() -> tuple[str, ...]:
        assert process.returncode is None, "the collector ended by itself"
        return msgspec.json.decode(counted.read_bytes(), type=Stats).missing_exchanges

    process = await asyncio.create_subprocess_exec(*command, env=environ)
    try:
        await wait_for(lambda: (reader.last_second("main") or 0) > 0 and counted.exists())
        assert missing() == ("BINANCE_FUTURES",)
        assert set(venue.subscribers) == {SPOT}
        venue.is_maintained = False
        await wait_for(lambda: set(venue.subscribers) == {SPOT, PERP, COIN})
        # one that was collected before is complete again from a trade on: nobody else says what was missed
        first = Sent(0, SPOT, SystemClock().now_ns() // 1_000_000, 1, 80_000.0, 0.5, 1)
        assert await venue.send(SPOT, first.frame)
        end = reader.last_second("main") or 0
        await wait_for(lambda: (reader.last_second("main") or 0) >= end + 4)
        assert missing() == ()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    records = list(reader.records(0, 2**40))
    assert has_no_gap(records)
    assert {SPOT} == {*records[0].covered, *records[0].uncovered}
    assert records[-1].covered == (SPOT, COIN, PERP)
    reader.close()
