"""An event loop whose time jumps to the next thing that waits, and its clock: an hour passes in milliseconds.

Code that waits through asyncio or through the clock runs on it unchanged, in a fixed order.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

from squeezeflow_plugin.market import NS_PER_SECOND


class _Jumping(selectors.DefaultSelector):
    """Never waits: where nothing is to be done, the loop's time goes on instead. Files are not looked at."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits for somebody, and no time is set")
        self.now_s += max(timeout, 0.0)
        return []


class SteppedLoop(asyncio.SelectorEventLoop):
    """To be given to ``asyncio.Runner``. What is meant for a thread is done in a turn of the loop's own."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    def run_in_executor(  # type: ignore[override]  # which arguments the function takes is not checked here
        self,
        executor: Any,  # noqa: ARG002 - asyncio's signature
        func: Callable[..., Any],
        *args: Any,
    ) -> asyncio.Future[Any]:
        async def work() -> Any:
            return func(*args)

        return self.create_task(work())


class LoopClock:
    """The running loop's time as local nanoseconds from ``base_ns`` on; ``jump`` sets it ahead."""

    def __init__(self, base_ns: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._base_ns = base_ns - int(self._loop.time() * NS_PER_SECOND)

    def now_ns(self) -> int:
        return self._base_ns + int(self._loop.time() * NS_PER_SECOND)

    def jump(self, by_ns: int) -> None:
        self._base_ns += by_ns

    def wall_lead_ns(self) -> int:
        return 0

    def sleep_until(self, when_ns: int) -> None:
        raise AssertionError(f"nothing here blocks, not until {when_ns} either")

    async def wait_until(self, when_ns: int) -> None:
        while (left := when_ns - self.now_ns()) > 0:  # noqa: ASYNC110 - a clock has no event to wait for
            await asyncio.sleep(left / NS_PER_SECOND)


def run_stepped(work: Any) -> Any:
    """The result of a coroutine on a loop of its own."""
    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        return runner.run(work)
