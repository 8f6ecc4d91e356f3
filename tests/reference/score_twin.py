"""The method once more, slowly: every window summed anew, every memory searched row by row.

Written from the method's text alone, with plain loops and numpy sums over slices, so that it can
be read beside it section by section; nothing is carried from row to row but the results
themselves. ``near`` marks the rows at which some compared quantity lay within 1e-12 of its
threshold, where another order of summation may decide otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from squeezeflow_plugin.phases.params import Params

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

EPS = 1e-9
NEAR = 1e-12
WINDOWS = {"5m": 300, "15m": 900, "30m": 1800, "1h": 3600}
HOUR = 3600
FIVE_MINUTES = 300


@dataclass
class Compare:
    """The method's tolerant comparisons, remembering the rows where one was close."""

    near: Flags
    row: int = 0

    def above(self, x: Any, limit: float) -> Any:
        return self._seen(x, limit + EPS) > limit + EPS

    def at_least(self, x: Any, limit: float) -> Any:
        return self._seen(x, limit - EPS) >= limit - EPS

    def below(self, x: Any, limit: float) -> Any:
        return self._seen(x, limit - EPS) < limit - EPS

    def at_most(self, x: Any, limit: float) -> Any:
        return self._seen(x, limit + EPS) <= limit + EPS

    def _seen(self, x: Any, limit: float) -> Any:
        if isinstance(x, np.ndarray):
            self.near |= np.abs(x - limit) <= NEAR
        elif abs(x - limit) <= NEAR:
            self.near[self.row] = True
        return x


@dataclass
class Twin:
    """Columns of n rows each; the phase outputs are those of ``score_frame``."""

    columns: dict[str, Floats]
    near: Flags
    veto: list[str] = field(default_factory=list)


def trailing_sum(values: Floats, rows: int) -> Floats:
    """Sum over the last ``rows`` rows, or what there is of them, each summed on its own."""
    padded = np.concatenate([np.zeros(rows - 1), values])
    return np.asarray(sliding_window_view(padded, rows).sum(axis=1))


def trailing_mean(values: Floats, rows: int) -> Floats:
    return np.asarray(trailing_sum(values, rows) / np.minimum(np.arange(1, len(values) + 1), rows))


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """0 where the denominator is 0."""
    safe = np.where(denominator == 0, 1.0, denominator)
    return np.asarray(np.where(denominator == 0, 0.0, numerator / safe))


def features(frame: pd.DataFrame, noise: int) -> dict[str, Floats]:
    """Section 1: sums, scales over the ``noise`` rows, z values, activity, volatility, coverage."""
    n = len(frame)
    log_close = np.log(frame["close"].to_numpy().astype(np.longdouble))
    back = {rows: np.maximum(np.arange(n) - rows, 0) for rows in (1, *WINDOWS.values())}
    r = (log_close - log_close[back[1]]).astype(float)
    out: dict[str, Floats] = {"sigma_r": np.sqrt(trailing_mean(r**2, noise))}
    for name in ("spot", "perp"):
        delta = (frame[f"{name}_buy"] - frame[f"{name}_sell"]).to_numpy()
        traded = ((frame[f"{name}_buy"] + frame[f"{name}_sell"]) > 0).to_numpy().astype(float)
        share = frame.get(f"coverage_{name}", pd.Series(np.ones(n))).to_numpy().astype(float)
        out[f"sigma_{name}"] = np.sqrt(trailing_mean(delta**2, noise))
        for window, rows in WINDOWS.items():
            out[f"u_{name}_{window}"] = divide(trailing_sum(delta, rows), out[f"sigma_{name}"])
            out[f"z_{name}_{window}"] = out[f"u_{name}_{window}"] / np.sqrt(rows)
            out[f"activity_{name}_{window}"] = trailing_mean(traded, rows)
            out[f"coverage_{name}_{window}"] = trailing_mean(share, rows)
    for window, rows in WINDOWS.items():
        move = (log_close - log_close[back[rows]]).astype(float)
        out[f"z_r_{window}"] = divide(move, out["sigma_r"] * np.sqrt(rows))
        out[f"vol_{window}"] = np.sqrt(trailing_mean(r**2, rows))
    volume = frame[["spot_buy", "spot_sell", "perp_buy", "perp_sell"]].to_numpy().sum(axis=1)
    out["volume_5m"] = trailing_sum(volume, 300)
    out["flow"] = np.abs(out["u_spot_5m"]) + np.abs(out["u_perp_5m"])
    out["speed"] = np.abs(out["z_spot_5m"]) + np.abs(out["z_perp_5m"])
    return out


def contexts(f: dict[str, Floats], p: Params, compare: Compare) -> tuple[Floats, Floats]:
    """Section 2: context and regime."""
    context = np.zeros(len(f["sigma_r"]))
    for window, weight in (("15m", 0.2), ("30m", 0.3), ("1h", 0.5)):
        z_r, lead = f[f"z_r_{window}"], f[f"z_spot_{window}"] - f[f"z_perp_{window}"]
        up = compare.at_least(z_r, p.ctx_threshold) & compare.above(lead, 0.0)
        down = compare.at_most(z_r, -p.ctx_threshold) & compare.below(lead, 0.0)
        context += weight * (up.astype(float) - down.astype(float))
    regime = compare.at_least(context, 0.5).astype(float) - compare.at_most(context, -0.5).astype(float)
    return context, regime


def window_setup(f: dict[str, Floats], window: str, p: Params, compare: Compare) -> Floats:
    """Section 3: the direction of the setup that a window has on its own."""
    spot, perp, z_r = (f[f"z_{name}_{window}"] for name in ("spot", "perp", "r"))
    alive = compare.at_least(f[f"activity_spot_{window}"], p.min_activity)
    alive &= compare.at_least(f[f"activity_perp_{window}"], p.min_activity)
    long = compare.at_least(spot, p.div_threshold) & compare.at_most(perp, -p.div_threshold)
    long &= compare.at_least(z_r, -p.price_threshold)
    short = compare.at_most(spot, -p.div_threshold) & compare.at_least(perp, p.div_threshold)
    short &= compare.at_most(z_r, p.price_threshold)
    return np.asarray((long & alive).astype(float) - (short & alive).astype(float))


def own_setups(f: dict[str, Floats], p: Params, compare: Compare) -> tuple[Floats, Floats, Floats]:
    """Section 3: direction, strength and gap of each row's own setup; of two the stronger, on a tie 15m."""
    side = {w: window_setup(f, w, p, compare) for w in ("15m", "30m")}
    strength = {w: np.minimum(np.abs(f[f"z_spot_{w}"]), np.abs(f[f"z_perp_{w}"])) for w in side}
    gap = {w: np.abs(f[f"u_spot_{w}"] - f[f"u_perp_{w}"]) for w in side}
    stronger = compare.above(strength["30m"] - strength["15m"], 0.0)
    longer = (side["30m"] != 0) & ((side["15m"] == 0) | stronger)
    own = np.where(longer, side["30m"], side["15m"])
    return own, np.where(longer, strength["30m"], strength["15m"]), np.where(longer, gap["30m"], gap["15m"])


def candle(frame: dict[str, Floats], f: dict[str, Floats], i: int, k: int, d: int) -> dict[str, Any]:
    """Section 5: trailing candle k of row i; for a short setup the mirror image."""
    end, before = max(i - 300 * k, 0), max(i - 300 * (k + 1), 0)
    rows = slice(max(end - 299, 0), end + 1)
    opening, close = frame["close"][before], frame["close"][end]
    low, high = min(frame["low"][rows].min(), opening), max(frame["high"][rows].max(), opening)
    past = slice(max(before - 1799, 0), before + 1)
    span = np.log(np.longdouble(high) / np.longdouble(low))
    if d > 0:
        wick = np.log(np.longdouble(min(opening, close)) / np.longdouble(low))
        floor = frame["low"][past].min()
        attempt, body = low < floor < close, close > opening
    else:
        wick = np.log(np.longdouble(high) / np.longdouble(max(opening, close)))
        ceiling = frame["high"][past].max()
        attempt, body = high > ceiling > close, close < opening
    share = 0.0 if high == low else float(wick / span)
    volume, flow = f["volume_5m"][end], f["flow"][end]
    return {"wick": share, "body": body, "attempt": attempt, "volume": volume, "flow": flow}


def score_parts(
    frame: dict[str, Floats], f: dict[str, Floats], o: dict[str, Floats], i: int, p: Params, compare: Compare
) -> list[float]:
    """Section 5: the four weighted parts and the points for open interest, of a row with a setup."""
    d = int(o["setup"][i])
    reset_part = 0.0
    if o["reset_active"][i] > 0:
        exploded = o["reset_active"][i] == 2
        reset_part = 0.5 * min(o["retrace_peak"][i] / p.retrace_full, 1.0)
        reset_part += 0.3 * (1.0 if exploded else f["deceleration"][i])
        reset_part += 0.2 if exploded or o["stalled"][i] else 0.0
    candles = [candle(frame, f, i, k, d) for k in range(5)]
    mean = sum(c["volume"] for c in candles) / 5
    absorption = 0.0
    for weight, c in zip((0.30, 0.25, 0.20, 0.15, 0.10), candles, strict=True):
        busy = mean > 0 and c["volume"] > EPS * mean and compare.at_least(c["volume"] / mean, 1.0)
        absorption += weight * (0.5 * compare.at_least(c["wick"], 0.4) + 0.3 * c["body"] + 0.2 * busy)
    flows = [c["flow"] for c in candles if c["attempt"]]
    breakdown = 0.6 * min(len(flows) / 2, 1.0)
    if len(flows) >= 2 and flows[0] + flows[-1] > 0:
        breakdown += 0.4 * compare.below(2 * (flows[0] - flows[-1]) / (flows[0] + flows[-1]), 0.0)
    bias = 0.4 * compare.above(d * f["z_spot_5m"][i], 0.0) + 0.3 * compare.above(d * f["z_r_5m"][i], 0.0)
    bias += 0.3 * (1 + d * o["context"][i]) / 2
    parts = [w * q for w, q in zip(p.weights, (reset_part, absorption, breakdown, bias), strict=True)]
    return [*parts, oi_points(frame["oi_change"][i], compare)]


def oi_points(change: float, compare: Compare) -> float:
    if np.isnan(change):
        return 0.0
    if compare.at_least(change, 0.10):
        return 2.0
    if compare.at_least(change, 0.05):
        return 1.5
    return 0.5 if compare.above(change, 0.0) else -1.0


def setup_at(
    own: Floats, strength: Floats, gap: Floats, f: dict[str, Floats], i: int, p: Params, c: Compare
) -> Any:
    """Section 3: the active setup of row i with its divergence and gap; zeros where there is none."""
    rows = slice(max(i - p.setup_ttl + 1, 0), i + 1)
    had = np.flatnonzero(own[rows])
    if len(had) == 0:
        return 0.0, 0.0, 0.0
    d = own[rows][had[-1]]
    if not c.above(d * f["z_spot_15m"][i], 0.0):
        return 0.0, 0.0, 0.0
    same = own[rows] == d
    return d, strength[rows][same].max(), gap[rows][same].max()


def retrace_at(o: dict[str, Floats], f: dict[str, Floats], i: int) -> float:
    """Section 4: the share of the gap given back."""
    d, gap = o["setup"][i], o["gap"][i]
    if d == 0 or gap == 0:
        return 0.0
    back = [-d * (f[f"u_spot_{w}"][i] - f[f"u_perp_{w}"][i]) / gap for w in ("5m", "15m")]
    return float(np.clip(max(back), 0.0, 1.0))


def reset_at(o: dict[str, Floats], f: dict[str, Floats], i: int, p: Params, compare: Compare) -> float:
    """Section 4: the reset type of row i."""
    d = o["setup"][i]
    if d == 0:
        return 0.0
    rows = slice(max(i - p.explosion_memory + 1, 0), i + 1)
    largest = o["retrace"][rows][o["setup"][rows] == d].max()
    pushed = compare.at_least(d * f["z_r_5m"][i], p.explosion_threshold)
    pushed = pushed and compare.above(d * f["z_spot_5m"][i], 0.0)
    if pushed and compare.at_least(largest, p.retrace_threshold):
        return 2.0
    if o["stalled"][i] and compare.at_least(o["retrace"][i], p.retrace_threshold):
        return 1.0
    return 0.0


def events(o: dict[str, Floats], i: int, p: Params) -> None:
    """Section 6: the event and the entry of row i, from the qualifying rows so far."""
    before = o["eligible"][max(i - p.rearm, 0) : i]
    if o["eligible"][i] != 0 and not before.any():
        o["event"][i] = o["eligible"][i]
    held = np.flatnonzero(o["event"][max(i - p.entry_ttl + 1, 0) : i + 1])
    if len(held):
        o["entry"][i] = o["event"][max(i - p.entry_ttl + 1, 0) : i + 1][held[-1]]


def regular_events(o: dict[str, Floats], i: int, second: int) -> None:
    """Section 10: only a decision row can have an event, where the decision row before did not qualify; the
    entry is held to the next one."""
    if (second + 1) % FIVE_MINUTES == 0:
        before = o["eligible"][i - FIVE_MINUTES] if i >= FIVE_MINUTES else 0.0
        o["event"][i] = o["eligible"][i] if before == 0 else 0.0
        o["entry"][i] = o["event"][i]
    elif i > 0:
        o["entry"][i] = o["entry"][i - 1]


def vetoes(frame: pd.DataFrame, f: dict[str, Floats], p: Params, compare: Compare) -> list[str]:
    """Section 7: the first reason against trading, "" where there is none."""
    n = len(frame)
    live = frame.get("reference_live", pd.Series(np.ones(n))).to_numpy()
    reasons = [("warming_up", np.arange(n) < p.warmup_rows - 1), ("reference_stale", live == 0)]
    for window in WINDOWS:
        for name in ("spot", "perp"):
            enough = compare.at_least(f[f"coverage_{name}_{window}"], p.min_coverage)
            reasons.append((f"hole_{name}_{window}", ~enough))
    return [next((name for name, holds in reasons if holds[i]), "") for i in range(n)]


PARTS = ("score_reset", "score_absorption", "score_breakdown", "score_bias", "score_oi")
MEMORIES = ("setup", "divergence", "gap", "retrace", "stalled", "reset", "reset_active", "retrace_peak")
OUTPUTS = ("context", "regime", *MEMORIES, *PARTS, "score", "eligible", "event", "entry")


def score_twin(frame: pd.DataFrame, params: Params | None = None) -> Twin:
    """Every column of every row; phase outputs are 0 in rows that are not ready."""
    p = Params() if params is None else params
    n = len(frame)
    compare = Compare(np.zeros(n, dtype=bool))
    f = features(frame, 4 * HOUR if p.regular else HOUR)
    raw = {name: frame[name].to_numpy() for name in ("high", "low", "close")}
    raw["oi_change"] = frame.get("oi_change", pd.Series(np.full(n, np.nan))).to_numpy()
    o = {name: np.zeros(n) for name in OUTPUTS}
    o["context"], o["regime"] = contexts(f, p, compare)
    own, strength, gap = own_setups(f, p, compare)
    calm = compare.at_most(np.abs(f["z_r_5m"]), p.stall_threshold) & compare.above(f["vol_5m"], 0.0)
    o["stalled"] = (calm & compare.at_most(f["vol_5m"] - p.vol_ratio * f["vol_30m"], 0.0)).astype(float)
    f["deceleration"] = decelerations(f["speed"], compare)
    for i in range(n):
        compare.row = i
        o["setup"][i], o["divergence"][i], o["gap"][i] = setup_at(own, strength, gap, f, i, p, compare)
        o["retrace"][i] = retrace_at(o, f, i)
        o["reset"][i] = reset_at(o, f, i, p, compare)
        rows = slice(max(i - p.reset_ttl + 1, 0), i + 1)
        if o["setup"][i] != 0:
            same = o["setup"][rows] == o["setup"][i]
            o["reset_active"][i] = o["reset"][rows][same].max()
            o["retrace_peak"][i] = o["retrace"][rows][same].max()
            parts = score_parts(raw, f, o, i, p, compare)
            for name, value in zip(PARTS, parts, strict=True):
                o[name][i] = value
            o["score"][i] = np.clip(sum(parts), 0.0, 10.0)
            good = o["reset_active"][i] > 0 and compare.at_least(o["score"][i], p.min_score)
            good = good and compare.above(o["setup"][i] * o["context"][i], -0.5)
            o["eligible"][i] = o["setup"][i] if good else 0.0
        if p.regular:
            regular_events(o, i, int(frame["time"].iloc[0]) + i)
        else:
            events(o, i, p)
    for name in OUTPUTS:
        o[name][: p.warmup_rows - 1] = 0.0
    return Twin({**f, **o}, compare.near, vetoes(frame, f, p, compare))


def decelerations(speed: Floats, compare: Compare) -> Floats:
    """Section 5: how much slower the flow is than 300 rows ago, 0..1."""
    earlier = np.concatenate([np.zeros(300), speed])[: len(speed)]
    moved = compare.above(earlier, 0.0)
    return np.asarray(np.where(moved, np.clip(1 - divide(speed, earlier), 0.0, 1.0), 0.0))
