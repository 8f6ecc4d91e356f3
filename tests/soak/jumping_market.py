"""The simulated exchanges as a process whose clock goes two seconds ahead on SIGUSR1, and back on SIGUSR2.

It goes back as clocks do that are corrected: at half its pace, so that no time comes twice. Arguments: seed,
state file, store, seconds between squeezes, assets.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.simulator.run import SimulatorOptions, run_simulator

AHEAD_NS = 2 * NS_PER_SECOND
_LOOK_EVERY_S = 0.02


class JumpingClock(SystemClock):
    """The machine's clock, but for what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead_ns = 0
        self._corrected_ns = 0

    def jump(self, *_: object) -> None:
        """Go ahead at once."""
        self._ahead_ns, self._corrected_ns = AHEAD_NS, 0

    def correct(self, *_: object) -> None:
        """Lose what it is ahead, from now on."""
        self._corrected_ns = super().now_ns()

    def now_ns(self) -> int:
        now_ns = super().now_ns()
        lost_ns = (now_ns - self._corrected_ns) // 2 if self._corrected_ns else 0
        return now_ns + max(self._ahead_ns - lost_ns, 0)

    async def wait_until(self, when_ns: int) -> None:
        while (left := when_ns - self.now_ns()) > 0:  # noqa: ASYNC110 - the clock may be told something meanwhile
            await asyncio.sleep(min(left / NS_PER_SECOND, _LOOK_EVERY_S))


def main() -> int:
    """Serve until SIGTERM."""
    seed, state_file, store, squeeze_every_s, *assets = sys.argv[1:]
    clock = JumpingClock()
    signal.signal(signal.SIGUSR1, clock.jump)
    signal.signal(signal.SIGUSR2, clock.correct)
    options = SimulatorOptions(
        seed=int(seed),
        assets=tuple(assets),
        store=Path(store),
        state_file=Path(state_file),
        squeeze_every_s=int(squeeze_every_s),
    )
    return run_simulator(options, clock)


if __name__ == "__main__":
    sys.exit(main())
