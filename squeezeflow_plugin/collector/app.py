"""The collector: exchanges in, closing records out. An aggr-server-compatible collector, written here.

    connections -> journal -> closer -> queue -> store -> outlets (bus, aggr API, health)

Trades are journalled before anything is made of them; seconds are closed at their deadline whatever the
store does; records go to the store in order from a thread of their own. After any stop, a kill included,
the next start takes up the stored records and the journal: no closed bar is lost, the seconds in between
are closed as uncovered, and late trades go on revising. An exchange that did not say at the start what its
markets are joins in the same way: everything begins anew once it has answered.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

import aiohttp

from squeezeflow_plugin.bars.closing import LONG_S, Closer
from squeezeflow_plugin.clock import Clock, SystemClock
from squeezeflow_plugin.collector.choosing import MarketChoice
from squeezeflow_plugin.collector.instruments import open_markets
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.collector.interest import InterestPollers
from squeezeflow_plugin.collector.journaling import JournalKeeping
from squeezeflow_plugin.collector.keeping import StoreKeeping
from squeezeflow_plugin.collector.loading import preparing
from squeezeflow_plugin.collector.outlets import Outlets
from squeezeflow_plugin.collector.recovering import Recoverer, continuity_of
from squeezeflow_plugin.collector.refusing import RefusalLog
from squeezeflow_plugin.collector.serving import check_free
from squeezeflow_plugin.collector.sharding import sharded
from squeezeflow_plugin.collector.standing import StandstillWatch
from squeezeflow_plugin.collector.stats import Counted, Stats, Tally
from squeezeflow_plugin.collector.storing import StoreQueue
from squeezeflow_plugin.feeds import registry
from squeezeflow_plugin.feeds.adapter import ExchangeAdapter
from squeezeflow_plugin.feeds.batches import BatchReaders
from squeezeflow_plugin.feeds.connection import FeedConnection
from squeezeflow_plugin.feeds.link import REASONS
from squeezeflow_plugin.feeds.reconnect import Backoff
from squeezeflow_plugin.feeds.recovery import Continuity, PastTrades
from squeezeflow_plugin.feeds.rest import HostPauses
from squeezeflow_plugin.feeds.slow import SlowExchange
from squeezeflow_plugin.feeds.slow_connection import SlowConnection
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.jsonfile import replace_json
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord, DerivativeTicker, Instrument
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

_LOG = logging.getLogger(__name__)
LOG_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
_LOOK_AGAIN_NS = NS_PER_SECOND // 10  # the deadline moves with the exchanges' offsets
_CAPACITY = 7200
_SYNC_SECONDS = 5
_HEARTBEAT_SECONDS = 60
_NO_MARKETS_PAUSE_S = 10.0
_MISSING_PAUSES_S = (2.0, 300.0)  # the first one and the longest
_T = TypeVar("_T")


def run_collector(settings: Settings, notes: Iterable[str] = ()) -> int:
    """Collect until SIGTERM or SIGINT; returns 0 after a clean stop. ``notes`` on the settings are logged.

    Raises a SqueezeFlowError that says in one sentence why collecting is not possible.
    """
    logging.basicConfig(level=settings.log_level, format=LOG_FORMAT)
    for note in notes:
        _LOG.warning("settings: %s", note)
    return asyncio.run(_collect_until_stopped(sharded(settings), SystemClock()))


async def _collect_until_stopped(settings: Settings, clock: Clock) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with ExitStack() as stack:
        store = EmbeddedBarStore(settings.store_path)
        stack.callback(store.close)
        journal = stack.enter_context(TradeJournal(settings.journal_dir))
        await Collector(settings, clock, store, journal).run(stop)
    return 0


class Collector:
    """One collector over its store and journal, both of which the caller opens and closes."""

    def __init__(self, settings: Settings, clock: Clock, store: BarStore, journal: TradeJournal) -> None:
        self._settings = settings
        self._clock = clock
        self._store = store
        self._journal = journal
        self._tally = Tally()
        self._queue = self._make_queue()
        self._known: dict[str, tuple[Instrument, ...]] = {}
        self._pauses = HostPauses(clock, lambda exchange: self._tally.rate_limited.update([exchange]))
        self._readers = BatchReaders()
        self._choice = MarketChoice(settings, pauses=self._pauses)
        self._connections: list[FeedConnection | SlowConnection] = []
        self._closer: Closer | None = None
        self._outlets: Outlets | None = None
        self._keeping: StoreKeeping | None = None
        self._is_mute = False

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until ``stop`` is set, then let the store take what is closed and return.

        Raises SettingsError where no market fits the settings, ProcessError where a port is taken, StoreError
        where the store cannot be used any more.
        """
        adapters = [registry.adapter(n, self._settings.endpoints.get(n)) for n in self._settings.exchanges]
        for port, what in ((self._settings.api_port, "aggr API"), (self._settings.health_port, "health")):
            await check_free(self._settings.listen, port, what)
        async with preparing(self._readers):
            await _unless(stop, self._ask_markets(adapters))
            while not stop.is_set():
                await self._collect(stop, adapters)

    async def _collect(self, stop: asyncio.Event, adapters: Sequence[ExchangeAdapter]) -> None:
        """Collect until ``stop`` is set, a missing exchange has answered or the markets have changed."""
        instruments = await self._choice.choose(self._known)
        self._store.put_instruments(instruments)
        self._queue = self._make_queue()
        pasts = {a.name: registry.past_trades(a.name, self._settings.endpoints.get(a.name)) for a in adapters}
        closer = self._closer = self._make_closer(instruments, continuity_of(adapters, pasts, instruments))
        self._recover(closer)
        intake = Intake(closer, self._journal, self._tally)
        limit_s = self._settings.silence_limit_s
        self._connections = [
            SlowConnection(plan, a, self._clock, intake, silence_limit_s=limit_s)
            if isinstance(a, SlowExchange)
            else FeedConnection(plan, a, self._clock, intake, silence_limit_s=limit_s, readers=self._readers)
            for a in adapters
            for plan in a.plan([i for i in instruments if i.exchange == a.name])
        ]
        _LOG.info("collecting %d markets on %d connections", len(instruments), len(self._connections))
        self._outlets = Outlets(
            self._settings,
            self._clock,
            instruments,
            closer,
            self._queue,
            Counted(lambda: self._snapshot(closer), self._tally.lags, self._tally.writes),
        )
        work: list[Coroutine[Any, Any, None]] = [self._close_seconds(closer, intake)]
        work += [self._keep_house(closer), *(connection.run() for connection in self._connections)]
        work.append(self._recoverer(pasts, instruments, intake).run())
        if self._settings.interest_interval_s:
            work.append(self._interest(instruments, closer).run())
        work.append(self._outlets.run())
        self._keeping = StoreKeeping(
            self._settings, self._clock, lambda: closer.last_second, self._on_store_failed
        )
        work.append(self._keeping.run())
        if missing := [adapter for adapter in adapters if adapter.name not in self._known]:
            work.append(self._await_missing(missing))
        work.append(self._await_changes(adapters, instruments))
        try:
            await self._run_until(stop, work)
        finally:
            await asyncio.to_thread(self._outlets.finish)
        self._write_stats(closer)
        _LOG.info("stopped after second %s", closer.last_second)

    async def _run_until(self, stop: asyncio.Event, work: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run the work beside the store queue until ``stop`` or a failure; in the end the queue runs dry."""
        storing = asyncio.create_task(self._queue.run())
        stopping = asyncio.create_task(stop.wait())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            done, _ = await asyncio.wait((stopping, storing, *tasks), return_when=asyncio.FIRST_COMPLETED)
            _LOG.info("stopping: %d records wait for the store", len(self._queue))
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)
            await self._queue.stop()
            await asyncio.gather(storing, return_exceptions=True)
        for task in (*done, storing):
            task.result()  # raises what it failed with

    async def _ask_markets(self, adapters: Sequence[ExchangeAdapter]) -> None:
        """Ask until one exchange at least has said what its markets are."""
        remembered = self._store.instruments()
        async with aiohttp.ClientSession() as session:
            while True:
                answers = await asyncio.gather(
                    *(open_markets(a, remembered, session, self._pauses) for a in adapters)
                )
                self._known |= {a.name: answer for a, answer in zip(adapters, answers, strict=True) if answer}
                if self._known:
                    return
                _LOG.error("no exchange says what its markets are; trying again in %g s", _NO_MARKETS_PAUSE_S)
                await asyncio.sleep(_NO_MARKETS_PAUSE_S)

    async def _await_missing(self, missing: Sequence[ExchangeAdapter]) -> None:
        """Return when one of these exchanges has said what its markets are."""
        self._tally.missing_exchanges = tuple(adapter.name for adapter in missing)
        first_s, cap_s = _MISSING_PAUSES_S
        backoff = Backoff(first_s, cap_s)
        async with aiohttp.ClientSession() as session:
            while True:
                await asyncio.sleep(backoff.next_s(lasted_s=0.0))
                for adapter in missing:
                    if answer := await open_markets(adapter, (), session, self._pauses):
                        _LOG.warning("markets: %s has answered; everything begins anew with it", adapter.name)
                        self._known[adapter.name] = answer
                        self._tally.missing_exchanges = ()
                        return

    async def _await_changes(
        self, adapters: Sequence[ExchangeAdapter], instruments: Sequence[Instrument]
    ) -> None:
        """Return when the exchanges' metadata changes what is to be collected."""
        said = await self._choice.until_changed(adapters, self._known, instruments)
        self._known |= {name: tuple(markets) for name, markets in said.items()}

    def _interest(self, instruments: Sequence[Instrument], closer: Closer) -> InterestPollers:
        def put(ticker: DerivativeTicker) -> None:
            self._tally.interest_ns[ticker.market] = ticker.exchange_ns
            closer.board.put(ticker)

        return InterestPollers(
            instruments,
            self._settings.endpoints,
            self._clock,
            put,
            every_s=self._settings.interest_interval_s,
            market_ns=closer.offsets.market_ns,
            pauses=self._pauses,
        )

    def _make_queue(self) -> StoreQueue:
        return StoreQueue(
            self._store, _CAPACITY, self._on_stored, self._on_store_failed, self._tally.writes.note
        )

    def _make_closer(self, instruments: Iterable[Instrument], continuity: Mapping[str, Continuity]) -> Closer:
        return Closer(
            self._settings.collector,
            [instrument.market for instrument in instruments],
            started_ns=self._clock.now_ns(),
            watermark_ms=self._settings.watermark_ms,
            horizon_s=self._settings.revision_horizon_s,
            silence_limit_s=self._settings.silence_limit_s,
            interest_every_s=self._settings.interest_interval_s,
            continuity=continuity,
        )

    def _recoverer(
        self, pasts: Mapping[str, PastTrades | None], instruments: Iterable[Instrument], intake: Intake
    ) -> Recoverer:
        return Recoverer(pasts, instruments, intake, self._clock, renew=self._renew, pauses=self._pauses)

    def _renew(self, market: str, reason: str) -> None:
        for connection in self._connections:
            if market in connection.plan.markets:
                connection.renew(reason)

    def _recover(self, closer: Closer) -> None:
        """Go on after the last stored second, with the journal's trades; or begin where the settings say."""
        name = self._settings.collector
        last = self._store.last_second(name)
        if last is None:
            if self._settings.first_second:
                closer.builder.begin(self._settings.first_second)
            return
        first = last - self._settings.revision_horizon_s + 1
        closer.resume(self._store.records(first, last + 1, [name]), *self._journal.split(first, last))
        for damage in self._journal.damages:
            _LOG.error("journal: %s", damage)
        if self._journal.torn_bytes:
            _LOG.warning("journal: an unfinished append of %d bytes was cut off", self._journal.torn_bytes)
        behind_s = self._clock.now_ns() // NS_PER_SECOND - last
        if behind_s < -1:
            _LOG.warning("the store is %d s ahead of the clock; nothing is closed until then", -behind_s)
        if behind_s > LONG_S:
            _LOG.warning(
                "the store ends %d s before the clock; closed on once an exchange is heard", behind_s
            )
        _LOG.info("recovered: goes on after second %d, %d s behind the clock", last, behind_s)

    async def _close_seconds(self, closer: Closer, intake: Intake) -> None:
        refusals, standstills = RefusalLog(), StandstillWatch(self._clock, self._connections, intake)
        while True:
            now_ns, due_ns = self._clock.now_ns(), closer.due_local_ns()
            if now_ns < due_ns:
                await standstills.wait_until(min(due_ns, now_ns + _LOOK_AGAIN_NS))
                continue
            record = closer.close(now_ns)
            intake.closed(record.second, now_ns)
            self._tally.bars += len(record.bars)
            self._tally.revisions += len(record.revisions)
            self._tally.covered = len(record.covered)
            refusals.say(closer.take_refused(), now_ns)
            self._tally.records += 1
            await self._queue.put(record)
            await asyncio.sleep(0)  # hours may have to be closed one after the other; the feeds come first

    async def _keep_house(self, closer: Closer) -> None:
        """Once a second the statistics, every few the journal on disk, every minute the heartbeat."""
        turn, settings = 0, self._settings
        journal = JournalKeeping(
            self._journal, self._tally, self._clock, settings.journal_hours, self._queue.__len__
        )
        before = self._snapshot(closer)
        while True:
            await self._clock.wait_until(self._clock.now_ns() + NS_PER_SECOND)
            turn += 1
            self._write_stats(closer)
            if turn % _SYNC_SECONDS == 0:
                await journal.turn(prune=turn % _HEARTBEAT_SECONDS == 0)
            if turn % _HEARTBEAT_SECONDS == 0:
                now = self._snapshot(closer)
                _heartbeat(before, now)
                before = now

    def _snapshot(self, closer: Closer) -> Stats:
        stepped_ns, skew_ns = self._clock.wall_lead_ns(), closer.offsets.market_offset_ns()
        return self._tally.snapshot(
            collector=self._settings.collector,
            last_second=closer.last_second,
            markets=len(closer.ledger.markets),
            counts=closer.builder.counts,
            reconnects=self._reconnects(),
            pending_records=len(self._queue),
            offsets_ns={name: each + stepped_ns for name, each in closer.offsets.skews_ns().items()},
            skew_ns=None if skew_ns is None else skew_ns + stepped_ns,
        )

    def _reconnects(self) -> dict[str, int]:
        return {reason: sum(each.stats.reopened[reason] for each in self._connections) for reason in REASONS}

    def _write_stats(self, closer: Closer) -> None:
        path = self._settings.run_dir / "collector.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_json(path, self._snapshot(closer), indented=True)
        except OSError as error:
            if not self._is_mute:  # a full disk would be given a line a second
                _LOG.error("statistics cannot be written: %s; this is said once", error)
            self._is_mute = True
        else:
            self._is_mute = False

    def _on_stored(self, records: tuple[ClosingRecord, ...]) -> None:
        assert self._closer is not None  # noqa: S101 - records come from it; narrows the type
        now_ns = self._closer.offsets.market_ns(self._clock.now_ns())
        delays_ms = [(now_ns - (record.second + 1) * NS_PER_SECOND) / 1e6 for record in records]
        for delay_ms in delays_ms:
            self._tally.stored(delay_ms)
        if self._outlets is not None:
            self._outlets.stored(records, delays_ms)
        if self._keeping is not None:
            self._keeping.stored()

    def _on_store_failed(self) -> None:
        self._tally.store_failures += 1


def _heartbeat(before: Stats, now: Stats) -> None:
    delay = "no" if now.closing_delay_ms is None else "{} (at most {}) ms".format(*now.closing_delay_ms)
    _LOG.info(
        "1s flow: second %s closed, %d of %d markets covered; in the last minute %d trades, %d bars,"
        " %d revisions; %s from a second's end to the store, clock skew %s ms, %d records wait",
        now.last_second,
        now.covered,
        now.markets,
        now.trades_received - before.trades_received,
        now.bars - before.bars,
        now.revisions - before.revisions,
        delay,
        now.skew_ms,
        now.pending_records,
    )


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, _T]) -> _T | None:
    """The work's result; None where ``stop`` came first."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
