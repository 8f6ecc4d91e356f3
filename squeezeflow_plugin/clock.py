"""Time: the one place that asks the machine for it.

A ``Clock`` hands out integer nanoseconds UTC that never step back. ``SystemClock`` is the
monotonic clock with a wall anchor taken once, so that a stepped or slewed wall clock
moves no second; ``SteppedClock`` goes only where it is told, for tests and rehearsals.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from squeezeflow_plugin.market import NS_PER_SECOND


class Clock(Protocol):
    """Local time in nanoseconds since the Unix epoch, never stepping back."""

    def now_ns(self) -> int: ...

    def wall_lead_ns(self) -> int:
        """How far the machine's wall clock was stepped ahead of ``now_ns`` since the start, by whatever.

        Negative where it was stepped back. A time service that comes late, a suspended machine.
        """
        ...

    def sleep_until(self, when_ns: int) -> None:
        """Block until ``now_ns() >= when_ns``; return at once where it already is."""
        ...

    async def wait_until(self, when_ns: int) -> None:
        """As ``sleep_until``, for a coroutine."""
        ...


class SystemClock:
    """The machine's monotonic clock, anchored once to its wall clock."""

    def __init__(self) -> None:
        self._anchor_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        return self._anchor_ns + time.monotonic_ns()

    def wall_lead_ns(self) -> int:
        return time.time_ns() - self.now_ns()

    def sleep_until(self, when_ns: int) -> None:
        while (left := when_ns - self.now_ns()) > 0:
            time.sleep(left / NS_PER_SECOND)

    async def wait_until(self, when_ns: int) -> None:
        while (left := when_ns - self.now_ns()) > 0:  # noqa: ASYNC110 - a deadline, no event: sleep may end early
            await asyncio.sleep(left / NS_PER_SECOND)


class SteppedClock:
    """A clock that stands still until it is told to go on.

    >>> clock = SteppedClock(5)
    >>> clock.advance(3)
    >>> clock.now_ns()
    8
    """

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, by_ns: int) -> None:
        if by_ns < 0:
            raise ValueError(f"a clock never steps back, was asked to advance by {by_ns} ns")
        self._now_ns += by_ns

    def wall_lead_ns(self) -> int:
        return 0

    def sleep_until(self, when_ns: int) -> None:
        self._now_ns = max(self._now_ns, when_ns)

    async def wait_until(self, when_ns: int) -> None:
        self.sleep_until(when_ns)
        await asyncio.sleep(0)
