"""Where each feature stands in the feature row, and the sizes of the trailing windows.

Kernels index by these numbers, the outside world reads the same fields by name; the names
are in ``FEATURE_NAMES`` in the order of the numbers.

>>> FEATURE_NAMES[Z_PERP + 1], FEATURE_NAMES[RANGE_HIGH], len(FEATURE_NAMES) == FEATURE_COUNT
('z_perp_15m', 'range_high', True)
"""

from __future__ import annotations

EPS = 1e-9  # what comparisons of computed quantities tolerate
WINDOW_NAMES = ("5m", "15m", "30m", "1h")
WINDOW_COUNT = 4
BLOCK_ROWS = 300  # every window is a whole number of 300 s blocks, aligned to UTC
WINDOW_BLOCKS = (1, 3, 6, 12)
WINDOW_ROWS = (300, 900, 1800, 3600)
HISTORY_ROWS = 3600
NOISE_ROWS = 3600
REGULAR_NOISE_ROWS = 14_400  # of the regular mode, which decides once every BLOCK_ROWS
RANGE_BLOCKS = 6  # the price range that attempts and exits look at: 1800 rows

# Rows of the input matrix float64[INPUT_COUNT, n].
INPUT_NAMES = (
    "open",
    "high",
    "low",
    "close",
    "spot_buy",
    "spot_sell",
    "perp_buy",
    "perp_sell",
    "coverage_spot",
    "coverage_perp",
    "reference_live",
    "oi_change",
)
OPEN, HIGH, LOW, CLOSE, SPOT_BUY, SPOT_SELL = 0, 1, 2, 3, 4, 5
PERP_BUY, PERP_SELL, COVERAGE_S, COVERAGE_P, REFERENCE_LIVE, OI_CHANGE = 6, 7, 8, 9, 10, 11
INPUT_COUNT = 12

# The feature row. Groups with a window hold it in the order of WINDOW_NAMES.
Z_SPOT = 0
Z_PERP = 4
Z_R = 8
U_SPOT = 12
U_PERP = 16
COVERAGE_SPOT = 20
COVERAGE_PERP = 24
SIGMA_SPOT = 28
SIGMA_PERP = 29
SIGMA_R = 30
VOL_5M = 31
VOL_30M = 32
ACTIVITY_SPOT_15M = 33
ACTIVITY_PERP_15M = 34
ACTIVITY_SPOT_30M = 35
ACTIVITY_PERP_30M = 36
RANGE_LOW = 37
RANGE_HIGH = 38
DECELERATION = 39
FEATURE_COUNT = 40

W5, W15, W30, W60 = 0, 1, 2, 3

FEATURE_NAMES = (
    *(
        f"{group}_{window}"
        for group in ("z_spot", "z_perp", "z_r", "u_spot", "u_perp", "coverage_spot", "coverage_perp")
        for window in WINDOW_NAMES
    ),
    "sigma_spot",
    "sigma_perp",
    "sigma_r",
    "vol_5m",
    "vol_30m",
    "activity_spot_15m",
    "activity_perp_15m",
    "activity_spot_30m",
    "activity_perp_30m",
    "range_low",
    "range_high",
    "deceleration",
)

# Columns of the history ring: what later rows ask of this one.
H_CLOSE, H_LOW, H_HIGH, H_RANGE_LOW, H_RANGE_HIGH, H_VOLUME, H_FLOW, H_SPEED = 0, 1, 2, 3, 4, 5, 6, 7
HISTORY_WIDTH = 8  # eight doubles: one cache line a row

# A recorded row: the features, the row of the history, and the inputs that the phases look at themselves.
R_HISTORY = FEATURE_COUNT
R_REFERENCE_LIVE = R_HISTORY + HISTORY_WIDTH
R_OI_CHANGE = R_REFERENCE_LIVE + 1
RECORD_WIDTH = R_OI_CHANGE + 1

# Columns of the flow sums and of the noise sums.
F_DELTA_SPOT, F_DELTA_PERP, F_R2, F_TRADED_SPOT, F_TRADED_PERP = 0, 1, 2, 3, 4
F_COVER_SPOT, F_COVER_PERP, F_VOLUME = 5, 6, 7
FLOW_WIDTH = 8
N_SPOT, N_PERP, N_R = 0, 1, 2
NOISE_WIDTH = 3
