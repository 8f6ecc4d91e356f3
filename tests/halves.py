"""Every test, in two processes side by side: those that wait beside those that compute.

``make test`` runs this where nothing narrows it. The files named here live in real time, mostly asleep until
a second or an exchange's answer comes; everything else, and whatever is new, computes. The computing half is
nice, so that the other keeps its seconds. Each half starts its own servers on free ports.

Progress is shown as it is made, a half's report when it ends; the halves' coverage is reported as one. The
exit status is 0 where both halves passed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

from squeezeflow_plugin.clock import SystemClock

WAITING: Final = tuple(
    f"tests/integration/test_{name}.py"
    for name in (
        "collector",
        "collector_recorded",
        "connection",
        "faults",
        "flow_page",
        "influx_live",
        "influx_setup",
        "installed",
        "main_job",
        "outlets",
        "recovery",
        "renewal",
        "replay",
        "scripts",
        "shipping",
        "simulated_exchanges",
        "simulator_processes",
        "slow_path",
        "vetoes",
    )
)
NICE: Final = ("nice", "-n", "10")
PYTEST: Final = (sys.executable, "-m", "pytest", "-q", "--durations=10", "--cov", "--cov-report=")
PROGRESS: Final = re.compile(r"[.FEsxX]+ +\[ *\d+%\]")


@dataclass(frozen=True)
class Half:
    """A name, a command line, and what its environment says beside ours."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


def halves(coverage_dir: Path) -> tuple[Half, Half]:
    """Both halves; each leaves its coverage in a file of ``coverage_dir``."""
    others = tuple(f"--ignore={path}" for path in WAITING)
    return (
        Half("waits", (*PYTEST, *WAITING), {"COVERAGE_FILE": str(coverage_dir / ".coverage.waits")}),
        Half(
            "computes",
            (*NICE, *PYTEST, *others),
            {"COVERAGE_FILE": str(coverage_dir / ".coverage.computes")},
        ),
    )


def play(sides: Sequence[Half], out: TextIO) -> dict[str, int]:
    """Run them side by side until all have ended; gives the exit statuses by name."""
    lock = threading.Lock()
    width = max(len(half.name) for half in sides)

    def say(text: str) -> None:
        with lock:
            out.write(text)
            out.flush()

    def follow(half: Half) -> int:
        clock, report = SystemClock(), []
        began_ns = clock.now_ns()
        with subprocess.Popen(
            half.command,
            env={**os.environ, **half.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if PROGRESS.fullmatch(line.rstrip()):
                    say(f"{half.name:{width}}  {line}")
                else:
                    report.append(line)
        took_s = (clock.now_ns() - began_ns) / 1e9
        said = "".join(report)
        say(f"\n== {half.name}: status {process.returncode} after {took_s:.0f} s\n{said}\n")
        return process.returncode

    with ThreadPoolExecutor(len(sides)) as pool:
        return dict(zip((half.name for half in sides), pool.map(follow, sides), strict=True))


def report_coverage(coverage_dir: Path) -> int:
    """Join the halves' coverage into the checkout's and print it; the exit status of whoever fails."""
    for arguments in (("combine", "--quiet", str(coverage_dir)), ("report", "--skip-covered")):
        status = subprocess.run((sys.executable, "-m", "coverage", *arguments), check=False).returncode
        if status:
            return status
    return 0


def main() -> int:
    """Run both halves and report."""
    with tempfile.TemporaryDirectory() as folder:
        statuses = play(halves(Path(folder)), sys.stdout)
        covered = report_coverage(Path(folder))
    for name, status in statuses.items():
        sys.stdout.write(f"{name}: {'passed' if status == 0 else f'FAILED with status {status}'}\n")
    return 1 if covered or any(statuses.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
