"""What a market lacks, as ``gaps`` keeps it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from squeezeflow_plugin.bars.spans import Span
from squeezeflow_plugin.feeds.recovery import Gap
from squeezeflow_plugin.market import NS_PER_SECOND, Trade


class Lost(msgspec.Struct, frozen=True):
    """A gap that stays one, and why; ``trades`` how many are missing, 0 where ids do not say."""

    gap: Gap
    reason: str
    trades: int = 0


@dataclass(slots=True)
class Hole:
    """A gap with both ends. ``first`` to ``last`` are its ids where they are a sequence (else -1), ``span``
    the seconds it touches, ``since_ns`` when it showed, ``next_ns`` when it may be asked for."""

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


@dataclass(slots=True)
class Uncovered:
    """The seconds ``span`` were not covered; the last known trade before them, and the first one after."""

    span: Span
    before: Trade | None = None
    after: Trade | None = None

    def note(self, trade: Trade) -> None:
        """A trade that is known, in any order."""
        if trade.liquidation:
            return
        second = trade.exchange_ns // NS_PER_SECOND
        if second < self.span[0]:
            if self.before is None or self.before.exchange_ns <= trade.exchange_ns:
                self.before = trade
        elif second >= self.span[1] and (self.after is None or trade.exchange_ns < self.after.exchange_ns):
            self.after = trade


def touched(after_ns: int, before_ns: int) -> Span:
    """The seconds of anything between two times.

    >>> touched(2_900_000_000, 4_000_000_000)
    (2, 5)
    """
    first, last = sorted((after_ns // NS_PER_SECOND, before_ns // NS_PER_SECOND))
    return first, last + 1
