"""``python -m tests.soak``: play seeded schedules of faults, a JSON line for each; 1 where one failed."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from squeezeflow_plugin.errors import SqueezeFlowError
from squeezeflow_plugin.feeds.registry import names
from tests.soak.disk import SmallDisk
from tests.soak.fuzz import fuzz
from tests.soak.outcome import Outcome
from tests.soak.schedules import SCHEDULES
from tests.soak.stage import now_s
from tests.soak.wire import play_wire

_NEEDS = {
    "redis": ("redis-server",),
    "influx": ("influxd",),
    "mixed": ("redis-server", "influxd"),
    "influx-outage": ("influxd",),
    "restarts": ("redis-server",),
    "vetoes": ("redis-server",),
}


IN_MEMORY = ("wire", "bot", "fuzz")
"""Schedules without processes; played where they are named."""


class Judged(Protocol):
    """What a schedule came to."""

    @property
    def is_ok(self) -> bool: ...

    @property
    def replay(self) -> str: ...

    def line(self) -> str: ...


def main() -> int:
    """Seeds from ``--seed`` on, every schedule with each, until ``--seeds`` or ``--minutes`` are used up."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that every stage is left
    end = now_s() + 60 * options.minutes if options.minutes else None
    failed: list[Judged] = []
    for seed in range(options.seed, options.seed + options.seeds):
        for name in options.schedule or SCHEDULES:
            if end is not None and now_s() >= end:
                break
            if why := _missing(name):
                _say(f'{{"schedule":"{name}","seed":{seed},"skipped":"{why}"}}')
                continue
            for outcome in _outcomes(name, seed, options):
                _say(outcome.line())
                if not outcome.is_ok:
                    failed.append(outcome)
    for outcome in failed:
        _say(f"FAILED, play it again with: {outcome.replay}")
    return 1 if failed else 0


def _outcomes(name: str, seed: int, options: argparse.Namespace) -> Iterator[Judged]:
    if name == "wire":
        yield play_wire(seed)
    elif name == "bot":
        yield _trader(seed)
    elif name == "fuzz":
        for exchange in options.exchange or names():
            yield fuzz(exchange, seed, options.frames)
    else:
        yield play(name, seed)


def _trader(seed: int) -> Judged:
    from tests.soak.trader import play_bot  # FreqTrade is imported where it is needed

    return play_bot(seed)


def play(name: str, seed: int) -> Judged:
    """One schedule in a folder of its own, which stays where it failed."""
    folder = Path(tempfile.mkdtemp(prefix=f"soak-{name}-{seed}-"))
    try:
        outcome: Judged = SCHEDULES[name](folder, seed)
    except (AssertionError, SqueezeFlowError) as error:
        outcome = Outcome(name, seed, failure=f"{error or type(error).__name__}; see {folder}")
    if outcome.is_ok:
        shutil.rmtree(folder)
    return outcome


def _missing(name: str) -> str:
    for program in _NEEDS.get(name, ()):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if name == "disk" and not SmallDisk.is_possible():
        return "this user may not mount a disk"
    return ""


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds (default 1)")
    parser.add_argument(
        "--minutes", type=float, default=0, help="begin no schedule after so long (0: no limit)"
    )
    parser.add_argument(
        "--schedule",
        action="append",
        choices=[*sorted(SCHEDULES), *IN_MEMORY],
        help="only this one; repeatable",
    )
    parser.add_argument("--frames", type=int, default=100_000, help="how many spoiled frames an exchange")
    parser.add_argument("--exchange", action="append", choices=names(), help="fuzz only this one; repeatable")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
