"""Pictures as SVG text: lines over time, bars, marks. Nothing but strings, no library and no script.

Colours are CSS variables, which the page that shows a picture defines for light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from squeezeflow_plugin.backtest.scales import Scale, ticks
from squeezeflow_plugin.features.flow import FloatArray

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 200, 64, 10, 28, 24
MOST_POINTS = 1200
MOST_LARGE_MARKS = 150  # more are drawn small, so that they leave the line to be seen
INK, QUIET, GREEN, RED, BLUE, OCHRE, VIOLET, TEAL = (
    f"var(--{name})" for name in ("ink", "quiet", "green", "red", "blue", "ochre", "violet", "teal")
)
DIRECTION_COLOURS = {1: GREEN, -1: RED}
_ROW = 24
_NAMES_UNTIL, _BARS_UNTIL = 210, WIDTH - 120


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
    """A triangle at a point, tip up where ``up``, or a ring where ``hollow``.

    ``text`` is shown under the pointer.
    """

    time: float
    value: float
    colour: str
    up: bool
    text: str
    hollow: bool = False


@dataclass(frozen=True)
class Band:
    """A span of time, shaded over the whole height."""

    start: float
    stop: float
    colour: str


@dataclass(frozen=True)
class Layer:
    """One part of every stack: its values in the stacks' order; those below zero are not drawn."""

    name: str
    values: Sequence[float]
    colour: str


def time_chart(
    title: str,
    lines: Sequence[Line],
    marks: Sequence[Mark] = (),
    bands: Sequence[Band] = (),
    height: int = HEIGHT,
) -> str:
    """Lines and marks over one span of time; a note where there is nothing to draw."""
    drawn = [line for line in lines if len(line.time) and not np.isnan(line.value).all()]
    if not drawn:
        return _note(title)
    ends = [float(end(line.value)) for line in drawn for end in (np.nanmin, np.nanmax)]
    ends += [0.0 for line in drawn if line.filled]  # the area lies between the line and zero
    low, high = float(min(ends)), float(max(ends))
    start, stop = min(line.time[0] for line in drawn), max(line.time[-1] for line in drawn)
    frame = (LEFT, WIDTH - RIGHT, TOP, height - BOTTOM)
    scale = Scale(float(start), float(max(stop, start + 1)), low, high, frame)
    parts = [_title(title), _legend([(line.name, line.colour) for line in drawn] if len(drawn) > 1 else [])]
    parts += [_band(band, scale) for band in bands]
    size = 1.0 if len(marks) <= MOST_LARGE_MARKS else 0.4
    parts += [_grid(scale), *(_path(line, scale) for line in drawn)]
    parts += [_mark(mark, scale, size) for mark in marks]
    return _svg("".join(parts), height)


def bar_chart(
    title: str, names: Sequence[str], values: Sequence[float], shown: str, colour: str | None = None
) -> str:
    """One bar a name; without a ``colour`` green above zero and red below. ``shown`` formats a value."""
    if not names:
        return _note(title)
    low, high = min(0.0, *values), max(0.0, *values)
    per_unit = (_BARS_UNTIL - _NAMES_UNTIL) / max(high - low, 1e-12)
    zero = _NAMES_UNTIL - low * per_unit
    parts = [_title(title)]
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        y, length = TOP + _ROW * place, abs(value) * per_unit
        left = zero if value >= 0 else zero - length
        own = colour or (GREEN if value >= 0 else RED)
        parts.append(f'<rect x="{left:.1f}" y="{y + 4}" width="{length:.1f}" height="16" fill="{own}"/>')
        parts.append(_text(_NAMES_UNTIL - 8, y + 16, name, INK, "end"))
        parts.append(_text(WIDTH - RIGHT, y + 16, shown.format(value), INK, "end"))
    below = TOP + _ROW * len(names)
    parts.append(f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="{TOP}" y2="{below}" class="a"/>')
    return _svg("".join(parts), below + 12)


def column_chart(title: str, names: Sequence[str], counts: Sequence[int]) -> str:
    """One column a name, its count above it."""
    if not any(counts):
        return _note(title)
    height, most = 170, max(counts)
    step = (WIDTH - 2 * RIGHT) / len(names)
    parts = [_title(title)]
    for place, (name, count) in enumerate(zip(names, counts, strict=True)):
        tall = count / most * (height - TOP - BOTTOM - 16)
        x, y = RIGHT + place * step, height - BOTTOM - tall
        parts.append(
            f'<rect x="{x + 4:.1f}" y="{y:.1f}" width="{step - 8:.1f}" height="{tall:.1f}" fill="{BLUE}"/>'
        )
        parts.append(_text(x + step / 2, height - 8, name, QUIET, "middle"))
        parts.append(_text(x + step / 2, y - 5, f"{count:,}", INK, "middle"))
    return _svg("".join(parts), height)


def stack_chart(title: str, layers: Sequence[Layer], line: float, height: int = HEIGHT) -> str:
    """Stacks of parts side by side, and a dashed line at a height of note."""
    count = len(layers[0].values)
    if not count:
        return _note(title)
    values = np.clip(np.array([layer.values for layer in layers], dtype=np.float64), 0.0, None)
    ends = np.cumsum(values, axis=0)
    frame = (LEFT, WIDTH - RIGHT, TOP, height - BOTTOM)
    scale = Scale(0.0, float(count), 0.0, float(max(ends[-1].max(), line)), frame)
    thick = min(18.0, (scale.x(1) - scale.x(0)) * 0.8)
    parts = [_title(title), _legend([(layer.name, layer.colour) for layer in layers]), _values(scale)]
    for layer, top, value in zip(layers, ends, values, strict=True):
        bars = (
            f"M{scale.x(n + 0.5) - thick / 2:.1f} {scale.y(end):.1f}h{thick:.1f}"
            f"V{scale.y(end - part):.1f}h{-thick:.1f}Z"
            for n, (end, part) in enumerate(zip(top.tolist(), value.tolist(), strict=True))
            if part > 0
        )
        parts.append(f'<path d="{"".join(bars)}" fill="{layer.colour}"/>')
    y = scale.y(line)
    parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="d"/>')
    return _svg("".join(parts), height)


def _grid(scale: Scale) -> str:
    parts = [_values(scale)]
    for time, text in scale.times():
        parts.append(_text(scale.x(time), scale.bottom + 16, text, QUIET, "middle"))
    return "".join(parts)


def _values(scale: Scale) -> str:
    parts = []
    for value, text in ticks(scale.low, scale.high, 5 if scale.bottom - scale.top > 100 else 4):
        y = scale.y(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="g"/>')
        parts.append(_text(LEFT - 6, y + 4, text, QUIET, "end"))
    return "".join(parts)


def _thinned(time: FloatArray, value: FloatArray) -> tuple[FloatArray, FloatArray]:
    """At most about ``MOST_POINTS``: of each stretch its lowest and its highest point."""
    each = -(-2 * len(time) // MOST_POINTS)
    if each <= 2:
        return time, value
    whole = len(time) // each * each
    stretches = value[:whole].reshape(-1, each)
    lowest = np.where(np.isnan(stretches), np.inf, stretches).argmin(axis=1)
    highest = np.where(np.isnan(stretches), -np.inf, stretches).argmax(axis=1)
    kept = np.sort(np.stack([lowest, highest], axis=1), axis=1) + np.arange(0, whole, each)[:, np.newaxis]
    rows = np.append(kept.ravel(), len(time) - 1)
    return time[rows], value[rows]


def _path(line: Line, scale: Scale) -> str:
    points, pen = [], "M"
    times, values = _thinned(line.time, line.value)
    for time, value in zip(times.tolist(), values.tolist(), strict=True):
        if np.isnan(value):
            pen = "M"
            continue
        points.append(f"{pen}{scale.x(time):.1f} {scale.y(value):.1f}")
        pen = "L"
    drawn = "".join(points)
    area = ""
    if line.filled:
        base = scale.y(0.0)
        closed = f"{drawn}L{scale.x(line.time[-1]):.1f} {base:.1f}L{scale.x(line.time[0]):.1f} {base:.1f}Z"
        area = f'<path d="{closed}" fill="{line.colour}" fill-opacity=".2"/>'
    stroke = f'stroke="{line.colour}" stroke-width="1.3" stroke-linejoin="round"'
    return f'{area}<path d="{drawn}" fill="none" {stroke}/>'


def _band(band: Band, scale: Scale) -> str:
    left, right = scale.x(band.start), scale.x(band.stop)
    tall = scale.bottom - scale.top
    return (
        f'<rect x="{left:.1f}" y="{scale.top}" width="{max(right - left, 1):.1f}" height="{tall}"'
        f' fill="{band.colour}" fill-opacity=".16"/>'
    )


def _mark(mark: Mark, scale: Scale, size: float) -> str:
    x, y, text = scale.x(mark.time), scale.y(mark.value), f"<title>{escape(mark.text)}</title>"
    if mark.hollow:
        ring = f'cx="{x:.1f}" cy="{y:.1f}" r="{3 * size:g}" style="stroke:{mark.colour}"'
        return f"<circle {ring}>{text}</circle>"
    wide, tip = 5 * size, (9 if mark.up else -9) * size
    shape = f'd="M{x:.1f} {y:.1f}l{-wide:g} {tip:g}h{2 * wide:g}Z"'
    return f'<path {shape} fill="{mark.colour}" class="m">{text}</path>'


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    """Names and colours at the upper right, in columns as wide as the longest name."""
    slot = 24 + 7 * max((len(name) for name, _ in entries), default=0)
    parts = []
    for place, (name, colour) in enumerate(reversed(entries), start=1):
        x = WIDTH - place * slot
        parts.append(f'<rect x="{x}" y="7" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(x + 15, 16, name, INK))
    return "".join(parts)


def _title(text: str) -> str:
    return f'<text x="4" y="16" class="t">{escape(text)}</text>'


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'


def _note(title: str) -> str:
    return _svg(_title(title) + _text(LEFT, 48, "nothing to show in this span", QUIET), 64)


def _svg(inner: str, height: int) -> str:
    return f'<div class="w"><svg viewBox="0 0 {WIDTH} {height}" role="img">{inner}</svg></div>'
