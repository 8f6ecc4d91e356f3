"""Candles out of seconds, against a plain loop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.provider.candles import (
    CANDLE_COLUMNS,
    FLOW_COLUMNS,
    SUMMED_COLUMNS,
    GrowingCandles,
    candle_frame,
    candle_starts,
)
from squeezeflow_plugin.provider.rows import ROW_NAMES


def rows(seed: int, size: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(1.0, 2.0, (len(ROW_NAMES), size))


@given(st.integers(0, 10_000), st.integers(1, 700), st.sampled_from([1, 60, 300]))
def test_each_candle_is_what_its_seconds_say(first: int, size: int, seconds: int) -> None:
    values = rows(size, size)
    frame = candle_frame(values, first, seconds)
    time = np.arange(first, first + size)
    at = {name: ROW_NAMES.index(name) for name in ROW_NAMES}
    wanted = [start for start in sorted({s - s % seconds for s in time.tolist()}) if start >= first]
    starts = frame["date"].dt.as_unit("s").astype("int64").tolist()
    assert starts == wanted
    for place, start in enumerate(starts):
        own = values[:, (time >= start) & (time < start + seconds)]
        candle = frame.iloc[place]
        assert candle["open"] == own[at["open"], 0]
        assert candle["high"] == own[at["high"]].max()
        assert candle["low"] == own[at["low"]].min()
        assert candle["close"] == own[at["close"], -1]
        assert candle["volume"] == pytest.approx(own[at["volume"]].sum())
        for name in SUMMED_COLUMNS:
            assert candle[name] == pytest.approx(own[at[name]].sum())
        for name in ("coverage_spot", "coverage_perp"):
            assert candle[name] == pytest.approx(own[at[name]].mean())


def test_the_newest_candles_only() -> None:
    assert candle_starts(0, 605, 60, limit=3).tolist() == [480, 540, 600]
    assert len(candle_frame(rows(1, 605), 0, 60, limit=3)) == 3


def test_no_full_candle_is_an_empty_frame_with_its_columns() -> None:
    frame = candle_frame(rows(1, 5), 61, 60)
    assert frame.empty
    assert tuple(frame.columns) == CANDLE_COLUMNS + FLOW_COLUMNS
    assert str(frame["date"].dtype).endswith("UTC]")


Step = st.tuples(st.integers(1, 150), st.none() | st.integers(0, 200), st.integers(0, 90))


@given(st.integers(0, 10_000), st.lists(Step, min_size=1, max_size=12))
def test_candles_that_grow_are_those_made_anew(first: int, steps: list[tuple[int, int | None, int]]) -> None:
    """Rows are added, some of the last ones are written again, and old ones are dropped."""
    values, start, stop = rows(first, 2_000), 0, 0
    growing = GrowingCandles(60)
    for added, back, dropped in steps:
        stop += added
        if back is not None:
            place = max(stop - back, start)
            values[:, place] += 1.0
            growing.revised(first + place)
        start = min(start + dropped, stop)
        held = values[:, start:stop]
        anew = candle_frame(held, first + start, 60)
        pd.testing.assert_frame_equal(growing.frame(held, first + start), anew, check_exact=True)


def test_a_frame_is_its_readers_own() -> None:
    growing, values = GrowingCandles(60), rows(1, 300)
    frame = growing.frame(values, 0)
    frame.loc[frame.index[0], "close"] = -1.0
    pd.testing.assert_frame_equal(growing.frame(values, 0), candle_frame(values, 0, 60))
