"""``python -m tests.mutations``: put faults into the code, and see the suite fail on each.

The first are those that aggr-server was seen to have at a bar a second: a late trade replaces the stored bar
by one with less, bars that a dead database did not take are forgotten, a trade that is delivered twice is
counted twice, a restart within a bar keeps only one part of it. The others are slips that such code invites.
Each is written into a copy of the sources, never into the tree itself, and the tests of the place are run
there: once without a fault, when they must pass, and once with each, when they must fail. 1 where a fault
survives.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from squeezeflow_plugin.settings import process_environ

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("squeezeflow_plugin", "tests", "pyproject.toml", "setup.cfg")
PACKAGE = "squeezeflow_plugin"
AT_MOST_S = 120
_FAILED = re.compile(r"(\d+) (?:failed|error)")


@dataclass(frozen=True)
class Edit:
    """In ``file`` of the package, ``old``, which is there once, becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """A fault, the edits that bring it back, and the tests that must notice."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "a late trade replaces its bar by one with less",
        (Edit("bars/builder.py", "unique(before.rows() + late)", "unique(late)"),),
        ("tests/unit/bars",),
    ),
    Mutation(
        "bars the store did not take are forgotten",
        (
            Edit(
                "collector/storing.py",
                "                self._failed()\n",
                "                self._failed()\n                self._waiting.clear()\n",
            ),
        ),
        ("tests/unit/collector/test_storing.py",),
    ),
    Mutation(
        "bars InfluxDB did not take are forgotten",
        (
            Edit(
                "collector/shipping.py",
                "            self._target.append(batch)\n",
                "            self._positions[collector] = batch[-1].second\n"
                "            self._target.append(batch)\n",
            ),
            Edit(
                "collector/shipping.py",
                "self._positions[collector] = min(self._positions[collector], second)",
                "continue",
            ),
        ),
        ("tests/unit/collector/test_shipping.py",),
    ),
    Mutation(
        "a trade that is delivered twice is counted twice",
        (Edit("bars/ticks.py", "kept.setdefault(row[2], row)", "kept.setdefault((row[2], len(kept)), row)"),),
        ("tests/unit/bars",),
    ),
    Mutation(
        "a restart within a bar keeps only what came after it",
        (
            Edit(
                "bars/closing.py",
                "self.watch.interrupted(trades, later, self.ledger.intervals(), since, until)",
                "self.watch.interrupted((), later, self.ledger.intervals(), since, until)",
            ),
        ),
        ("tests/unit/bars/test_closing.py", "tests/unit/journal/test_recovery.py"),
    ),
    Mutation(
        "the taker's side is flipped",
        (
            Edit(
                "feeds/binance_wire.py",
                "side = SELL if event.buyer_is_maker else BUY\n                return Parsed(",
                "side = BUY if event.buyer_is_maker else SELL\n                return Parsed(",
            ),
        ),
        ("tests/unit/feeds/test_binance_wire.py", "tests/contracts/test_adapters.py"),
    ),
    Mutation(
        "trades of two markets with one id are taken for one",
        (
            Edit(
                "bars/builder.py",
                '        self._totals["new"] += len(trades)\n',
                '        ids = self.__dict__.setdefault("_ids", set())\n'
                "        trades = [one for one in trades if (second, one.trade_id) not in ids]\n"
                "        ids.update((second, one.trade_id) for one in trades)\n"
                '        self._totals["new"] += len(trades)\n',
            ),
        ),
        ("tests/unit/bars",),
    ),
    Mutation(
        "a window is one row short",
        (Edit("features/layout.py", "(300, 900, 1800, 3600)", "(300, 900, 1800, 3599)"),),
        ("tests/reference/test_score_twin.py",),
    ),
    Mutation(
        "the short side is not the long side's mirror",
        (
            Edit(
                "phases/kernels/parts.py",
                "z_r <= rules.price_threshold + EPS",
                "z_r <= -rules.price_threshold + EPS",
            ),
        ),
        ("tests/reference/test_score_twin.py",),
    ),
    Mutation(
        "a reset is remembered for one row more",
        (
            Edit(
                "phases/kernels/parts.py",
                "rows - counters[to.TYPED_ROW + side] < rules.reset_ttl",
                "rows - counters[to.TYPED_ROW + side] <= rules.reset_ttl",
            ),
        ),
        ("tests/reference/test_score_twin.py",),
    ),
    Mutation(
        "trades are left before they were held long enough",
        (Edit("phases/kernels/exits.py", "running[to.X_ROWS] < rules.min_hold or ", ""),),
        ("tests/unit/phases/test_exits.py",),
    ),
    Mutation(
        "coverage begins a second before the subscription",
        (
            Edit(
                "bars/ledger.py",
                "if since is not None and since <= start_ns:",
                "if since is not None and since <= start_ns + NS_PER_SECOND:",
            ),
        ),
        ("tests/unit/bars/test_ledger.py",),
    ),
    Mutation(
        "retention deletes what it should keep",
        (Edit("store/rolling.py", "WHERE stop <= ? ORDER BY start", "WHERE start <= ? ORDER BY start"),),
        ("tests/unit/store/test_rolling.py",),
    ),
    Mutation(
        "an entry is taken against a veto",
        (
            Edit(
                "strategy/session.py",
                "pair_veto(scored.decision, row, self.params.min_coverage)",
                '""',
            ),
        ),
        ("tests/unit/strategy/test_hole.py", "tests/unit/strategy/test_session.py"),
    ),
)


def main() -> int:
    """Every mutation, or those whose names hold ``--only``."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", default="", help="part of a mutation's name")
    wanted = [each for each in MUTATIONS if parser.parse_args().only in each.name]
    every = sorted({test for each in wanted for test in each.tests})
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Path(folder)
        _copy(copy)
        code, line = _run(copy, every)
        _say(f"no fault: {line}")
        if code:
            _say("the tests must pass without a fault; nothing is judged")
            return 1
        survivors = [each.name for each in wanted if not _is_noticed(copy, each)]
    for name in survivors:
        _say(f"SURVIVED: {name}")
    return 1 if survivors else 0


def _copy(to: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, to / name)


def _is_noticed(copy: Path, mutation: Mutation) -> bool:
    before = {edit.file: (copy / PACKAGE / edit.file).read_text(encoding="utf-8") for edit in mutation.edits}
    after = dict(before)
    for edit in mutation.edits:
        if after[edit.file].count(edit.old) != 1:
            raise SystemExit(f"{mutation.name}: {edit.old!r} must be once in {edit.file}; nothing is judged")
        after[edit.file] = after[edit.file].replace(edit.old, edit.new)
    _write(copy, after)
    try:
        code, line = _run(copy, mutation.tests)
    finally:
        _write(copy, before)
    _say(f"{mutation.name}: {line}")
    return code == 1 and _FAILED.search(line) is not None


def _write(copy: Path, texts: dict[str, str]) -> None:
    for file, text in texts.items():
        (copy / PACKAGE / file).write_text(text, encoding="utf-8")


def _run(copy: Path, tests: Sequence[str]) -> tuple[int, str]:
    """pytest's exit code and what it says last, after the first test that failed."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    command += ["-m", "not hypothesis"]  # those would look for the smallest example first, for minutes
    environ = {**process_environ(), "PYTHONPATH": str(copy)}
    done = subprocess.run(
        command, cwd=copy, env=environ, capture_output=True, text=True, timeout=AT_MOST_S, check=False
    )
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    failed = [line.split(" - ")[0] for line in lines if line.startswith("FAILED ")]
    return done.returncode, "; ".join((*failed, lines[-1]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
