"""From numbers to places in a picture, with marks at round values and round times."""

from __future__ import annotations

import datetime as dt
import math

_TIME_STEPS = (
    60,
    300,
    600,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
    *(86_400 * n for n in (1, 2, 5, 10, 30)),
)
_MOST_TIMES = 8
_UNITS = ((1e9, "G"), (1e6, "M"))


class Scale:
    """Maps time and value into ``frame`` (left, right, top, bottom); the values get a margin of 4 %."""

    def __init__(
        self, start: float, stop: float, low: float, high: float, frame: tuple[float, float, float, float]
    ) -> None:
        margin = (high - low) * 0.04 or max(abs(high), 1.0) * 0.01
        self.low, self.high = low - margin, high + margin
        self._start, self._stop = start, stop
        self.left, self.right, self.top, self.bottom = frame

    def x(self, time: float) -> float:
        return self.left + (time - self._start) / (self._stop - self._start) * (self.right - self.left)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.bottom - share * (self.bottom - self.top)

    def times(self) -> list[tuple[float, str]]:
        """Round times of the span in UTC, with their labels: a date at midnight, else hours and minutes."""
        span = self._stop - self._start
        step = next((step for step in _TIME_STEPS if span / step <= _MOST_TIMES), _TIME_STEPS[-1])
        found = []
        time = math.ceil(self._start / step) * step
        while time <= self._stop:
            moment = dt.datetime.fromtimestamp(time, dt.UTC)
            found.append((float(time), f"{moment:%-d %b}" if time % 86_400 == 0 else f"{moment:%H:%M}"))
            time += step
        return found


def ticks(low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """At most ``most`` round values within the limits, with their labels.

    >>> ticks(9_912.0, 9_991.0)
    [(9920.0, '9,920'), (9940.0, '9,940'), (9960.0, '9,960'), (9980.0, '9,980')]
    >>> ticks(-2.1e6, 3.3e6, 3)
    [(-2000000.0, '-2M'), (0.0, '0'), (2000000.0, '2M')]
    >>> ticks(-0.013, 0.0)
    [(-0.01, '-0.010'), (-0.005, '-0.005'), (0.0, '0')]
    """
    least = (high - low) / most
    size = 10.0 ** math.floor(math.log10(least))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= least)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [(number * step, _label(number * step, step)) for number in range(first, last + 1)]


def _label(value: float, step: float) -> str:
    """The value with the digits that tell it from its neighbours a ``step`` away."""
    if value == 0:
        return "0"
    for size, unit in _UNITS:
        if abs(value) >= size:
            value, step = value / size, step / size
            return f"{value:,.{_decimals(step)}f}{unit}"
    return f"{value:,.{_decimals(step)}f}"


def _decimals(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))
