"""A collector that stood still does not vouch for the seconds in which it read nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.collector.standing import BEARABLE_NS, StandstillWatch
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.feeds.connection import FeedConnection
from squeezeflow_plugin.feeds.exchanges.binance import BinanceSpot
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, Instrument, MarketKind, Trade

BTC = Instrument("BINANCE:btcusdt", "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
START = 1_767_225_600
PAUSE_S = BEARABLE_NS // NS_PER_SECOND + 1


class SleepyClock(SteppedClock):
    """Wakes whoever waits so much too late, once."""

    late_ns = 0

    async def wait_until(self, when_ns: int) -> None:
        await super().wait_until(when_ns)
        self.advance(self.late_ns)
        self.late_ns = 0


@pytest.mark.parametrize("pause_s", [PAUSE_S - 1, PAUSE_S])
async def test_seconds_of_a_long_standstill_are_uncovered_though_trades_came_after_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pause_s: int
) -> None:
    clock = SleepyClock(START * NS_PER_SECOND)
    closer = Closer("main", [BTC.market], started_ns=clock.now_ns(), watermark_ms=0)
    closer.builder.begin(START)
    with TradeJournal(tmp_path) as journal, caplog.at_level(logging.WARNING):
        intake = Intake(closer, journal, Tally())
        adapter = BinanceSpot()
        connections = [FeedConnection(plan, adapter, clock, intake) for plan in adapter.plan((BTC,))]
        watch = StandstillWatch(clock, connections, intake)
        intake.live([BTC.market], clock.now_ns())
        await watch.wait_until((START + 2) * NS_PER_SECOND)
        clock.late_ns = pause_s * NS_PER_SECOND
        await watch.wait_until((START + 3) * NS_PER_SECOND)
        now_ns = clock.now_ns()
        intake.trades((Trade(BTC.market, now_ns, "1", 2.0, 1.0, 2.0, 1, received_ns=now_ns),))
        records = [closer.close(now_ns) for _ in range(pause_s)]
    uncovered = [record.second - START for record in records if record.uncovered]
    stood_still = pause_s == PAUSE_S
    assert uncovered == (list(range(2, pause_s)) if stood_still else [])
    assert [entry.getMessage().split(":")[0] for entry in caplog.records] == (
        [f"the collector stood still for {pause_s}.0 s", BTC.exchange] if stood_still else []
    )
