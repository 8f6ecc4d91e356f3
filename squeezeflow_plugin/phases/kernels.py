"""Compiled phases: the one step function that scores a second, the loop over it, and the exits.

``score_rows`` is the only way a second is ever scored: the batch gives it many columns, the live
step one, a bank of engines one of each of many assets. What a row needs of earlier rows is kept in two
flat arrays: numbers (sliding maxima among them, see ``keep_largest``) and counters (row numbers at which
something was last seen).

Directions are +1 and -1; arrays with an entry a direction hold +1 first. Comparisons tolerate ``EPS``
except between raw prices, so that a tie falls the same way whatever the order of summation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from squeezeflow_plugin.features import kernels as fk
from squeezeflow_plugin.features import layout as at
from squeezeflow_plugin.features.kernels import FeatureState, feature_state_size, kernel_part
from squeezeflow_plugin.phases import layout as to
from squeezeflow_plugin.phases.params import Rules

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

EPS = at.EPS


class PhaseState(NamedTuple):
    """Views into the flat array, behind those of the features; a ring is as ``keep_largest`` wants it."""

    setups: FloatArray  # [setup_ttl + 2, 4]
    explosions: FloatArray  # [explosion_memory + 2, 2]
    peaks: FloatArray  # [reset_ttl + 2, 2]
    row: FloatArray  # [COLUMN_COUNT] features and outputs of the row at hand
    strongest: FloatArray  # [4] the row's own setup, then the largest in memory
    peak: FloatArray  # [2] the row's own retrace, then the largest in memory


def state_size(rules: Rules) -> int:
    """How many float64 the state of one asset takes."""
    setups = (rules.setup_ttl + 2) * to.SETUP_WIDTH
    peaks = (rules.explosion_memory + 2 + rules.reset_ttl + 2) * to.PEAK_WIDTH
    own = setups + peaks + to.COLUMN_COUNT + to.SETUP_WIDTH + to.PEAK_WIDTH
    return feature_state_size(rules.noise_rows) + own


@kernel_part
def _phase_state(flat: FloatArray, rules: Rules) -> PhaseState:
    start = fk.FIXED_SIZE + rules.noise_rows // at.BLOCK_ROWS * fk.NOISE_BLOCK_SIZE
    a = start + (rules.setup_ttl + 2) * to.SETUP_WIDTH
    b = a + (rules.explosion_memory + 2) * to.PEAK_WIDTH
    c = b + (rules.reset_ttl + 2) * to.PEAK_WIDTH
    d = c + to.COLUMN_COUNT
    return PhaseState(
        flat[start:a].reshape((rules.setup_ttl + 2, to.SETUP_WIDTH)),
        flat[a:b].reshape((rules.explosion_memory + 2, to.PEAK_WIDTH)),
        flat[b:c].reshape((rules.reset_ttl + 2, to.PEAK_WIDTH)),
        flat[c:d],
        flat[d : d + to.SETUP_WIDTH],
        flat[d + to.SETUP_WIDTH : d + to.SETUP_WIDTH + to.PEAK_WIDTH],
    )


@kernel_part
def _vote(row: FloatArray, window: int, rules: Rules) -> float:
    """Phase 1: a window's vote."""
    lead = row[at.Z_SPOT + window] - row[at.Z_PERP + window]
    z_r = row[at.Z_R + window]
    if z_r >= rules.ctx_threshold - EPS and lead > EPS:
        return 1.0
    if z_r <= -rules.ctx_threshold + EPS and lead < -EPS:
        return -1.0
    return 0.0


@kernel_part
def _context(row: FloatArray, rules: Rules) -> None:
    """Phase 1: context and regime."""
    votes = 0.2 * _vote(row, at.W15, rules) + 0.3 * _vote(row, at.W30, rules)
    context = votes + 0.5 * _vote(row, at.W60, rules)
    row[to.CONTEXT] = context
    row[to.REGIME] = 1.0 if context >= 0.5 - EPS else (-1.0 if context <= -0.5 + EPS else 0.0)


@kernel_part
def _own_setup(row: FloatArray, window: int, spot_share: float, perp_share: float, rules: Rules) -> int:
    """Phase 2: the window's own setup, +1, -1 or 0; the shares are the activity of the classes."""
    z_spot, z_perp, z_r = row[at.Z_SPOT + window], row[at.Z_PERP + window], row[at.Z_R + window]
    limit = rules.div_threshold - EPS
    side = 0
    if z_spot >= limit and z_perp <= -limit and z_r >= -rules.price_threshold - EPS:
        side = 1
    elif z_spot <= -limit and z_perp >= limit and z_r <= rules.price_threshold + EPS:
        side = -1
    least = rules.min_activity - EPS
    return side if spot_share >= least and perp_share >= least else 0


@kernel_part
def _remember_setup(state: PhaseState, counters: IntArray, rows: int, rules: Rules) -> None:
    """Phase 2: the row's own setup, the stronger of two; ``strongest`` then holds the memory's largest."""
    row, strongest = state.row, state.strongest
    side = _own_setup(row, at.W15, row[at.ACTIVITY_SPOT_15M], row[at.ACTIVITY_PERP_15M], rules)
    longer = _own_setup(row, at.W30, row[at.ACTIVITY_SPOT_30M], row[at.ACTIVITY_PERP_30M], rules)
    strength = min(abs(row[at.Z_SPOT + at.W15]), abs(row[at.Z_PERP + at.W15]))
    strength_longer = min(abs(row[at.Z_SPOT + at.W30]), abs(row[at.Z_PERP + at.W30]))
    window = at.W15
    if longer != 0 and (side == 0 or strength_longer > strength + EPS):
        window, side, strength = at.W30, longer, strength_longer
    for k in range(to.SETUP_WIDTH):
        strongest[k] = 0.0
    if side != 0:
        first = 0 if side > 0 else 2
        strongest[first] = strength
        strongest[first + 1] = abs(row[at.U_SPOT + window] - row[at.U_PERP + window])
        counters[to.SETUP_ROW] = rows
        counters[to.SETUP_SIDE] = side
    fk.keep_largest(state.setups, counters, to.SETUP_PLACE, strongest, to.SETUP_WIDTH)


@kernel_part
def _divergence(state: PhaseState, counters: IntArray, rows: int, rules: Rules) -> int:
    """Phase 2: the active setup with its divergence and gap."""
    row, strongest = state.row, state.strongest
    _remember_setup(state, counters, rows, rules)
    side = counters[to.SETUP_SIDE] if rows - counters[to.SETUP_ROW] < rules.setup_ttl else 0
    setup = side if side * row[at.Z_SPOT + at.W15] > EPS else 0
    first = 0 if setup > 0 else 2
    row[to.SETUP] = setup
    row[to.DIVERGENCE] = strongest[first] if setup != 0 else 0.0
    row[to.GAP] = strongest[first + 1] if setup != 0 else 0.0
    return int(setup)


@kernel_part
def _retrace(row: FloatArray, setup: int) -> float:
    """Phase 3: how much of the gap the last 5m or 15m gave back, 0..1."""
    gap = float(row[to.GAP])
    if setup == 0 or gap <= 0.0:
        return 0.0
    back_5m = float(-setup * (row[at.U_SPOT + at.W5] - row[at.U_PERP + at.W5]) / gap)
    back_15m = float(-setup * (row[at.U_SPOT + at.W15] - row[at.U_PERP + at.W15]) / gap)
    return min(max(back_5m, back_15m, 0.0), 1.0)


@kernel_part
def _largest_retraces(
    state: PhaseState, counters: IntArray, setup: int, retrace: float
) -> tuple[float, float]:
    """Phase 3: the largest retrace with this setup, in the explosion memory and in the reset memory."""
    peak, side = state.peak, 0 if setup > 0 else 1
    own = retrace if setup != 0 else 0.0
    peak[side], peak[1 - side] = own, 0.0
    fk.keep_largest(state.explosions, counters, to.EXPLOSION_PLACE, peak, to.PEAK_WIDTH)
    largest = peak[side]
    peak[side], peak[1 - side] = own, 0.0
    fk.keep_largest(state.peaks, counters, to.PEAK_PLACE, peak, to.PEAK_WIDTH)
    return largest, peak[side]


@kernel_part
def _reset(state: PhaseState, counters: IntArray, rows: int, setup: int, rules: Rules) -> None:
    """Phase 3: the row's reset type, and what the reset memory holds of this setup."""
    row, side = state.row, 0 if setup > 0 else 1
    z_r, vol = row[at.Z_R + at.W5], row[at.VOL_5M]
    calm = vol > EPS and vol <= rules.vol_ratio * row[at.VOL_30M] + EPS
    stalled = calm and abs(z_r) <= rules.stall_threshold + EPS
    retrace = _retrace(row, setup)
    largest, peak = _largest_retraces(state, counters, setup, retrace)
    reset = to.RESET_NONE
    active = to.RESET_NONE
    if setup != 0:
        pushed = setup * z_r >= rules.explosion_threshold - EPS and setup * row[at.Z_SPOT + at.W5] > EPS
        if pushed and largest >= rules.retrace_threshold - EPS:
            reset = to.RESET_EXPLOSION
            counters[to.EXPLODED_ROW + side] = rows
        elif stalled and retrace >= rules.retrace_threshold - EPS:
            reset = to.RESET_EXHAUSTION
        if reset != to.RESET_NONE:
            counters[to.TYPED_ROW + side] = rows
        if rows - counters[to.EXPLODED_ROW + side] < rules.reset_ttl:
            active = to.RESET_EXPLOSION
        elif rows - counters[to.TYPED_ROW + side] < rules.reset_ttl:
            active = to.RESET_EXHAUSTION
    row[to.RETRACE] = retrace
    row[to.STALLED] = 1.0 if stalled else 0.0
    row[to.RESET] = reset
    row[to.RESET_ACTIVE] = active
    row[to.RETRACE_PEAK] = peak if setup != 0 else 0.0


@kernel_part
def _score_reset(row: FloatArray, rules: Rules) -> float:
    if row[to.RESET_ACTIVE] == to.RESET_NONE:
        return 0.0
    exploded = row[to.RESET_ACTIVE] == to.RESET_EXPLOSION
    quality = 0.5 * min(float(row[to.RETRACE_PEAK]) / rules.retrace_full, 1.0)
    quality += 0.3 * (1.0 if exploded else float(row[at.DECELERATION]))
    quality += 0.2 * (1.0 if exploded or row[to.STALLED] > 0.0 else 0.0)
    return rules.weight_reset * quality


@kernel_part
def _score_candles(history: FloatArray, slot: int, setup: int, row: FloatArray, rules: Rules) -> None:
    """Phase 4: absorption and failed breakdowns, over the five trailing candles."""
    mean = 0.0
    for k in range(to.CANDLES):
        mean += history[(slot - k * at.BLOCK_ROWS) % at.HISTORY_ROWS, at.H_VOLUME] / to.CANDLES
    absorption, attempts, newest, oldest = 0.0, 0, 0.0, 0.0
    for k in range(to.CANDLES):
        wick, body, attempt = fk.candle_shape(history, slot, k, setup)
        end = (slot - k * at.BLOCK_ROWS) % at.HISTORY_ROWS
        volume, flow = history[end, at.H_VOLUME], history[end, at.H_FLOW]
        busy = volume > EPS * mean and volume >= mean - EPS * mean
        quality = (0.5 if wick >= to.WICK_SHARE - EPS else 0.0) + (0.3 if body else 0.0)
        absorption += to.CANDLE_WEIGHTS[k] * (quality + (0.2 if busy else 0.0))
        if attempt:
            newest = flow if attempts == 0 else newest
            oldest = flow
            attempts += 1
    breakdown = 0.6 * min(attempts / 2.0, 1.0)
    if attempts >= 2 and newest < oldest - EPS * 0.5 * (newest + oldest):
        breakdown += 0.4
    row[to.SCORE_ABSORPTION] = rules.weight_absorption * absorption
    row[to.SCORE_BREAKDOWN] = rules.weight_breakdown * breakdown


@kernel_part
def _score_bias(row: FloatArray, setup: int, rules: Rules) -> float:
    quality = 0.4 if setup * row[at.Z_SPOT + at.W5] > EPS else 0.0
    quality += 0.3 if setup * row[at.Z_R + at.W5] > EPS else 0.0
    quality += 0.3 * (1.0 + setup * float(row[to.CONTEXT])) / 2.0
    return rules.weight_bias * quality


@kernel_part
def _score_oi(change: float) -> float:
    """Points for open interest, the same for long and short; NaN is unknown."""
    if math.isnan(change):
        return 0.0
    if change >= 0.10 - EPS:
        return 2.0
    if change >= 0.05 - EPS:
        return 1.5
    return 0.5 if change > EPS else -1.0


@kernel_part
def _score(
    row: FloatArray, history: FloatArray, slot: int, setup: int, oi_change: float, rules: Rules
) -> None:
    """Phase 4: the parts and the score, all 0 without a setup."""
    for column in range(to.SCORE_RESET, to.SCORE + 1):
        row[column] = 0.0
    if setup != 0:
        row[to.SCORE_RESET] = _score_reset(row, rules)
        _score_candles(history, slot, setup, row, rules)
        row[to.SCORE_BIAS] = _score_bias(row, setup, rules)
        row[to.SCORE_OI] = _score_oi(oi_change)
        parts = row[to.SCORE_RESET] + row[to.SCORE_ABSORPTION] + row[to.SCORE_BREAKDOWN] + row[to.SCORE_BIAS]
        row[to.SCORE] = min(max(parts + row[to.SCORE_OI], 0.0), 10.0)


@kernel_part
def _entry(row: FloatArray, counters: IntArray, second: int, rows: int, setup: int, rules: Rules) -> None:
    """One event for a run of qualifying rows that decide; its direction is held for ``entry_ttl`` rows."""
    armed = setup != 0 and row[to.RESET_ACTIVE] != to.RESET_NONE
    qualifies = (
        armed and row[to.SCORE] >= rules.min_score - EPS and setup * row[to.CONTEXT] > -to.AGAINST + EPS
    )
    row[to.ELIGIBLE] = setup if qualifies else 0
    row[to.EVENT] = 0.0
    if qualifies and (rules.decide_every == 1 or (second + 1) % rules.decide_every == 0):
        if rows - counters[to.QUALIFIED_ROW] > rules.rearm:
            counters[to.EVENT_ROW] = rows
            counters[to.EVENT_SIDE] = setup
            row[to.EVENT] = setup
        counters[to.QUALIFIED_ROW] = rows
    row[to.ENTRY] = counters[to.EVENT_SIDE] if rows - counters[to.EVENT_ROW] < rules.entry_ttl else 0


@kernel_part
def _veto(row: FloatArray, ready: bool, reference_live: float, rules: Rules) -> int:
    """The first reason for not trading, 0 where there is none; see layout.VETO_NAMES."""
    veto = 0
    for window in range(at.WINDOW_COUNT - 1, -1, -1):
        if row[at.COVERAGE_PERP + window] < rules.min_coverage - EPS:
            veto = to.VETO_HOLE + 2 * window + 1
        if row[at.COVERAGE_SPOT + window] < rules.min_coverage - EPS:
            veto = to.VETO_HOLE + 2 * window
    if reference_live == 0.0:
        veto = to.VETO_REFERENCE
    return veto if ready else to.VETO_WARMING_UP


@kernel_part
def _score_row(
    features: FeatureState,
    state: PhaseState,
    counters: IntArray,
    rules: Rules,
    second: int,
    inputs: FloatArray,
    i: int,
) -> None:
    """Score one second: everything that column ``i`` of ``inputs`` gives ends in ``state.row``."""
    counters[to.ROWS] += 1
    rows, row = counters[to.ROWS], state.row
    fk.feature_row(features, second, rows, inputs, i, row)
    _context(row, rules)
    setup = _divergence(state, counters, rows, rules)
    _reset(state, counters, rows, setup, rules)
    _score(row, features.history, second % at.HISTORY_ROWS, setup, inputs[at.OI_CHANGE, i], rules)
    _entry(row, counters, second, rows, setup, rules)
    ready = rows >= rules.warmup_rows
    if not ready:
        for column in range(to.CONTEXT, to.READY):
            row[column] = 0.0
    veto = _veto(row, ready, inputs[at.REFERENCE_LIVE, i], rules)
    row[to.READY] = 1.0 if ready else 0.0
    row[to.TRADABLE] = 1.0 if veto == 0 else 0.0
    row[to.VETO] = veto


def _sources() -> str:
    """A digest of every file that the compiled functions are made from."""
    files = (fk.__file__, at.__file__, to.__file__, __file__)
    return sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


# The closed-over ``sources`` is part of the key of Numba's disk cache, which by itself notices a change of
# this file only, and would go on running what the other files once said.


def _compile_scoring(sources: str) -> Callable[..., None]:
    @njit(cache=True, error_model="numpy")
    def score_rows(
        flat: FloatArray,
        counters: IntArray,
        rules: Rules,
        second: int,
        inputs: FloatArray,
        columns: IntArray,
        out: FloatArray,
    ) -> None:
        """Score the n seconds from ``second`` on, of each of m assets.

        ``inputs`` float64[m, 12, n]; ``columns`` int64[k] names the outputs wanted (phases/layout.py) and
        ``out`` float64[m, n, k] takes them. ``flat`` float64[m, state_size] and ``counters``
        int64[m, COUNTER_SIZE] are the state and move on by n rows.
        """
        _ = sources
        for asset in range(flat.shape[0]):
            features = fk.feature_state(flat[asset], rules.noise_rows)
            state = _phase_state(flat[asset], rules)
            for i in range(inputs.shape[2]):
                _score_row(features, state, counters[asset], rules, second + i, inputs[asset], i)
                for k in range(columns.shape[0]):
                    out[asset, i, k] = state.row[columns[k]]

    return score_rows


def _compile_exits(sources: str) -> Callable[..., tuple[int, int]]:
    @njit(cache=True, error_model="numpy")
    def find_exit(
        baseline: FloatArray, running: FloatArray, rules: Rules, watched: FloatArray
    ) -> tuple[int, int]:
        """Take in the rows after the entry's; return (row, exit) of the first that holds, else (n, 0)."""
        _ = sources
        side, limit = baseline[to.B_SIDE], rules.exit_threshold
        for i in range(watched.shape[1]):
            running[to.X_ROWS] += 1.0
            running[to.X_SPOT] += watched[to.V_DELTA_SPOT, i]
            running[to.X_PERP] += watched[to.V_DELTA_PERP, i]
            second = baseline[to.B_SECOND] + running[to.X_ROWS]
            if running[to.X_ROWS] < rules.min_hold or (second + 1.0) % rules.decide_every != 0.0:
                continue
            root = math.sqrt(running[to.X_ROWS])
            spot = side * fk.scaled(running[to.X_SPOT], baseline[to.B_SIGMA_SPOT] * root)
            perp = side * fk.scaled(running[to.X_PERP], baseline[to.B_SIGMA_PERP] * root)
            if spot <= -limit + EPS and perp >= limit - EPS:
                return i, to.EXIT_FLOW
            close = watched[to.V_CLOSE, i]
            if (side > 0.0 and close < baseline[to.B_LOW]) or (side < 0.0 and close > baseline[to.B_HIGH]):
                return i, to.EXIT_RANGE
            if max(side * watched[to.V_Z_SPOT, i], side * watched[to.V_Z_PERP, i]) <= -limit + EPS:
                return i, to.EXIT_CVD
            if side * watched[to.V_CONTEXT, i] <= -to.AGAINST + EPS:
                return i, to.EXIT_CONTEXT
        return watched.shape[1], 0

    return find_exit


score_rows = _compile_scoring(_sources())
find_exit = _compile_exits(_sources())
