"""Every test, in parts, two processes side by side: those that wait beside those that compute.

``make test`` runs this where nothing narrows it. The files named here live in real time, mostly asleep until
a second or an exchange's answer comes; everything else, and whatever is new, computes, in parts of some
minutes: when a process ends, the next part takes its place, so that both processors work to the end. What
computes is nice, so that what waits keeps its seconds. Each part starts its own servers on free ports.

Progress is shown as it is made, a part's report when it ends; the parts' coverage is reported as one. The
exit status is 0 where every part passed.
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
COMPUTING: Final = ("tests/integration", "tests/unit")
"""Folders that are a part each, but for the files that wait; what remains is one more."""
AT_ONCE: Final = 2
NICE: Final = ("nice", "-n", "10")
PYTEST: Final = (sys.executable, "-m", "pytest", "-q", "--durations=10", "--cov", "--cov-report=")
PROGRESS: Final = re.compile(r"[.FEsxX]+ +\[ *\d+%\]")


@dataclass(frozen=True)
class Part:
    """A name, a command line, and what its environment says beside ours."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


def parts(coverage_dir: Path) -> tuple[Part, ...]:
    """Every part, in the order of their beginning; each leaves its coverage in a file of ``coverage_dir``."""

    def part(name: str, *words: str) -> Part:
        return Part(name, words, {"COVERAGE_FILE": str(coverage_dir / f".coverage.{name}")})

    asleep, apart = (tuple(f"--ignore={path}" for path in paths) for paths in (WAITING, COMPUTING))
    return (
        part("waits", *PYTEST, *WAITING),
        *(part(Path(folder).name, *NICE, *PYTEST, folder, *asleep) for folder in COMPUTING),
        part("others", *NICE, *PYTEST, *asleep, *apart),
    )


def play(played: Sequence[Part], out: TextIO) -> dict[str, int]:
    """Run them in this order, two at once, until all have ended; gives the exit statuses by name."""
    lock = threading.Lock()
    width = max(len(part.name) for part in played)

    def say(text: str) -> None:
        with lock:
            out.write(text)
            out.flush()

    def follow(part: Part) -> int:
        clock, report = SystemClock(), []
        began_ns = clock.now_ns()
        with subprocess.Popen(
            part.command,
            env={**os.environ, **part.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if PROGRESS.fullmatch(line.rstrip()):
                    say(f"{part.name:{width}}  {line}")
                else:
                    report.append(line)
        took_s = (clock.now_ns() - began_ns) / 1e9
        said = "".join(report)
        say(f"\n== {part.name}: status {process.returncode} after {took_s:.0f} s\n{said}\n")
        return process.returncode

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip((part.name for part in played), pool.map(follow, played), strict=True))


def report_coverage(coverage_dir: Path) -> int:
    """Join the parts' coverage into the checkout's and print it; the exit status of whoever fails."""
    for arguments in (("combine", "--quiet", str(coverage_dir)), ("report", "--skip-covered")):
        status = subprocess.run((sys.executable, "-m", "coverage", *arguments), check=False).returncode
        if status:
            return status
    return 0


def main() -> int:
    """Run every part and report."""
    with tempfile.TemporaryDirectory() as folder:
        statuses = play(parts(Path(folder)), sys.stdout)
        covered = report_coverage(Path(folder))
    for name, status in statuses.items():
        sys.stdout.write(f"{name}: {'passed' if status == 0 else f'FAILED with status {status}'}\n")
    return 1 if covered or any(statuses.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
