"""How long to wait before an exchange is tried again.

The wait doubles with each failure up to a cap, so that a down exchange is not hammered, and is drawn between
half of that and all of it, so that many connections do not come back in the same instant. A connection
that stood for a while was a good one: the next failure starts from the shortest wait, because after the usual
daily disconnect every second counts.
"""

from __future__ import annotations

import random


class Backoff:
    """Capped exponential waits with jitter, in seconds.

    >>> backoff = Backoff(first_s=1.0, cap_s=4.0, rng=random.Random(0))
    >>> waits = [backoff.next_s(lasted_s=0.0) for _ in range(4)]
    >>> [limit / 2 <= wait <= limit for wait, limit in zip(waits, (1.0, 2.0, 4.0, 4.0))]
    [True, True, True, True]
    >>> backoff.next_s(lasted_s=3600.0) <= 1.0
    True
    """

    def __init__(
        self,
        first_s: float = 0.5,
        cap_s: float = 30.0,
        stable_s: float = 60.0,
        rng: random.Random | None = None,
    ) -> None:
        if not 0 < first_s <= cap_s:
            raise ValueError(f"0 < first_s <= cap_s must hold, were {first_s} and {cap_s}")
        self._first_s = first_s
        self._cap_s = cap_s
        self._stable_s = stable_s
        self._rng = rng or random.Random()  # noqa: S311  # spreads reconnects, guards nothing
        self._limit_s = first_s

    def next_s(self, lasted_s: float) -> float:
        """The wait after a connection that lasted this long (0 where it never opened)."""
        if lasted_s >= self._stable_s:
            self._limit_s = self._first_s
        wait_s = self._limit_s * self._rng.uniform(0.5, 1.0)
        self._limit_s = min(self._limit_s * 2.0, self._cap_s)
        return wait_s
