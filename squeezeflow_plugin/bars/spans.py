"""Sets of seconds as spans ``(start, stop)``, half-open; a normal list of them is sorted and none touch."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]
FAR = 1 << 62
"""A second that never comes."""


def union(spans: Iterable[Span]) -> list[Span]:
    """The seconds in any of the spans, as a normal list; empty spans are left out.

    >>> union([(5, 7), (1, 3), (3, 4), (6, 9), (2, 2)])
    [(1, 4), (5, 9)]
    """
    merged: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def without(spans: Iterable[Span], cut: Iterable[Span]) -> list[Span]:
    """The seconds of normal ``spans`` that are in none of ``cut``, as a normal list.

    >>> without([(0, 10), (20, 25)], [(3, 4), (8, 22)])
    [(0, 3), (4, 8), (22, 25)]
    """
    left = list(spans)
    for first, last in cut:
        left = [
            part
            for start, stop in left
            for part in ((start, min(stop, first)), (max(start, last), stop))
            if part[0] < part[1]
        ]
    return left


def within(spans: Iterable[Span], start: int, stop: int) -> list[Span]:
    """The seconds of normal ``spans`` from ``start`` to before ``stop``.

    >>> within([(0, 10), (20, 25)], 8, 22)
    [(8, 10), (20, 22)]
    """
    return [(max(a, start), min(b, stop)) for a, b in spans if max(a, start) < min(b, stop)]
