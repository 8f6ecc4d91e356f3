"""The silence that is strange follows from the source's own pace."""

from __future__ import annotations

import random

import pytest

from squeezeflow_plugin.feeds.pace import Pace
from squeezeflow_plugin.market import NS_PER_SECOND


def paced(pace: Pace, pauses_s: list[float]) -> Pace:
    at_s = 1.0
    for pause_s in (0.0, *pauses_s):
        at_s += pause_s
        pace.sign(round(at_s * NS_PER_SECOND))
    return pace


@pytest.mark.parametrize(
    ("pause_s", "limit_s"), [(0.01, 5.0), (1.0, 5.0), (3.0, 12.0), (40.0, 60.0), (600.0, 60.0)]
)
def test_a_steady_pace_gives_its_limit(pause_s: float, limit_s: float) -> None:
    assert paced(Pace(60.0), [pause_s] * 1000).limit_s() == pytest.approx(limit_s)


def test_little_known_is_the_cap() -> None:
    assert paced(Pace(60.0), [0.1] * 10).limit_s() == 60.0
    assert paced(Pace(0.25), [0.1] * 1000).limit_s() == 0.25


@pytest.mark.parametrize("rate", [50.0, 5.0, 0.5, 0.05])
def test_trade_at_random_raises_no_false_alarm(rate: float) -> None:
    rng, pace, alarms = random.Random(7), Pace(60.0), 0
    for _ in range(20_000):
        pause_s = min(rng.expovariate(rate), 60.0)
        alarms += pause_s > pace.limit_s()
        paced_before = pace.limit_s()
        pace.sign(round(pause_s * NS_PER_SECOND) + (pace._last_ns or NS_PER_SECOND))
        assert pace.limit_s() <= max(paced_before, 60.0)
    assert alarms == 0


def test_an_interruption_is_no_pause() -> None:
    pace = paced(Pace(60.0), [0.1] * 1000)
    pace.interrupted()
    pace.sign(10_000 * NS_PER_SECOND)
    assert pace.limit_s() == 5.0
