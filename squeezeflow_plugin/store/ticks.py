"""Prices as whole ticks where that loses no bit: a third of the room that float64 takes in a file.

An exchange's price is a decimal number of few digits, and its float64 is the quotient of two whole numbers,
ticks / 10^exponent, correctly rounded; so the ticks give back the very bits. Each row is checked for that.
A row that fails - a price from elsewhere, a NaN of other bits, -0.0 - keeps its floats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RAW = -1
"""Exponent of a row that is kept as floats."""
ABSENT = -2
"""Exponent of a row whose four prices are NaN."""
_POWERS = np.array([float(10**exponent) for exponent in range(13)])
_EXACT = float(2**53)


@dataclass(frozen=True, eq=False)
class Ticks:
    """n rows: ``close`` in ticks; ``open`` minus close, ``high`` above and ``low`` below the two, in ticks.

    ``exponent`` int32[n]: a tick is 10^-exponent; RAW and ABSENT rows have 0 everywhere.
    """

    exponent: npt.NDArray[np.int32]
    open: Integers
    high: Integers
    low: Integers
    close: Integers


def to_ticks(prices: Floats, groups: Integers) -> Ticks:
    """The rows of ``prices`` (float64[4, n]: open, high, low, close) as ticks.

    ``groups`` are the first rows of stretches (one market each) that share a tick.

    >>> flat = np.full((4, 1), 60_000.5)
    >>> ticks = to_ticks(flat, np.array([0]))
    >>> ticks.exponent.tolist(), ticks.close.tolist(), from_ticks(ticks)[1].tolist()
    ([1], [600005], [60000.5])
    """
    count = prices.shape[1]
    exponent = np.full(count, RAW, dtype=np.int32)
    whole = np.zeros((4, count), dtype=np.int64)
    bits = prices.view(np.int64)
    absent = (bits == np.float64(np.nan).view(np.int64)).all(axis=0)
    for first, last in zip(groups.tolist(), np.append(groups, count)[1:].tolist(), strict=True):
        exponent[first:last], whole[:, first:last] = _fit(prices[:, first:last], bits[:, first:last])
    exponent[absent] = ABSENT
    whole[:, exponent < 0] = 0
    o, h, low, c = whole
    return Ticks(exponent, o - c, h - np.maximum(o, c), np.minimum(o, c) - low, c)


def _fit(prices: Floats, bits: Integers) -> tuple[npt.NDArray[np.int32], Integers]:
    """The exponent that gives back most rows, RAW for the others, and the ticks."""
    finite = np.where(np.isfinite(prices), prices, 0.0)
    usable = np.isfinite(prices).all(axis=0)
    best = np.full(prices.shape[1], RAW, dtype=np.int32)
    whole = np.zeros(prices.shape, dtype=np.int64)
    found = 0
    for exponent, power in enumerate(_POWERS):
        with np.errstate(over="ignore"):  # what does not fit is 0 ticks, which gives back no such price
            scaled = np.rint(finite * power)
        ticks = np.where(np.abs(scaled) < _EXACT, scaled, 0.0).astype(np.int64)
        exact = usable & ((ticks / power).view(np.int64) == bits).all(axis=0)
        count = int(np.count_nonzero(exact))
        if count > found:
            found = count
            best = np.where(exact, exponent, RAW).astype(np.int32)
            whole = np.where(exact, ticks, 0)
        if found == np.count_nonzero(usable):
            break
    return best, whole


def from_ticks(ticks: Ticks) -> tuple[Floats, Floats, Floats, Floats]:
    """Open, high, low and close; NaN where RAW or ABSENT."""
    opened = ticks.open + ticks.close
    high = np.maximum(opened, ticks.close) + ticks.high
    low = np.minimum(opened, ticks.close) - ticks.low
    power = _POWERS[np.maximum(ticks.exponent, 0)]
    power[ticks.exponent < 0] = np.nan
    return opened / power, high / power, low / power, ticks.close / power
