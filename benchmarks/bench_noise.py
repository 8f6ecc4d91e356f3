"""Entry events a day and asset on seconds made of random numbers; prints JSON. docs/method.md quotes it."""

from __future__ import annotations

import sys

import msgspec
import numpy as np
import pandas as pd
from scipy.signal import lfilter  # type: ignore[import-untyped] # SciPy ships no types

from squeezeflow_plugin import score_frame

DAYS, SEEDS = 5, 4
N = DAYS * 86_400
START = 1_699_920_000
MEMORY_S = 1200
DRIFT = 0.15


def noise(kind: str, seed: int) -> pd.DataFrame:
    """``DAYS`` days of seconds: exponential or lognormal volumes, or a slowly drifting share of buys."""
    random = np.random.default_rng(seed)
    columns = {}
    for name, mean in (("spot", 2e4), ("perp", 1e5)):
        sides = [
            random.lognormal(0, 1.5, N) * mean if kind == "lognormal" else random.exponential(mean, N)
            for _ in range(2)
        ]
        if kind == "drift":
            keep = np.exp(-1 / MEMORY_S)
            lean = DRIFT * lfilter([1], [1, -keep], random.normal(0, np.sqrt(1 - keep * keep), N))
            sides = [sides[0] * np.clip(1 + lean, 0, 2), sides[1] * np.clip(1 - lean, 0, 2)]
        columns[f"{name}_buy"], columns[f"{name}_sell"] = sides
    close = 30_000 * np.exp(np.cumsum(random.normal(0, 1e-4, N)))
    before = np.concatenate([[30_000.0], close[:-1]])
    wick = np.abs(random.normal(0, 3e-5, N))
    prices = {
        "open": before,
        "high": np.maximum(before, close) * (1 + wick),
        "low": np.minimum(before, close) * (1 - wick),
        "close": close,
    }
    return pd.DataFrame({"time": START + np.arange(N), **prices, **columns})


def events(kind: str) -> int:
    """Entry events over all seeds."""
    found = 0
    for seed in range(SEEDS):
        entry = score_frame(noise(kind, seed))["entry"].to_numpy()
        found += int(np.count_nonzero((entry[1:] != 0) & (entry[:-1] == 0)))
    return found


def main() -> None:
    days = SEEDS * (DAYS - 2 / 24)  # the warm-up decides nothing
    for kind in ("exponential", "lognormal", "drift"):
        count = events(kind)
        line = {"flows": kind, "events": count, "days": round(days, 2), "a_day": round(count / days, 2)}
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


if __name__ == "__main__":
    main()
