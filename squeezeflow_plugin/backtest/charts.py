"""Pictures as SVG text: lines over time, bars, marks. Nothing but strings, no library and no script."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from squeezeflow_plugin.features.flow import FloatArray

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 220, 72, 12, 26, 22
MOST_POINTS = 1200
INK, QUIET, GREEN, RED, BLUE, OCHRE = "#1d2733", "#8a94a0", "#2f8f5b", "#b5423a", "#2a6fdb", "#c28f2c"
DIRECTION_COLOURS = {1: GREEN, -1: RED}


@dataclass(frozen=True)
class Line:
    """A line through (time, value); times are epoch seconds, a NaN breaks it."""

    name: str
    time: FloatArray
    value: FloatArray
    colour: str
    filled: bool = False


@dataclass(frozen=True)
class Mark:
    """A triangle at a point, tip up where ``up``; ``text`` is shown under the pointer."""

    time: float
    value: float
    colour: str
    up: bool
    text: str


def time_chart(title: str, lines: Sequence[Line], marks: Sequence[Mark] = (), height: int = HEIGHT) -> str:
    """Lines and marks over one span of time; a note where there is nothing to draw."""
    drawn = [line for line in lines if len(line.time) and not np.isnan(line.value).all()]
    if not drawn:
        return _note(title)
    ends = [float(end(line.value)) for line in drawn for end in (np.nanmin, np.nanmax)]
    ends += [0.0 for line in drawn if line.filled]  # the area lies between the line and zero
    low, high = float(min(ends)), float(max(ends))
    start, stop = min(line.time[0] for line in drawn), max(line.time[-1] for line in drawn)
    scale = _Scale(float(start), float(max(stop, start + 1)), low, high, height)
    parts = [_title(title), _legend(drawn) if len(drawn) > 1 else "", scale.grid()]
    parts += [_path(line, scale) for line in drawn]
    parts += [_mark(mark, scale) for mark in marks]
    return _svg("".join(parts), height)


def bar_chart(title: str, names: Sequence[str], values: Sequence[float], unit: str) -> str:
    """One bar a name, green above zero and red below."""
    if not names:
        return _note(title)
    height = TOP + BOTTOM + 22 * len(names)
    middle, reach = 420.0, 360.0
    largest = max(1e-12, *(abs(value) for value in values))
    parts = [_title(title)]
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        y, length = TOP + 22 * place, abs(value) / largest * reach
        x = middle if value >= 0 else middle - length
        colour = GREEN if value >= 0 else RED
        parts.append(f'<rect x="{x:.1f}" y="{y + 4}" width="{length:.1f}" height="14" fill="{colour}"/>')
        parts.append(_text(4, y + 15, name, INK))
        parts.append(_text(WIDTH - RIGHT, y + 15, f"{value:,.2f} {unit}", INK, "end"))
    return _svg("".join(parts), height)


def histogram(title: str, values: Sequence[float], unit: str, bins: int = 24) -> str:
    """How often values of a size occur, on a logarithmic scale of sizes."""
    positive = np.array([value for value in values if value > 0])
    if len(positive) == 0:
        return _note(title)
    edges = np.geomspace(positive.min(), positive.max() * 1.0001, bins + 1)
    counts, _ = np.histogram(positive, edges)
    height, inner = 180, 180 - TOP - BOTTOM
    step = (WIDTH - LEFT - RIGHT) / bins
    parts = [_title(title)]
    for place, count in enumerate(counts.tolist()):
        tall = count / counts.max() * inner
        x, y = LEFT + place * step, height - BOTTOM - tall
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{step - 1:.1f}" height="{tall:.1f}" fill="{BLUE}">'
            f"<title>{count} of {edges[place]:.4g} to {edges[place + 1]:.4g} {escape(unit)}</title></rect>"
        )
    parts += [
        _text(LEFT + place * step, height - 6, f"{edges[place]:,.4g} {unit}", QUIET, "middle")
        for place in range(0, bins + 1, 6)
    ]
    return _svg("".join(parts), height)


class _Scale:
    """From time and value to the picture."""

    def __init__(self, start: float, stop: float, low: float, high: float, height: int) -> None:
        margin = (high - low) * 0.04 or max(abs(high), 1.0) * 0.01
        self._start, self._stop, self._height = start, stop, height
        self._low, self._high = low - margin, high + margin

    def x(self, time: float) -> float:
        return LEFT + (time - self._start) / (self._stop - self._start) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return self._height - BOTTOM - share * (self._height - TOP - BOTTOM)

    def grid(self) -> str:
        """Four values and five times, with thin lines."""
        parts = []
        for value in np.linspace(self._low, self._high, 6)[1:-1].tolist():
            y = self.y(value)
            parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="g"/>')
            parts.append(_text(LEFT - 6, y + 4, _short(value), QUIET, "end"))
        shown = "%d %b %H:%M" if self._stop - self._start < 4 * 86_400 else "%d %b"
        for time in np.linspace(self._start, self._stop, 7)[1:-1].tolist():
            text = dt.datetime.fromtimestamp(time, dt.UTC).strftime(shown)
            parts.append(_text(self.x(time), self._height - 6, text, QUIET, "middle"))
        return "".join(parts)


def _path(line: Line, scale: _Scale) -> str:
    every = max(1, len(line.time) // MOST_POINTS)
    points, pen = [], "M"
    for time, value in zip(line.time[::every].tolist(), line.value[::every].tolist(), strict=True):
        if np.isnan(value):
            pen = "M"
            continue
        points.append(f"{pen}{scale.x(time):.1f} {scale.y(value):.1f}")
        pen = "L"
    fill = "none"
    if line.filled and points:
        base = scale.y(0.0)
        points.append(f"L{scale.x(line.time[-1]):.1f} {base:.1f}L{scale.x(line.time[0]):.1f} {base:.1f}Z")
        fill = line.colour + "33"
    return f'<path d="{"".join(points)}" fill="{fill}" stroke="{line.colour}" stroke-width="1.3"/>'


def _mark(mark: Mark, scale: _Scale) -> str:
    x, y, tip = scale.x(mark.time), scale.y(mark.value), 6 if mark.up else -6
    shape = f'd="M{x:.1f} {y:.1f}l-4 {tip}h8Z" fill="{mark.colour}"'
    return f"<path {shape}><title>{escape(mark.text)}</title></path>"


def _legend(lines: Sequence[Line]) -> str:
    parts, x = [], WIDTH - RIGHT
    for line in reversed(lines):
        parts.append(_text(x, 16, line.name, line.colour, "end"))
        x -= 8 * len(line.name) + 18
    return "".join(parts)


def _title(text: str) -> str:
    return f'<text x="4" y="16" class="t">{escape(text)}</text>'


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'


def _note(title: str) -> str:
    return _svg(_title(title) + _text(LEFT, 48, "nothing to show in this span", QUIET), 64)


def _svg(inner: str, height: int) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{inner}</svg>'


def _short(value: float) -> str:
    """A number with few digits.

    >>> _short(1_234_567.0), _short(61_234.5), _short(0.0123)
    ('1.23M', '61,234', '0.0123')
    """
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
