"""Recorded trades through a collector that is killed: its bars are those of ``build_bars``.

The clock runs faster than the machine's, so that minutes of trades pass in seconds at their true spacing.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from squeezeflow_plugin.frames import build_bars
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import BAR_FIELDS, NS_PER_SECOND
from squeezeflow_plugin.settings import Settings, process_environ, to_environ
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.integration import fast_collector
from tests.integration.binance_venue import COIN, PERP, SPOT, Sent, Venue, has_no_gap, stored_bars, wait_for
from tests.integration.fast_collector import FastClock

TWICE = 500
"""So many of the frames before the kill are sent once more after it."""


def recorded(shared: Path) -> tuple[pd.DataFrame, list[Sent]]:
    """The recorded trades, and when each goes out: after 60 ms, one in fifty up to a minute later."""
    frame = pd.read_parquet(shared / "market_data" / "binance_btc_spot_usdm_coinm_20240808.parquet")
    rng = random.Random(20240808)
    sent = []
    names = ("market", "ts_ms", "trade_id", "price", "size_raw", "side")
    for market, time_ms, number, price, quantity, side in zip(
        *(frame[n].tolist() for n in names), strict=True
    ):
        late_ns = rng.randint(2_000_000_000, 60_000_000_000) if rng.random() < 0.02 else 60_000_000
        due_ns = time_ms * 1_000_000 + late_ns
        sent.append(Sent(due_ns, market, time_ms, number, price, quantity, 1 if side == "buy" else -1))
    return frame, sorted(sent, key=lambda each: each.due_ns)


async def play(venue: Venue, clock: FastClock, trades: Iterable[Sent]) -> None:
    for trade in trades:
        await clock.wait_until(trade.due_ns)
        assert await venue.send(trade.market, trade.frame)


async def test_recorded_trades_through_a_kill_give_the_bars_of_build_bars(
    tmp_path: Path, venue: Venue, shared: Path
) -> None:
    frame, trades = recorded(shared)
    first = int(frame.ts_ms.min()) // 1000
    settings = Settings(
        assets=("BTC",),
        data_dir=tmp_path,
        endpoints=await venue.start(),
        first_second=first,
        revision_horizon_s=3600,
        silence_limit_s=3600.0,
        api_port=0,
        health_port=0,
    )
    environ = {**process_environ(), **to_environ(settings)}
    numbers = (time.time_ns(), (first - 60) * NS_PER_SECOND, 60.0)
    command = [sys.executable, fast_collector.__file__, *map(str, numbers)]
    clock = FastClock(*numbers)
    reader = EmbeddedBarStore(settings.store_path, readonly=True)
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    try:
        await asyncio.wait_for(venue.subscribed(SPOT, PERP, COIN), 30)
        part = len(trades) * 2 // 5
        await play(venue, clock, trades[:part])
        process.kill()
        await process.wait()
        await asyncio.wait_for(venue.unsubscribed(), 30)
        before = list(reader.records(0, 2**40))
        with TradeJournal(settings.journal_dir) as journal:
            received = {(trade.market, trade.trade_id) for trade in journal.replay(0)}
        process = await asyncio.create_subprocess_exec(*command, env=environ)
        await asyncio.wait_for(venue.subscribed(SPOT, PERP, COIN), 30)
        missing = [each for each in trades[:part] if (each.market, str(each.trade_id)) not in received]
        await play(venue, clock, [*missing, *trades[part - TWICE :]])
        sent_by = trades[-1].due_ns // NS_PER_SECOND
        await wait_for(lambda: (reader.last_second("main") or 0) >= sent_by + 12)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    after = list(reader.records(0, 2**40))
    assert after[0].second == first
    assert after[: len(before)] == before
    assert has_no_gap(after)
    assert any(record.revisions for record in after)  # how many are late is the machine's load
    assert any(record.covered == () for record in after[len(before) :])
    built = build_bars(frame)
    bars = stored_bars(reader)
    for field in ("market", "time", *BAR_FIELDS):
        mine = [bar.second if field == "time" else getattr(bar, field) for bar in bars]
        theirs = built[field].tolist()
        if field in {"vbuy", "vsell"}:  # COIN-M: contracts x 100 USD here, price x (100 / price) there
            assert mine == pytest.approx(theirs, rel=1e-12, abs=0)
            pairs = zip(bars, mine, theirs, strict=True)
            assert all(ours == other for bar, ours, other in pairs if bar.market != COIN)
        else:
            assert mine == theirs
    reader.close()
