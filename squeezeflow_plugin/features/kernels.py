"""Compiled features: one row in, one feature row out, in amortised constant time.

Window sums only ever add. Time is cut into 300 s blocks aligned to UTC, and a window is the
suffix of its oldest block, the whole blocks after it, and the prefix of the newest:

    S = (suffix of the oldest + whole blocks) + prefix of the newest

Suffix sums are made, in place of the raw rows, when a block is complete. Nothing is ever
subtracted: zeros sum to exactly 0, an outlier leaves no residue behind it, and a sum is
a function of its rows and their seconds, wherever the frame began. Lowest lows and highest highs
go the same way. A block occupies 301 slots, the last of them neutral (0, or the infinities), so
that a window of whole blocks needs no branch.

Kernels only loop: everything they are given was checked by ``flow.py``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from squeezeflow_plugin.features import layout as at

FloatArray = npt.NDArray[np.float64]

SLOTS = at.BLOCK_ROWS + 1
FLOW_BLOCKS = at.HISTORY_ROWS // at.BLOCK_ROWS
NOISE_BLOCKS = at.NOISE_ROWS // at.BLOCK_ROWS


class FeatureState(NamedTuple):
    """Views into one flat array; see ``feature_state`` for the shapes."""

    flow_ring: FloatArray  # [blocks, 301, 8] suffix sums of complete blocks, raw rows of the newest
    flow_whole: FloatArray  # [blocks, 8] sums of complete blocks
    flow_middle: FloatArray  # [windows, 8] sum of the whole blocks inside each window
    flow_prefix: FloatArray  # [8] sum of the newest block up to here
    noise_ring: FloatArray  # [blocks, 301, 4] the same for the squares
    noise_whole: FloatArray
    noise_middle: FloatArray
    noise_prefix: FloatArray
    extreme_ring: FloatArray  # [301, 2] suffix lows and highs of the last complete block
    extreme_prefix: FloatArray  # [2]
    history: FloatArray  # [3600, 8] what later rows ask of a row, by second modulo 3600
    added: FloatArray  # [8] the row's terms of the flow sums
    squared: FloatArray  # [4] the row's terms of the noise sums
    totals: FloatArray  # [windows, 8] the window sums at this row


FLOW_RING_SIZE = FLOW_BLOCKS * SLOTS * at.FLOW_WIDTH
NOISE_RING_SIZE = NOISE_BLOCKS * SLOTS * at.NOISE_WIDTH
STATE_SIZES = (
    FLOW_RING_SIZE,
    FLOW_BLOCKS * at.FLOW_WIDTH,
    at.WINDOW_COUNT * at.FLOW_WIDTH,
    at.FLOW_WIDTH,
    NOISE_RING_SIZE,
    NOISE_BLOCKS * at.NOISE_WIDTH,
    at.NOISE_WIDTH,
    at.NOISE_WIDTH,
    SLOTS * 2,
    2,
    at.HISTORY_ROWS * at.HISTORY_WIDTH,
    at.FLOW_WIDTH,
    at.NOISE_WIDTH,
    at.WINDOW_COUNT * at.FLOW_WIDTH,
)
FEATURE_STATE_SIZE = sum(STATE_SIZES)
STATE_ENDS = tuple(sum(STATE_SIZES[: index + 1]) for index in range(len(STATE_SIZES)))


@njit(cache=True)
def feature_state(flat):
    """The views of ``flat`` float64[FEATURE_STATE_SIZE] that make up a FeatureState."""
    e = STATE_ENDS
    return FeatureState(
        flat[: e[0]].reshape((FLOW_BLOCKS, SLOTS, at.FLOW_WIDTH)),
        flat[e[0] : e[1]].reshape((FLOW_BLOCKS, at.FLOW_WIDTH)),
        flat[e[1] : e[2]].reshape((at.WINDOW_COUNT, at.FLOW_WIDTH)),
        flat[e[2] : e[3]],
        flat[e[3] : e[4]].reshape((NOISE_BLOCKS, SLOTS, at.NOISE_WIDTH)),
        flat[e[4] : e[5]].reshape((NOISE_BLOCKS, at.NOISE_WIDTH)),
        flat[e[5] : e[6]],
        flat[e[6] : e[7]],
        flat[e[7] : e[8]].reshape((SLOTS, 2)),
        flat[e[8] : e[9]],
        flat[e[9] : e[10]].reshape((at.HISTORY_ROWS, at.HISTORY_WIDTH)),
        flat[e[10] : e[11]],
        flat[e[11] : e[12]],
        flat[e[12] : e[13]].reshape((at.WINDOW_COUNT, at.FLOW_WIDTH)),
    )


@njit(cache=True)
def log_ratio(later, earlier):
    """ln(later / earlier), exact to the last bits for tiny moves, and unchanged by scaling by powers of two.

    ln(a) - ln(b) would lose eleven digits of a one-tick move at a price of 65,000.
    """
    change = (later - earlier) / earlier
    if abs(change) < 0.5:
        return math.log1p(change)
    return math.log(later / earlier)


@njit(cache=True)
def _open_block(state, block):
    """Start the block: empty prefixes, and the sums of the whole blocks inside each window."""
    state.flow_prefix[:] = 0.0
    state.noise_prefix[:] = 0.0
    state.flow_middle[:] = 0.0
    state.noise_middle[:] = 0.0
    for window in range(at.WINDOW_COUNT):
        for back in range(at.WINDOW_BLOCKS[window] - 1, 0, -1):
            whole = (block - back) % FLOW_BLOCKS
            for k in range(at.FLOW_WIDTH):
                state.flow_middle[window, k] += state.flow_whole[whole, k]
    for back in range(NOISE_BLOCKS - 1, 0, -1):
        whole = (block - back) % NOISE_BLOCKS
        for k in range(at.NOISE_WIDTH):
            state.noise_middle[k] += state.noise_whole[whole, k]
    state.extreme_prefix[0] = np.inf
    state.extreme_prefix[1] = -np.inf


@njit(cache=True)
def _close_block(state, block):
    """Turn the complete block's raw rows into suffix sums and suffix extremes, from its end backwards."""
    here = block % FLOW_BLOCKS
    state.flow_whole[here] = state.flow_prefix
    for position in range(at.BLOCK_ROWS - 2, -1, -1):
        for k in range(at.FLOW_WIDTH):
            state.flow_ring[here, position, k] += state.flow_ring[here, position + 1, k]
    here = block % NOISE_BLOCKS
    state.noise_whole[here] = state.noise_prefix
    for position in range(at.BLOCK_ROWS - 2, -1, -1):
        for k in range(at.NOISE_WIDTH):
            state.noise_ring[here, position, k] += state.noise_ring[here, position + 1, k]
    ring = state.extreme_ring
    for position in range(at.BLOCK_ROWS - 2, -1, -1):
        ring[position, 0] = min(ring[position, 0], ring[position + 1, 0])
        ring[position, 1] = max(ring[position, 1], ring[position + 1, 1])


@njit(cache=True)
def _sum_windows(state, block, position):
    """Add the row's terms and leave the sums of the four windows in ``totals``; return the noise block."""
    here = block % FLOW_BLOCKS
    for k in range(at.FLOW_WIDTH):
        state.flow_prefix[k] += state.added[k]
        state.flow_ring[here, position, k] = state.added[k]
    for window in range(at.WINDOW_COUNT):
        oldest = (block - at.WINDOW_BLOCKS[window]) % FLOW_BLOCKS
        for k in range(at.FLOW_WIDTH):
            outer = state.flow_ring[oldest, position + 1, k] + state.flow_middle[window, k]
            state.totals[window, k] = outer + state.flow_prefix[k]
    here = block % NOISE_BLOCKS
    for k in range(at.NOISE_WIDTH):
        state.noise_prefix[k] += state.squared[k]
        state.noise_ring[here, position, k] = state.squared[k]


@njit(cache=True)
def _noise_scale(state, block, position, column, rows):
    """Root of the mean square over the noise window, or over the rows there are."""
    oldest = block % NOISE_BLOCKS
    outer = state.noise_ring[oldest, position + 1, column] + state.noise_middle[column]
    return math.sqrt((outer + state.noise_prefix[column]) / min(rows, at.NOISE_ROWS))


@njit(cache=True)
def _first_row(state, close, low, high):
    """Before the frame there is nothing: sums of zero, and prices that stood at the first row's."""
    state.history[:, at.H_CLOSE] = close
    state.history[:, at.H_LOW] = low
    state.history[:, at.H_HIGH] = high
    state.history[:, at.H_RANGE_LOW] = low
    state.history[:, at.H_RANGE_HIGH] = high
    state.extreme_ring[:, 0] = np.inf
    state.extreme_ring[:, 1] = -np.inf


@njit(cache=True)
def _price_extremes(state, second, position, low, high, f):
    """Lowest low and highest high of the 300 and of the 1800 rows up to here, kept in the history."""
    slot = second % at.HISTORY_ROWS
    ring = state.extreme_ring
    state.extreme_prefix[0] = min(state.extreme_prefix[0], low)
    state.extreme_prefix[1] = max(state.extreme_prefix[1], high)
    lowest = min(ring[position + 1, 0], state.extreme_prefix[0])
    highest = max(ring[position + 1, 1], state.extreme_prefix[1])
    ring[position, 0] = low
    ring[position, 1] = high
    state.history[slot, at.H_LOW] = lowest
    state.history[slot, at.H_HIGH] = highest
    for back in range(1, at.RANGE_BLOCKS):
        earlier = (slot - back * at.BLOCK_ROWS) % at.HISTORY_ROWS
        lowest = min(lowest, state.history[earlier, at.H_LOW])
        highest = max(highest, state.history[earlier, at.H_HIGH])
    state.history[slot, at.H_RANGE_LOW] = lowest
    state.history[slot, at.H_RANGE_HIGH] = highest
    f[at.RANGE_LOW] = lowest
    f[at.RANGE_HIGH] = highest


@njit(cache=True)
def _z_values(state, slot, close, f):
    """Fill in u and z of both classes, and z of the price, over the four windows; 0 where a scale is 0."""
    for window in range(at.WINDOW_COUNT):
        root = math.sqrt(at.WINDOW_ROWS[window])
        u_spot, u_perp, z_r = 0.0, 0.0, 0.0
        if f[at.SIGMA_SPOT] > 0.0:
            u_spot = state.totals[window, at.F_DELTA_SPOT] / f[at.SIGMA_SPOT]
        if f[at.SIGMA_PERP] > 0.0:
            u_perp = state.totals[window, at.F_DELTA_PERP] / f[at.SIGMA_PERP]
        if f[at.SIGMA_R] > 0.0:
            earlier = state.history[(slot - at.WINDOW_ROWS[window]) % at.HISTORY_ROWS, at.H_CLOSE]
            z_r = log_ratio(close, earlier) / (f[at.SIGMA_R] * root)
        f[at.U_SPOT + window] = u_spot
        f[at.U_PERP + window] = u_perp
        f[at.Z_SPOT + window] = u_spot / root
        f[at.Z_PERP + window] = u_perp / root
        f[at.Z_R + window] = z_r


@njit(cache=True)
def _shares(state, rows, f):
    """Fill in volatility, activity and coverage: means over each window, or over the rows there are."""
    totals = state.totals
    f[at.VOL_5M] = math.sqrt(totals[at.W5, at.F_R2] / min(rows, at.WINDOW_ROWS[at.W5]))
    f[at.VOL_30M] = math.sqrt(totals[at.W30, at.F_R2] / min(rows, at.WINDOW_ROWS[at.W30]))
    f[at.ACTIVITY_SPOT_15M] = totals[at.W15, at.F_TRADED_SPOT] / min(rows, at.WINDOW_ROWS[at.W15])
    f[at.ACTIVITY_PERP_15M] = totals[at.W15, at.F_TRADED_PERP] / min(rows, at.WINDOW_ROWS[at.W15])
    f[at.ACTIVITY_SPOT_30M] = totals[at.W30, at.F_TRADED_SPOT] / min(rows, at.WINDOW_ROWS[at.W30])
    f[at.ACTIVITY_PERP_30M] = totals[at.W30, at.F_TRADED_PERP] / min(rows, at.WINDOW_ROWS[at.W30])
    for window in range(at.WINDOW_COUNT):
        seen = min(rows, at.WINDOW_ROWS[window])
        f[at.COVERAGE_SPOT + window] = totals[window, at.F_COVER_SPOT] / seen
        f[at.COVERAGE_PERP + window] = totals[window, at.F_COVER_PERP] / seen


@njit(cache=True)
def feature_row(state, second, rows, inputs, i, f):
    """Take in column ``i`` of ``inputs`` float64[12, n] and fill the feature row ``f`` float64[39].

    ``second`` is the row's epoch second, ``rows`` how many rows exist up to it (1 for the first).
    """
    block = second // at.BLOCK_ROWS
    position = second % at.BLOCK_ROWS
    slot = second % at.HISTORY_ROWS
    close, low, high = inputs[at.CLOSE, i], inputs[at.LOW, i], inputs[at.HIGH, i]
    if rows == 1:
        _first_row(state, close, low, high)
    if rows == 1 or position == 0:
        _open_block(state, block)

    delta_spot = inputs[at.SPOT_BUY, i] - inputs[at.SPOT_SELL, i]
    delta_perp = inputs[at.PERP_BUY, i] - inputs[at.PERP_SELL, i]
    spot = inputs[at.SPOT_BUY, i] + inputs[at.SPOT_SELL, i]
    perp = inputs[at.PERP_BUY, i] + inputs[at.PERP_SELL, i]
    r = log_ratio(close, state.history[(slot - 1) % at.HISTORY_ROWS, at.H_CLOSE])
    added, squared = state.added, state.squared
    added[at.F_DELTA_SPOT] = delta_spot
    added[at.F_DELTA_PERP] = delta_perp
    added[at.F_R2] = r * r
    added[at.F_TRADED_SPOT] = 1.0 if spot > 0.0 else 0.0
    added[at.F_TRADED_PERP] = 1.0 if perp > 0.0 else 0.0
    added[at.F_COVER_SPOT] = inputs[at.COVERAGE_S, i]
    added[at.F_COVER_PERP] = inputs[at.COVERAGE_P, i]
    added[at.F_VOLUME] = spot + perp
    squared[at.N_SPOT] = delta_spot * delta_spot
    squared[at.N_PERP] = delta_perp * delta_perp
    squared[at.N_R] = r * r
    squared[3] = 0.0
    _sum_windows(state, block, position)

    f[at.SIGMA_SPOT] = _noise_scale(state, block, position, at.N_SPOT, rows)
    f[at.SIGMA_PERP] = _noise_scale(state, block, position, at.N_PERP, rows)
    f[at.SIGMA_R] = _noise_scale(state, block, position, at.N_R, rows)
    _z_values(state, slot, close, f)
    _shares(state, rows, f)
    _price_extremes(state, second, position, low, high, f)

    here = state.history[slot]
    here[at.H_CLOSE] = close
    here[at.H_VOLUME] = state.totals[at.W5, at.F_VOLUME]
    here[at.H_FLOW] = abs(f[at.U_SPOT + at.W5]) + abs(f[at.U_PERP + at.W5])
    here[at.H_SPEED] = abs(f[at.Z_SPOT + at.W5]) + abs(f[at.Z_PERP + at.W5])
    if position == at.BLOCK_ROWS - 1:
        _close_block(state, block)
