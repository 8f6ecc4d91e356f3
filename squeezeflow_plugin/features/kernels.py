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
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from squeezeflow_plugin.compiling import compiled
from squeezeflow_plugin.features import layout as at

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Inlined into the one step function: calls that pass arrays would count references, atomically, and
# that took more than half of the time. Divisors are tested before, so division needs no check.
kernel_part = njit(inline="always", error_model="numpy")

SLOTS = at.BLOCK_ROWS + 1
FLOW_BLOCKS = at.HISTORY_ROWS // at.BLOCK_ROWS
WINDOW_ROOTS = tuple(math.sqrt(rows) for rows in at.WINDOW_ROWS)


class FeatureState(NamedTuple):
    """Views into one flat array; see ``feature_state`` for the shapes."""

    flow_ring: FloatArray  # [blocks, 301, 8] suffix sums of complete blocks, raw rows of the newest
    flow_whole: FloatArray  # [blocks, 8] sums of complete blocks
    flow_middle: FloatArray  # [windows, 8] sum of the whole blocks inside each window
    flow_prefix: FloatArray  # [8] sum of the newest block up to here
    noise_middle: FloatArray  # [3] the same for the squares
    noise_prefix: FloatArray
    extreme_ring: FloatArray  # [301, 2] suffix lows and highs of the last complete block
    extreme_prefix: FloatArray  # [2]
    history: FloatArray  # [3600, 8] what later rows ask of a row, by second modulo 3600
    added: FloatArray  # [8] the row's terms of the flow sums
    squared: FloatArray  # [3] the row's terms of the noise sums
    totals: FloatArray  # [windows, 8] the window sums at this row
    noise_ring: FloatArray  # [noise blocks, 301, 3] suffix sums of squares, raw squares of the newest block
    noise_whole: FloatArray  # [noise blocks, 3]
    noise_place: FloatArray  # [1] the newest block's place in the two


FLOW_RING_SIZE = FLOW_BLOCKS * SLOTS * at.FLOW_WIDTH
STATE_SIZES = (
    FLOW_RING_SIZE,
    FLOW_BLOCKS * at.FLOW_WIDTH,
    at.WINDOW_COUNT * at.FLOW_WIDTH,
    at.FLOW_WIDTH,
    at.NOISE_WIDTH,
    at.NOISE_WIDTH,
    SLOTS * 2,
    2,
    at.HISTORY_ROWS * at.HISTORY_WIDTH,
    at.FLOW_WIDTH,
    at.NOISE_WIDTH,
    at.WINDOW_COUNT * at.FLOW_WIDTH,
    1,
)
STATE_ENDS = tuple(sum(STATE_SIZES[: index + 1]) for index in range(len(STATE_SIZES)))


FIXED_SIZE = STATE_ENDS[-1]
NOISE_BLOCK_SIZE = (SLOTS + 1) * at.NOISE_WIDTH  # the rows of a block and their sum


def feature_state_size(noise_rows: int) -> int:
    """How many float64 the features' state takes with noise scales over that many rows."""
    return FIXED_SIZE + noise_rows // at.BLOCK_ROWS * NOISE_BLOCK_SIZE


@kernel_part
def feature_state(flat: FloatArray, noise_rows: int) -> FeatureState:
    """The views of ``flat`` float64[feature_state_size(noise_rows) or more] that make up a FeatureState."""
    e = STATE_ENDS
    blocks = noise_rows // at.BLOCK_ROWS
    ring = e[12] + blocks * SLOTS * at.NOISE_WIDTH
    return FeatureState(
        flat[: e[0]].reshape((FLOW_BLOCKS, SLOTS, at.FLOW_WIDTH)),
        flat[e[0] : e[1]].reshape((FLOW_BLOCKS, at.FLOW_WIDTH)),
        flat[e[1] : e[2]].reshape((at.WINDOW_COUNT, at.FLOW_WIDTH)),
        flat[e[2] : e[3]],
        flat[e[3] : e[4]],
        flat[e[4] : e[5]],
        flat[e[5] : e[6]].reshape((SLOTS, 2)),
        flat[e[6] : e[7]],
        flat[e[7] : e[8]].reshape((at.HISTORY_ROWS, at.HISTORY_WIDTH)),
        flat[e[8] : e[9]],
        flat[e[9] : e[10]],
        flat[e[10] : e[11]].reshape((at.WINDOW_COUNT, at.FLOW_WIDTH)),
        flat[e[12] : ring].reshape((blocks, SLOTS, at.NOISE_WIDTH)),
        flat[ring : ring + blocks * at.NOISE_WIDTH].reshape((blocks, at.NOISE_WIDTH)),
        flat[e[11] : e[12]],
    )


@kernel_part
def log_ratio(later: float, earlier: float) -> float:
    """ln(later / earlier), exact to the last bits for small moves and the same when both are doubled.

    ln(a) - ln(b) would lose eight digits of a one-tick move at a price of 65,000.
    """
    change = (later - earlier) / earlier
    return math.log1p(change) if abs(change) < 0.5 else math.log(later / earlier)


@kernel_part
def scaled(value: float, scale: float) -> float:
    """value / scale, 0 where the scale is 0."""
    return value / scale if scale > 0.0 else 0.0


@kernel_part
def _open_block(state: FeatureState, block: int) -> None:
    """Start the block: empty prefixes, and the sums of the whole blocks inside each window."""
    state.flow_prefix[:] = 0.0
    state.noise_prefix[:] = 0.0
    state.flow_middle[:] = 0.0
    state.noise_middle[:] = 0.0
    for window in range(at.WINDOW_COUNT):
        for back in range(at.WINDOW_BLOCKS[window] - 1, 0, -1):
            for k in range(at.FLOW_WIDTH):
                state.flow_middle[window, k] += state.flow_whole[(block - back) % FLOW_BLOCKS, k]
    blocks = state.noise_whole.shape[0]
    state.noise_place[0] = block % blocks
    for back in range(blocks - 1, 0, -1):
        for k in range(at.NOISE_WIDTH):
            state.noise_middle[k] += state.noise_whole[(block - back) % blocks, k]
    state.extreme_prefix[0] = np.inf
    state.extreme_prefix[1] = -np.inf


@kernel_part
def _close_block(state: FeatureState, block: int) -> None:
    """Turn the complete block's raw rows into suffix sums and suffix extremes, from its end backwards."""
    here, noise = block % FLOW_BLOCKS, int(state.noise_place[0])
    for k in range(at.FLOW_WIDTH):
        state.flow_whole[here, k] = state.flow_prefix[k]
    for k in range(at.NOISE_WIDTH):
        state.noise_whole[noise, k] = state.noise_prefix[k]
    ring = state.extreme_ring
    for position in range(at.BLOCK_ROWS - 2, -1, -1):
        for k in range(at.FLOW_WIDTH):
            state.flow_ring[here, position, k] += state.flow_ring[here, position + 1, k]
        for k in range(at.NOISE_WIDTH):
            state.noise_ring[noise, position, k] += state.noise_ring[noise, position + 1, k]
        ring[position, 0] = min(ring[position, 0], ring[position + 1, 0])
        ring[position, 1] = max(ring[position, 1], ring[position + 1, 1])


@kernel_part
def _row_terms(state: FeatureState, inputs: FloatArray, i: int, r: float) -> None:
    """What column ``i`` of the inputs, with its log return ``r``, adds to the sums."""
    delta_spot = inputs[at.SPOT_BUY, i] - inputs[at.SPOT_SELL, i]
    delta_perp = inputs[at.PERP_BUY, i] - inputs[at.PERP_SELL, i]
    spot = inputs[at.SPOT_BUY, i] + inputs[at.SPOT_SELL, i]
    perp = inputs[at.PERP_BUY, i] + inputs[at.PERP_SELL, i]
    state.added[at.F_DELTA_SPOT] = delta_spot
    state.added[at.F_DELTA_PERP] = delta_perp
    state.added[at.F_R2] = r * r
    state.added[at.F_TRADED_SPOT] = 1.0 if spot > 0.0 else 0.0
    state.added[at.F_TRADED_PERP] = 1.0 if perp > 0.0 else 0.0
    state.added[at.F_COVER_SPOT] = inputs[at.COVERAGE_S, i]
    state.added[at.F_COVER_PERP] = inputs[at.COVERAGE_P, i]
    state.added[at.F_VOLUME] = spot + perp
    state.squared[at.N_SPOT] = delta_spot * delta_spot
    state.squared[at.N_PERP] = delta_perp * delta_perp
    state.squared[at.N_R] = r * r


@kernel_part
def _sum_windows(state: FeatureState, block: int, position: int) -> None:
    """Take the row's terms in and leave the sums of the four windows in ``totals``."""
    here, noise = block % FLOW_BLOCKS, int(state.noise_place[0])
    for k in range(at.FLOW_WIDTH):
        state.flow_prefix[k] += state.added[k]
        state.flow_ring[here, position, k] = state.added[k]
    for window in range(at.WINDOW_COUNT):
        oldest = (block - at.WINDOW_BLOCKS[window]) % FLOW_BLOCKS
        for k in range(at.FLOW_WIDTH):
            outer = state.flow_ring[oldest, position + 1, k] + state.flow_middle[window, k]
            state.totals[window, k] = outer + state.flow_prefix[k]
    for k in range(at.NOISE_WIDTH):
        state.noise_prefix[k] += state.squared[k]
        state.noise_ring[noise, position, k] = state.squared[k]


@kernel_part
def _noise_scale(state: FeatureState, position: int, column: int, seen: int) -> float:
    """Root of the mean square over the noise window, of which ``seen`` rows exist."""
    oldest = int(state.noise_place[0])  # the place of the newest block still holds the oldest one's end
    outer = state.noise_ring[oldest, position + 1, column] + state.noise_middle[column]
    return math.sqrt((outer + state.noise_prefix[column]) / seen)


@kernel_part
def _first_row(state: FeatureState, close: float, low: float, high: float) -> None:
    """Before the first row there is nothing: sums of zero, and a price that stood where it starts."""
    state.history[:, at.H_CLOSE] = close
    state.history[:, at.H_LOW] = low
    state.history[:, at.H_HIGH] = high
    state.history[:, at.H_RANGE_LOW] = low
    state.history[:, at.H_RANGE_HIGH] = high
    state.extreme_ring[:, 0] = np.inf
    state.extreme_ring[:, 1] = -np.inf


@kernel_part
def _price_extremes(
    state: FeatureState, slot: int, position: int, low: float, high: float, f: FloatArray
) -> None:
    """Lowest low and highest high of the 300 and of the 1800 rows up to here, kept in the history."""
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


@kernel_part
def _z_values(state: FeatureState, slot: int, close: float, f: FloatArray) -> None:
    """Fill in u and z of both classes, and z of the price, over the four windows; 0 where a scale is 0."""
    sigma_spot, sigma_perp, sigma_r = f[at.SIGMA_SPOT], f[at.SIGMA_PERP], f[at.SIGMA_R]
    for window in range(at.WINDOW_COUNT):
        root = WINDOW_ROOTS[window]
        u_spot = scaled(state.totals[window, at.F_DELTA_SPOT], sigma_spot)
        u_perp = scaled(state.totals[window, at.F_DELTA_PERP], sigma_perp)
        earlier = state.history[(slot - at.WINDOW_ROWS[window]) % at.HISTORY_ROWS, at.H_CLOSE]
        f[at.U_SPOT + window] = u_spot
        f[at.U_PERP + window] = u_perp
        f[at.Z_SPOT + window] = u_spot / root
        f[at.Z_PERP + window] = u_perp / root
        f[at.Z_R + window] = scaled(log_ratio(close, earlier), sigma_r * root)


@kernel_part
def _shares(state: FeatureState, rows: int, f: FloatArray) -> None:
    """Fill in volatility, activity and coverage: means over each window, or over the rows there are."""
    totals = state.totals
    seen_5m, seen_15m = min(rows, at.WINDOW_ROWS[at.W5]), min(rows, at.WINDOW_ROWS[at.W15])
    seen_30m = min(rows, at.WINDOW_ROWS[at.W30])
    f[at.VOL_5M] = math.sqrt(totals[at.W5, at.F_R2] / seen_5m)
    f[at.VOL_30M] = math.sqrt(totals[at.W30, at.F_R2] / seen_30m)
    f[at.ACTIVITY_SPOT_15M] = totals[at.W15, at.F_TRADED_SPOT] / seen_15m
    f[at.ACTIVITY_PERP_15M] = totals[at.W15, at.F_TRADED_PERP] / seen_15m
    f[at.ACTIVITY_SPOT_30M] = totals[at.W30, at.F_TRADED_SPOT] / seen_30m
    f[at.ACTIVITY_PERP_30M] = totals[at.W30, at.F_TRADED_PERP] / seen_30m
    for window in range(at.WINDOW_COUNT):
        seen = min(rows, at.WINDOW_ROWS[window])
        f[at.COVERAGE_SPOT + window] = totals[window, at.F_COVER_SPOT] / seen
        f[at.COVERAGE_PERP + window] = totals[window, at.F_COVER_PERP] / seen


@kernel_part
def _speeds(state: FeatureState, slot: int, f: FloatArray) -> None:
    """Keep the row's flow, speed and volume; fill in how much slower it is than 300 rows ago, 0..1."""
    speed = abs(f[at.Z_SPOT + at.W5]) + abs(f[at.Z_PERP + at.W5])
    earlier = state.history[(slot - at.BLOCK_ROWS) % at.HISTORY_ROWS, at.H_SPEED]
    slower = 1.0 - speed / earlier if earlier > at.EPS else 0.0
    f[at.DECELERATION] = min(max(slower, 0.0), 1.0)
    state.history[slot, at.H_SPEED] = speed
    state.history[slot, at.H_FLOW] = abs(f[at.U_SPOT + at.W5]) + abs(f[at.U_PERP + at.W5])
    state.history[slot, at.H_VOLUME] = state.totals[at.W5, at.F_VOLUME]


@kernel_part
def feature_row(
    state: FeatureState, second: int, rows: int, inputs: FloatArray, i: int, f: FloatArray
) -> None:
    """Take in column ``i`` of ``inputs`` float64[12, n] and fill the feature row ``f`` float64[40].

    ``second`` is the row's epoch second, ``rows`` how many rows exist up to it (1 for the first).
    """
    block, position, slot = second // at.BLOCK_ROWS, second % at.BLOCK_ROWS, second % at.HISTORY_ROWS
    close, low, high = inputs[at.CLOSE, i], inputs[at.LOW, i], inputs[at.HIGH, i]
    if rows == 1:
        _first_row(state, close, low, high)
    if rows == 1 or position == 0:
        _open_block(state, block)
    _row_terms(state, inputs, i, log_ratio(close, state.history[(slot - 1) % at.HISTORY_ROWS, at.H_CLOSE]))
    _sum_windows(state, block, position)
    seen = min(rows, state.noise_ring.shape[0] * at.BLOCK_ROWS)
    f[at.SIGMA_SPOT] = _noise_scale(state, position, at.N_SPOT, seen)
    f[at.SIGMA_PERP] = _noise_scale(state, position, at.N_PERP, seen)
    f[at.SIGMA_R] = _noise_scale(state, position, at.N_R, seen)
    _z_values(state, slot, close, f)
    _shares(state, rows, f)
    _price_extremes(state, slot, position, low, high, f)
    _speeds(state, slot, f)
    state.history[slot, at.H_CLOSE] = close
    if position == at.BLOCK_ROWS - 1:
        _close_block(state, block)


@kernel_part
def recall_row(
    state: FeatureState, second: int, rows: int, recorded: FloatArray, i: int, f: FloatArray
) -> None:
    """As ``feature_row``, from row ``i`` of ``recorded`` float64[n, RECORD_WIDTH] instead of the inputs.

    Only the history moves on; the sums of the state stay as they are.
    """
    for k in range(at.FEATURE_COUNT):
        f[k] = recorded[i, k]
    if rows == 1:
        close = recorded[i, at.R_HISTORY + at.H_CLOSE]
        low, high = recorded[i, at.R_HISTORY + at.H_LOW], recorded[i, at.R_HISTORY + at.H_HIGH]
        _first_row(state, close, low, high)
    for k in range(at.HISTORY_WIDTH):
        state.history[second % at.HISTORY_ROWS, k] = recorded[i, at.R_HISTORY + k]


@kernel_part
def candle_shape(history: FloatArray, slot: int, k: int, side: int) -> tuple[float, bool, bool]:
    """Trailing candle ``k`` (0 = newest) seen from ``side``: share of its wick, body, attempt.

    Long: the lower wick's share of the range, close above open, and a low below and a close above
    the lowest low of the 1800 rows before the candle. Short is the mirror image. No range, no wick.
    """
    end = (slot - k * at.BLOCK_ROWS) % at.HISTORY_ROWS
    before = (end - at.BLOCK_ROWS) % at.HISTORY_ROWS
    begin, close = history[before, at.H_CLOSE], history[end, at.H_CLOSE]
    low = min(history[end, at.H_LOW], begin)
    high = max(history[end, at.H_HIGH], begin)
    if side > 0:
        wick = log_ratio(min(begin, close), low)
        broken = history[before, at.H_RANGE_LOW]
        body, attempt = close > begin, low < broken < close
    else:
        wick = log_ratio(high, max(begin, close))
        broken = history[before, at.H_RANGE_HIGH]
        body, attempt = close < begin, high > broken > close
    return (wick / log_ratio(high, low) if high > low else 0.0), body, attempt


def _sources() -> str:
    """A digest of every file that the compiled function is made from."""
    files = (at.__file__, __file__)
    return sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


def _compile_features(sources: str) -> Callable[..., None]:
    @compiled
    def feature_rows(
        flat: FloatArray, noise_rows: int, second: int, rows: int, inputs: FloatArray, out: FloatArray
    ) -> None:
        """Fill the rows of ``out`` for the n seconds from ``second`` on: float64[n, 40], or
        float64[n, RECORD_WIDTH] with what ``recall_row`` needs.

        ``flat`` float64[feature_state_size(noise_rows)] is the state after ``rows`` rows, zeros after none;
        ``inputs`` float64[12, n].
        """
        _ = sources  # part of the key of Numba's disk cache; see phases/kernels/state.py
        state = feature_state(flat, noise_rows)
        for i in range(inputs.shape[1]):
            feature_row(state, second + i, rows + i + 1, inputs, i, out[i])
            if out.shape[1] == at.RECORD_WIDTH:
                for k in range(at.HISTORY_WIDTH):
                    out[i, at.R_HISTORY + k] = state.history[(second + i) % at.HISTORY_ROWS, k]
                out[i, at.R_REFERENCE_LIVE] = inputs[at.REFERENCE_LIVE, i]
                out[i, at.R_OI_CHANGE] = inputs[at.OI_CHANGE, i]

    return feature_rows


feature_rows = _compile_features(_sources())
