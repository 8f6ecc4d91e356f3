"""Covered seconds as intervals."""

from __future__ import annotations

from collections.abc import Iterable

from squeezeflow_plugin.market import Interval


def merge_intervals(intervals: Iterable[Interval], start: int, stop: int) -> tuple[Interval, ...]:
    """What is covered after all of the intervals, clipped to ``[start, stop)``; ordered by (market, start).

    None touches another. One that is not ``complete`` takes back what those before it said; for any others
    the order is the same to us.

    >>> merge_intervals([Interval("A:x", 3, 5), Interval("A:x", 0, 3), Interval("A:x", 7, 9)], 1, 8)
    (Interval(market='A:x', start=1, stop=5), Interval(market='A:x', start=7, stop=8))
    >>> merge_intervals([Interval("A:x", 0, 9), Interval("A:x", 3, 5, False), Interval("A:x", 4, 5)], 0, 9)
    (Interval(market='A:x', start=0, stop=3), Interval(market='A:x', start=4, stop=9))
    """
    claimed: list[tuple[str, int, int]] = []
    for each in intervals:
        if each.complete:
            claimed.append((each.market, max(each.start, start), min(each.stop, stop)))
        else:
            claimed = [part for span in claimed for part in _without(span, each)]
    merged: list[tuple[str, int, int]] = []
    for market, first, last in sorted(claimed):
        if first >= last:
            continue
        if merged and merged[-1][0] == market and first <= merged[-1][2]:
            merged[-1] = (market, merged[-1][1], max(last, merged[-1][2]))
        else:
            merged.append((market, first, last))
    return tuple(Interval(*entry) for entry in merged)


def _without(span: tuple[str, int, int], hole: Interval) -> tuple[tuple[str, int, int], ...]:
    """What is left of a market's seconds outside the hole: none, one or two spans."""
    market, first, last = span
    if market != hole.market or last <= hole.start or first >= hole.stop:
        return (span,)
    parts = ((market, first, hole.start), (market, hole.stop, last))
    return tuple(part for part in parts if part[1] < part[2])
