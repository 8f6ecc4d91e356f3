"""A running bot: it waits for seconds, decides them, logs the decisions, and answers FreqTrade's questions.

FreqTrade swallows an exception of ``bot_loop_start`` and goes on. So every answer here rests on what was
decided and logged: ``advance`` declares the session unfit at its start and fit at its end, and while it
is unfit, or its newest second is old, nothing may be entered. An ``advance`` that was broken off leaves
timelines that cannot be trusted; the next one reads them anew from the store and counts the error. None waits
long for a store that does not answer: FreqTrade's own stop must be looked at in the same loop.

Why ``advance`` waits for one more second after a short call: FreqTrade's worker sleeps what is left of the
throttle second, and a sleep that reaches over the end of a candle is prolonged to one second behind it. A
call that lasted nearly a second leaves nothing to sleep. Where an order follows there is no second
wait: the order goes first.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping

import pandas as pd

from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import EngineError, SqueezeFlowError
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.market import NS_PER_SECOND, Instrument
from squeezeflow_plugin.phases.decision import Decision
from squeezeflow_plugin.phases.exits import Exit
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.tags import EnterTag, event_tag
from squeezeflow_plugin.provider.closings import ClosedSecond
from squeezeflow_plugin.provider.desk import Scored, Watched, open_desk, spec_of
from squeezeflow_plugin.provider.digest import input_digest
from squeezeflow_plugin.provider.fastpath import FastPath
from squeezeflow_plugin.provider.live import NS_PER_MS, LiveFollower
from squeezeflow_plugin.provider.timeline import numbers_of
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision
from squeezeflow_plugin.strategy.columns import shown
from squeezeflow_plugin.strategy.gate import FragilityGate
from squeezeflow_plugin.strategy.opening import STORE_WAIT_S, wait_for_store
from squeezeflow_plugin.strategy.status import StatusFile, position
from squeezeflow_plugin.strategy.trades import Entry, Fill, FillLog, OpenTrade
from squeezeflow_plugin.strategy.vetoes import VetoLog, pair_veto

log = logging.getLogger(__name__)

SHORT_CALL_NS = NS_PER_SECOND // 2
"""A call shorter than this waits for one more second."""
ENTRY_AGE_NS = NS_PER_SECOND
"""How much older than a timely decision the newest one may be for an entry: the bot's own time to order."""
CATCH_UP_S = 300
"""More seconds than these at once are not decided one by one; the timelines are read anew instead."""
REREAD_WAIT_S = 0.2
"""How long a broken session waits for the store before the next loop tries again."""
FILE_POLL_MS, SERVER_POLL_MS = 15, 50  # between two looks at the store: a file costs 0.05 ms, a server 2 ms


class Session:
    """One bot between its start and its end. All calls but ``filled`` come from the bot's own thread.

    ``markets`` says for each traded pair which markets make its flow; ``fast_path`` listens to the bus and
    tells it the decisions. ``errors`` counts the calls of ``advance`` that were broken off.
    """

    def __init__(
        self,
        store: BarStore,
        decisions: DecisionLog,
        settings: Settings,
        markets: Mapping[str, AssetMarkets],
        clock: Clock,
        fast_path: FastPath | None = None,
    ) -> None:
        self.errors = 0
        self._store = store
        self._log = decisions
        self._settings = settings
        self._markets = dict(markets)
        self._clock = clock
        self._fast_path = fast_path
        self._announced = None if fast_path is None else fast_path.listen(settings.collectors, clock)
        self.params = Params.from_mapping(settings.method)
        self._gate = FragilityGate(store, self._markets, settings)
        self._instruments: Collection[Instrument] = ()
        self._finished = True
        self._veto = "no second decided yet"
        self._veto_kind = "start"
        self._vetoes: dict[str, str] = {}
        self._veto_log = VetoLog()
        self._status = StatusFile(settings.data_dir)
        self._newest: dict[str, Decision] = {}
        self._events: dict[str, Decision] = {}
        self._confirmed: dict[tuple[str, int], int] = {}
        self._unwatched: set[int] = set()
        self._fills = FillLog(decisions)
        self._trades: tuple[OpenTrade, ...] = ()
        self._thread = threading.get_ident()

    def start(self, trades: Iterable[OpenTrade] = (), wait_s: float = STORE_WAIT_S) -> None:
        """Read the timelines from the store and stand behind its last complete second.

        Raises StoreEmptyError where the store has none within ``wait_s``.
        """
        stop = wait_for_store(self._store, self._settings, self._clock, wait_s)
        began_ns = self._clock.now_ns()
        self.desk = open_desk(
            self._store, self._markets, spec_of(self._settings), stop, self._watchable(trades)
        )
        self.follower = LiveFollower(
            self._store,
            self._clock,
            self._settings.collectors,
            stop,
            watermark_ms=self._settings.watermark_ms,
            timeout_ms=self._settings.decision_timeout_ms,
            announced=self._announced,
            poll_ms=SERVER_POLL_MS if self._settings.store == "influx" else FILE_POLL_MS,
        )
        self._newest.clear()
        self._events.clear()
        took_s = (self._clock.now_ns() - began_ns) / NS_PER_SECOND
        log.info("%d pairs read up to second %d in %.2f s", len(self._markets), stop - 1, took_s)

    @property
    def pairs(self) -> Collection[str]:
        """The pairs that are scored."""
        return self._markets.keys()

    def instruments(self) -> Collection[Instrument]:
        """What the store knows, as read last where it does not answer."""
        try:
            self._instruments = tuple(self._store.instruments())
        except SqueezeFlowError as error:
            log.warning("the store's instruments are those of before: %s", error)
        return self._instruments

    def score(self, markets: Mapping[str, AssetMarkets], trades: Iterable[OpenTrade]) -> None:
        """Score these pairs from the next second on; new ones are read up to it, the others are forgotten.

        Where the store does not answer, the next ``advance`` reads all of them anew.
        """
        added = {pair: found for pair, found in markets.items() if self._markets.get(pair) != found}
        gone = [pair for pair in self._markets if pair not in markets]
        for kept in (self._markets, self._newest, self._events, self._vetoes):
            for pair in gone:
                kept.pop(pair, None)
        self._veto_log.forget(gone)
        self._markets |= added
        try:
            self.desk.change(gone, self._store, added, spec_of(self._settings), self._watchable(trades))
        except SqueezeFlowError as error:
            self._finished = False
            self._stand_still(f"new pairs could not be read: {error}", type(error).__name__)

    def hold_beside(self, pair: str, markets: AssetMarkets) -> None:
        """Have candles of a pair that is not scored. Raises StoreError."""
        self.desk.hold_beside(self._store, pair, markets, spec_of(self._settings))

    def candles(self, pair: str, seconds: int) -> pd.DataFrame:
        """A pair's candles with flow columns, the last one forming."""
        return self.desk.candles(pair, seconds)

    def advance(self, trades: Iterable[OpenTrade]) -> None:
        """Wait for the next closed second, decide it and every one that is pending, log the decisions.

        What goes wrong with store or engine is named once and counted; nothing may be entered until a later
        call has read the timelines anew and decided a second.
        """
        try:
            self._advance(tuple(trades))
        except SqueezeFlowError as error:
            self.errors += 1
            self._stand_still(f"the last second was not finished: {error}", type(error).__name__)
        self._tell_status()

    def _advance(self, trades: tuple[OpenTrade, ...]) -> None:
        if not self._finished:
            self.start(trades, REREAD_WAIT_S)
        self._finished = False
        self._fills.flush()
        began_ns = self._clock.now_ns()
        self._follow_trades(trades)
        decided = self._next()
        if decided and not self.ordering and self._clock.now_ns() - began_ns < SHORT_CALL_NS:
            self._next()
        self._finished = True

    def entry(self, pair: str) -> Entry | None:
        """The entry that is open for the pair now, None where there is none or a veto stands.

        It stands on the newest decision, logged and in time, and on an event that was decided in its own
        second: one that only a later revision shows has never been.
        """
        entry = self._held_entry(pair)
        return None if entry is None or self.veto(entry.second) else entry

    @property
    def ordering(self) -> frozenset[str]:
        """The pairs for which an order follows on the newest second: an entry of one not held, or an exit."""
        held = {trade.pair for trade in self._trades}
        entering = {pair for pair in self.desk.pairs if pair not in held and self._held_entry(pair)}
        leaving = {each.pair for each in self._trades if self.exit_name(each.pair, each.trade_id)}
        return frozenset(entering | leaving)

    def is_idle(self) -> bool:
        """Whether the next second is not due yet."""
        return self._clock.now_ns() < self.follower.due_ns(self.follower.next_second)

    def event(self, pair: str) -> Decision | None:
        """The pair's newest entry event since this start."""
        return self._events.get(pair)

    def reason(self, pair: str) -> str:
        """Why the pair may not be entered now, empty where an entry would be taken."""
        newest = self._newest.get(pair)
        standing = self.veto(newest.second) if newest else self._veto
        return standing or self._vetoes.get(pair, "no decision")

    def veto(self, second: int) -> str:
        """Why nothing may be entered on a decision of ``second``, whatever the pair; empty where it may."""
        if self._veto:
            return self._veto
        if not self._finished:
            return "the last second was not finished"
        return self._clock_veto(second)

    def _clock_veto(self, second: int) -> str:
        """Why a decision of ``second`` cannot be acted on: the clock is off, or it is old; else empty."""
        skew_ms = self.follower.wall_skew_ns / NS_PER_MS
        if abs(skew_ms) > self._settings.max_clock_skew_ms:
            return f"the clock is {skew_ms:+.0f} ms off market time"
        limit_ns = (
            self._settings.watermark_ms + self._settings.decision_timeout_ms
        ) * NS_PER_MS + ENTRY_AGE_NS
        age_ns = self.follower.market_ns() - (second + 1) * NS_PER_SECOND
        return f"second {second} ended {age_ns / NS_PER_SECOND:.1f} s ago" if age_ns > limit_ns else ""

    def confirm(self, pair: str, tag: EnterTag, direction: int) -> str:
        """Why the order for this entry must not go out, empty where it may; then it counts as confirmed."""
        entry = self.entry(pair)
        if entry is None or (entry.tag, entry.direction) != (tag, direction):
            newest = self._newest.get(pair)
            reason = self.veto(newest.second) if newest else "no decision"
            return reason or self._vetoes.get(pair, "") or "no such entry is open"
        self._confirmed[pair, tag.second] = entry.second
        return ""

    def seconds(self, pair: str, start: int, stop: int) -> Flow:
        """The pair's rows of ``[start, stop)`` that are held; KeyError for a pair that is not scored."""
        rows = self.desk.timelines[pair].rows
        first = rows.stop if rows.first_priced is None else rows.first_priced
        begin = min(max(start, first), rows.stop)
        return rows.flow(begin, max(min(stop, rows.stop), begin))

    def exit_name(self, pair: str, trade_id: int) -> str | None:
        """The exit of an open trade, from the second it first held until the trade is closed."""
        found = self._exit(pair, trade_id)
        return None if found is None else found.name

    def filled(self, trade: OpenTrade, tag: str, fill: Fill) -> None:
        """Log an order's way: when it was placed and when it was filled, with the second that caused it."""
        exit_ = self._exit(trade.pair, trade.trade_id)
        newest = self._newest.get(trade.pair)
        event_second = trade.tag.second if trade.tag else 0
        second = newest.second if newest else 0
        if fill.is_entry:
            second = self._confirmed.get((trade.pair, event_second), second)
        elif exit_ is not None and exit_.name == tag:
            second = exit_.second
        self._fills.put(trade, tag, fill, second)
        if threading.get_ident() == self._thread:
            self._fills.flush()

    def close(self) -> None:
        """Log what is left and close the files."""
        self._fills.flush()
        if self._fast_path is not None:
            self._fast_path.close()
        self._log.close()
        self._store.close()

    def _held_entry(self, pair: str) -> Entry | None:
        decision, event = self._newest.get(pair), self._events.get(pair)
        if decision is None or event is None or not decision.entry or self._vetoes.get(pair):
            return None
        if event.event != decision.entry or decision.second - event.second >= self.params.hold_rows:
            return None
        if self._gate.refuses(pair, event.second):
            return None
        tag = event_tag(event, self._gate.note(pair, event.second))
        return Entry(tag, decision.entry, decision.second)

    def _exit(self, pair: str, trade_id: int) -> Exit | None:
        timeline = self.desk.timelines.get(pair)
        return None if timeline is None else timeline.exits.get(trade_id)

    def _next(self) -> bool:
        """Wait once and decide what came; False where nothing came in time."""
        arrival = self.follower.wait()
        if not arrival.seconds:
            self._stand_still(f"second {self.follower.next_second} was not closed in time", "overdue")
            return False
        if len(arrival.seconds) > CATCH_UP_S:
            log.warning(
                "%d seconds were pending, from %d: they are read as history and not decided",
                len(arrival.seconds),
                arrival.seconds[0].second,
            )
            self.start(self._trades, REREAD_WAIT_S)
            return False
        decided = [item for closed in arrival.seconds for item in self._decide(closed)]
        self._log.append(row for _, row in decided)
        if self._fast_path is not None:
            self._fast_path.tell([row for _, row in decided])
        for scored, _ in decided:
            self._newest[scored.pair] = scored.decision
            row = self.desk.timelines[scored.pair].rows.row(scored.decision.second)
            self._vetoes[scored.pair] = pair_veto(scored.decision, row, self.params.min_coverage)
            if scored.decision.event:
                self._events[scored.pair] = scored.decision
                self._gate.judge(scored.pair, self.desk.timelines[scored.pair].rows, scored.decision)
        if self._veto:
            log.info("second %d was decided, entries are allowed again", arrival.seconds[-1].second)
            self._veto = self._veto_kind = ""
        newest = arrival.seconds[-1].second
        standing = self._clock_veto(newest)
        self._veto_log.note(newest, {pair: standing or reason for pair, reason in self._vetoes.items()})
        return True

    def _decide(self, closed: ClosedSecond) -> Iterator[tuple[Scored, LoggedDecision]]:
        began_ns = self._clock.now_ns()
        for scored in self.desk.push(closed):
            now_ns = self.follower.market_ns()
            decision = scored.decision
            row = self.desk.timelines[scored.pair].rows.row(decision.second)
            yield (
                scored,
                LoggedDecision(
                    scored.pair,
                    decision.second,
                    closed.second,
                    now_ns,
                    (now_ns - (decision.second + 1) * NS_PER_SECOND) / NS_PER_MS,
                    (*shown(numbers_of(decision)).tolist(), input_digest(row)),
                    decision.veto,
                ),
            )
        self._status.decided(self._clock.now_ns() - began_ns)

    def _tell_status(self) -> None:
        """Write down what holds now, for the health page."""
        self._status.tell(
            self._clock.now_ns(),
            self.desk.next_second,
            self.follower.wall_skew_ns / NS_PER_MS,
            self.errors,
            {pair: self.reason(pair) for pair in self.pairs},
            [position(trade, self.exit_name(trade.pair, trade.trade_id)) for trade in self._trades],
        )

    def _stand_still(self, reason: str, kind: str) -> None:
        """Nothing may be entered; the log says so once for each kind of reason."""
        if kind != self._veto_kind:
            log.warning("%s: no entries until seconds are decided again", reason)
        self._veto, self._veto_kind = reason, kind

    def _follow_trades(self, trades: tuple[OpenTrade, ...]) -> None:
        """Watch the open trades and no others; one of an earlier life needs the records since then."""
        self._trades = trades
        open_ids = {trade.trade_id for trade in trades}
        for timeline in self.desk.timelines.values():
            timeline.unwatch(timeline.watched - open_ids)
        for watched in self._watchable(trades):
            try:
                self.desk.timelines[watched.pair].watch(watched.key, watched.event_second, watched.direction)
            except EngineError as error:
                log.warning("%s", error)
                self.start(trades, REREAD_WAIT_S)
                return

    def _watchable(self, trades: Iterable[OpenTrade]) -> list[Watched]:
        """The trades whose exits can be judged; the others are named once and left to the emergency stop."""
        span = self._store.span()
        found = []
        for trade in trades:
            known = trade.tag is not None and span is not None and span[0] <= trade.tag.second < span[1]
            if known and trade.tag is not None and trade.pair in self._markets:
                found.append(Watched(trade.pair, trade.trade_id, trade.tag.second, trade.direction))
            elif trade.trade_id not in self._unwatched:
                self._unwatched.add(trade.trade_id)
                log.warning(
                    "trade %d of %s (%s) has no records in the store: only the stop loss guards it",
                    trade.trade_id,
                    trade.pair,
                    trade.tag,
                )
        return found
