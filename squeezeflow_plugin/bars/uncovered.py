"""What an earlier run did not cover of one market, and the trades it knew around that."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from squeezeflow_plugin.bars.spans import FAR, Span, without
from squeezeflow_plugin.market import NS_PER_SECOND, Trade


class Missed(NamedTuple):
    """Uncovered seconds, the last known trade before them and the first one after (None: none is known)."""

    span: Span
    before: Trade | None
    after: Trade | None


class Uncovered:
    """The seconds of one market that an earlier run did not cover, from ``since`` on, and the trades around.

    ``covered`` is a normal list of spans; after the last of them nothing is covered any more.

    >>> uncovered = Uncovered(since=3, covered=[(3, 5), (6, 9)])
    >>> for n in (4, 5, 6, 7):
    ...     uncovered.note(Trade("X:a", n * NS_PER_SECOND, str(n), 1.0, 1.0, 1.0, 1, received_ns=1))
    >>> [(span[0], before.trade_id, after and after.trade_id) for span, before, after in uncovered.missed()]
    [(5, '4', '6'), (9, '7', None)]
    """

    def __init__(self, since: int, covered: Iterable[Span]) -> None:
        self.since = since
        self.spans = without([(since, FAR)], covered)
        self._starts = [start for start, _ in self.spans]
        self._stops = [stop for _, stop in self.spans]
        self._firsts: dict[int, Trade] = {}  # the first and the last of the trades that lie between two spans
        self._lasts: dict[int, Trade] = {}

    def note(self, trade: Trade) -> None:
        """A trade that the earlier run knew, in any order.

        What lies inside a span, or was asked for, says nothing of the trades about it.
        """
        if trade.liquidation or not trade.received_ns:
            return
        second = trade.exchange_ns // NS_PER_SECOND
        place = bisect_right(self._stops, second)
        if place != bisect_right(self._starts, second):
            return
        if place not in self._firsts or trade.exchange_ns < self._firsts[place].exchange_ns:
            self._firsts[place] = trade
        if place not in self._lasts or trade.exchange_ns >= self._lasts[place].exchange_ns:
            self._lasts[place] = trade

    def missed(self) -> Iterator[Missed]:
        """The spans, in order, up to the first after which no trade is known."""
        before: Trade | None = None
        for number, span in enumerate(self.spans):
            before = self._lasts.get(number, before)
            later = [place for place in self._firsts if place > number]
            after = self._firsts[min(later)] if later else None
            yield Missed(span, before, after)
            if after is None:
                return
