"""The main job's figures: seconds missed, decision and order delays, CPU and memory of the bot, as JSON.

The figures that count are ``--seconds 600`` with ``--assets 3`` and with ``--assets 20``, on a machine that
does nothing else. A market has few squeezes in ten minutes: ``--runs 8`` plays further seeds, until the
orders of ``--entries`` entries are measured.
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


def run_once(folder: Path, seed: int, options: argparse.Namespace) -> tuple[dict[str, Any], list[float]]:
    """One run of ``squeezeflow up`` and its entry orders' delays in milliseconds."""
    shutil.copytree(ROOT / "user_data", folder / "user_data", ignore=shutil.ignore_patterns("squeezeflow"))
    command = [
        *(sys.executable, "-m", "squeezeflow_plugin.cli", "up", "--json", "--api-port", "0"),
        *("--seconds", str(options.seconds), "--assets", str(options.assets), "--seed", str(seed)),
        *(["--futures"] if options.futures else []),
    ]
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, env=process_environ(), capture_output=True, text=True, check=True
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


def together(runs: list[dict[str, Any]], delays: list[float], cores: float | None) -> dict[str, Any]:
    """Every figure over all runs, the worst run's where they cannot be added."""
    orders = latency(delays)
    missed = sum(run["seconds_missed"] for run in runs)
    starts = sum(run["candle_starts_missed"] for run in runs)
    p95 = max(run["latency_ms"]["p95"] for run in runs)
    used = max(run["cpu_cores"]["freqtrade"] for run in runs)
    return {
        "machine": machine(),
        "seconds": sum(run["seconds"] for run in runs),
        "seconds_missed": figure(missed, "s", 0, at_most=True),
        "candle_starts_missed": figure(starts, "s", 0, at_most=True),
        "decision_p95": figure(p95, "ms", DECISION_MS, at_most=True),
        "entry_order": None if orders is None else figure(orders.max, "ms", ORDER_MS, at_most=True),
        "entry_order_ms": msgspec.to_builtins(orders),
        "cpu": figure(used, "cores", cores, at_most=True),
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
    sys.stdout.write(json.dumps(together(runs, delays, CORES.get(options.assets))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
