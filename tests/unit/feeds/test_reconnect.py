"""Waits before a reconnect: doubled, capped, spread, and short again after a stable connection."""

from __future__ import annotations

import random

import pytest

from squeezeflow_plugin.feeds.reconnect import Backoff


def test_waits_double_to_the_cap_within_their_jitter() -> None:
    backoff = Backoff(first_s=0.5, cap_s=30.0, rng=random.Random(7))
    limits = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    for limit in limits:
        assert limit / 2 <= backoff.next_s(0.0) <= limit


def test_the_same_seed_gives_the_same_waits_and_another_spreads() -> None:
    first, same, other = (Backoff(rng=random.Random(seed)) for seed in (1, 1, 2))
    waits = [[backoff.next_s(0.0) for _ in range(5)] for backoff in (first, same, other)]
    assert waits[0] == waits[1] != waits[2]


def test_a_stable_connection_resets_and_a_short_one_does_not() -> None:
    backoff = Backoff(first_s=1.0, cap_s=64.0, stable_s=60.0, rng=random.Random(0))
    for _ in range(4):
        backoff.next_s(0.0)
    assert backoff.next_s(59.9) >= 8.0
    assert backoff.next_s(60.0) <= 1.0


@pytest.mark.parametrize(("first_s", "cap_s"), [(0.0, 1.0), (2.0, 1.0), (-1.0, 1.0)])
def test_nonsense_is_refused(first_s: float, cap_s: float) -> None:
    with pytest.raises(ValueError, match="0 < first_s <= cap_s"):
        Backoff(first_s=first_s, cap_s=cap_s)
