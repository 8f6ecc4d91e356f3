"""The clock difference is the smallest lag of the last minutes, and no single date can spoil it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.bars.offsets import QUORUM, ExchangeOffset, ExchangeOffsets
from squeezeflow_plugin.market import NS_PER_SECOND

MS = 1_000_000
WINDOW_S = 300


def fed(lags_ms: list[int], every_ms: int = 1000) -> ExchangeOffset:
    offset = ExchangeOffset(WINDOW_S)
    for step, lag in enumerate(lags_ms):
        offset.observe(lag * MS, step * every_ms * MS)
    return offset


@given(st.lists(st.integers(0, 1900), min_size=QUORUM, max_size=400), st.sampled_from([200, 1000, 7000]))
def test_it_is_the_minimum_of_the_window(lags_ms: list[int], every_ms: int) -> None:
    value = fed(lags_ms, every_ms).value_ns
    last_bucket = (len(lags_ms) - 1) * every_ms // 1000
    # What came before the quorum was complete counts as received with its last.
    buckets = [max(step, QUORUM - 1) * every_ms // 1000 for step in range(len(lags_ms))]
    window = [lag for lag, bucket in zip(lags_ms, buckets, strict=True) if bucket > last_bucket - WINDOW_S]
    early = [abs(lag - sorted(lags_ms[:QUORUM])[QUORUM // 2]) <= 2000 for lag in lags_ms[:QUORUM]]
    assert all(early)
    assert value == min(window) * MS


def test_nothing_is_known_before_a_quorum() -> None:
    assert fed([5] * (QUORUM - 1)).value_ns is None
    assert fed([5] * QUORUM).value_ns == 5 * MS


def test_a_clock_a_second_off_from_the_start_is_just_an_offset() -> None:
    assert fed([-1250, -1246, -1251, -1240, -1248, -1247]).value_ns == -1251 * MS


def test_one_date_in_the_future_changes_nothing() -> None:
    year_ms = 365 * 86_400_000
    assert fed([40, 41, -year_ms, 45, 40, 42, 43]).value_ns == 40 * MS
    assert fed([40, 41, 44, 45, 43, -year_ms, 42] * 20).value_ns == 40 * MS
    assert fed([40, 41, 44, 45, 43, -2500, 42, -2600] * 20).value_ns == 40 * MS


def test_a_burst_of_wrong_dates_in_one_frame_changes_nothing() -> None:
    offset = fed([40] * 10)
    for _ in range(100):
        offset.observe(-50_000 * MS, 10 * NS_PER_SECOND)
    offset.observe(41 * MS, 10 * NS_PER_SECOND)
    assert offset.value_ns == 40 * MS


def test_a_clock_that_really_moved_is_followed_within_seconds() -> None:
    assert fed([40] * 20 + [-3_600_000] * 4).value_ns == 40 * MS
    assert fed([40] * 20 + [-3_600_000 + step for step in range(6)]).value_ns == -3_600_000 * MS


def test_a_window_forgets_and_stays_small() -> None:
    rng = random.Random(5)
    offset = ExchangeOffset(WINDOW_S)
    for step in range(20_000):
        # Lags that rise for an hour: the worst case of a sliding minimum.
        offset.observe((step + rng.randrange(3)) * MS, step * 100 * MS)
    assert len(offset._buckets) <= WINDOW_S
    assert offset.value_ns is not None
    assert offset.value_ns >= (20_000 - 10 * WINDOW_S - 10) * MS


def test_market_time_is_the_median_exchange() -> None:
    offsets = ExchangeOffsets()
    for exchange, lag_ms in (("A", 30), ("B", -3_600_000), ("C", 50)):
        for step in range(QUORUM):
            offsets.observe(exchange, step * NS_PER_SECOND - lag_ms * MS, step * NS_PER_SECOND)
    assert offsets.market_offset_ns() == 30 * MS
    assert offsets.market_ns(NS_PER_SECOND) == NS_PER_SECOND - 30 * MS
    assert offsets.skews_ns() == {"A": 30 * MS, "B": -3_600_000 * MS, "C": 50 * MS}
