"""The engine's input: one row a second of prices and taker flow of one base asset.

Row ``i`` covers the second ``[time[i], time[i] + 1)`` UTC. Rows follow each other without
a gap: a second without trades has zero volumes and repeats the last close. Everything
that reaches a kernel went through here, so kernels never check.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezeflow_plugin.errors import EngineError, FrameError
from squeezeflow_plugin.features.layout import INPUT_NAMES

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PRICE_NAMES = ("open", "high", "low", "close")
VOLUME_NAMES = ("spot_buy", "spot_sell", "perp_buy", "perp_sell")
OPTIONAL_DEFAULTS = {"coverage_spot": 1.0, "coverage_perp": 1.0, "reference_live": 1.0, "oi_change": math.nan}
REQUIRED_NAMES = ("time", *PRICE_NAMES, *VOLUME_NAMES)

MAX_AMOUNT = 1e100  # squares of larger volumes, or ratios of larger prices, could overflow a float64
MIN_PRICE = 1e-100
SHARE_SLACK = 1e-9  # a coverage summed from weights may miss 1 by rounding


class FlowRow(NamedTuple):
    """One second of a ``Flow``, for the live step.

    ``time`` epoch second; prices of the reference market; volumes in quote currency;
    coverage shares 0..1; ``reference_live`` 0 or 1; ``oi_change`` a fraction, NaN where unknown.

    >>> FlowRow(60, 1.0, 1.0, 1.0, 1.0, 5.0, 0.0, 0.0, 0.0).coverage_spot
    1.0
    """

    time: int
    open: float
    high: float
    low: float
    close: float
    spot_buy: float
    spot_sell: float
    perp_buy: float
    perp_sell: float
    coverage_spot: float = 1.0
    coverage_perp: float = 1.0
    reference_live: float = 1.0
    oi_change: float = math.nan


@dataclass(frozen=True, eq=False)
class Flow:
    """Validated columns of one length n, read-only.

    ``time`` int64[n] epoch seconds, each one more than the last; ``open high low close``
    float64[n] prices of the reference market, above 0; ``spot_buy spot_sell perp_buy perp_sell``
    float64[n] taker volume in quote currency, 0 or more; ``coverage_spot coverage_perp`` float64[n]
    shares 0..1; ``reference_live`` float64[n] 0 or 1; ``oi_change`` float64[n] fraction, NaN where
    unknown. Raises FrameError, naming column, row, second and value.
    """

    time: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    spot_buy: FloatArray
    spot_sell: FloatArray
    perp_buy: FloatArray
    perp_sell: FloatArray
    coverage_spot: FloatArray
    coverage_perp: FloatArray
    reference_live: FloatArray
    oi_change: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", _seconds(self.time))
        for name in INPUT_NAMES:
            object.__setattr__(self, name, _numbers(name, getattr(self, name), len(self.time)))
        _check_times(self.time)
        for name in INPUT_NAMES:
            column: FloatArray = getattr(self, name)
            _refuse(name, column, self.time, _unusable(name, column))
        _refuse("high", self.high, self.time, self.high < self.low)

    @classmethod
    def from_columns(cls, columns: Mapping[str, npt.ArrayLike]) -> Flow:
        """Build from named columns; the optional ones take their defaults, others are ignored.

        Raises FrameError where a required column is missing.

        >>> price = {name: [2.0, 2.0] for name in ("open", "high", "low", "close")}
        >>> volume = {name: [1.0, 0.0] for name in ("spot_buy", "spot_sell", "perp_buy", "perp_sell")}
        >>> len(Flow.from_columns({"time": [10, 11], **price, **volume}))
        2
        """
        missing = [name for name in REQUIRED_NAMES if name not in columns]
        if missing:
            raise FrameError(f"the frame lacks the column(s) {', '.join(missing)}; nothing is computed")
        length = len(np.asarray(columns["time"]))
        given = {name: np.asarray(columns[name]) for name in REQUIRED_NAMES}
        for name, default in OPTIONAL_DEFAULTS.items():
            given[name] = np.asarray(columns[name]) if name in columns else np.full(length, default)
        return cls(**given)

    def __len__(self) -> int:
        return len(self.time)

    def part(self, start: int, stop: int) -> Flow:
        """Rows ``start`` to ``stop`` (half-open), sharing this flow's memory."""
        columns = {name: getattr(self, name)[start:stop] for name in ("time", *INPUT_NAMES)}
        return Flow(**columns)

    def row(self, index: int) -> FlowRow:
        """The row at ``index`` as plain numbers."""
        return FlowRow(int(self.time[index]), *(float(getattr(self, name)[index]) for name in INPUT_NAMES))

    def matrix(self) -> FloatArray:
        """float64[12, n]: the columns in the order of ``INPUT_NAMES``, as the kernels read them."""
        return np.stack([getattr(self, name) for name in INPUT_NAMES])


def check_row(row: FlowRow) -> None:
    """Raise EngineError, naming second, field and value, where the row cannot be scored."""
    for name in PRICE_NAMES:
        if not MIN_PRICE <= getattr(row, name) <= MAX_AMOUNT:
            raise _row_error(row, name, "is no usable price")
    if row.high < row.low:
        raise _row_error(row, "high", "is below the low")
    for name in VOLUME_NAMES:
        if not 0.0 <= getattr(row, name) <= MAX_AMOUNT:
            raise _row_error(row, name, "is no usable volume")
    for name in ("coverage_spot", "coverage_perp"):
        if not 0.0 <= getattr(row, name) <= 1.0 + SHARE_SLACK:
            raise _row_error(row, name, "is no share")
    if row.reference_live not in (0, 1):
        raise _row_error(row, "reference_live", "is neither 0 nor 1")
    if math.isinf(row.oi_change):
        raise _row_error(row, "oi_change", "is infinite")


def _row_error(row: FlowRow, name: str, what: str) -> EngineError:
    return EngineError(f"second {row.time}: {name} {getattr(row, name)!r} {what}; the row is not scored")


def _seconds(values: npt.ArrayLike) -> IntArray:
    column = np.asarray(values)
    if column.ndim != 1:
        raise FrameError(f"column 'time' must have one dimension, has {column.ndim}; nothing is computed")
    if column.dtype.kind not in "iu" and len(column):
        as_float = _numbers("time", column, len(column))
        _refuse("time", as_float, None, ~(as_float == np.floor(as_float)) | (np.abs(as_float) > 2.0**53))
    seconds = column.astype(np.int64, copy=False).view()
    seconds.flags.writeable = False
    return seconds


def _numbers(name: str, values: npt.ArrayLike, length: int) -> FloatArray:
    try:
        column = np.ascontiguousarray(values, dtype=np.float64).view()
    except (TypeError, ValueError) as error:
        raise FrameError(f"column {name!r} does not hold numbers: {error}; nothing is computed") from error
    if column.shape != (length,):
        raise FrameError(
            f"column {name!r} has shape {column.shape}, expected ({length},); nothing is computed"
        )
    column.flags.writeable = False
    return column


def _unusable(name: str, column: FloatArray) -> npt.NDArray[np.bool_]:
    """Where the column's values cannot be used; comparisons are written so that NaN fails them."""
    if name in PRICE_NAMES:
        return ~((column >= MIN_PRICE) & (column <= MAX_AMOUNT))
    if name in VOLUME_NAMES:
        return ~((column >= 0.0) & (column <= MAX_AMOUNT))
    if name in ("coverage_spot", "coverage_perp"):
        return ~((column >= 0.0) & (column <= 1.0 + SHARE_SLACK))
    if name == "reference_live":
        return np.asarray((column != 0.0) & (column != 1.0))
    return np.asarray(np.isinf(column))


def _check_times(time: IntArray) -> None:
    gaps = np.flatnonzero(np.diff(time) != 1)
    if len(gaps):
        row = int(gaps[0]) + 1
        raise FrameError(
            f"column 'time', row {row}: {time[row]} does not follow {time[row - 1]} by one second; "
            "nothing is computed"
        )


def _refuse(name: str, column: FloatArray, time: IntArray | None, bad: npt.NDArray[np.bool_]) -> None:
    rows = np.flatnonzero(bad)
    if len(rows) == 0:
        return
    row = int(rows[0])
    second = "" if time is None else f" (second {time[row]})"
    more = "" if len(rows) == 1 else f", and {len(rows) - 1} more"
    raise FrameError(
        f"column {name!r}, row {row}{second}: {column[row]} cannot be used{more}; nothing is computed"
    )
