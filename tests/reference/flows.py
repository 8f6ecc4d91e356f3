"""Seeded one-second flow to score: noise, squeezes in both directions, quiet stretches, holes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from squeezeflow_plugin.features.flow import Flow

START = 1_700_000_000 + 137  # inside a 300 s block, so that nothing rests on where a frame begins


@dataclass(frozen=True)
class Episode:
    """A squeeze: a build-up in which spot and perp part, a reset, and a push of the price.

    ``start`` is a row, ``direction`` +1 or -1, the lengths are rows; ``drift`` and ``reversal`` are how far
    the flow of a class is pushed, in standard deviations a second.
    """

    start: int
    direction: int
    build: int = 1500
    reset: int = 300
    push: int = 420
    drift: float = 0.13
    reversal: float = 0.35


def flow_of(frame: pd.DataFrame) -> Flow:
    """The engine's input of a frame."""
    return Flow.from_columns({str(name): frame[name].to_numpy() for name in frame})


def noise_frame(seed: int, rows: int, start: int = START) -> pd.DataFrame:
    """Independent seconds: log-normal volumes on each side, normal returns."""
    return scripted_frame(seed, rows, (), start)


def scripted_frame(
    seed: int, rows: int, episodes: tuple[Episode, ...], start: int = START, price: float = 61_000.0
) -> pd.DataFrame:
    """Noise with the given episodes in it; all columns of the engine's input but the optional ones."""
    rng = np.random.default_rng(seed)
    push_spot, push_perp, push_price = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    for e in episodes:
        a, b = e.start + e.build, e.start + e.build + e.reset
        d = e.direction
        push_spot[e.start : a] += d * e.drift
        push_perp[e.start : a] -= d * e.drift
        push_perp[a:b] += d * e.reversal
        push_spot[b : b + e.push] += d * 0.15
        push_price[b : b + e.push] += d * 0.16
    moves = 4e-5 * (rng.normal(0.0, 1.0, rows) + push_price)
    close = np.round(price * np.exp(np.cumsum(moves)), 2)
    opening = np.concatenate([[price], close[:-1]])
    reach = np.abs(rng.normal(0.0, 2e-5, (2, rows)))
    frame = {
        "time": np.arange(start, start + rows),
        "open": opening,
        "high": np.round(np.maximum(opening, close) * (1 + reach[0]), 2),
        "low": np.round(np.minimum(opening, close) * (1 - reach[1]), 2),
        "close": close,
    }
    frame["high"] = np.maximum(frame["high"], np.maximum(opening, close))
    frame["low"] = np.minimum(frame["low"], np.minimum(opening, close))
    for name, size, push in (("spot", 9_000.0, push_spot), ("perp", 30_000.0, push_perp)):
        sides = size * rng.lognormal(0.0, 0.8, (2, rows))
        delta_scale = math.sqrt(2.0) * size * math.sqrt((math.exp(0.64) - 1) * math.exp(0.64))
        frame[f"{name}_buy"] = sides[0] + np.maximum(push, 0.0) * delta_scale
        frame[f"{name}_sell"] = sides[1] + np.maximum(-push, 0.0) * delta_scale
    return pd.DataFrame(frame)


def silence(frame: pd.DataFrame, start: int, stop: int, share: float, seed: int) -> None:
    """Let ``share`` of the seconds of the rows pass without a trade: no volume, the price stands."""
    rng = np.random.default_rng(seed)
    silent = np.zeros(len(frame), dtype=bool)
    silent[start:stop] = rng.random(len(silent[start:stop])) < share
    for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell"):
        frame.loc[silent, name] = 0.0
    last = pd.Series(np.where(silent, np.nan, frame["close"])).ffill().bfill().to_numpy()
    frame["close"] = last
    frame["open"] = np.concatenate([[frame["open"][0]], last[:-1]])
    for name, pick in (("high", np.maximum), ("low", np.minimum)):
        edge = pick(frame["open"].to_numpy(), last)
        frame[name] = np.where(silent, edge, pick(frame[name].to_numpy(), edge))


def market_day(seed: int = 7, rows: int = 21_600) -> pd.DataFrame:
    """Six hours (or their first ``rows``) with everything in them: squeezes both ways, quiet stretches,
    coverage holes, a stale reference, open interest."""
    episodes = (
        Episode(2_500, 1),
        Episode(5_900, 1, drift=0.16),
        Episode(8_700, -1),
        Episode(11_600, 1, push=0),
        Episode(13_900, -1, drift=0.18, reversal=0.45),
        Episode(16_600, -1, push=0, reset=500),
        Episode(19_000, 1, drift=0.11),
    )
    frame = scripted_frame(seed, rows, episodes)
    silence(frame, 7_400, 8_100, 0.8, seed)
    silence(frame, 10_900, 11_500, 1.0, seed)
    silence(frame, 18_000, 18_600, 0.97, seed)
    rng = np.random.default_rng(seed + 1)
    for name, start, length in (("coverage_spot", 9_000, 40), ("coverage_perp", 15_000, 25)):
        share = np.ones(rows)
        share[start : start + length] = 0.4
        share[20_000:20_300] = np.round(rng.uniform(0.9, 1.0, len(share[20_000:20_300])), 3)
        frame[name] = share
    live = np.ones(rows)
    live[12_000:12_030] = 0
    frame["reference_live"] = live
    change = np.repeat(rng.choice([-0.02, 0.0, 0.01, 0.05, 0.08, 0.10, 0.2, np.nan], rows // 60 + 1), 60)
    frame["oi_change"] = change[:rows]
    return frame
