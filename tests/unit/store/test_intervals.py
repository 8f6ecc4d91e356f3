"""Unions of intervals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.market import Interval
from squeezeflow_plugin.store.intervals import merge_intervals

intervals = st.lists(
    st.builds(Interval, st.sampled_from(["A:x", "B:x"]), st.integers(0, 20), st.integers(0, 20))
)


@given(intervals, st.integers(-1, 21), st.integers(-1, 21))
def test_the_union_is_the_set_of_seconds(spans: list[Interval], start: int, stop: int) -> None:
    merged = merge_intervals(spans, start, stop)
    wanted = {(i.market, s) for i in spans for s in range(i.start, i.stop) if start <= s < stop}
    flat = [(i.market, s) for i in merged for s in range(i.start, i.stop)]
    assert flat == sorted(wanted)
    assert all(i.start < i.stop for i in merged)
    assert not {(i.market, i.stop) for i in merged} & {(i.market, i.start) for i in merged}
