"""Which trades one market lacks: told by ids that were passed over, and by when nothing could come.

Where ids are a sequence, an id that is passed over is a gap: the ids between, and the times of the trades
around them. Where ids say nothing, a gap is what lies between the last trade before a connection's end and
the first one after it. In both a market whose connection is down, or that is silent beyond its limit, is
*pending* until its next trade: an id that follows the last one says that nothing was missed, and so does,
where the exchange replays its newest trades, an older one than the last known among them.

Times: ``_ns`` of trades and gaps are the exchange's, ``now_ns`` is local time, seconds are market time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from squeezeflow_plugin.bars import holes
from squeezeflow_plugin.bars.holes import FAR, Hole, Lost, Pending, Uncovered, touched
from squeezeflow_plugin.bars.spans import Span, union, within, without
from squeezeflow_plugin.feeds.blocks import TIME, TradeBlock
from squeezeflow_plugin.feeds.recovery import Continuity, Gap
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

ASK_NS = NS_PER_SECOND
"""So long a jump may be a trade that is merely late; then it is asked for."""
DOUBT_NS = 2 * NS_PER_SECOND
"""So long it may be repaired before its seconds are doubted."""
LATE_NS = 3 * NS_PER_SECOND
"""So far out of order trades may come."""
ASK_AFTER_LIVE_NS = 5 * NS_PER_SECOND
"""So long a market that is back may show by a trade of its own what was missed."""
TRY_AGAIN_NS = (5 * NS_PER_SECOND, 30 * NS_PER_SECOND)
"""Waits after an answer that lacked the trades, because it may be behind; then they are given up."""
MAX_GAPS = 200
"""Of one market at once; the oldest is given up."""
MAX_JUMP = 1_000_000
"""Ids further from the last one than this belong to another sequence."""
KEEP_S = 7200


class MarketGaps:
    """One market. ``accepts`` says whether a trade can still be merged into its bar."""

    __slots__ = (
        "_accepts", "_cleared", "_holes", "_is_cut", "_left_out", "_lost", "_second", "_since", "_spans",
        "_told", "base", "continuity", "lacking", "last", "last_id", "last_ns", "market", "pending",
    )  # fmt: skip

    def __init__(self, market: str, continuity: Continuity, accepts: Callable[[Trade], bool]) -> None:
        self.market = market
        self.continuity = continuity
        self.last = -1
        """The newest id of the sequence; -1 before the first, and where there is none."""
        self.last_id = ""
        self.last_ns = 0
        self.base: int | None = None
        """The second of the first trade known: what came before it nobody knows."""
        self.pending: Pending | None = None
        self._accepts = accepts
        self._since = FAR  # the second it was first live in, and whether that ended before its first trade
        self._is_cut = False
        self._second = -1  # the last one that was settled
        self._told: list[Span] = []  # the doubted seconds as the ledger knows them
        self._cleared: list[Span] = []  # seconds it must learn are complete, unless they are doubted
        self._holes: list[Hole] = []
        self._left_out: list[int] = []
        self._spans: list[Span] = []  # of gaps given up
        self._lost: list[Lost] = []
        self.lacking: list[Span] = []  # seconds whose bars may lack trades, whatever is asked for

    @property
    def _late_ns(self) -> int:
        """How long before the last trade a gap begins: where ids tell nothing, one may have been late."""
        return 0 if self.continuity.sequence else LATE_NS

    @property
    def is_troubled(self) -> bool:
        """Whether there is anything to settle or to ask."""
        return bool(self._holes or self.pending or self._spans or self._told or self._cleared or self.lacking)

    def take(self, trade: Trade, *, recovered: bool = False) -> None:
        """A trade that was merged, or is about to be."""
        if self.base is None:
            self.base = trade.exchange_ns // NS_PER_SECOND
            if self._is_cut and self._since <= self.base:
                gap = Gap(self.market, "", self._since * NS_PER_SECOND, trade.trade_id, trade.exchange_ns)
                self._lose(gap, (self._since, self.base + 1), holes.UNHEARD)
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
        is_told = self.continuity.sequence or (self.continuity.replayed and bool(self._holes))
        if is_told or self.base is None or self.pending is not None:
            return False
        if (newest_ns := int(block.ints[newest, TIME])) >= self.last_ns:
            self.last_id, self.last_ns = block.id_of(newest), newest_ns
        return True

    def leave_out(self, trade_id: str) -> None:
        """A trade that is not counted by design came: its id is not missing."""
        if self.continuity.sequence and trade_id.isdecimal() and self.last >= 0:
            number = int(trade_id)
            if number == self.last + 1:
                self.last, self.last_id = number, trade_id
                self._back()
            elif number <= self.last:
                self._fill(number, number, self.last_ns)
            elif len(self._left_out) < MAX_GAPS:
                # One further ahead shows its gap with the next trade, which has a time.
                self._left_out.append(number)

    def wants(self, gap: Gap, trade: Trade) -> bool:
        """Whether a trade that was asked for by that gap is not in hand yet, as far as ids tell."""
        if trade.liquidation:
            return False
        if not self.continuity.sequence:
            return gap.after_ns <= trade.exchange_ns and (
                not gap.before_ns or trade.exchange_ns <= gap.before_ns
            )
        if not trade.trade_id.isdecimal():
            return False
        newest = int(trade.trade_id)
        if newest > self.last:
            return not gap.before_id and newest - trade.count + 1 > self.last
        first = newest - trade.count + 1
        return any(hole.first <= first and newest <= hole.last for hole in self._holes)

    def down(self, second: int) -> None:
        """From this second on trades may be missed; it may lie back."""
        if self.base is None:
            self._is_cut = self._since != FAR
            return
        # a clock that went ahead makes it seem later than it was; nothing is known after the last trade
        known_ns = self.last_ns if self.pending is None else self.pending.after_ns
        second = max(min(second, (known_ns - self._late_ns) // NS_PER_SECOND), self.base)
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
        if self.base is not None and self.pending is None:
            self.pending = Pending(second, self.last_id, self.last_ns, now_ns, second, now_ns, doubts=False)

    def interrupted(self, uncovered: Uncovered) -> None:
        """The trades so far are of an earlier run, which left these seconds uncovered."""
        if not self.continuity.sequence:
            self._reopen(uncovered)
            return
        for hole in self._holes:
            hole.since_ns = hole.next_ns = 0
        self.down(uncovered.spans[-1][0])
        if self.base is None:
            self._since, self._is_cut = uncovered.spans[-1][0], True
        elif self.pending is not None:
            # What was not covered before, and is no hole by its ids, is complete by them.
            self._cleared.append((self.base + 1, self.pending.start))

    def _reopen(self, uncovered: Uncovered) -> None:
        """Ask again for everything that was not covered, of which the times of trades alone tell."""
        self.base = uncovered.since
        for span, before, after in uncovered.missed():
            last_id, last_ns = "", span[0] * NS_PER_SECOND
            if before is not None:
                last_id, last_ns = before.trade_id, before.exchange_ns
            if after is not None:
                ends = last_id, last_ns - self._late_ns, after.trade_id, after.exchange_ns
                self._open(Hole(*ends, -1, -1, span, 0, 0))
                self._cleared.append(span)  # the answer may come before the hole is told
            else:
                self.last_id, self.last_ns = last_id, last_ns
                self.down(span[0])

    def doubted(self, second: int, now_ns: int) -> list[Span]:
        """The seconds up to ``second`` that are not known to be complete."""
        self._spans = within(self._spans, second - KEEP_S, FAR)
        spans = [hole.span for hole in self._holes if now_ns - hole.since_ns >= DOUBT_NS]
        if self.pending is not None and self.pending.doubts:
            spans.append((self.pending.start, max(second, self.pending.start) + 1))
        return within(union([*self._spans, *spans, *self.lacking]), second - KEEP_S, FAR)

    def settle(self, second: int, now_ns: int) -> tuple[list[Span], list[Span]]:
        """What has changed since the last call about the seconds to ``second``: doubted, doubted no more."""
        self._second = second
        doubted = self.doubted(second, now_ns)
        told = within(self._told, second - KEEP_S, FAR)
        cleared = union([*told, *self._cleared])
        self._told, self._cleared = doubted, []
        # Of the second in which it all began nobody knows the beginning, unless it was live before.
        known = FAR if self.base is None else self.base + (self._since >= self.base)
        return without(doubted, told), within(without(cleared, doubted), known, FAR)

    def due(self, now_ns: int) -> Iterator[Gap]:
        """What to ask the exchange for now."""
        for hole in self._holes:
            if hole.next_ns <= now_ns:
                yield self._gap(hole)
        if (waits := self.pending) is not None and waits.live_ns >= 0 and waits.next_ns <= now_ns:
            yield Gap(self.market, waits.after_id, waits.after_ns - self._late_ns)

    def answered(self, gap: Gap, complete: bool, now_ns: int) -> None:
        """The exchange was asked and what it gave was taken; ``complete`` says that it gave all it has."""
        if not gap.before_id:
            if self.pending is not None and self.pending.after_id == gap.after_id:
                self._answer_pending(self.pending, complete, now_ns)
            return
        for hole in self._asked(gap):
            if complete and not self.continuity.sequence:
                self._holes.remove(hole)
            elif hole.tries >= len(TRY_AGAIN_NS):
                self._give_up(hole, holes.UNKNOWN)
            else:
                hole.next_ns = now_ns + TRY_AGAIN_NS[hole.tries]
                hole.tries += 1

    def postpone(self, gap: Gap, until_ns: int) -> None:
        """The exchange could not be asked; not before then again."""
        if not gap.before_id:
            if self.pending is not None:
                self.pending.next_ns = until_ns
            return
        for hole in self._asked(gap):
            hole.next_ns = until_ns

    def give_up(self, gap: Gap, reason: str) -> None:
        """Nobody can fill it: its seconds stay doubted. An open end waits for the next trade."""
        if not gap.before_id:
            self.postpone(gap, 1 << 62)
        for hole in self._asked(gap):
            self._give_up(hole, reason)

    def expire(self, oldest: int) -> None:
        """Give up what lies wholly before second ``oldest``, because it could not be merged any more."""
        for hole in [each for each in self._holes if each.span[1] <= oldest]:
            self._give_up(hole, holes.TOO_OLD)

    def take_lost(self) -> tuple[Lost, ...]:
        """What was given up since the last call."""
        taken, self._lost = tuple(self._lost), []
        return taken

    def _take_ids(self, first: int, newest: int, trade: Trade, recovered: bool) -> None:
        if self.last >= 0 and abs(newest - self.last) > MAX_JUMP:
            if newest < self.last and trade.exchange_ns <= self.last_ns:
                return
            gap = Gap(self.market, self.last_id, self.last_ns, trade.trade_id, trade.exchange_ns)
            self._lose(gap, touched(self.last_ns, trade.exchange_ns), holes.BROKEN)
        elif newest <= self.last:
            if self._accepts(trade):
                self._fill(first, newest, trade.exchange_ns)
            return
        elif self.last >= 0 and first > self.last + 1:
            # What shows after a reconnect is not merely late.
            since_ns = 0 if self.pending is not None else trade.received_ns
            before = str(first)
            self._open(
                Hole(
                    self.last_id,
                    self.last_ns,
                    before,
                    trade.exchange_ns,
                    self.last + 1,
                    first - 1,
                    touched(self.last_ns, trade.exchange_ns),
                    since_ns,
                    since_ns + ASK_NS if since_ns else 0,
                )
            )
            for number in self._left_out:
                self._fill(number, number, trade.exchange_ns)
        self._left_out.clear()
        self.last, self.last_id, self.last_ns = newest, trade.trade_id, trade.exchange_ns
        if not recovered:
            self._back()

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
        self._open(
            Hole(
                waits.after_id,
                waits.after_ns - self._late_ns,
                trade.trade_id,
                trade.exchange_ns,
                -1,
                -1,
                (waits.start, max(waits.live_second, waits.start) + 1),
                0,
                0,
            )
        )
        self._back()
        self.last_id, self.last_ns = trade.trade_id, trade.exchange_ns

    def _overlap(self, trade: Trade) -> None:
        """A trade from before a gap's beginning comes again: everything since is replayed with it."""
        if self.pending is not None and trade.exchange_ns <= self.pending.after_ns - self._late_ns:
            self._back()
        if self._holes:
            self._holes = [hole for hole in self._holes if trade.exchange_ns > hole.after_ns]

    def _open(self, hole: Hole) -> None:
        if len(self._holes) >= MAX_GAPS:
            self._give_up(self._holes[0], holes.TOO_MANY)
        self._holes.append(hole)

    def _fill(self, first: int, last: int, at_ns: int) -> None:
        """These ids are in hand: what they were missing from shrinks, splits or is no more."""
        for hole in [each for each in self._holes if each.first <= last and first <= each.last]:
            parts = []
            if hole.first < first:
                parts.append(
                    replace(
                        hole,
                        last=first - 1,
                        before_id=str(first),
                        before_ns=at_ns,
                        span=touched(hole.after_ns, at_ns),
                    )
                )
            if last < hole.last:
                parts.append(
                    replace(
                        hole,
                        first=last + 1,
                        after_id=str(last),
                        after_ns=at_ns,
                        span=touched(at_ns, hole.before_ns),
                    )
                )
            place = self._holes.index(hole)
            self._holes[place : place + 1] = parts

    def _asked(self, gap: Gap) -> list[Hole]:
        """What is left of the gap."""
        if not self.continuity.sequence:
            return [hole for hole in self._holes if hole.after_id == gap.after_id]
        if not gap.before_id:
            return []
        first, last = int(gap.after_id) + 1, int(gap.before_id) - 1
        return [hole for hole in self._holes if first <= hole.first and hole.last <= last]

    def _answer_pending(self, waits: Pending, complete: bool, now_ns: int) -> None:
        if complete:
            self._back()
        elif waits.tries >= len(TRY_AGAIN_NS):
            waits.next_ns = 1 << 62
        else:
            waits.next_ns = now_ns + TRY_AGAIN_NS[waits.tries]
            waits.tries += 1

    def _gap(self, hole: Hole) -> Gap:
        return Gap(self.market, hole.after_id, hole.after_ns, hole.before_id, hole.before_ns)

    def _give_up(self, hole: Hole, reason: str) -> None:
        self._holes.remove(hole)
        self._lose(self._gap(hole), hole.span, reason, hole.last - hole.first + 1 if hole.first >= 0 else 0)

    def _lose(self, gap: Gap, span: Span, reason: str, trades: int = 0) -> None:
        self._spans = union([*self._spans, span])
        self._lost.append(Lost(gap, reason, trades))
