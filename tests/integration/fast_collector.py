"""A program: the collector as the environment says, on a clock that runs faster than the machine's.

Its arguments are FastClock's. It imports nothing of the tests, so that it is the file's path that starts it.
"""

from __future__ import annotations

import asyncio
import sys
import time

from squeezeflow_plugin.collector import app
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import load


class FastClock:
    """A clock that runs ``speed`` times as fast; two processes with the same numbers agree."""

    def __init__(self, wall_ns: int, base_ns: int, speed: float) -> None:
        self._wall_ns, self._base_ns, self._speed = wall_ns, base_ns, speed

    def now_ns(self) -> int:
        return self._base_ns + int((time.time_ns() - self._wall_ns) * self._speed)

    def wall_lead_ns(self) -> int:
        return 0

    def sleep_until(self, when_ns: int) -> None:
        raise AssertionError(f"the collector never blocks, not until {when_ns} either")

    async def wait_until(self, when_ns: int) -> None:
        while (left := when_ns - self.now_ns()) > 0:  # noqa: ASYNC110 - a clock has no event to wait for
            await asyncio.sleep(left / NS_PER_SECOND / self._speed)


def main() -> None:
    """The collector as the environment says, on a fast clock."""
    wall_ns, base_ns, speed = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    asyncio.run(app._collect_until_stopped(load(), FastClock(wall_ns, base_ns, speed)))


if __name__ == "__main__":
    main()
