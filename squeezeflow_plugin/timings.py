"""Durations counted by size, as Prometheus's histograms have them; small to hand to another process."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec


class Buckets(msgspec.Struct, frozen=True):
    """``counts[i]`` durations of at most ``bounds_s[i]`` and more than the bound before; the last one of
    ``counts``, which is one longer, those beyond. ``total_s`` their sum.

    >>> Buckets((0.1, 1.0), (2, 0, 1), 3.1).cumulative()
    [('0.1', 2), ('1.0', 2), ('+Inf', 3)]
    """

    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]
    total_s: float

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bound and how many are no larger, as Prometheus counts."""
        found: list[tuple[str, float]] = []
        reached = 0
        for bound, count in zip([*map(str, self.bounds_s), "+Inf"], self.counts, strict=True):
            reached += count
            found.append((bound, reached))
        return found


class Timings:
    """Counts durations by the ascending upper bounds given, in seconds. One thread at a time.

    >>> timings = Timings((0.1, 1.0))
    >>> for took_s in (0.1, 0.5, 4.0):
    ...     timings.note(took_s)
    >>> timings.buckets()
    Buckets(bounds_s=(0.1, 1.0), counts=(1, 1, 1), total_s=4.6)
    """

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_s = tuple(bounds_s)
        self._counts = [0] * (len(self._bounds_s) + 1)
        self._total_s = 0.0

    def note(self, took_s: float) -> None:
        self._counts[bisect_left(self._bounds_s, took_s)] += 1
        self._total_s += took_s

    def buckets(self) -> Buckets:
        return Buckets(self._bounds_s, tuple(self._counts), self._total_s)
