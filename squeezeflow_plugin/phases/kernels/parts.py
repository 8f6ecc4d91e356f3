"""Phases 1 to 4, entries and vetoes, each for one row; ``scoring`` puts them together."""

from __future__ import annotations

import math

from squeezeflow_plugin.features import kernels as fk
from squeezeflow_plugin.features import layout as at
from squeezeflow_plugin.features.kernels import kernel_part
from squeezeflow_plugin.phases import layout as to
from squeezeflow_plugin.phases.kernels.state import EPS, FloatArray, IntArray, PhaseState, keep_largest
from squeezeflow_plugin.phases.params import Rules


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
def context(row: FloatArray, rules: Rules) -> None:
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
    keep_largest(state.setups, counters, to.SETUP_PLACE, strongest, to.SETUP_WIDTH)


@kernel_part
def divergence(state: PhaseState, counters: IntArray, rows: int, rules: Rules) -> int:
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
    keep_largest(state.explosions, counters, to.EXPLOSION_PLACE, peak, to.PEAK_WIDTH)
    largest = peak[side]
    peak[side], peak[1 - side] = own, 0.0
    keep_largest(state.peaks, counters, to.PEAK_PLACE, peak, to.PEAK_WIDTH)
    return largest, peak[side]


@kernel_part
def reset(state: PhaseState, counters: IntArray, rows: int, setup: int, rules: Rules) -> None:
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
def score(
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
def entry(row: FloatArray, counters: IntArray, second: int, rows: int, setup: int, rules: Rules) -> None:
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
def veto(row: FloatArray, ready: bool, reference_live: float, rules: Rules) -> int:
    """The first reason for not trading, 0 where there is none; see layout.VETO_NAMES."""
    code = 0
    for window in range(at.WINDOW_COUNT - 1, -1, -1):
        if row[at.COVERAGE_PERP + window] < rules.min_coverage - EPS:
            code = to.VETO_HOLE + 2 * window + 1
        if row[at.COVERAGE_SPOT + window] < rules.min_coverage - EPS:
            code = to.VETO_HOLE + 2 * window
    if reference_live == 0.0:
        code = to.VETO_REFERENCE
    return code if ready else to.VETO_WARMING_UP
