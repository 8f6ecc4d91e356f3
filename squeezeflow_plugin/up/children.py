"""Child processes of the main job: started in their own session, watched, stopped in order, left by nobody.

A child's output goes to its own log file. On Linux the kernel is asked to end a child when its parent dies,
so that even a killed ``up`` leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from squeezeflow_plugin.clock import Clock
from squeezeflow_plugin.errors import ProcessError
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.up.figures import Sample

_PR_SET_PDEATHSIG = 1
_TROUBLE = re.compile(r" - (ERROR|CRITICAL) - |^Traceback ")
_MIB = 1024 * 1024
SAMPLES = 4096
"""So many are kept of a child at most; a run without an end would fill the memory with them."""


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """Ctrl-C or SIGTERM asked for the end."""


def _end_with(parent: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies (prctl(2), PR_SET_PDEATHSIG), or end if it has."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


class Child:
    """One process of the tree, by the name it has in messages and in the summary."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.rss_mb = 0.0
        self.cpu_s = 0.0
        self.samples: list[Sample] = []
        """One a second at most, in order, in a long run fewer; emptied where a run's figures begin."""
        self._looked_ns: int | None = None
        self._every_ns = NS_PER_SECOND
        try:
            with log.open("wb") as out:
                self._process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=dict(environ),
                    start_new_session=True,
                    # Runs between fork and exec of a parent that has started no thread yet.
                    preexec_fn=partial(_end_with, os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509
                )
        except OSError as error:
            raise ProcessError(
                f"{name} could not be started ({command[0]}): {error}; nothing is left running"
            ) from error
        self._usage = psutil.Process(self._process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def check(self) -> None:
        """Raise ProcessError, with what the child's log says last, where it has died."""
        code = self._process.poll()
        if code is not None:
            raise ProcessError(
                f"{self.name} ended with status {code} ({self.log} says last: {self._last_words()!r});"
                " everything else is stopped"
            )

    def sample(self, now_ns: int) -> None:
        """Keep what the process uses now, the largest resident memory (MiB) and the CPU seconds so far.

        Once a second at most. Where there are ``SAMPLES``, every other one goes and half as many follow.
        """
        if self._looked_ns is not None and now_ns - self._looked_ns < NS_PER_SECOND:
            return
        try:
            with self._usage.oneshot():
                rss_mb = self._usage.memory_info().rss / _MIB
                times = self._usage.cpu_times()
        except psutil.NoSuchProcess:
            return
        self.rss_mb = max(self.rss_mb, rss_mb)
        self.cpu_s = times.user + times.system
        self._looked_ns = now_ns
        if self.samples and now_ns - self.samples[-1].at_ns < self._every_ns:
            return
        if len(self.samples) >= SAMPLES:
            del self.samples[1::2]
            self._every_ns *= 2
        self.samples.append(Sample(now_ns, rss_mb, self.cpu_s))

    def forget_samples(self) -> None:
        """The figures begin here."""
        self.samples.clear()
        self._looked_ns, self._every_ns = None, NS_PER_SECOND

    def stop(self, clock: Clock, patience_s: float = 15.0) -> None:
        """SIGTERM, after ``patience_s`` SIGKILL to the child's whole group; returns when it is gone."""
        self.sample(clock.now_ns())
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._kill_group()
        self._process.wait()
        deadline = clock.now_ns() + NS_PER_SECOND
        while self._group_lives() and clock.now_ns() < deadline:
            clock.sleep_until(clock.now_ns() + NS_PER_SECOND // 50)
        self._kill_group()

    def troubles(self) -> list[str]:
        """The ERROR and CRITICAL lines and tracebacks of the child's log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [f"{self.name}: {line.strip()}" for line in text.splitlines() if _TROUBLE.search(line)]

    def _group_lives(self) -> bool:
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _kill_group(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _last_words(self) -> str:
        """The last ERROR or CRITICAL line; the last of all where there is none or a traceback follows it."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        trouble = next((line for line in reversed(lines) if _TROUBLE.search(line)), "Traceback")
        return (lines[-1] if lines else "") if trouble.startswith("Traceback") else trouble


class Tree:
    """The children, stopped in reverse order of their start whatever happens.

    ``passing`` are those that come to an end by themselves; only the stop looks at them.
    """

    def __init__(self, clock: Clock) -> None:
        self.children: list[Child] = []
        self.passing: list[Child] = []
        self._clock = clock

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for child in (*self.passing, *reversed(self.children)):
            child.stop(self._clock)

    def check(self) -> None:
        """Raise ProcessError where one has died; look at what the others use."""
        for child in self.children:
            child.check()
            child.sample(self._clock.now_ns())

    def forget_samples(self) -> None:
        """The figures of a run begin here."""
        for child in self.children:
            child.forget_samples()


@contextmanager
def stoppable(clock: Clock) -> Iterator[Tree]:
    """A tree of children, of which SIGINT and SIGTERM make an end by raising Stopped.

    Once the end has come, by whatever reason, they are ignored: every child is to be stopped.
    """

    def ignore() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    def stop(_signum: int, _frame: types.FrameType | None) -> None:
        ignore()
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Tree(clock) as tree:
            try:
                yield tree
            finally:
                ignore()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
