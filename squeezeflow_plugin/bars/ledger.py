"""Which markets were complete when: positive intervals, so that whatever is outside them is a hole.

A market's second is covered when its feed was connected and subscribed from the second's start to
its deadline and had been silent for no longer than the limit (60 s since its last trade or its
subscription, more for a market that is quiet by its nature). Nobody has to report a hole: a collector
that is dead covers nothing. Beside that there are corrections: spans that turned out to lack trades
(``doubt``) and spans that were made complete (``repair``), of seconds already closed or still to be; the
last one counts.

Feeds speak local receive time and seconds are market time; the ledger keeps the former, and the
caller gives each second's start, end and deadline in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from squeezeflow_plugin.bars.spans import Span, union, within, without
from squeezeflow_plugin.feeds.pace import Pace
from squeezeflow_plugin.market import NS_PER_SECOND, Interval


@dataclass(slots=True)
class _Feed:
    """One market's connection: since when it is live (None: it is not), its last sign of life, and the
    live spells that ended but may still cover a second to be closed, as (since, until, last sign)."""

    pace: Pace
    live_since_ns: int | None = None
    last_sign_ns: int = 0
    ended: list[tuple[int, int, int]] = field(default_factory=list)


class CoverageLedger:
    """Times are local nanoseconds; seconds and intervals are market time.

    >>> ledger = CoverageLedger(["X:a", "X:b"])
    >>> ledger.live(["X:a"], at_ns=0)
    >>> ledger.close(1, start_ns=1_000_000_000, deadline_ns=2_400_000_000)
    ('X:a',)
    >>> ledger.intervals()
    (Interval(market='X:a', start=1, stop=2),)
    """

    def __init__(self, markets: Iterable[str], silence_limit_s: float = 60.0, keep_s: int = 7200) -> None:
        self.markets = tuple(sorted(set(markets)))
        self._feeds = {market: _Feed(Pace(silence_limit_s)) for market in self.markets}
        self._silence_ns = int(silence_limit_s * NS_PER_SECOND)
        self._keep_s = keep_s
        self._covered: dict[str, list[Span]] = {market: [] for market in self.markets}
        self._corrections: list[Interval] = []
        """Of seconds still to be closed or told; the last that speaks of a second counts."""
        self._told: list[Interval] = []
        self.silent: tuple[str, ...] = ()
        """The connected markets whose silence was strange by their own pace in the last closed second."""

    def live(self, markets: Iterable[str], at_ns: int) -> None:
        """The exchange acknowledged the subscriptions; a market that is live already stays as it is."""
        for market in markets:
            feed = self._feeds.get(market)
            if feed is not None and feed.live_since_ns is None:
                feed.live_since_ns = at_ns
                feed.last_sign_ns = at_ns

    def down(self, markets: Iterable[str], at_ns: int) -> None:
        """The connection ended, or what it delivered is known to be incomplete up to now."""
        for market in markets:
            feed = self._feeds.get(market)
            if feed is None or feed.live_since_ns is None:
                continue
            # A spell of less than a second covers none, so a flapping feed adds nothing.
            if at_ns - feed.live_since_ns >= NS_PER_SECOND:
                feed.ended.append((feed.live_since_ns, at_ns, feed.last_sign_ns))
            feed.live_since_ns = None
            feed.pace.interrupted()

    def seen(self, market: str, received_ns: int) -> None:
        """A trade of the market was received."""
        feed = self._feeds.get(market)
        if feed is not None and received_ns > feed.last_sign_ns:
            feed.last_sign_ns = received_ns
            feed.pace.sign(received_ns)

    def quiet(self, market: str, at_ns: int) -> None:
        """The exchange says that there was no trade up to then that was not received."""
        feed = self._feeds.get(market)
        if feed is not None and at_ns > feed.last_sign_ns:
            feed.last_sign_ns = at_ns

    def is_live(self, market: str) -> bool:
        feed = self._feeds.get(market)
        return feed is not None and feed.live_since_ns is not None

    def repair(self, interval: Interval) -> None:
        """The span was made complete afterwards (recovered trades are in the bars).

        Raises ValueError where the market is not the ledger's or the span is empty.
        """
        self._correct(interval, "repair")

    def doubt(self, interval: Interval) -> None:
        """The span lacks trades, whatever its connection said: a hole until it is repaired.

        Raises ValueError as ``repair`` does.
        """
        self._correct(msgspec.structs.replace(interval, complete=False), "doubt")

    def know(self, second: int, covered: Iterable[str], repaired: Iterable[Interval]) -> None:
        """What an earlier run said when it closed the second; to be called in order and before any close."""
        for each in repaired:
            if each.market in self._covered:
                self._enter(each)
        for market in covered:
            if market in self._covered:
                self._extend(market, second)

    def _correct(self, interval: Interval, what: str) -> None:
        if interval.market not in self._feeds or interval.start >= interval.stop:
            raise ValueError(f"cannot {what} {interval}: not a market of this ledger, or an empty span")
        self._corrections.append(interval)

    def close(self, second: int, start_ns: int, deadline_ns: int) -> tuple[str, ...]:
        """The markets covered in ``second``, sorted; seconds are closed in order.

        ``start_ns`` and ``deadline_ns`` are the second's start and closing deadline in local time.
        """
        end_ns = start_ns + NS_PER_SECOND
        covered = []
        self.silent = tuple(
            market
            for market, feed in self._feeds.items()
            if feed.live_since_ns is not None
            and end_ns - feed.last_sign_ns > feed.pace.limit_s() * NS_PER_SECOND
        )
        for market, feed in self._feeds.items():
            complete = self._correction(market, second)
            if complete is None:
                complete = self._was_live(feed, start_ns, end_ns, deadline_ns)
            if complete:
                covered.append(market)
                self._extend(market, second)
            self._forget(market, second + 1 - self._keep_s)
            if feed.ended:
                feed.ended = [spell for spell in feed.ended if spell[1] > end_ns]
        self._tell_corrections(second)
        return tuple(covered)

    def take_repaired(self) -> tuple[Interval, ...]:
        """How the coverage of earlier seconds has changed since the last call, in order."""
        told, self._told = tuple(self._told), []
        return told

    def intervals(self, market: str | None = None) -> tuple[Interval, ...]:
        """The covered intervals of the last ``keep_s`` closed seconds, by (market, start)."""
        markets = self.markets if market is None else (market,)
        return tuple(Interval(name, *span) for name in markets for span in self._covered[name])

    def _was_live(self, feed: _Feed, start_ns: int, end_ns: int, deadline_ns: int) -> bool:
        since = feed.live_since_ns
        if since is not None and since <= start_ns:
            return end_ns - feed.last_sign_ns <= self._limit_ns(feed)
        return any(
            since <= start_ns and until >= deadline_ns and end_ns - sign <= self._limit_ns(feed)
            for since, until, sign in feed.ended
        )

    def _limit_ns(self, feed: _Feed) -> int:
        """A market that is quiet by its nature may be so for longer."""
        return max(self._silence_ns, int(feed.pace.usual_s * NS_PER_SECOND))

    def _correction(self, market: str, second: int) -> bool | None:
        """What was said last of a second still to be closed; None where nothing was."""
        for each in reversed(self._corrections):
            if each.market == market and each.start <= second < each.stop:
                return each.complete
        return None

    def _tell_corrections(self, second: int) -> None:
        """Corrections of earlier seconds go into the record; what lies ahead waits for its own."""
        ahead = []
        for each in self._corrections:
            if each.start < second:
                past = msgspec.structs.replace(each, stop=min(each.stop, second))
                self._told += [
                    Interval(past.market, start, stop, past.complete) for start, stop in self._enter(past)
                ]
            if each.stop > second + 1:
                ahead.append(msgspec.structs.replace(each, start=max(each.start, second + 1)))
        self._corrections = ahead

    def _extend(self, market: str, second: int) -> None:
        spans = self._covered[market]
        if spans and spans[-1][1] == second:
            spans[-1] = (spans[-1][0], second + 1)
        else:
            spans.append((second, second + 1))

    def _forget(self, market: str, oldest: int) -> None:
        spans = self._covered[market]
        while spans and spans[0][1] <= oldest:
            del spans[0]
        if spans and spans[0][0] < oldest:
            spans[0] = (oldest, spans[0][1])

    def _enter(self, past: Interval) -> list[Span]:
        """Correct what is held of closed seconds; the spans that changed."""
        spans, span = self._covered[past.market], (past.start, past.stop)
        changed = without([span], spans) if past.complete else within(spans, *span)
        self._covered[past.market] = union([*spans, span]) if past.complete else without(spans, [span])
        return changed
