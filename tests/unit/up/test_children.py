"""Children are watched and end with everything they started."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.errors import ProcessError
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import process_environ
from squeezeflow_plugin.up.children import SAMPLES, Child, Stopped, Tree, stoppable

FOREVER = "import sys, time; print('up', flush=True); time.sleep(600)"
WITH_GRANDCHILD = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)"
)

INTERRUPTS_ITS_STOP = """
import os, signal, sys, time
def stop(*_):
    os.kill(os.getppid(), signal.SIGINT)
    sys.exit()
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
time.sleep(600)
"""


def start(code: str, log: Path) -> Child:
    return Child("worker", [sys.executable, "-c", code], process_environ(), log)


def wait_for_output(child: Child) -> str:
    clock = SystemClock()
    deadline = clock.now_ns() + 30 * 10**9
    while not (text := child.log.read_text(encoding="utf-8")) and clock.now_ns() < deadline:
        child.check()
        clock.sleep_until(clock.now_ns() + 10**7)
    return text


def wait_for_end(child: Child) -> ProcessError:
    clock = SystemClock()
    deadline = clock.now_ns() + 30 * 10**9
    while clock.now_ns() < deadline:
        try:
            child.check()
        except ProcessError as error:
            return error
        clock.sleep_until(clock.now_ns() + 10**7)
    raise AssertionError("the child did not end within 30 s")


def test_a_dead_child_is_named_with_its_status_and_last_words(tmp_path: Path) -> None:
    child = start("import sys; print('no disk left'); sys.exit(3)", tmp_path / "log")
    assert re.search(r"worker ended with status 3 .*no disk left", str(wait_for_end(child)))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("x - ERROR - old\nx - ERROR - no exchange\nchoose one of: a, b", "x - ERROR - no exchange"),
        (
            "x - ERROR - Fatal exception!\nTraceback (most recent call last):\n  ...\nKeyError: 1",
            "KeyError: 1",
        ),
    ],
)
def test_last_words_are_the_error_not_what_is_printed_after_it(tmp_path: Path, lines: str, told: str) -> None:
    child = start(f"print({lines!r}); raise SystemExit(2)", tmp_path / "log")
    assert f"says last: {told!r});" in str(wait_for_end(child))


def test_stop_leaves_no_grandchild(tmp_path: Path) -> None:
    child = start(WITH_GRANDCHILD, tmp_path / "log")
    grandchild = psutil.Process(int(wait_for_output(child)))
    child.stop(SystemClock())
    psutil.wait_procs([grandchild], timeout=10)
    assert not grandchild.is_running()


def test_a_child_that_ignores_the_term_signal_is_killed(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER
    child = start(code, tmp_path / "log")
    wait_for_output(child)
    child.stop(SystemClock(), patience_s=0.2)
    assert not psutil.pid_exists(child.pid)
    assert child.rss_mb > 1


def test_a_command_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="worker could not be started"):
        Child("worker", [str(tmp_path / "missing")], {}, tmp_path / "log")


def test_troubles_are_error_lines_and_tracebacks(tmp_path: Path) -> None:
    child = start("print('t - bot - INFO - fine'); print('t - bot - ERROR - not fine')", tmp_path / "log")
    wait_for_end(child)
    assert child.troubles() == ["worker: t - bot - ERROR - not fine"]


def test_a_child_that_is_to_end_is_no_trouble_for_the_tree_and_is_stopped_with_it(tmp_path: Path) -> None:
    done, busy = start("pass", tmp_path / "done"), start(FOREVER, tmp_path / "busy")
    with Tree(SystemClock()) as tree:
        tree.passing += [done, busy]
        wait_for_end(done)
        tree.check()
        assert (done.has_ended, busy.has_ended) == (True, False)
    assert busy.has_ended


def test_what_is_sampled_for_days_is_thinned_and_spans_all_of_them(tmp_path: Path) -> None:
    child = start(FOREVER, tmp_path / "log")
    try:
        for second in range(3 * SAMPLES):
            child.sample(second * NS_PER_SECOND)
        seconds = [sample.at_ns // NS_PER_SECOND for sample in child.samples]
    finally:
        child.stop(SystemClock(), patience_s=5.0)
    assert SAMPLES // 2 <= len(seconds) <= SAMPLES
    assert (seconds[0], seconds[-1]) == (0, 3 * SAMPLES - 4)
    assert set(np.diff(seconds).tolist()) == {4}


def begin_together(folder: Path) -> list[Child]:
    children = [start(INTERRUPTS_ITS_STOP, folder / name) for name in ("collector", "freqtrade")]
    for child in children:
        wait_for_output(child)
    return children


def end_together(children: list[Child], error: Exception | None) -> None:
    with stoppable(SystemClock()) as tree:
        tree.children += children
        if error is not None:
            raise error
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("error", "raised"), [(ProcessError("no disk left"), ProcessError), (None, Stopped)])
def test_a_signal_while_everything_is_stopped_is_ignored(
    tmp_path: Path, error: Exception | None, raised: type[Exception]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    children = begin_together(tmp_path)
    with pytest.raises(raised):
        end_together(children, error)
    assert all(child.has_ended for child in children)
    assert signal.getsignal(signal.SIGINT) is before
