"""Covered seconds as intervals."""

from __future__ import annotations

from collections.abc import Iterable

from squeezeflow_plugin.market import Interval


def merge_intervals(intervals: Iterable[Interval], start: int, stop: int) -> tuple[Interval, ...]:
    """The union of the intervals, clipped to ``[start, stop)``; ordered by (market, start), none touching.

    >>> merge_intervals([Interval("A:x", 3, 5), Interval("A:x", 0, 3), Interval("A:x", 7, 9)], 1, 8)
    (Interval(market='A:x', start=1, stop=5), Interval(market='A:x', start=7, stop=8))
    """
    clipped = sorted(
        (interval.market, max(interval.start, start), min(interval.stop, stop)) for interval in intervals
    )
    merged: list[tuple[str, int, int]] = []
    for market, first, last in clipped:
        if first >= last:
            continue
        if merged and merged[-1][0] == market and first <= merged[-1][2]:
            merged[-1] = (market, merged[-1][1], max(last, merged[-1][2]))
        else:
            merged.append((market, first, last))
    return tuple(Interval(*entry) for entry in merged)
