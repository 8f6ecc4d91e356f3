"""Pictures are well-formed, and their points lie within them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from squeezeflow_plugin.backtest.charts import (
    HEIGHT,
    MOST_POINTS,
    WIDTH,
    Line,
    Mark,
    bar_chart,
    histogram,
    time_chart,
)


def tree(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - our own text


def points(picture: str) -> list[tuple[float, float]]:
    """The points of every line of the picture."""
    paths = [str(item.get("d")) for item in tree(picture).iter("path") if item.get("stroke")]
    numbers = [part.strip("MLZ").split() for path in paths for part in path.replace("L", " |L").split(" |")]
    return [(float(x), float(y)) for x, y in numbers]


def test_lines_lie_within_the_picture_and_are_thinned() -> None:
    time = np.arange(50_000.0) + 1_754_697_600
    line = Line("a<b", time, np.sin(time / 1000), "#123456")
    mark = Mark(float(time[9]), 0.5, "#654321", True, "in & out")
    picture = time_chart("A & B", [line, Line("flat", time, np.zeros(len(time)), "#000000")], [mark])
    found = points(picture)
    assert 1000 < len(found) <= 2 * 2 * MOST_POINTS
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in found)
    assert "A &amp; B" in picture
    assert "in &amp; out" in picture


@pytest.mark.parametrize("value", [0.0, 5.0, -5.0])
def test_a_constant_is_a_line_too(value: float) -> None:
    line = Line("x", np.array([1.0, 2.0]), np.full(2, value), "#000000", filled=True)
    assert all(0 <= y <= HEIGHT for _, y in points(time_chart("constant", [line])))


def test_nothing_to_show_is_said() -> None:
    empty = Line("x", np.empty(0), np.empty(0), "#000000")
    for picture in (time_chart("t", [empty]), bar_chart("t", [], [], "u"), histogram("t", [0.0], "s")):
        assert "nothing to show" in "".join(tree(picture).itertext())


def test_bars_and_histograms_count() -> None:
    bars = tree(bar_chart("t", ["a", "b"], [3.0, -1.5], "USDT"))
    widths = [float(item.get("width", 0)) for item in bars.iter("rect")]
    assert widths[0] == 2 * widths[1]
    titles = [str(item.text) for item in tree(histogram("t", [1.0, 10.0, 10.0], "s")).iter("title")]
    assert sum(int(title.split()[0]) for title in titles) == 3
