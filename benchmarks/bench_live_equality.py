"""Six hours of three assets, live and in a backtest: the same entries and exits at the same seconds.

FreqTrade's own worker lives through a simulated market on a stepped clock, spot and futures, and
``run_backtest.py``'s stepper runs the same seconds; every order of one must be an order of the other. Prints
one JSON line a mode and fails where any differs. The method's defaults trade little: ``--often`` takes
parameters under which it trades many times as much.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the stage lies beside the tests

from squeezeflow_plugin.phases import engine  # noqa: E402 - after the path is known
from squeezeflow_plugin.provider.replay import run_parity  # noqa: E402
from tests.integration.live_stage import (  # noqa: E402
    AFTER_S,
    Equality,
    backtest_orders,
    backtest_run,
    live_run,
)
from tests.integration.seconds_stage import END, OFTEN, set_stage, write_market  # noqa: E402

ASSETS = ("BTC", "ETH", "SOL")
WARMUP_HOURS = 2.1


def compared(folder: Path, store: Path, seconds: int, futures: bool, often: bool) -> dict[str, Any]:
    """One mode, lived and tested; what is equal and what is not."""
    params = OFTEN if often else {}
    stage = set_stage(folder, store, ASSETS, futures, {}, params)
    stop = END - AFTER_S
    start = stop - seconds
    tested = backtest_orders(backtest_run(stage, start, stop), stop)
    cpu, wall = time.process_time(), time.perf_counter()
    lived = live_run(stage, folder, start, stop, params)
    took = {"live_cpu_s": time.process_time() - cpu, "live_wall_s": time.perf_counter() - wall}
    stage.store.close()
    found = Equality.of(lived.orders, tested)
    parity = run_parity(lived.settings, "binance", start, stop)
    return {
        "mode": "futures" if futures else "spot",
        "parameters": "often" if often else "default",
        "seconds": seconds,
        "rounds_of_process": lived.rounds,
        "entries": found.count("entry"),
        "exits": found.count("exit"),
        "exits_by_name": dict(Counter(order.tag for order in found.same if order.kind == "exit")),
        "only_live": [str(order) for order in found.only_live],
        "only_backtest": [str(order) for order in found.only_backtest],
        "decisions_as_known": parity.seconds,
        "decisions_differing": parity.differing_seconds,
        **{name: round(value, 1) for name, value in took.items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=6.0, help="length of the live run")
    parser.add_argument("--seed", type=int, default=11, help="of the simulated market")
    parser.add_argument("--mode", choices=("spot", "futures", "both"), default="both")
    parser.add_argument("--often", action="store_true", help="parameters that trade many times as much")
    args = parser.parse_args()
    engine.prepare()  # compiled once an installation
    modes = ("spot", "futures") if args.mode == "both" else (args.mode,)
    differing = 0
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "store.sqlite"
        write_market(store, args.hours + WARMUP_HOURS, args.seed, ASSETS)
        for mode in modes:
            folder = Path(name) / mode
            folder.mkdir()
            found = compared(folder, store, round(args.hours * 3600), mode == "futures", args.often)
            differing += len(found["only_live"]) + len(found["only_backtest"]) + found["decisions_differing"]
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
