"""What the engine says about a second: one frozen record, or columns of many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.phases.layout import COLUMN_NAMES, FLAG_NAMES, INTEGER_NAMES, VETO_NAMES

FloatArray = npt.NDArray[np.float64]
SmallArray = npt.NDArray[np.int8]
FlagArray = npt.NDArray[np.bool_]

SCORE_COLUMNS = (
    "context",
    "regime",
    "setup",
    "divergence",
    "retrace",
    "reset",
    "score_reset",
    "score_absorption",
    "score_breakdown",
    "score_bias",
    "score_oi",
    "score",
    "eligible",
    "entry",
    "ready",
    "tradable",
)

_INTEGER_PLACES = tuple(COLUMN_NAMES.index(name) for name in INTEGER_NAMES)
_FLAG_PLACES = tuple(COLUMN_NAMES.index(name) for name in FLAG_NAMES)


class Decision(msgspec.Struct, frozen=True):
    """Everything the method says about one second, and the values it came from.

    ``second`` is the epoch second; windows are in the names. z values, u (seconds of typical flow) and
    shares have no unit, ``sigma_spot sigma_perp`` are quote currency a second, ``sigma_r vol`` log returns a
    second, ``range_low range_high`` prices of the trailing 1800 rows. Directions (``regime setup eligible
    event entry``) are +1, -1 or 0; ``reset`` is 0, 1 (A) or 2 (B), ``reset_active`` the strongest type in
    memory; ``event`` is the direction on the event's own row only. Nothing is ever NaN. Phase outputs
    are 0 until ``ready``. ``veto`` is the first reason for not being tradable, "" where there is none.
    """

    second: int
    z_spot_5m: float
    z_spot_15m: float
    z_spot_30m: float
    z_spot_1h: float
    z_perp_5m: float
    z_perp_15m: float
    z_perp_30m: float
    z_perp_1h: float
    z_r_5m: float
    z_r_15m: float
    z_r_30m: float
    z_r_1h: float
    u_spot_5m: float
    u_spot_15m: float
    u_spot_30m: float
    u_spot_1h: float
    u_perp_5m: float
    u_perp_15m: float
    u_perp_30m: float
    u_perp_1h: float
    coverage_spot_5m: float
    coverage_spot_15m: float
    coverage_spot_30m: float
    coverage_spot_1h: float
    coverage_perp_5m: float
    coverage_perp_15m: float
    coverage_perp_30m: float
    coverage_perp_1h: float
    sigma_spot: float
    sigma_perp: float
    sigma_r: float
    vol_5m: float
    vol_30m: float
    activity_spot_15m: float
    activity_perp_15m: float
    activity_spot_30m: float
    activity_perp_30m: float
    range_low: float
    range_high: float
    deceleration: float
    context: float
    regime: int
    setup: int
    divergence: float
    gap: float
    retrace: float
    stalled: bool
    reset: int
    reset_active: int
    retrace_peak: float
    score_reset: float
    score_absorption: float
    score_breakdown: float
    score_bias: float
    score_oi: float
    score: float
    eligible: int
    event: int
    entry: int
    ready: bool
    tradable: bool
    veto_code: int

    @property
    def veto(self) -> str:
        return VETO_NAMES[self.veto_code]


def decision_of(second: int, values: FloatArray) -> Decision:
    """The record of one row of outputs, float64[COLUMN_COUNT]."""
    fields: list[Any] = values.tolist()
    for place in _INTEGER_PLACES:
        fields[place] = int(fields[place])
    for place in _FLAG_PLACES:
        fields[place] = fields[place] != 0.0
    return Decision(second, *fields)


@dataclass(frozen=True, eq=False)
class DecisionArrays:
    """The decisions of n contiguous seconds as columns.

    ``second`` int64[n]; ``values`` float64[n, COLUMN_COUNT], columns in the order of COLUMN_NAMES and of the
    meaning that ``Decision`` gives.
    """

    second: npt.NDArray[np.int64]
    values: FloatArray

    def __len__(self) -> int:
        return len(self.second)

    def column(self, name: str) -> FloatArray:
        """float64[n] of a field of ``Decision``, a view; directions and flags as numbers."""
        return self.values[:, COLUMN_NAMES.index(name)]

    @property
    def score(self) -> FloatArray:
        return self.column("score")

    @property
    def event(self) -> SmallArray:
        """int8[n]: the direction on the rows of entry events, else 0."""
        return self.column("event").astype(np.int8)

    @property
    def entry(self) -> SmallArray:
        """int8[n]: the direction on an event's row and the rows that hold it, else 0."""
        return self.column("entry").astype(np.int8)

    @property
    def tradable(self) -> FlagArray:
        return np.asarray(self.column("tradable") != 0.0)

    @property
    def veto(self) -> npt.NDArray[np.object_]:
        """object[n]: the first reason for not being tradable, "" where there is none."""
        return veto_names(self.column("veto_code"))

    def at(self, index: int) -> Decision:
        """The record of row ``index``; negative counts from the end."""
        return decision_of(int(self.second[index]), self.values[index])


def veto_names(codes: FloatArray) -> npt.NDArray[np.object_]:
    """The reasons as text, object[n].

    >>> veto_names(np.array([0.0, 2.0])).tolist()
    ['', 'reference_stale']
    """
    return np.array(VETO_NAMES, dtype=object)[codes.astype(np.int64)]
