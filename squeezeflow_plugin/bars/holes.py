"""What one market lacks: an open end, and gaps with both ends, which shrink, are asked for or given up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

import msgspec

from squeezeflow_plugin.bars.spans import FAR, Span, union, within
from squeezeflow_plugin.feeds.recovery import Gap
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

ASK_NS = NS_PER_SECOND
"""So long ids that are passed over may be trades that are merely late; then they are asked for."""
DOUBT_NS = 2 * NS_PER_SECOND
"""So long a gap may be repaired before its seconds are doubted."""
TRY_AGAIN_NS = (5 * NS_PER_SECOND, 30 * NS_PER_SECOND)
"""Waits after an answer that lacked the trades, because it may be behind; then they are given up."""
MAX_GAPS = 200
"""Of one market at once; the oldest is given up."""
UNKNOWN = "the exchange does not give them either"
TOO_MANY = "too many gaps at once"
TOO_OLD = "too old to be revised"
BROKEN = "the ids jumped too far"
UNHEARD = "its connection ended before its first trade came, and the exchange does not go back so far"
"""Why gaps stay gaps."""


class Lost(msgspec.Struct, frozen=True):
    """A gap that stays one, and why; ``trades`` how many are missing, 0 where ids do not say."""

    gap: Gap
    reason: str
    trades: int = 0


@dataclass(slots=True)
class Hole:
    """A gap with both ends. ``first`` to ``last`` are its ids where they are a sequence (else -1), ``span``
    the seconds it touches, ``since_ns`` when it showed, ``next_ns`` when it may be asked for.

    Without an ``after_id`` it begins at a time: no trade before it is known, and ``first`` is below any id.
    """

    after_id: str
    after_ns: int
    before_id: str
    before_ns: int
    first: int
    last: int
    span: Span
    since_ns: int
    next_ns: int
    tries: int = 0

    @property
    def gap_ends(self) -> tuple[str, int, str, int]:
        """As a ``Gap`` has them after its market."""
        return self.after_id, self.after_ns, self.before_id, self.before_ns

    @property
    def trades(self) -> int:
        """How many it lacks; 0 where ids do not say."""
        return self.last - self.first + 1 if self.first >= 0 and self.after_id else 0

    def holds(self, first: int, newest: int, at_ns: int) -> bool:
        """Whether a trade of these ids and that time is one of those it lacks."""
        return self.first <= first and newest <= self.last and (bool(self.after_id) or self.after_ns <= at_ns)

    def before(self, number: int, at_ns: int) -> Hole:
        """The part before an id, and a time."""
        span = touched(self.after_ns, at_ns)
        return replace(self, last=number - 1, before_id=str(number), before_ns=at_ns, span=span)

    def after(self, number: int, at_ns: int) -> Hole:
        """The part after an id, and a time."""
        span = touched(at_ns, self.before_ns)
        return replace(self, first=number + 1, after_id=str(number), after_ns=at_ns, span=span)

    def without(self, first: int, newest: int, at_ns: int) -> list[Hole]:
        """What is left of it when a trade of these ids and that time is in hand."""
        parts = []
        # where it begins at a time, nothing is left before a trade of an earlier one
        if self.first < first and (self.after_id or self.after_ns <= at_ns):
            parts.append(self.before(first, at_ns))
        if newest < self.last:
            parts.append(self.after(newest, at_ns))
        return parts


@dataclass(slots=True)
class Pending:
    """Nothing is known from second ``start`` on, after the trade named; ``live_ns`` since when the market
    is back (-1: it is not), in second ``live_second``; ``doubts`` whether its seconds are doubted."""

    start: int
    after_id: str
    after_ns: int
    live_ns: int = -1
    live_second: int = -1
    next_ns: int = 0
    tries: int = 0
    doubts: bool = True


class Missing:
    """What holes lack, as they are now: a whole page of trades is looked up in them by id."""

    __slots__ = ("_by_first", "_firsts", "_newest")

    def __init__(self, holes: Iterable[Hole]) -> None:
        self._by_first = sorted(holes, key=lambda hole: hole.first)
        self._firsts = [hole.first for hole in self._by_first]
        self._newest = list(accumulate((hole.last for hole in self._by_first), max))

    def hold(self, first: int, newest: int, at_ns: int) -> bool:
        """Whether a trade of these ids and that time is missing."""
        place = bisect_right(self._firsts, first)
        while place and newest <= self._newest[place - 1]:  # else all that begin before it end before it
            place -= 1
            if self._by_first[place].holds(first, newest, at_ns):
                return True
        return False


class Holes:
    """Those of one market, in the order they showed, and the seconds of those that were given up."""

    __slots__ = ("_is_sequence", "_lost", "_market", "_open", "_spans")

    def __init__(self, market: str, *, is_sequence: bool) -> None:
        self._market = market
        self._is_sequence = is_sequence
        self._open: list[Hole] = []
        self._spans: list[Span] = []
        self._lost: list[Lost] = []

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def is_troubled(self) -> bool:
        """Whether there is anything to doubt or to ask."""
        return bool(self._open or self._spans)

    def miss_ids(
        self, after_id: str, after_ns: int, first: int, before: int, before_ns: int, *, since_ns: int
    ) -> None:
        """The ids from ``first`` to before ``before``, if any, were not in hand when that one came at
        ``since_ns``; 0 where they cannot come any more.

        ``after_id`` and ``after_ns`` are as a ``Hole`` has them, ``before_ns`` is the time of ``before``.
        """
        if first < before:
            span, next_ns = touched(after_ns, before_ns), since_ns + ASK_NS if since_ns else 0
            ends = after_id, after_ns, str(before), before_ns
            self._add(Hole(*ends, first, before - 1, span, since_ns, next_ns))

    def miss_time(self, after_id: str, after_ns: int, before: Trade, span: Span) -> None:
        """Between a time and a trade others may have been; ids do not say. ``span`` is to be doubted."""
        self._add(Hole(after_id, after_ns, before.trade_id, before.exchange_ns, -1, -1, span, 0, 0))

    def begin_with(self, first: int, at_ns: int) -> None:
        """Of a hole that begins at a time this id is the first, or there are others before it."""
        for place, hole in enumerate(self._open):
            if not hole.after_id and hole.first < first <= hole.last and hole.after_ns <= at_ns:
                self._open[place : place + 1] = [hole.before(first, at_ns), hole.after(first - 1, at_ns)]
                return

    def fill(self, first: int, newest: int, at_ns: int) -> None:
        """These ids are in hand: what they were missing from shrinks, splits or is no more."""
        for hole in [each for each in self._open if each.first <= newest and first <= each.last]:
            place = self._open.index(hole)
            self._open[place : place + 1] = hole.without(first, newest, at_ns)

    def missing(self) -> Missing:
        """What is missing at this moment."""
        return Missing(self._open)

    def replayed(self, at_ns: int) -> None:
        """All since then came again."""
        if self._open:
            self._open = [hole for hole in self._open if at_ns > hole.after_ns]

    def doubted(self, oldest: int, now_ns: int) -> list[Span]:
        """The seconds that lack trades; those before ``oldest`` are forgotten."""
        self._spans = within(self._spans, oldest, FAR)
        return [*self._spans, *(hole.span for hole in self._open if now_ns - hole.since_ns >= DOUBT_NS)]

    def due(self, now_ns: int) -> Iterator[Gap]:
        """What to ask the exchange for now."""
        for hole in self._open:
            if hole.next_ns <= now_ns:
                yield Gap(self._market, *hole.gap_ends)

    def answered(self, gap: Gap, complete: bool, now_ns: int) -> None:
        """The exchange was asked and what it gave was taken; ``complete`` says that it gave all it has.

        Ids that are a sequence say themselves what is still missing, all but the first of them.
        """
        for hole in self._asked(gap):
            if complete and not (self._is_sequence and hole.after_id):
                self._open.remove(hole)
            elif hole.tries >= len(TRY_AGAIN_NS):
                self._give_up(hole, UNKNOWN if hole.after_id else UNHEARD)
            else:
                hole.next_ns = now_ns + TRY_AGAIN_NS[hole.tries]
                hole.tries += 1

    def postpone(self, gap: Gap, until_ns: int) -> None:
        """The exchange could not be asked; not before then again."""
        for hole in self._asked(gap):
            hole.next_ns = until_ns

    def give_up(self, gap: Gap, reason: str) -> None:
        """Nobody can fill it: its seconds stay doubted."""
        for hole in self._asked(gap):
            self._give_up(hole, reason)

    def expire(self, oldest: int) -> None:
        """Give up what lies wholly before second ``oldest``, because it could not be merged any more."""
        for hole in [each for each in self._open if each.span[1] <= oldest]:
            self._give_up(hole, TOO_OLD)

    def lose(self, gap: Gap, span: Span, reason: str, trades: int = 0) -> None:
        """Name a gap that nobody can fill, and doubt its seconds for good."""
        self._spans = union([*self._spans, span])
        self._lost.append(Lost(gap, reason, trades))

    def take_lost(self) -> tuple[Lost, ...]:
        """What was given up since the last call."""
        taken, self._lost = tuple(self._lost), []
        return taken

    def _add(self, hole: Hole) -> None:
        if len(self._open) >= MAX_GAPS:
            self._give_up(self._open[0], TOO_MANY)
        self._open.append(hole)

    def _asked(self, gap: Gap) -> list[Hole]:
        """What is left of the gap."""
        if not self._is_sequence:
            asked = gap.after_id, gap.after_ns
            return [hole for hole in self._open if (hole.after_id, hole.after_ns) == asked]
        first = int(gap.after_id) + 1 if gap.after_id else 0
        last = int(gap.before_id) - 1
        return [hole for hole in self._open if first <= hole.first and hole.last <= last]

    def _give_up(self, hole: Hole, reason: str) -> None:
        self._open.remove(hole)
        self.lose(Gap(self._market, *hole.gap_ends), hole.span, reason, hole.trades)


def touched(after_ns: int, before_ns: int) -> Span:
    """The seconds of anything between two times.

    >>> touched(2_900_000_000, 4_000_000_000)
    (2, 5)
    """
    first, last = sorted((after_ns // NS_PER_SECOND, before_ns // NS_PER_SECOND))
    return first, last + 1
