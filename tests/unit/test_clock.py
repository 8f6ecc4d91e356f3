"""Clocks go forward, and waiting means waiting until."""

from __future__ import annotations

import time

import pytest

from squeezeflow_plugin.clock import SteppedClock, SystemClock


def test_system_clock_never_steps_back_and_waits_until() -> None:
    clock = SystemClock()
    start = clock.now_ns()
    clock.sleep_until(start + 2_000_000)
    assert clock.now_ns() >= start + 2_000_000


@pytest.mark.parametrize("step_s", [5, -5, 365 * 86_400])
def test_a_wall_clock_that_is_stepped_moves_nothing_and_is_told(
    step_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SystemClock()
    before, wall_ns = clock.now_ns(), time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + step_s * 10**9)
    assert before <= clock.now_ns() < before + 10**9
    assert abs(clock.wall_lead_ns() - step_s * 10**9) < 10**8


async def test_both_clocks_wait_in_a_coroutine() -> None:
    for clock in (SystemClock(), SteppedClock(7)):
        when = clock.now_ns() + 1_000_000
        await clock.wait_until(when)
        assert clock.now_ns() >= when


def test_stepped_clock_goes_only_where_it_is_told() -> None:
    clock = SteppedClock(10)
    clock.sleep_until(25)
    clock.sleep_until(20)
    assert clock.now_ns() == 25
    with pytest.raises(ValueError, match="never steps back"):
        clock.advance(-1)
