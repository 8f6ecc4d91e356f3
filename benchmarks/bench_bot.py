"""The main job's figures: seconds missed, decision and order delays, CPU and memory of the bot, as JSON.

The figures that count are ``--seconds 600`` with ``--assets 3`` and with ``--assets 20``, on a machine that
does nothing else. A market has few squeezes in ten minutes: ``--runs 8`` plays further seeds, until the
orders of ``--entries`` entries are measured. ``--squeeze-every 120 --futures --runs 2`` has them sooner:
squeezes every two minutes, the method's thresholds lowered to their size, no protection and as many trades
at once as pairs (``rehearsed`` in the output says so).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what stands beside this file

import msgspec

from benchmarks.measuring import figure, machine
from squeezeflow_plugin.settings import process_environ
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.up.figures import latency, order_delays

ROOT = Path(__file__).parents[1]
DECISION_MS = 550.0  # the watermark and 150 ms
ORDER_MS = 200.0
CORES = {3: 0.15, 20: 0.60}
EAGER = {
    "div_threshold": 0.3, "min_score": 3.0, "explosion_threshold": 1.0, "exit_threshold": 0.3,
    "rearm": 20, "reset_ttl": 20, "min_hold": 30,
}  # fmt: skip  # one table
"""Parameters that enter the small squeezes of a market that has one every two minutes, and leave soon."""
UNPROTECTED = """\
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy


class SqueezeFlow(SqueezeFlowStrategy):
    protections = []
"""


def run_once(folder: Path, seed: int, options: argparse.Namespace) -> tuple[dict[str, Any], list[float]]:
    """One run of ``squeezeflow up`` and its entry orders' delays in milliseconds."""
    userdir, environ = folder / "user_data", dict(process_environ())
    shutil.copytree(ROOT / "user_data", userdir, ignore=shutil.ignore_patterns("squeezeflow"))
    if options.squeeze_every is not None:
        _let_enter(userdir, options.assets)
        environ["SQUEEZEFLOW_PARAMS"] = json.dumps(EAGER)
    command = [
        *(sys.executable, "-m", "squeezeflow_plugin.cli", "up", "--json", "--api-port", "0"),
        *("--seconds", str(options.seconds), "--assets", str(options.assets), "--seed", str(seed)),
        *(["--futures"] if options.futures else []),
        *(["--squeeze-every", str(options.squeeze_every)] if options.squeeze_every else []),
    ]
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, env=environ, capture_output=True, text=True, check=True
    )
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    data = folder / summary["data_dir"]
    log, store = (
        DecisionLog(data / "decisions.sqlite", readonly=True),
        EmbeddedBarStore(data / "store.sqlite", True),
    )
    try:
        return summary, order_delays(log.events(), store, "entry_order")
    finally:
        log.close()
        store.close()


def _let_enter(userdir: Path, pairs: int) -> None:
    """Nothing of FreqTrade's may keep the run from an entry."""
    (userdir / "strategies" / "SqueezeFlow.py").write_text(UNPROTECTED, encoding="utf-8")
    for path in userdir.glob("config*.json"):
        config = json.loads(path.read_bytes())
        path.write_text(json.dumps(config | {"max_open_trades": pairs}), encoding="utf-8")


def together(runs: list[dict[str, Any]], delays: list[float], options: argparse.Namespace) -> dict[str, Any]:
    """Every figure over all runs, the worst run's where they cannot be added."""
    rehearsed = {"squeeze_every_s": options.squeeze_every, "params": EAGER, "protections": "none",
                 "max_open_trades": options.assets}  # fmt: skip  # one table
    orders = latency(delays)
    missed = sum(run["seconds_missed"] for run in runs)
    starts = sum(run["candle_starts_missed"] for run in runs)
    p95 = max(run["latency_ms"]["p95"] for run in runs)
    used = max(run["cpu_cores"]["freqtrade"] for run in runs)
    return {
        "machine": machine(),
        "rehearsed": rehearsed if options.squeeze_every else None,
        "seconds": sum(run["seconds"] for run in runs),
        "seconds_missed": figure(missed, "s", 0, at_most=True),
        "candle_starts_missed": figure(starts, "s", 0, at_most=True),
        "decision_p95": figure(p95, "ms", DECISION_MS, at_most=True),
        "entry_order": None if orders is None else figure(orders.max, "ms", ORDER_MS, at_most=True),
        "entry_order_ms": msgspec.to_builtins(orders),
        "cpu": figure(used, "cores", CORES.get(options.assets), at_most=True),
        "rss_growth_mb_per_hour": [run["rss_mb_per_hour"]["freqtrade"] for run in runs],
    }


def main() -> int:
    """Print each run's figures, then all of them together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--entries", type=int, default=20)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--futures", action="store_true")
    parser.add_argument("--squeeze-every", type=int, metavar="S")
    options = parser.parse_args()
    delays: list[float] = []
    runs = []
    for seed in range(options.seed, options.seed + options.runs):
        with tempfile.TemporaryDirectory() as folder:
            summary, found = run_once(Path(folder), seed, options)
        runs.append(summary)
        delays += found
        sys.stdout.write(json.dumps({"seed": seed, **summary}) + "\n")
        sys.stdout.flush()
        if len(delays) >= options.entries:
            break
    sys.stdout.write(json.dumps(together(runs, delays, options)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
