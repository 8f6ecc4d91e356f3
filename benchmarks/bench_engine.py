"""How fast a second is scored: one JSON object, ratios to peers in the same process on the same seeded day.

`noise` as an argument counts instead how often the method fires on independent seconds.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the peers beside this file and the slow twin

import numpy as np
import pandas as pd

from benchmarks.feature_peers import libraries, peer_features
from benchmarks.measuring import REPETITIONS, Work, figure, interleaved, machine
from squeezeflow_plugin.features.batch import features_of
from squeezeflow_plugin.features.flow import FloatArray, Flow
from squeezeflow_plugin.frames import score_frame
from squeezeflow_plugin.phases.bank import EngineBank
from squeezeflow_plugin.phases.decision import SCORE_COLUMNS
from squeezeflow_plugin.phases.engine import Engine, fingerprint
from squeezeflow_plugin.phases.params import Params
from tests.reference.score_twin import score_twin

DAY = 86_400
SEED = 1
TWIN_ROWS = 9_000
ASSETS = 100
MEGABYTE = 1e6


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


def frame_of(flow: Flow) -> pd.DataFrame:
    return pd.DataFrame({name: getattr(flow, name) for name in Flow.__dataclass_fields__})


def _touch(read: FloatArray, written: FloatArray) -> float:
    """What memory alone takes: read the one, write as much as the other."""
    np.empty_like(written).fill(1.0)
    return float(read.sum())


def feature_figures(flow: Flow) -> dict[str, Any]:
    """Features of a day against rolling windows of libraries, and against reading and writing memory."""
    ours = features_of(flow)
    contenders: dict[str, Work] = {"features": lambda: features_of(flow)}
    agree = {}
    for name, library in libraries().items():
        theirs = peer_features(flow, library)
        agree[name] = float(np.max(np.abs(theirs - ours) / (1e-3 + np.abs(ours))))
        contenders[name] = partial(peer_features, flow, library)
    inputs = flow.matrix()
    contenders["memory"] = lambda: _touch(inputs, ours)
    took = interleaved(contenders)
    found = {"features_ms_a_day": figure(took["features"] * 1e3, "ms")}
    for name, difference in agree.items():
        target = 0.8 if name == "bottleneck" else None
        found[f"features_speed_to_{name}"] = figure(took[name] / took["features"], "times", target)
        found[f"largest_difference_to_{name}"] = figure(difference, "relative")
    found["features_time_to_memory"] = figure(took["features"] / took["memory"], "times")
    return found


def scoring_figures(flow: Flow) -> dict[str, Any]:
    """Features and phases of a day; the slow twin on its first rows; the restart."""
    table, part = frame_of(flow), flow.part(0, TWIN_ROWS)
    twin_table, warm = frame_of(part), flow.part(0, Params().warmup_rows)
    inputs, out = flow.matrix(), Engine().run(flow).values
    took = interleaved(
        {
            "every column": lambda: Engine().run(flow),
            "scores": lambda: Engine().columns(flow, SCORE_COLUMNS),
            "state": lambda: Engine().feed(flow),
            "regular": lambda: Engine(Params(regular=True)).columns(flow, SCORE_COLUMNS),
            "score_frame": lambda: score_frame(table),
            "restart": lambda: Engine().feed(warm),
            "part": lambda: Engine().run(part),
            "twin": lambda: score_twin(twin_table),
            "memory": lambda: _touch(inputs, out),
        }
    )
    names = {
        "every_column": "every column",
        "scores": "scores",
        "state_only": "state",
        "regular_mode": "regular",
        "score_frame": "score_frame",
    }
    found = {
        f"{name}_scored_seconds": figure(
            DAY / took[key] / 1e6, "M a CPU second", 2.0 if key == "scores" else None
        )
        for name, key in names.items()
    }
    found["speed_to_slow_twin"] = figure(took["twin"] / took["part"], "times")
    found["every_column_time_to_memory"] = figure(took["every column"] / took["memory"], "times")
    found["restart_7200_rows"] = figure(took["restart"] * 1e3, "ms")
    return found


def live_figures(rows: int = 500) -> dict[str, Any]:
    """The step of a hundred assets in one call, and of one asset with its record, against the batch's second.

    They take turns, ``rows`` seconds each; a percentile is the median of the repetitions' percentiles. Wall
    time is what a bot waits for; CPU time beside it tells what other programs added.
    """
    warm = Params().warmup_rows
    bank, engine, batch = EngineBank(ASSETS), Engine(), Engine()
    flows = [random_day(seed, rows=warm + REPETITIONS * rows) for seed in range(4)]
    for asset in range(ASSETS):
        bank.feed(asset, flows[asset % 4].part(0, warm))
    for each in (engine, batch):
        each.feed(flows[0].part(0, warm))
    inputs = np.stack([flows[asset % 4].matrix() for asset in range(ASSETS)])
    first = int(flows[0].time[warm])
    cuts: dict[str, list[list[float]]] = {}
    batched = []
    for begin in range(warm, warm + REPETITIONS * rows, rows):
        places = range(begin, begin + rows)
        seconds = [np.ascontiguousarray(inputs[:, :, place]) for place in places]
        steps = [
            partial(bank.step, first + place - warm, values)
            for place, values in zip(places, seconds, strict=True)
        ]
        one = [partial(engine.step, flows[0].row(place)) for place in places]
        for name, works in (("100_assets", steps), ("one_asset", one)):
            for kind, times in zip(("wall", "cpu"), zip(*map(_timed, works), strict=True), strict=True):
                cuts.setdefault(f"live_step_{name}_{kind}", []).append(quantiles(times, n=100))
        batched.append(_timed(partial(batch.run, flows[0].part(begin, begin + rows)))[1] / rows)
    regular = Engine(Params(regular=True)).state_bytes / MEGABYTE
    found = {
        "state_an_asset": figure(engine.state_bytes / MEGABYTE, "MB", 1.0, at_most=True),
        "state_an_asset_regular": figure(regular, "MB", 1.0, at_most=True),
    }
    for name, repetitions in cuts.items():
        target = 250.0 if name == "live_step_100_assets_wall" else None
        found[f"{name}_p50"] = figure(median(cut[49] for cut in repetitions), "us")
        found[f"{name}_p99"] = figure(median(cut[98] for cut in repetitions), "us", target, at_most=True)
    step = found["live_step_100_assets_cpu_p50"]["value"] / ASSETS
    found["live_step_an_asset_to_batch"] = figure(step / median(batched), "times")
    return found


def _timed(work: Work) -> tuple[float, float]:
    """Wall and CPU time in microseconds."""
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - wall) / 1e3, (time.process_time_ns() - cpu) / 1e3


def noise_figures(days: int = 40) -> dict[str, Any]:
    """Entry events a day and asset on independent seconds with light to heavy tails."""
    return {
        f"events_a_day_shape_{tail}": sum(
            int(np.count_nonzero(Engine().columns(random_day(seed, tail), ("event",))))
            for seed in range(days)
        )
        / days
        for tail in (0.8, 1.5, 2.0, 3.0)
    }


def main() -> None:
    start = time.perf_counter()
    Engine().run(random_day(SEED, rows=10))
    first = figure(time.perf_counter() - start, "s, compiled or loaded from the cache")
    report: dict[str, Any] = {**machine(), "engine": fingerprint(Params()), "first_second": first}
    if "noise" in sys.argv[1:]:
        report |= noise_figures()
    else:
        flow = random_day(SEED)
        report |= feature_figures(flow) | scoring_figures(flow) | live_figures()
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
