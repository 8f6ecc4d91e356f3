"""Marks lie at round values and round times within the picture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.backtest.scales import Scale, ticks

FRAME = (64.0, 750.0, 28.0, 176.0)
DAY = 1_754_697_600  # 2025-08-09 00:00 UTC


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_distinct_and_within(low: float, width: float) -> None:
    high = low + width
    if high - low < 1e-9 * max(abs(low), 1.0):
        return
    found = ticks(low, high)
    assert len(found) <= 6
    slack = 1e-9 * max(abs(low), abs(high))
    assert all(low - slack <= value <= high + slack for value, _ in found)
    assert len({text for _, text in found}) == len(found)


@pytest.mark.parametrize(
    ("start", "stop", "texts"),
    [
        (DAY, DAY + 86_399, ["9 Aug", *(f"{hour:02d}:00" for hour in range(3, 24, 3))]),
        (DAY + 3500, DAY + 4500, ["01:00", "01:05", "01:10", "01:15"]),
        (DAY - 26 * 86_400, DAY + 4 * 86_400, ["16 Jul", "21 Jul", "26 Jul", "31 Jul", "5 Aug", "10 Aug"]),
    ],
)
def test_times_are_round(start: int, stop: int, texts: list[str]) -> None:
    scale = Scale(start, stop, 0.0, 1.0, FRAME)
    assert [text for _, text in scale.times()][: len(texts)] == texts
    assert all(FRAME[0] <= scale.x(time) <= FRAME[1] for time, _ in scale.times())


def test_values_go_up_and_have_a_margin() -> None:
    scale = Scale(0, 1, 5.0, 5.0, FRAME)
    assert FRAME[2] < scale.y(5.0) < FRAME[3]
    wide = Scale(0, 1, -1.0, 3.0, FRAME)
    assert FRAME[2] < wide.y(3.0) < wide.y(-1.0) < FRAME[3]
