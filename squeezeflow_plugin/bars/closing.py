"""When a second is closed, and the record that says so.

A second is closed once, at a fixed deadline after its end in market time (the watermark), whether
anything happened in it or not; what comes later is a revision and rides with the next record. Records
follow each other second by second without a gap, also over a restart: the seconds missed are closed
one by one, uncovered, with the bars of whatever was received before.

Nothing here asks for the time: the caller hands in local nanoseconds with every event, so that the
same events give the same records.

The first second is chosen when the first exchange's offset is known - a host an hour ahead would
otherwise close an hour that has not happened - or after a grace, when nobody says anything. A start
long after the last stored second has no such grace: a machine without a battery, or one whose time service
did not come up with its network, may be years ahead, and what is closed once is closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from squeezeflow_plugin.bars.builder import BarBuilder
from squeezeflow_plugin.bars.continuity import ContinuityWatch
from squeezeflow_plugin.bars.interest import TickerBoard
from squeezeflow_plugin.bars.ledger import CoverageLedger
from squeezeflow_plugin.bars.offsets import ExchangeOffsets
from squeezeflow_plugin.bars.outcomes import Outcome, Refused
from squeezeflow_plugin.feeds.blocks import TradeBlock
from squeezeflow_plugin.feeds.recovery import Continuity, Gap
from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord, Trade

_NS_PER_MS = 1_000_000
UNHEARD_NS = 2 * NS_PER_SECOND
"""So long a stream may take to bring a trade that the exchange's REST API knows."""
AHEAD_S = 2
"""Trades dated further ahead of market time are in quarantine until their second comes."""
LONG_S = 3600
"""A clock that says that more has passed since the last stored second is believed only with an exchange."""
_NEVER_NS = 1 << 62
MOST_REPLAYED_S = 60
"""Older trades hardly come when a subscription begins."""
_MERGED = frozenset({Outcome.NEW, Outcome.REVISION})


class Closer:
    """One collector's offsets, builder and ledger, wired together. All times given are local nanoseconds.

    >>> closer = Closer("demo", ["X:a"], started_ns=0)
    >>> closer.on_live(["X:a"], at_ns=0)
    >>> closer.on_trades([Trade("X:a", n, str(n), 2.0, 1.0, 2.0, 1, received_ns=n) for n in range(1, 6)])
    >>> closer.due_local_ns()
    1400000000
    >>> closer.close(1_400_000_000).bars[0].cbuy
    5
    >>> closer.close(2_400_000_000).covered
    ('X:a',)
    """

    def __init__(
        self,
        collector: str,
        markets: Iterable[str],
        *,
        started_ns: int,
        watermark_ms: int = 400,
        horizon_s: int = 600,
        silence_limit_s: float = 60.0,
        grace_s: float = 10.0,
        interest_every_s: int = 30,
        continuity: Mapping[str, Continuity] | None = None,
    ) -> None:
        self.collector = collector
        self.offsets = ExchangeOffsets()
        self.builder = BarBuilder(horizon_s)
        self.ledger = CoverageLedger(markets, silence_limit_s)
        self.watch = ContinuityWatch(continuity or {}, self.builder.takes)
        self.board = TickerBoard(interest_every_s)
        self._started_ns = started_ns
        self._watermark_ns = watermark_ms * _NS_PER_MS
        self._grace_ns = int(grace_s * NS_PER_SECOND)
        self._closed_ns = 0
        self._is_settled = False
        self._is_long_after = False
        """Whether, by the local clock, the start came much later than the last stored second."""
        self._called_ns = started_ns
        """Local time of the last close."""
        self._refused: list[Refused] = []
        self._lacking: frozenset[tuple[int, str]] = frozenset()

    @property
    def last_second(self) -> int | None:
        """The last closed second; None before the first."""
        return self.builder.closed

    def resume(
        self, records: Iterable[ClosingRecord], trades: Iterable[Trade], later: Iterable[Trade] = ()
    ) -> None:
        """Go on where an earlier run stopped; to be called first, before any event.

        ``records``: this collector's stored records of the last ``horizon_s`` seconds, in order, the last
        one at least; ``trades``: what the journal holds from the first of those seconds on, in the order of
        receipt, as far as it came before the last record was made; ``later``: what came after that.
        Raises ValueError where there is no record (then there is nothing to resume).
        """
        known: dict[tuple[int, str], Bar] = {}
        since: dict[str, int] = {}
        first = last = None
        for record in records:
            first = record.second if first is None else first
            last = record.second
            self._closed_ns = max(self._closed_ns, record.closed_ns)
            for bar in (*record.bars, *record.revisions):
                known[(bar.second, bar.market)] = bar
            self.ledger.know(record.second, record.covered, record.repaired)
            for market in (*record.covered, *record.uncovered):
                since.setdefault(market, record.second)
        if first is None or last is None:
            raise ValueError("there is no record to resume from")
        self._is_long_after = self._started_ns // NS_PER_SECOND - last > LONG_S
        first = max(first, last - self.builder.horizon_s + 1)
        until = last + self.builder.horizon_s + 1
        heard = self.watch.interrupted(trades, later, self.ledger.intervals(), since, until)
        self.builder.restore(first, last, known.values(), heard)
        # Receive times of an earlier run say nothing about this run's clock.
        self.builder.take_newest()

    def on_trades(self, trades: Sequence[Trade]) -> None:
        """Trades in the order of receipt; a ``received_ns`` of 0 says nothing about time."""
        self.builder.add_all(trades)
        self.watch.add(trades)
        if not self._is_settled:
            self._settle(trades)

    def on_block(self, block: TradeBlock) -> None:
        """The same for trades of one connection that are columns; each has a receive time."""
        if not self._is_settled:
            self.on_trades(block.trades())
            return
        self.builder.add_block(block)
        self.watch.add_block(block)

    def on_live(self, markets: Iterable[str], at_ns: int) -> None:
        """The exchange acknowledged the markets' subscriptions."""
        self.ledger.live(markets, at_ns)
        self.watch.live(markets, self._live_second(at_ns), at_ns)

    def on_down(self, markets: Iterable[str], at_ns: int) -> None:
        """The markets' connection ended, or ended being complete, at that time."""
        self._listen()
        self.ledger.down(markets, at_ns)
        # Of a second whose deadline had not passed trades may be missing; before the first offset is known
        # nobody knows which that is, and none has been closed.
        second = self._second(at_ns - self._watermark_ns)
        if self.offsets.market_offset_ns() is None and self.builder.closed is not None:
            second = min(second, self.builder.closed + 1)
        self.watch.down(markets, second)

    def on_unread(self, markets: Iterable[str], at_ns: int) -> None:
        """What came at that time cannot be read. Where ids are a sequence, they will tell what it was."""
        blind = [market for market in markets if not self.watch.is_sequence(market)]
        self.watch.down(blind, self._second(at_ns - self._watermark_ns))
        self.watch.live(blind, self._live_second(at_ns), at_ns)

    def on_left_out(self, market: str, trade_id: str) -> None:
        """A trade that is not counted by design came."""
        self.watch.leave_out(market, trade_id)

    def on_recovered(self, trades: Iterable[Trade]) -> int:
        """Trades that were asked for, without a receive time; how many could be merged."""
        merged = 0
        for trade in trades:
            if self.builder.add(trade) in _MERGED:
                self.watch.recovered(trade)
                merged += 1
        return merged

    def is_unheard(self, gap: Gap, trades: Iterable[Trade], now_ns: int) -> bool:
        """Whether one of these recovered trades should have come by the market's stream long before now."""
        pending = self.watch.of(gap.market).pending
        if gap.before_id or pending is None or pending.live_ns < 0:
            return False
        first = (pending.live_second + 1) * NS_PER_SECOND if pending.doubts else pending.after_ns + 1
        last = self.offsets.market_ns(now_ns) - UNHEARD_NS
        return any(first <= trade.exchange_ns <= last for trade in trades)

    def on_answered(self, gap: Gap, complete: bool, now_ns: int) -> None:
        """An exchange answered for the gap, and what it gave was handed in.

        A quiet market of which it knows no newer trade is quiet, and complete.
        """
        self.watch.of(gap.market).answered(gap, complete, now_ns)
        if complete and not gap.before_id:
            self.ledger.quiet(gap.market, now_ns)

    def due_local_ns(self) -> int:
        """Local time at which the next second's deadline is reached.

        It moves with the offsets, and much so before the first is known: ask again at least every 100 ms.
        """
        self._listen()
        offset_ns = self.offsets.market_offset_ns()
        begins = self._started_ns
        if offset_ns is None:
            begins = _NEVER_NS if self._is_long_after else self._started_ns + self._grace_ns
        return max(begins, self._deadline_ns(self._next_second(offset_ns or 0), offset_ns or 0))

    def close(self, local_now_ns: int) -> ClosingRecord:
        """Close the next second and say so. Raises ValueError before it is due."""
        if local_now_ns < (due_ns := self.due_local_ns()):
            raise ValueError(f"the next second is due at {due_ns} ns, it is {local_now_ns} ns")
        offset_ns = self.offsets.market_offset_ns() or 0
        second = self._next_second(offset_ns)
        if self.builder.closed is None:
            self.builder.begin(second)
        # Market time never steps back, even where an offset does.
        self._closed_ns = max(self._closed_ns, local_now_ns - offset_ns)
        now_s = self._closed_ns // NS_PER_SECOND
        self.builder.accept_until(now_s + AHEAD_S, now_s + self.builder.horizon_s)
        self._name_refused(local_now_ns)
        self._called_ns = local_now_ns
        bars, revisions = self.builder.close(second)
        deadline_ns = self._deadline_ns(second, offset_ns)
        self.watch.expire(second - self.builder.horizon_s + 1)
        self._name_lacking()
        self._correct(second, local_now_ns)
        covered = self.ledger.close(second, second * NS_PER_SECOND + offset_ns, deadline_ns)
        self.watch.silent(self.ledger.silent, second, local_now_ns)
        return ClosingRecord(
            self.collector,
            second,
            self._closed_ns,
            bars,
            revisions,
            covered,
            tuple(market for market in self.ledger.markets if market not in set(covered)),
            self.ledger.take_repaired(),
            self.board.take(second),
        )

    def take_refused(self) -> tuple[Refused, ...]:
        """Trades that were not merged, as found by the closes since the last call, to be named."""
        taken, self._refused = tuple(self._refused), []
        return taken

    def _correct(self, second: int, local_now_ns: int) -> None:
        for change in self.watch.settle(second, local_now_ns):
            if change.complete:
                self.ledger.repair(change)
            else:
                self.ledger.doubt(change)

    def _name_lacking(self) -> None:
        if self.builder.lacking != self._lacking:
            self._lacking = frozenset(self.builder.lacking)
            self.watch.lack(self._lacking)

    def _live_second(self, at_ns: int) -> int:
        """The second in which trades came again, rather too late than too early.

        Just after a start the trades that exchanges replay make it seem to be earlier than it is, and then
        local time is heard as well: by how much it is off is not known yet.
        """
        second = max(self._second(at_ns), self._closed_ns // NS_PER_SECOND)
        if at_ns - self._started_ns >= self._grace_ns:
            return second
        return min(max(second, at_ns // NS_PER_SECOND), second + MOST_REPLAYED_S)

    def _second(self, local_ns: int) -> int:
        """The second of market time that it is at that local time."""
        return self.offsets.market_ns(local_ns) // NS_PER_SECOND

    def _listen(self) -> None:
        """Offsets and signs of life from the newest trade of each market.

        Once settled not from every trade: thousands of them a window find the minimum as well, and at no
        cost a trade.
        """
        newest = sorted(self.builder.take_newest(), key=lambda trade: (trade.received_ns, trade.market))
        if self._is_settled:
            self._observe(newest)
        for trade in newest:
            self.ledger.seen(trade.market, trade.received_ns)

    def _settle(self, trades: Iterable[Trade]) -> None:
        """Every trade tells the time until an offset is known, however many come at once."""
        for trade in trades:
            self._observe((trade,))
            if self.offsets.market_offset_ns() is not None:
                self._is_settled = True
                return

    def _observe(self, trades: Iterable[Trade]) -> None:
        for trade in trades:
            if trade.received_ns:
                exchange = trade.market.partition(":")[0]
                self.offsets.observe(exchange, trade.exchange_ns, trade.received_ns)

    def _next_second(self, offset_ns: int) -> int:
        closed = self.builder.closed
        return (self._started_ns - offset_ns) // NS_PER_SECOND if closed is None else closed + 1

    def _deadline_ns(self, second: int, offset_ns: int) -> int:
        return (second + 1) * NS_PER_SECOND + self._watermark_ns + offset_ns

    def _name_refused(self, local_now_ns: int) -> None:
        """A trade dated far ahead belongs to a second since the last close, which is thus incomplete."""
        for refused in self.builder.take_refused():
            self._refused.append(refused)
            if refused.outcome is Outcome.AHEAD and self.ledger.is_live(refused.market):
                self.ledger.down([refused.market], self._called_ns)
                self.ledger.live([refused.market], local_now_ns)
