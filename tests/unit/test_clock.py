"""Clocks go forward, and waiting means waiting until."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.clock import SteppedClock, SystemClock


def test_system_clock_never_steps_back_and_waits_until() -> None:
    clock = SystemClock()
    start = clock.now_ns()
    clock.sleep_until(start + 2_000_000)
    assert clock.now_ns() >= start + 2_000_000


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
