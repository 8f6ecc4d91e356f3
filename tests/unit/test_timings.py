"""Durations fall into the bucket of the next bound, as Prometheus counts them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.timings import Buckets, Timings

BOUNDS = (0.01, 0.1, 1.0)


@given(st.lists(st.floats(0.0, 10.0)))
def test_each_bound_counts_what_is_no_larger(durations: list[float]) -> None:
    timings = Timings(BOUNDS)
    for took_s in durations:
        timings.note(took_s)
    found = timings.buckets()
    assert found.total_s == pytest.approx(sum(durations))
    bounds = [float(bound) for bound, _ in found.cumulative()]
    assert [count for _, count in found.cumulative()] == [
        sum(took_s <= bound for took_s in durations) for bound in bounds
    ]
    assert msgspec.json.decode(msgspec.json.encode(found), type=Buckets) == found


def test_what_was_handed_out_does_not_go_on_counting() -> None:
    timings = Timings(BOUNDS)
    before = timings.buckets()
    timings.note(0.5)
    assert before == Buckets(BOUNDS, (0, 0, 0, 0), 0.0)
