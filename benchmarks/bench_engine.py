"""How fast a second is scored, and how often the method fires on noise.

CPU seconds of one core, the best of several runs, on seeded flow; compiled code is loaded or made first and
reported on its own. Give `noise` as an argument for the event counts only.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from statistics import quantiles

import numpy as np
import pandas as pd

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.frames import score_frame
from squeezeflow_plugin.phases.decision import SCORE_COLUMNS
from squeezeflow_plugin.phases.engine import Engine, fingerprint
from squeezeflow_plugin.phases.params import Params

DAY = 86_400
SEED = 1


def random_day(seed: int, tail: float = 0.8, rows: int = DAY) -> Flow:
    """Independent seconds: log-normal volumes of the given shape, normal returns."""
    rng = np.random.default_rng(seed)
    close = 60_000.0 * np.exp(np.cumsum(rng.normal(0.0, 4e-5, rows)))
    opening = np.concatenate([[60_000.0], close[:-1]])
    volumes = {
        name: rng.lognormal(9.0, tail, rows) for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell")
    }
    prices = {"open": opening, "high": np.maximum(opening, close), "low": np.minimum(opening, close)}
    return Flow.from_columns({"time": np.arange(rows) + 1_700_000_137, **prices, "close": close, **volumes})


def best_cpu_seconds(work: Callable[[], object], runs: int = 7) -> float:
    """The least CPU time of ``runs`` runs."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def report_batch() -> None:
    flow = random_day(SEED)
    frame = {name: getattr(flow, name) for name in Flow.__dataclass_fields__}
    table = pd.DataFrame(frame)
    for name, work in (
        ("every column", lambda: Engine().run(flow)),
        ("score_frame's columns", lambda: Engine().columns(flow, SCORE_COLUMNS)),
        ("state only", lambda: Engine().feed(flow)),
        ("score_frame on a DataFrame", lambda: score_frame(table)),
    ):
        seconds = best_cpu_seconds(work)
        speed = DAY / seconds / 1e6
        print(f"{name:28s} {speed:6.2f} M scored seconds per CPU second ({seconds * 1e3:.1f} ms a day)")
    warm = flow.part(0, Params().warmup_rows)
    print(f"{'restart, 7200 rows':28s} {best_cpu_seconds(lambda: Engine().feed(warm)) * 1e3:6.2f} ms")


def report_live(rows: int = 5_000) -> None:
    flow = random_day(SEED, rows=rows + 7_200)
    engine = Engine()
    engine.feed(flow.part(0, 7_200))
    seconds = [flow.row(i) for i in range(7_200, 7_200 + rows)]
    times = []
    for row in seconds:
        start = time.perf_counter_ns()
        engine.step(row)
        times.append((time.perf_counter_ns() - start) / 1e3)
    cuts = quantiles(times, n=100)
    print(f"live step, one asset: p50 {cuts[49]:.1f} us, p99 {cuts[98]:.1f} us")
    print(f"state of an asset: {engine.state_bytes / 1e3:.0f} kB")


def report_noise(days: int = 40) -> None:
    print(f"entry events a day and asset on independent seconds, {days} seeded days:")
    for tail in (0.8, 1.5, 2.0, 3.0):
        events = sum(
            np.count_nonzero(Engine().columns(random_day(seed, tail), ("event",))) for seed in range(days)
        )
        print(f"  log-normal volumes of shape {tail}: {events / days:.2f}")


def main() -> None:
    print(platform.platform(), "|", fingerprint(Params()))
    start = time.perf_counter()
    Engine().run(random_day(SEED, rows=10))
    print(
        f"first second scored after {time.perf_counter() - start:.2f} s (compiled, or loaded from the cache)"
    )
    if "noise" not in sys.argv[1:]:
        report_batch()
        report_live()
    report_noise()


if __name__ == "__main__":
    main()
