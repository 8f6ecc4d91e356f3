"""Compiled phases: the one step function that scores a second, the loop over it, and the exits.

``score_rows`` is the only way a second is ever scored: the batch gives it many columns, the live
step one. What a row needs of earlier rows is kept in flat arrays: sliding maxima in rings
cut into blocks as long as their memory (suffix maxima of the last block, prefix
maximum of the newest), and the row numbers at which something was last seen.

Directions are +1 and -1; arrays with an entry a direction hold +1 first. Comparisons tolerate ``EPS``
except between raw prices, so that a tie falls the same way whatever the order of summation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from squeezeflow_plugin.features import layout as at
from squeezeflow_plugin.features.kernels import FEATURE_STATE_SIZE, feature_row, feature_state, log_ratio
from squeezeflow_plugin.phases import layout as to

FloatArray = npt.NDArray[np.float64]

EPS = 1e-9
NEVER = -(1 << 40)  # a row number before every memory

# The counters: row numbers count from 1.
ROWS, SETUP_ROW, SETUP_SIDE, QUALIFIED_ROW, EVENT_ROW, EVENT_SIDE = 0, 1, 2, 3, 4, 5
TYPED_ROW, EXPLODED_ROW = 6, 8  # two each: long, short
COUNTER_SIZE = 10

SETUP_WIDTH = 4  # strength long, gap long, strength short, gap short
PEAK_WIDTH = 2  # retrace long, retrace short
CANDLES = 5
CANDLE_WEIGHTS = (0.30, 0.25, 0.20, 0.15, 0.10)
WICK_SHARE = 0.4
AGAINST = 0.5  # a context this far to the other side is a regime against the setup


class PhaseState(NamedTuple):
    """Views into the flat array, behind those of the features; rings have one neutral row at their end."""

    setups: FloatArray  # [setup_ttl + 1, 4]
    setup_top: FloatArray  # [4]
    explosions: FloatArray  # [explosion_memory + 1, 2]
    explosion_top: FloatArray  # [2]
    peaks: FloatArray  # [reset_ttl + 1, 2]
    peak_top: FloatArray  # [2]
    row: FloatArray  # [COLUMN_COUNT] features and outputs of the row at hand
    strongest: FloatArray  # [4] the row's own setup, then the largest in memory
    peak: FloatArray  # [2] the row's own retrace, then the largest in memory


def state_size(setup_ttl: int, explosion_memory: int, reset_ttl: int) -> int:
    """How many float64 the state of one asset takes.

    >>> state_size(1800, 900, 300) * 8 < 1_000_000
    True
    """
    rings = (setup_ttl + 2) * SETUP_WIDTH + (explosion_memory + reset_ttl + 4) * PEAK_WIDTH
    return FEATURE_STATE_SIZE + rings + to.COLUMN_COUNT + SETUP_WIDTH + PEAK_WIDTH


@njit(cache=True)
def _phase_state(flat, rules):
    start = FEATURE_STATE_SIZE
    a = start + (rules.setup_ttl + 1) * SETUP_WIDTH
    b = a + SETUP_WIDTH
    c = b + (rules.explosion_memory + 1) * PEAK_WIDTH
    d = c + PEAK_WIDTH
    e = d + (rules.reset_ttl + 1) * PEAK_WIDTH
    g = e + PEAK_WIDTH
    h = g + to.COLUMN_COUNT
    k = h + SETUP_WIDTH
    return PhaseState(
        flat[start:a].reshape((rules.setup_ttl + 1, SETUP_WIDTH)),
        flat[a:b],
        flat[b:c].reshape((rules.explosion_memory + 1, PEAK_WIDTH)),
        flat[c:d],
        flat[d:e].reshape((rules.reset_ttl + 1, PEAK_WIDTH)),
        flat[e:g],
        flat[g:h],
        flat[h:k],
        flat[k : k + PEAK_WIDTH],
    )


@njit(cache=True)
def _keep_largest(ring, top, rows, values):
    """Put the row's ``values`` (0 or more) into the ring; replace them by the largest of its memory."""
    memory = ring.shape[0] - 1
    position = (rows - 1) % memory
    if position == 0:
        top[:] = 0.0
    for k in range(values.shape[0]):
        value = values[k]
        top[k] = max(top[k], value)
        values[k] = max(top[k], ring[position + 1, k])
        ring[position, k] = value
    if position == memory - 1:
        for earlier in range(memory - 2, -1, -1):
            for k in range(values.shape[0]):
                ring[earlier, k] = max(ring[earlier, k], ring[earlier + 1, k])


@njit(cache=True)
def _vote(row, window, rules):
    """Phase 1: a window's vote."""
    lead = row[at.Z_SPOT + window] - row[at.Z_PERP + window]
    z_r = row[at.Z_R + window]
    if z_r >= rules.ctx_threshold - EPS and lead > EPS:
        return 1.0
    if z_r <= -rules.ctx_threshold + EPS and lead < -EPS:
        return -1.0
    return 0.0


@njit(cache=True)
def _context(row, rules):
    context = 0.2 * _vote(row, at.W15, rules) + 0.3 * _vote(row, at.W30, rules) + 0.5 * _vote(row, at.W60, rules)
    row[to.CONTEXT] = context
    row[to.REGIME] = 0.0
    if context >= 0.5 - EPS:
        row[to.REGIME] = 1.0
    elif context <= -0.5 + EPS:
        row[to.REGIME] = -1.0


@njit(cache=True)
def _own_setup(row, window, active, rules):
    """Phase 2: the window's own setup, +1, -1 or 0."""
    if not active:
        return 0
    z_spot, z_perp, z_r = row[at.Z_SPOT + window], row[at.Z_PERP + window], row[at.Z_R + window]
    limit = rules.div_threshold - EPS
    if z_spot >= limit and z_perp <= -limit and z_r >= -rules.price_threshold - EPS:
        return 1
    if z_spot <= -limit and z_perp >= limit and z_r <= rules.price_threshold + EPS:
        return -1
    return 0


@njit(cache=True)
def _divergence(state, counters, rows, rules):
    """Phase 2: remember the row's own setup, and say which setup is active with which strength and gap."""
    row, strongest = state.row, state.strongest
    least = rules.min_activity - EPS
    side = _own_setup(
        row, at.W15, row[at.ACTIVITY_SPOT_15M] >= least and row[at.ACTIVITY_PERP_15M] >= least, rules
    )
    side_30m = _own_setup(
        row, at.W30, row[at.ACTIVITY_SPOT_30M] >= least and row[at.ACTIVITY_PERP_30M] >= least, rules
    )
    strength = min(abs(row[at.Z_SPOT + at.W15]), abs(row[at.Z_PERP + at.W15]))
    strength_30m = min(abs(row[at.Z_SPOT + at.W30]), abs(row[at.Z_PERP + at.W30]))
    window = at.W15
    if side_30m != 0 and (side == 0 or strength_30m > strength + EPS):
        window, side, strength = at.W30, side_30m, strength_30m
    strongest[:] = 0.0
    if side != 0:
        first = 0 if side > 0 else 2
        strongest[first] = strength
        strongest[first + 1] = abs(row[at.U_SPOT + window] - row[at.U_PERP + window])
        counters[SETUP_ROW] = rows
        counters[SETUP_SIDE] = side
    _keep_largest(state.setups, state.setup_top, rows, strongest)

    setup = 0
    if rows - counters[SETUP_ROW] < rules.setup_ttl:
        if counters[SETUP_SIDE] * row[at.Z_SPOT + at.W15] > EPS:
            setup = counters[SETUP_SIDE]
    first = 0 if setup > 0 else 2
    row[to.SETUP] = setup
    row[to.DIVERGENCE] = strongest[first] if setup != 0 else 0.0
    row[to.GAP] = strongest[first + 1] if setup != 0 else 0.0
    return setup


@njit(cache=True)
def _retrace(row, setup):
    """Phase 3: how much of the gap the last 5m or 15m gave back, 0..1."""
    gap = row[to.GAP]
    if setup == 0 or gap <= 0.0:
        return 0.0
    back_5m = -setup * (row[at.U_SPOT + at.W5] - row[at.U_PERP + at.W5]) / gap
    back_15m = -setup * (row[at.U_SPOT + at.W15] - row[at.U_PERP + at.W15]) / gap
    return min(max(back_5m, back_15m, 0.0), 1.0)


@njit(cache=True)
def _reset(state, counters, rows, setup, rules):
    """Phase 3: the row's reset type, and what the reset memory holds of this setup."""
    row, peak = state.row, state.peak
    retrace = _retrace(row, setup)
    z_r, vol = row[at.Z_R + at.W5], row[at.VOL_5M]
    stalled = abs(z_r) <= rules.stall_threshold + EPS
    stalled = stalled and vol > EPS and vol <= rules.vol_ratio * row[at.VOL_30M] + EPS
    side = 0 if setup > 0 else 1
    peak[:] = 0.0
    if setup != 0:
        peak[side] = retrace
    _keep_largest(state.explosions, state.explosion_top, rows, peak)
    largest = peak[side]
    peak[:] = 0.0
    if setup != 0:
        peak[side] = retrace
    _keep_largest(state.peaks, state.peak_top, rows, peak)

    reset = to.RESET_NONE
    if setup != 0:
        pushed = setup * z_r >= rules.explosion_threshold - EPS and setup * row[at.Z_SPOT + at.W5] > EPS
        if pushed and largest >= rules.retrace_threshold - EPS:
            reset = to.RESET_EXPLOSION
            counters[EXPLODED_ROW + side] = rows
        elif stalled and retrace >= rules.retrace_threshold - EPS:
            reset = to.RESET_EXHAUSTION
        if reset != to.RESET_NONE:
            counters[TYPED_ROW + side] = rows
    active = to.RESET_NONE
    if setup != 0 and rows - counters[TYPED_ROW + side] < rules.reset_ttl:
        active = to.RESET_EXHAUSTION
        if rows - counters[EXPLODED_ROW + side] < rules.reset_ttl:
            active = to.RESET_EXPLOSION
    row[to.RETRACE] = retrace
    row[to.STALLED] = 1.0 if stalled else 0.0
    row[to.RESET] = reset
    row[to.RESET_ACTIVE] = active
    row[to.RETRACE_PEAK] = peak[side] if setup != 0 else 0.0


@njit(cache=True)
def _deceleration(history, slot):
    speed = history[slot, at.H_SPEED]
    earlier = history[(slot - at.BLOCK_ROWS) % at.HISTORY_ROWS, at.H_SPEED]
    if earlier <= EPS:
        return 0.0
    return min(max(1.0 - speed / earlier, 0.0), 1.0)


@njit(cache=True)
def _score_reset(row, rules):
    if row[to.RESET_ACTIVE] == to.RESET_NONE:
        return 0.0
    exploded = row[to.RESET_ACTIVE] == to.RESET_EXPLOSION
    quality = 0.5 * min(row[to.RETRACE_PEAK] / rules.retrace_full, 1.0)
    quality += 0.3 * (1.0 if exploded else row[to.DECELERATION])
    quality += 0.2 * (1.0 if exploded or row[to.STALLED] > 0.0 else 0.0)
    return rules.weight_reset * quality


@njit(cache=True)
def _candle(history, slot, k, setup):
    """Trailing candle k: share of the wick on the side of the setup, body with it, attempt, volume, flow."""
    end = (slot - k * at.BLOCK_ROWS) % at.HISTORY_ROWS
    before = (end - at.BLOCK_ROWS) % at.HISTORY_ROWS
    begin, close = history[before, at.H_CLOSE], history[end, at.H_CLOSE]
    low = min(history[end, at.H_LOW], begin)
    high = max(history[end, at.H_HIGH], begin)
    if setup > 0:
        wick = log_ratio(min(begin, close), low)
        body = close > begin
        broken = history[before, at.H_RANGE_LOW]
        attempt = low < broken and close > broken
    else:
        wick = log_ratio(high, max(begin, close))
        body = close < begin
        broken = history[before, at.H_RANGE_HIGH]
        attempt = high > broken and close < broken
    if high > low:
        wick /= log_ratio(high, low)
    else:
        wick = 0.0
    return wick, body, attempt, history[end, at.H_VOLUME], history[end, at.H_FLOW]


@njit(cache=True)
def _score_candles(history, slot, setup, row, rules):
    """Phase 4: absorption and failed breakdowns, over the five trailing candles."""
    mean = 0.0
    for k in range(CANDLES):
        mean += history[(slot - k * at.BLOCK_ROWS) % at.HISTORY_ROWS, at.H_VOLUME]
    mean /= CANDLES
    absorption, attempts, newest, oldest = 0.0, 0, 0.0, 0.0
    for k in range(CANDLES):
        wick, body, attempt, volume, flow = _candle(history, slot, k, setup)
        quality = 0.5 if wick >= WICK_SHARE - EPS else 0.0
        quality += 0.3 if body else 0.0
        quality += 0.2 if volume > EPS * mean and volume >= mean - EPS * mean else 0.0
        absorption += CANDLE_WEIGHTS[k] * quality
        if attempt:
            newest = flow if attempts == 0 else newest
            oldest = flow
            attempts += 1
    breakdown = 0.6 * min(attempts / 2.0, 1.0)
    if attempts >= 2 and newest < oldest - EPS * 0.5 * (newest + oldest):
        breakdown += 0.4
    row[to.SCORE_ABSORPTION] = rules.weight_absorption * absorption
    row[to.SCORE_BREAKDOWN] = rules.weight_breakdown * breakdown


@njit(cache=True)
def _score_bias(row, setup, rules):
    quality = 0.4 if setup * row[at.Z_SPOT + at.W5] > EPS else 0.0
    quality += 0.3 if setup * row[at.Z_R + at.W5] > EPS else 0.0
    quality += 0.3 * (1.0 + setup * row[to.CONTEXT]) / 2.0
    return rules.weight_bias * quality


@njit(cache=True)
def _score_oi(change):
    if math.isnan(change):
        return 0.0
    if change >= 0.10 - EPS:
        return 2.0
    if change >= 0.05 - EPS:
        return 1.5
    return 0.5 if change > EPS else -1.0


@njit(cache=True)
def _score(row, history, slot, setup, oi_change, rules):
    """Phase 4: the parts and the score, all 0 without a setup."""
    row[to.DECELERATION] = _deceleration(history, slot)
    for column in range(to.SCORE_RESET, to.SCORE + 1):
        row[column] = 0.0
    if setup == 0:
        return
    row[to.SCORE_RESET] = _score_reset(row, rules)
    _score_candles(history, slot, setup, row, rules)
    row[to.SCORE_BIAS] = _score_bias(row, setup, rules)
    row[to.SCORE_OI] = _score_oi(oi_change)
    parts = row[to.SCORE_RESET] + row[to.SCORE_ABSORPTION] + row[to.SCORE_BREAKDOWN] + row[to.SCORE_BIAS]
    row[to.SCORE] = min(max(parts + row[to.SCORE_OI], 0.0), 10.0)


@njit(cache=True)
def _entry(row, counters, rows, setup, rules):
    """One event for a run of qualifying rows; its direction is held for ``entry_ttl`` rows."""
    qualifies = setup != 0 and row[to.RESET_ACTIVE] != to.RESET_NONE
    qualifies = qualifies and row[to.SCORE] >= rules.min_score - EPS
    qualifies = qualifies and setup * row[to.CONTEXT] > -AGAINST + EPS
    row[to.ELIGIBLE] = setup if qualifies else 0
    row[to.EVENT] = 0.0
    if qualifies:
        if rows - counters[QUALIFIED_ROW] > rules.rearm:
            counters[EVENT_ROW] = rows
            counters[EVENT_SIDE] = setup
            row[to.EVENT] = setup
        counters[QUALIFIED_ROW] = rows
    held = rows - counters[EVENT_ROW] < rules.entry_ttl
    row[to.ENTRY] = counters[EVENT_SIDE] if held else 0


@njit(cache=True)
def _veto(row, ready, reference_live, rules):
    """The first reason for not trading, 0 where there is none; see layout.VETO_NAMES."""
    if not ready:
        return to.VETO_WARMING_UP
    if reference_live == 0.0:
        return to.VETO_REFERENCE
    for window in range(at.WINDOW_COUNT):
        if not row[at.COVERAGE_SPOT + window] >= rules.min_coverage - EPS:
            return to.VETO_HOLE + 2 * window
        if not row[at.COVERAGE_PERP + window] >= rules.min_coverage - EPS:
            return to.VETO_HOLE + 2 * window + 1
    return 0


@njit(cache=True)
def _score_row(features, state, counters, rules, second, inputs, i):
    """Score one second: everything of column ``i`` of ``inputs`` ends in ``state.row``."""
    counters[ROWS] += 1
    rows = counters[ROWS]
    row = state.row
    slot = second % at.HISTORY_ROWS
    feature_row(features, second, rows, inputs, i, row)
    _context(row, rules)
    setup = _divergence(state, counters, rows, rules)
    _reset(state, counters, rows, setup, rules)
    _score(row, features.history, slot, setup, inputs[at.OI_CHANGE, i], rules)
    _entry(row, counters, rows, setup, rules)
    ready = rows >= rules.warmup_rows
    if not ready:
        row[to.CONTEXT : to.READY] = 0.0
    veto = _veto(row, ready, inputs[at.REFERENCE_LIVE, i], rules)
    row[to.READY] = 1.0 if ready else 0.0
    row[to.TRADABLE] = 1.0 if veto == 0 else 0.0
    row[to.VETO] = veto


@njit(cache=True)
def score_rows(flat, counters, rules, second, inputs, columns, out):
    """Score the n seconds from ``second`` on.

    ``inputs`` float64[12, n]; ``columns`` int64[k] names the outputs wanted (phases/layout.py) and ``out``
    float64[k, n] takes them. ``flat`` and ``counters`` are the state, and move on by n rows.
    """
    features = feature_state(flat)
    state = _phase_state(flat, rules)
    for i in range(inputs.shape[1]):
        _score_row(features, state, counters, rules, second + i, inputs, i)
        for k in range(columns.shape[0]):
            out[k, i] = state.row[columns[k]]


# Phase 5. The baseline array: side, sigma_spot, sigma_perp, low, high; the running array: rows, flows.
B_SIDE, B_SIGMA_SPOT, B_SIGMA_PERP, B_LOW, B_HIGH = 0, 1, 2, 3, 4
X_ROWS, X_SPOT, X_PERP = 0, 1, 2


@njit(cache=True)
def exit_row(baseline, running, rules, delta_spot, delta_perp, close, z_spot_15m, z_perp_15m, context):
    """Take in one row after the entry's; return the exit that holds first, 0 where none does."""
    running[X_ROWS] += 1.0
    running[X_SPOT] += delta_spot
    running[X_PERP] += delta_perp
    if running[X_ROWS] < rules.min_hold:
        return 0
    side, limit = baseline[B_SIDE], rules.exit_threshold
    root = math.sqrt(running[X_ROWS])
    z_spot, z_perp = 0.0, 0.0
    if baseline[B_SIGMA_SPOT] > 0.0:
        z_spot = running[X_SPOT] / (baseline[B_SIGMA_SPOT] * root)
    if baseline[B_SIGMA_PERP] > 0.0:
        z_perp = running[X_PERP] / (baseline[B_SIGMA_PERP] * root)
    if side * z_spot <= -limit + EPS and side * z_perp >= limit - EPS:
        return to.EXIT_FLOW
    if (side > 0.0 and close < baseline[B_LOW]) or (side < 0.0 and close > baseline[B_HIGH]):
        return to.EXIT_RANGE
    if side * z_spot_15m <= -limit + EPS and side * z_perp_15m <= -limit + EPS:
        return to.EXIT_CVD
    if side * context <= -AGAINST + EPS:
        return to.EXIT_CONTEXT
    return 0


@njit(cache=True)
def feed_rows(running, delta_spot, delta_perp):
    """Take in rows, float64[n], without judging them."""
    for i in range(delta_spot.shape[0]):
        running[X_ROWS] += 1.0
        running[X_SPOT] += delta_spot[i]
        running[X_PERP] += delta_perp[i]


@njit(cache=True)
def exit_rows(baseline, running, rules, delta_spot, delta_perp, close, z_spot_15m, z_perp_15m, context):
    """The same over rows, all arrays float64[n]; return (row, exit) of the first that holds, else (n, 0)."""
    for i in range(close.shape[0]):
        code = exit_row(
            baseline,
            running,
            rules,
            delta_spot[i],
            delta_perp[i],
            close[i],
            z_spot_15m[i],
            z_perp_15m[i],
            context[i],
        )
        if code != 0:
            return i, code
    return close.shape[0], 0
