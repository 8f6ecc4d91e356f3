"""Pictures are well-formed, and their points lie within them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from squeezeflow_plugin.backtest.charts import (
    HEIGHT,
    MOST_POINTS,
    WIDTH,
    Band,
    Layer,
    Line,
    Mark,
    bar_chart,
    column_chart,
    stack_chart,
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
    marks = [Mark(float(time[9]), 0.5, "#654321", True, "in & out", hollow) for hollow in (True, False)]
    bands = [Band(float(time[10]), float(time[20_000]), "#00ff00")]
    flat = Line("flat", time, np.zeros(len(time)), "#000000")
    picture = time_chart("A & B", [line, flat], marks, bands)
    found = points(picture)
    assert 1000 < len(found) <= 2 * (MOST_POINTS + 1)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in found)
    assert "A &amp; B" in picture
    assert "in &amp; out" in picture


def test_a_spike_of_one_second_in_a_month_is_drawn() -> None:
    value = np.zeros(2_592_000)
    value[1_234_567] = 1.0
    found = points(
        time_chart("spike", [Line("x", np.arange(len(value), dtype=np.float64), value, "#000000")])
    )
    assert len(found) <= MOST_POINTS + 1
    assert len({y for _, y in found}) == 2


def test_a_gap_is_no_line() -> None:
    time = np.arange(6.0)
    picture = time_chart("gap", [Line("x", time, np.array([1, 2, np.nan, np.nan, 3, 4]), "#000000")])
    (path,) = [str(item.get("d")) for item in tree(picture).iter("path")]
    assert path.count("M") == 2


@pytest.mark.parametrize("value", [0.0, 5.0, -5.0])
def test_a_constant_is_a_line_too(value: float) -> None:
    line = Line("x", np.array([1.0, 2.0]), np.full(2, value), "#000000", filled=True)
    assert all(0 <= y <= HEIGHT for _, y in points(time_chart("constant", [line])))


def test_nothing_to_show_is_said() -> None:
    empty = Line("x", np.empty(0), np.empty(0), "#000000")
    pictures = (
        time_chart("t", [empty]),
        bar_chart("t", [], [], "{}"),
        column_chart("t", ["a"], [0]),
        stack_chart("t", [Layer("a", [], "#000000")], 4.0),
    )
    for picture in pictures:
        assert "nothing to show" in "".join(tree(picture).itertext())


def test_bars_begin_at_zero_and_leave_the_names_alone() -> None:
    bars = [item.attrib for item in tree(bar_chart("t", ["a", "b"], [3.0, -1.5], "{:.1f} USDT")).iter("rect")]
    (right, left) = bars
    assert float(right["width"]) == pytest.approx(2 * float(left["width"]), abs=0.2)
    assert float(left["x"]) + float(left["width"]) == pytest.approx(float(right["x"]), abs=0.2)
    assert float(left["x"]) > 200


def test_columns_are_as_tall_as_their_counts() -> None:
    picture = tree(column_chart("t", ["a", "b"], [1, 4]))
    tall = [float(item.get("height", 0)) for item in picture.iter("rect")]
    assert tall[1] == pytest.approx(4 * tall[0], abs=0.5)
    assert "4" in [item.text for item in picture.iter("text")]


def test_stacks_end_at_their_sum() -> None:
    layers = [Layer("a", [1.0, 2.0], "#111111"), Layer("b", [3.0, -1.0], "#222222")]
    picture = tree(stack_chart("t", layers, 3.0))
    (below, above) = [str(item.get("d")) for item in picture.iter("path")]
    assert (below.count("M"), above.count("M")) == (2, 1)
    assert {item.text for item in picture.iter("text")} >= {"a", "b", "t"}
