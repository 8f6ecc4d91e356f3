"""Which trades one market lacks: told by ids that were passed over, and by when nothing could come.

Where ids are a sequence, an id that is passed over is a gap: the ids between, and the times of the trades
around them. Where ids say nothing, a gap is what lies between the last trade before a connection's end and
the first one after it. In both a market whose connection is down, or that is silent beyond its limit, is
*pending* until its next trade: an id that follows the last one says that nothing was missed, and so does,
where the exchange replays its newest trades, an older one than the last known among them. Of a market that
was live and never heard it is the second from which on it was live that takes the last trade's place.

Times: ``_ns`` of trades and gaps are the exchange's, ``now_ns`` is local time, seconds are market time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from squeezeflow_plugin.bars.holes import (
    BROKEN,
    MAX_GAPS,
    TRY_AGAIN_NS,
    Holes,
    Lost,
    Missing,
    Pending,
    touched,
)
from squeezeflow_plugin.bars.spans import FAR, Span, union, within, without
from squeezeflow_plugin.bars.uncovered import Uncovered
from squeezeflow_plugin.feeds.blocks import TIME, TradeBlock
from squeezeflow_plugin.feeds.recovery import Continuity, Gap
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

LATE_NS = 3 * NS_PER_SECOND
"""So far out of order trades may come."""
ASK_AFTER_LIVE_NS = 5 * NS_PER_SECOND
"""So long a market that is back may show by a trade of its own what was missed."""
MAX_JUMP = 1_000_000
"""Ids further from the last one than this belong to another sequence."""
KEEP_S = 7200


class MarketGaps:
    """One market. ``accepts`` says whether a trade can still be merged into its bar."""

    __slots__ = (
        "_accepts", "_cleared", "_left_out", "_second", "_since", "_told", "_whole", "base",
        "continuity", "holes", "lacking", "last", "last_id", "last_ns", "market", "pending",
    )  # fmt: skip

    def __init__(self, market: str, continuity: Continuity, accepts: Callable[[Trade], bool]) -> None:
        self.market = market
        self.continuity = continuity
        self.last = -1
        """The newest id of the sequence; -1 before the first, and where there is none."""
        self.last_id = ""
        self.last_ns = 0
        """Of the last trade; where it was live and none came, the second from which on it was."""
        self.base: int | None = None
        """The second of the first trade, or, where it was live and none came, from which on it was."""
        self.pending: Pending | None = None
        self.holes = Holes(market, is_sequence=continuity.sequence)
        self._accepts = accepts
        self._since = FAR  # the second it was first live in
        self._whole = FAR  # the first one all of whose trades can be known
        self._second = -1  # the last one that was settled
        self._told: list[Span] = []  # the doubted seconds as the ledger knows them
        self._cleared: list[Span] = []  # seconds it must learn are complete, unless they are doubted
        self._left_out: list[int] = []
        self.lacking: list[Span] = []  # seconds whose bars may lack trades, whatever is asked for

    @property
    def _late_ns(self) -> int:
        """How long before the last trade a gap begins: where ids tell nothing, one may have been late."""
        return 0 if self.continuity.sequence else LATE_NS

    @property
    def is_troubled(self) -> bool:
        """Whether there is anything to settle or to ask."""
        return bool(self.holes.is_troubled or self.pending or self._told or self._cleared or self.lacking)

    def take(self, trade: Trade, *, recovered: bool = False) -> None:
        """A trade that was merged, or is about to be."""
        if self.base is None:
            self.base = trade.second
            # of the second in which it all began nobody knows the beginning, unless it was live before
            self._whole = self.base + (self._since >= self.base)
        if self.continuity.sequence:
            if trade.trade_id.isdecimal():
                newest = int(trade.trade_id)
                self._take_ids(newest - trade.count + 1, newest, trade, recovered)
        else:
            self._take_time(trade, recovered)

    def take_block(self, block: TradeBlock, newest: int) -> bool:
        """The same for its trades in a block, row ``newest`` being the last one of the latest time.

        False, and nothing is taken, where another of them may tell something.
        """
        is_told = self.continuity.sequence or (self.continuity.replayed and len(self.holes) > 0)
        if is_told or self.base is None or self.pending is not None:
            return False
        if (newest_ns := int(block.ints[newest, TIME])) >= self.last_ns:
            self.last_id, self.last_ns = block.id_of(newest), newest_ns
        return True

    def leave_out(self, trade_id: str) -> None:
        """A trade that is not counted by design came: its id is not missing."""
        if self.continuity.sequence and trade_id.isdecimal():
            number = int(trade_id)
            if 0 <= self.last == number - 1:
                self.last, self.last_id = number, trade_id
                self._back()
            elif number <= self.last:
                self.holes.fill(number, number, self.last_ns)
            elif len(self._left_out) < MAX_GAPS:
                # One further ahead shows its gap with the next trade, which has a time.
                self._left_out.append(number)

    def wants(self, gap: Gap, trades: Iterable[Trade]) -> list[Trade]:
        """Those of the trades asked for by that gap that are not in hand yet, as far as ids tell."""
        missing = self.holes.missing()
        return [trade for trade in trades if not trade.liquidation and self._lacks(gap, trade, missing)]

    def _lacks(self, gap: Gap, trade: Trade, missing: Missing) -> bool:
        if not self.continuity.sequence:
            return gap.after_ns <= trade.exchange_ns and (
                not gap.before_ns or trade.exchange_ns <= gap.before_ns
            )
        if not trade.trade_id.isdecimal():
            return False
        newest = int(trade.trade_id)
        first = newest - trade.count + 1
        if newest <= self.last:
            return missing.hold(first, newest, trade.exchange_ns)
        is_after = bool(gap.after_id) or gap.after_ns <= trade.exchange_ns
        return not gap.before_id and first > self.last and is_after

    def show(self, gap: Gap, trades: Iterable[Trade]) -> None:
        """The exchange answered with these, whether they can be merged or not.

        Where no trade before the gap was known, the oldest of them tells which id is the first of it.
        """
        if self.continuity.sequence and not gap.after_id:
            shown = [
                (int(each.trade_id) - each.count + 1, each.exchange_ns)
                for each in trades
                if each.trade_id.isdecimal() and gap.after_ns <= each.exchange_ns
            ]
            if shown:
                self.holes.begin_with(*min(shown))

    def down(self, second: int) -> None:
        """From this second on trades may be missed; it may lie back."""
        if self.base is None and self._since == FAR:
            return
        first = min(self._since, second)
        base = self._begin(first, first) if self.base is None else self.base
        # a clock that went ahead makes it seem later than it was; nothing is known after the last trade
        known_ns = self.last_ns if self.pending is None else self.pending.after_ns
        second = max(min(second, (known_ns - self._late_ns) // NS_PER_SECOND), base)
        if self.pending is None:
            self.pending = Pending(second, self.last_id, self.last_ns)
        else:
            self.pending.start = min(self.pending.start, second)
            self.pending.live_ns = -1
            self.pending.doubts = True

    def live(self, second: int, now_ns: int) -> None:
        """Trades come again, or would if there were any."""
        self._since = min(self._since, second)
        if self.pending is not None and self.pending.live_ns < 0:
            self.pending.live_ns, self.pending.live_second = now_ns, second
            self.pending.next_ns = now_ns + ASK_AFTER_LIVE_NS

    def silent(self, second: int, now_ns: int) -> None:
        """Connected, but without a trade for so long that the exchange is asked whether it has any."""
        if self.base is None and self._since != FAR:
            self._begin(self._since, self._since)
        if self.base is not None and self.pending is None:
            self.pending = Pending(second, self.last_id, self.last_ns, now_ns, second, now_ns, doubts=False)

    def resume(self, uncovered: Uncovered) -> None:
        """The next trades, up to ``interrupted``, are of an earlier run, which left these seconds uncovered.

        No id tells what was missed before the first of them; the first of these seconds does.
        """
        if self.continuity.sequence:
            first = uncovered.spans[0][0]
            self._begin(uncovered.since, first)
            self.pending = Pending(first, self.last_id, self.last_ns)

    def interrupted(self, uncovered: Uncovered) -> None:
        """The trades so far are of an earlier run, which left these seconds uncovered."""
        if not self.continuity.sequence:
            self._reopen(uncovered)
            return
        start = max(min(uncovered.spans[-1][0], self.last_ns // NS_PER_SECOND), uncovered.since)
        self.pending = Pending(start, self.last_id, self.last_ns)
        # What was not covered before, and is no hole by its ids, is complete by them.
        self._cleared.append((uncovered.spans[0][0], start))

    def _begin(self, base: int, after: int) -> int:
        """Nothing was heard yet, and from second ``after`` on everything can be asked for."""
        self.base = self._whole = base
        self.last_ns = after * NS_PER_SECOND
        return base

    def _reopen(self, uncovered: Uncovered) -> None:
        """Ask again for everything that was not covered, of which the times of trades alone tell."""
        self._begin(uncovered.since, uncovered.since)
        for span, before, after in uncovered.missed():
            last_id, last_ns = "", span[0] * NS_PER_SECOND
            if before is not None:
                last_id, last_ns = before.trade_id, before.exchange_ns
            if after is not None:
                self.holes.miss_time(last_id, last_ns - self._late_ns, after, span)
                self._cleared.append(span)  # the answer may come before the hole is told
            else:
                self.last_id, self.last_ns = last_id, last_ns
                self.down(span[0])

    def doubted(self, second: int, now_ns: int) -> list[Span]:
        """The seconds up to ``second`` that are not known to be complete."""
        spans = self.holes.doubted(second - KEEP_S, now_ns)
        if self.pending is not None and self.pending.doubts:
            spans.append((self.pending.start, max(second, self.pending.start) + 1))
        return within(union([*spans, *self.lacking]), second - KEEP_S, FAR)

    def settle(self, second: int, now_ns: int) -> tuple[list[Span], list[Span]]:
        """What has changed since the last call about the seconds to ``second``: doubted, doubted no more."""
        self._second = second
        doubted = self.doubted(second, now_ns)
        told = within(self._told, second - KEEP_S, FAR)
        cleared = union([*told, *self._cleared])
        self._told, self._cleared = doubted, []
        return without(doubted, told), within(without(cleared, doubted), self._whole, FAR)

    def due(self, now_ns: int) -> Iterator[Gap]:
        """What to ask the exchange for now."""
        yield from self.holes.due(now_ns)
        if (waits := self.pending) is not None and waits.live_ns >= 0 and waits.next_ns <= now_ns:
            yield self._gap(waits)

    def answered(self, gap: Gap, complete: bool, now_ns: int) -> None:
        """The exchange was asked at ``now_ns`` and what it gave was taken; ``complete`` says that it gave all
        it has."""
        if gap.before_id:
            self.holes.answered(gap, complete, now_ns)
        elif (waits := self.pending) is not None and gap == self._gap(waits) and waits.live_ns <= now_ns:
            self._answer_pending(waits, complete, now_ns)

    def postpone(self, gap: Gap, until_ns: int) -> None:
        """The exchange could not be asked; not before then again."""
        if gap.before_id:
            self.holes.postpone(gap, until_ns)
        elif self.pending is not None:
            self.pending.next_ns = until_ns

    def give_up(self, gap: Gap, reason: str) -> None:
        """Nobody can fill it: its seconds stay doubted. An open end waits for the next trade."""
        if gap.before_id:
            self.holes.give_up(gap, reason)
        else:
            self.postpone(gap, FAR)

    def expire(self, oldest: int) -> None:
        """Give up what lies wholly before second ``oldest``, because it could not be merged any more."""
        self.holes.expire(oldest)

    def take_lost(self) -> tuple[Lost, ...]:
        """What was given up since the last call."""
        return self.holes.take_lost()

    def _take_ids(self, first: int, newest: int, trade: Trade, recovered: bool) -> None:
        if self.last >= 0 and abs(newest - self.last) > MAX_JUMP:
            if newest < self.last and trade.exchange_ns <= self.last_ns:
                return
            gap = Gap(self.market, self.last_id, self.last_ns, trade.trade_id, trade.exchange_ns)
            self.holes.lose(gap, touched(self.last_ns, trade.exchange_ns), BROKEN)
        elif newest <= self.last:
            if self._accepts(trade):
                self.holes.fill(first, newest, trade.exchange_ns)
            return
        elif first > self.last + 1 and (self.last >= 0 or self._lacks_beginning(trade, recovered)):
            # What shows after a reconnect is not merely late.
            since_ns = 0 if self.pending is not None else trade.received_ns
            last = self.last_id, self.last_ns, self.last + 1
            self.holes.miss_ids(*last, first, trade.exchange_ns, since_ns=since_ns)
            for number in self._left_out:
                self.holes.fill(number, number, trade.exchange_ns)
        self._left_out.clear()
        self.last, self.last_id, self.last_ns = newest, trade.trade_id, trade.exchange_ns
        if not recovered:
            self._back()

    def _lacks_beginning(self, trade: Trade, recovered: bool) -> bool:
        """Whether there may be trades between the second from which on it was live and its first one."""
        waits = self.pending
        return waits is not None and (waits.doubts or recovered) and self.last_ns <= trade.exchange_ns

    def _back(self) -> None:
        """Everything up to a trade that came while live is in hand, or is a hole of its own."""
        if self.pending is not None and self.pending.live_ns >= 0:
            # Told or not yet, these seconds are doubted no more, the cut one among them.
            last = max(self.pending.live_second, self.pending.start, self._second)
            self._cleared.append((self.pending.start, last + 1))
            self.pending = None

    def _take_time(self, trade: Trade, recovered: bool) -> None:
        waits = self.pending
        if self.continuity.replayed and not recovered:
            self._overlap(trade)
            waits = self.pending
        if waits is None or recovered or not waits.doubts:
            if trade.exchange_ns >= self.last_ns:
                self.last_id, self.last_ns = trade.trade_id, trade.exchange_ns
            if waits is not None and not recovered:
                self._back()  # it was quiet
            return
        # one that happened before it went live does not end it: what happened in between was not sent
        if waits.live_ns < 0 or trade.exchange_ns < max(
            waits.after_ns, (waits.live_second + 1) * NS_PER_SECOND
        ):
            return
        span = waits.start, max(waits.live_second, waits.start) + 1
        self.holes.miss_time(waits.after_id, waits.after_ns - self._late_ns, trade, span)
        self._back()
        self.last_id, self.last_ns = trade.trade_id, trade.exchange_ns

    def _overlap(self, trade: Trade) -> None:
        """A trade from before a gap's beginning comes again: everything since is replayed with it."""
        if self.pending is not None and trade.exchange_ns <= self.pending.after_ns - self._late_ns:
            self._back()
        self.holes.replayed(trade.exchange_ns)

    def _answer_pending(self, waits: Pending, complete: bool, now_ns: int) -> None:
        if complete:
            self._back()
        elif waits.tries >= len(TRY_AGAIN_NS):
            waits.next_ns = FAR
        else:
            waits.next_ns = now_ns + TRY_AGAIN_NS[waits.tries]
            waits.tries += 1

    def _gap(self, waits: Pending) -> Gap:
        return Gap(self.market, waits.after_id, waits.after_ns - self._late_ns)
