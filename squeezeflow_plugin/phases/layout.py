"""Where each phase output stands in the row of outputs, which begins with the features.

>>> COLUMN_NAMES[SCORE], COLUMN_NAMES[VETO], len(COLUMN_NAMES) == COLUMN_COUNT
('score', 'veto_code', True)
>>> VETO_NAMES[:4]
('', 'warming_up', 'reference_stale', 'hole_spot_5m')
"""

from __future__ import annotations

from squeezeflow_plugin.features.layout import FEATURE_COUNT, FEATURE_NAMES, WINDOW_NAMES

CONTEXT = FEATURE_COUNT
REGIME = FEATURE_COUNT + 1
SETUP = FEATURE_COUNT + 2
DIVERGENCE = FEATURE_COUNT + 3
GAP = FEATURE_COUNT + 4
RETRACE = FEATURE_COUNT + 5
STALLED = FEATURE_COUNT + 6
RESET = FEATURE_COUNT + 7
RESET_ACTIVE = FEATURE_COUNT + 8
RETRACE_PEAK = FEATURE_COUNT + 9
SCORE_RESET = FEATURE_COUNT + 10
SCORE_ABSORPTION = FEATURE_COUNT + 11
SCORE_BREAKDOWN = FEATURE_COUNT + 12
SCORE_BIAS = FEATURE_COUNT + 13
SCORE_OI = FEATURE_COUNT + 14
SCORE = FEATURE_COUNT + 15
ELIGIBLE = FEATURE_COUNT + 16
EVENT = FEATURE_COUNT + 17
ENTRY = FEATURE_COUNT + 18
READY = FEATURE_COUNT + 19
TRADABLE = FEATURE_COUNT + 20
VETO = FEATURE_COUNT + 21
COLUMN_COUNT = FEATURE_COUNT + 22

PHASE_NAMES = (
    "context",
    "regime",
    "setup",
    "divergence",
    "gap",
    "retrace",
    "stalled",
    "reset",
    "reset_active",
    "retrace_peak",
    "score_reset",
    "score_absorption",
    "score_breakdown",
    "score_bias",
    "score_oi",
    "score",
    "eligible",
    "event",
    "entry",
    "ready",
    "tradable",
    "veto_code",
)
COLUMN_NAMES = FEATURE_NAMES + PHASE_NAMES

INTEGER_NAMES = ("regime", "setup", "reset", "reset_active", "eligible", "event", "entry", "veto_code")
FLAG_NAMES = ("stalled", "ready", "tradable")

# The reasons for not being tradable, in the order in which they are looked for.
VETO_WARMING_UP = 1
VETO_REFERENCE = 2
VETO_HOLE = 3
VETO_NAMES = (
    "",
    "warming_up",
    "reference_stale",
    *(f"hole_{kind}_{window}" for window in WINDOW_NAMES for kind in ("spot", "perp")),
)

RESET_NONE, RESET_EXHAUSTION, RESET_EXPLOSION = 0, 1, 2  # the method's types: none, A, B

EXIT_NAMES = ("", "flow_reversal", "range_break", "cvd_invalidation", "context_invalidation")
EXIT_FLOW, EXIT_RANGE, EXIT_CVD, EXIT_CONTEXT = 1, 2, 3, 4

# Numbers of the method that are no parameters.
CANDLES = 5
CANDLE_WEIGHTS = (0.30, 0.25, 0.20, 0.15, 0.10)
WICK_SHARE = 0.4
AGAINST = 0.5  # a context this far to the other side is a regime against the setup

# Phase 5. The baseline: side, sigma_spot, sigma_perp, low, high, second E. Running: rows and flows since E.
B_SIDE, B_SIGMA_SPOT, B_SIGMA_PERP, B_LOW, B_HIGH, B_SECOND = 0, 1, 2, 3, 4, 5
X_ROWS, X_SPOT, X_PERP = 0, 1, 2
# What is watched of each row, float64[6, n].
V_DELTA_SPOT, V_DELTA_PERP, V_CLOSE, V_Z_SPOT, V_Z_PERP, V_CONTEXT = 0, 1, 2, 3, 4, 5

NEVER = -(1 << 40)  # a row number before every memory
# The counters: how many rows there are, the row at which something was last so, places in the rings.
ROWS, SETUP_ROW, SETUP_SIDE, QUALIFIED_ROW, EVENT_ROW, EVENT_SIDE = 0, 1, 2, 3, 4, 5
TYPED_ROW, EXPLODED_ROW = 6, 8  # two each: long, short
SETUP_PLACE, EXPLOSION_PLACE, PEAK_PLACE = 10, 11, 12
COUNTER_SIZE = 13
FROM_ZERO = (ROWS, SETUP_SIDE, EVENT_SIDE, SETUP_PLACE, EXPLOSION_PLACE, PEAK_PLACE)  # the others at NEVER

SETUP_WIDTH = 4  # strength long, gap long, strength short, gap short
PEAK_WIDTH = 2  # retrace long, retrace short
