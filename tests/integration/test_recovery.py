"""Trades that the stream did not bring come back over REST, in time, in order and once - or are named."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.bars.holes import TRY_AGAIN_NS
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.collector.recovering import Recoverer
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.feeds.adapter import RestRequest
from squeezeflow_plugin.feeds.past.binance import LIMIT, SpotPast
from squeezeflow_plugin.feeds.recovery import Continuity, Gap, PastTrades
from squeezeflow_plugin.feeds.rest import HostPauses
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord, Instrument, MarketKind, Trade

MARKET = "BINANCE:btcusdt"
BTC = Instrument(MARKET, "BTCUSDT", MarketKind.SPOT, "BTC", "USDT", "USDT")
NS_PER_MS = 1_000_000


class FastClock:
    """The machine's clock, fifty times as fast, so that minutes of waiting pass in a test."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._base_ns = self._clock.now_ns()

    def now_ns(self) -> int:
        return self._base_ns + 50 * (self._clock.now_ns() - self._base_ns)

    def wall_lead_ns(self) -> int:
        return 0

    def sleep_until(self, when_ns: int) -> None:
        raise AssertionError(f"nothing blocks here, not until {when_ns} either")

    async def wait_until(self, when_ns: int) -> None:
        while (left := when_ns - self.now_ns()) > 0:  # noqa: ASYNC110 - a clock has no event to wait for
            await asyncio.sleep(left / NS_PER_SECOND / 50)


class Rest:
    """Binance's ``trades`` and ``aggTrades`` on loopback; every pair of ids is one aggregate."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.refusals: list[tuple[int, str]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v3/trades", self._newest), web.get("/api/v3/aggTrades", self._aggregates)]

    def _refused(self, request: web.Request) -> web.Response | None:
        self.asked.append((request.path.rpartition("/")[2], dict(request.query)))
        if not self.refusals:
            return None
        status, retry_after = self.refusals.pop(0)
        return web.Response(status=status, text="{}", headers={"Retry-After": retry_after})

    async def _newest(self, request: web.Request) -> web.Response:
        return self._refused(request) or web.json_response(
            [
                {
                    "id": int(each.trade_id),
                    "price": repr(each.price),
                    "qty": repr(each.size),
                    "time": each.exchange_ns // NS_PER_MS,
                    "isBuyerMaker": each.side < 0,
                }
                for each in self.trades[-LIMIT:]
            ]
        )

    async def _aggregates(self, request: web.Request) -> web.Response:
        rows = [
            {
                "a": number,
                "f": int(pair[0].trade_id),
                "l": int(pair[-1].trade_id),
                "p": repr(pair[0].price),
                "q": repr(sum(each.size for each in pair)),
                "T": pair[0].exchange_ns // NS_PER_MS,
                "m": pair[0].side < 0,
            }
            for number, pair in enumerate(zip(self.trades[::2], self.trades[1::2], strict=False))
        ]
        start, first = int(request.query.get("startTime", 0)), int(request.query.get("fromId", 0))
        chosen = [row for row in rows if row["T"] >= start and row["a"] >= first]  # type: ignore[operator]  # numbers
        return self._refused(request) or web.json_response(chosen[:LIMIT])


class Bench:
    """A recoverer between a REST server and a closer; ``renewed`` are the markets to be opened anew."""

    def __init__(self, tmp_path: Path, past: PastTrades, clock: FastClock) -> None:
        self.clock = clock
        self.tally = Tally()
        self.renewed: list[str] = []
        self.start_ns = clock.now_ns() // NS_PER_SECOND * NS_PER_SECOND
        self.closer = Closer(
            "test",
            [MARKET],
            started_ns=self.start_ns,
            grace_s=0,
            silence_limit_s=3600.0,
            continuity={MARKET: Continuity(sequence=True)},
        )
        self.journal = TradeJournal(tmp_path)
        self.intake = Intake(self.closer, self.journal, self.tally)
        self.recoverer = Recoverer(
            {"BINANCE": past},
            [BTC],
            self.intake,
            clock,
            renew=lambda market, _reason: self.renewed.append(market),
            pauses=HostPauses(self.clock, lambda exchange: self.tally.rate_limited.update([exchange])),
        )

    def trade(self, number: int, at_s: float) -> Trade:
        at_ns = self.start_ns + round(at_s * 1000) * NS_PER_MS
        return Trade(MARKET, at_ns, str(number), 100.0, 0.5, 50.0, 1, received_ns=at_ns)

    def closed(self) -> list[ClosingRecord]:
        """Every second that is due by now."""
        records = []
        while self.closer.due_local_ns() <= (now_ns := self.clock.now_ns()):
            records.append(self.closer.close(now_ns))
        return records

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - the clock, not an event, brings it about
                await asyncio.sleep(0.005)


@asynccontextmanager
async def bench(tmp_path: Path, rest: Rest, kind: type[PastTrades] = SpotPast) -> AsyncIterator[Bench]:
    application = web.Application()
    application.add_routes(rest.routes())
    runner = web.AppRunner(application, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one = Bench(tmp_path, kind(f"http://127.0.0.1:{runner.addresses[0][1]}"), FastClock())
    running = asyncio.create_task(one.recoverer.run())
    try:
        yield one
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        one.journal.close()
        await runner.cleanup()


def covered(records: Sequence[ClosingRecord]) -> dict[int, bool]:
    """What holds after the records, by second."""
    known: dict[int, bool] = {}
    for record in records:
        known[record.second] = MARKET in record.covered
        for each in record.repaired:
            known |= dict.fromkeys(range(each.start, each.stop), each.complete)
    return known


def counts(records: Sequence[ClosingRecord]) -> dict[int, int]:
    """The latest number of trades of each second's bar."""
    return {bar.second: bar.cbuy for record in records for bar in (*record.bars, *record.revisions)}


async def test_missing_ids_are_asked_for_and_their_seconds_repaired(tmp_path: Path) -> None:
    rest = Rest()
    async with bench(tmp_path, rest) as one:
        first = one.start_ns // NS_PER_SECOND
        one.intake.live([MARKET], one.start_ns - NS_PER_SECOND)
        rest.trades = [one.trade(number, number / 10) for number in range(1, 61)]
        await one.until(lambda: one.clock.now_ns() > one.start_ns + 6 * NS_PER_SECOND)
        one.intake.trades([t for t in rest.trades if not 20 <= int(t.trade_id) <= 35])
        await one.until(lambda: one.tally.trades_recovered == 16)
        await one.until(lambda: one.clock.now_ns() > one.start_ns + 12 * NS_PER_SECOND)
        records = one.closed()
        assert [counts(records)[first + second] for second in range(1, 6)] == [10] * 5
        assert all(covered(records)[first + second] for second in range(1, 6))
        assert len(list(one.journal.replay(0))) == 60
        assert [path for path, _ in rest.asked] == ["trades"]
        assert one.renewed == []


async def test_gaps_beyond_the_newest_trades_come_as_aggregates_and_count_the_same(tmp_path: Path) -> None:
    rest = Rest()
    async with bench(tmp_path, rest) as one:
        one.intake.live([MARKET], one.start_ns - NS_PER_SECOND)
        rest.trades = [one.trade(number, number // 2 * 0.002 + 1) for number in range(5000)]
        await one.until(lambda: one.clock.now_ns() > one.start_ns + 7 * NS_PER_SECOND)
        one.intake.trades([*rest.trades[:9], rest.trades[-1]])
        await one.until(lambda: one.closer.watch.of(MARKET).is_troubled and one.tally.trades_recovered > 2900)
        await one.until(lambda: one.clock.now_ns() > one.start_ns + 12 * NS_PER_SECOND)
        records = one.closed()
        # id 9 is half of an aggregate whose other half, 8, was there: it is not made up
        assert sum(counts(records).values()) == 4999
        assert [path for path, _ in rest.asked[:3]] == ["trades", "aggTrades", "aggTrades"]
        second = one.start_ns // NS_PER_SECOND + 1
        assert [s for s, is_covered in covered(records).items() if not is_covered and s >= second] == [second]


@pytest.mark.parametrize("every_s", [0.1, 0.001])
async def test_a_market_whose_connection_ended_before_its_first_trade_is_asked_about_by_time(
    tmp_path: Path, every_s: float
) -> None:
    """Ten trades a second are among the newest; of a thousand a second the older come as aggregates."""
    rest = Rest()
    async with bench(tmp_path, rest) as one:
        second = one.start_ns // NS_PER_SECOND
        one.intake.live([MARKET], one.start_ns + NS_PER_SECOND)
        one.intake.down([MARKET], one.start_ns + 2 * NS_PER_SECOND, "cut")
        one.intake.live([MARKET], one.start_ns + 4 * NS_PER_SECOND)
        rest.trades = [one.trade(number, number * every_s - 1) for number in range(2, round(7 / every_s))]
        await one.until(lambda: one.clock.now_ns() > one.start_ns + 7 * NS_PER_SECOND)
        one.intake.trades(rest.trades[-11:])
        await one.until(lambda: not list(one.closer.watch.due(2**62)))
        records = one.closed()
        assert [counts(records)[second + each] for each in range(1, 6)] == [round(1 / every_s)] * 5
        assert all(covered(records)[second + each] for each in range(1, 6))
        assert one.closer.watch.take_lost() == ()
        assert {path for path, _ in rest.asked} == {"trades"} | ({"aggTrades"} if every_s < 0.1 else set())


async def test_a_refusal_is_honoured_to_the_second_and_the_feed_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rest = Rest()
    rest.refusals = [(429, "20"), (418, "30"), (503, "")]
    async with bench(tmp_path, rest) as one:
        with caplog.at_level(logging.WARNING):
            one.intake.live([MARKET], one.start_ns - NS_PER_SECOND)
            rest.trades = [one.trade(number, number / 10) for number in range(1, 61)]
            await one.until(lambda: one.clock.now_ns() > one.start_ns + 6 * NS_PER_SECOND)
            one.intake.trades([t for t in rest.trades if t.trade_id != "30"])
            began_ns = one.clock.now_ns()
            await one.until(lambda: len(rest.asked) == 3)
            assert one.clock.now_ns() - began_ns >= 50 * NS_PER_SECOND
            assert dict(one.tally.rate_limited) == {"BINANCE": 2}
            assert one.closed()  # seconds go on being closed
            await one.until(lambda: one.tally.trades_recovered == 1)
        assert "left alone for 20 s" in caplog.text
        assert not list(one.closer.watch.due(2**62))


async def test_an_id_that_is_gone_for_good_is_a_named_hole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rest = Rest()
    async with bench(tmp_path, rest) as one:
        with caplog.at_level(logging.WARNING):
            one.intake.live([MARKET], one.start_ns - NS_PER_SECOND)
            every = [one.trade(number, number / 10) for number in range(1, 61)]
            rest.trades = [t for t in every if t.trade_id != "30"]
            await one.until(lambda: one.clock.now_ns() > one.start_ns + 6 * NS_PER_SECOND)
            one.intake.trades(rest.trades)
            records = one.closed()
            await one.until(lambda: one.tally.gaps_lost == 1)
            assert one.clock.now_ns() - one.start_ns > sum(TRY_AGAIN_NS)
        records += one.closed()
        second = one.start_ns // NS_PER_SECOND
        assert [s - second for s in range(second + 1, second + 6) if not covered(records)[s]] == [2, 3]
        assert "trades between 29" in caplog.text
        assert "the exchange does not give them either" in caplog.text
        assert len(rest.asked) == 1 + len(TRY_AGAIN_NS)


async def test_a_stream_that_is_dead_while_the_exchange_trades_is_renewed(tmp_path: Path) -> None:
    rest = Rest()
    async with bench(tmp_path, rest) as one:
        one.intake.live([MARKET], one.start_ns - NS_PER_SECOND)
        every = [one.trade(number, number / 10) for number in range(1, 101)]
        one.intake.trades(every[:40])
        rest.trades = every[:40]
        one.closer.watch.silent([MARKET], one.start_ns // NS_PER_SECOND + 5, one.clock.now_ns())
        await one.until(lambda: len(rest.asked) == 1)
        assert one.renewed == []  # the market is quiet
        await one.until(lambda: one.clock.now_ns() > one.start_ns + 13 * NS_PER_SECOND)
        rest.trades = every
        one.closer.watch.silent([MARKET], one.start_ns // NS_PER_SECOND + 12, one.clock.now_ns())
        await one.until(lambda: one.renewed == [MARKET])
        assert one.tally.trades_recovered == 60


async def test_a_market_whose_exchange_gives_nothing_is_said_to_stay_holed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Nothing(SpotPast):
        def request(self, _instrument: Instrument, _gap: Gap) -> RestRequest | Any:
            return None

    async with bench(tmp_path, Rest(), Nothing) as one:
        with caplog.at_level(logging.WARNING):
            one.intake.trades([one.trade(1, 0.1), one.trade(5, 0.5)])
            await one.until(lambda: one.tally.gaps_lost == 1)
        assert "its exchange gives no past trades" in caplog.text
