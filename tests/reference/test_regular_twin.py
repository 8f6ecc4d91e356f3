"""The regular mode against its slow twin: seconds in, one decision in five minutes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.phases.decision import DecisionArrays
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, ExitWatch, first_exit
from squeezeflow_plugin.phases.params import Params
from tests.reference.exits_twin import slow_exit
from tests.reference.flows import Episode, flow_of, scripted_frame, silence
from tests.reference.score_twin import Twin, score_twin
from tests.reference.test_score_twin import assert_equal

REGULAR = Params(regular=True)
ROWS = 36_000


@pytest.fixture(scope="module")
def day() -> pd.DataFrame:
    """Ten hours of squeezes, long enough that they last over a decision row."""
    starts = range(3_000, ROWS - 4_000, 3_300)
    episodes = tuple(
        Episode(start, 1 if number % 3 else -1, build=1_800, reset=500, push=700, drift=0.2)
        for number, start in enumerate(starts)
    )
    frame = scripted_frame(31, ROWS, episodes)
    silence(frame, 20_000, 20_900, 0.9, 31)
    return frame


@pytest.fixture(scope="module")
def twin(day: pd.DataFrame) -> Twin:
    return score_twin(day, REGULAR)


@pytest.fixture(scope="module")
def scored(day: pd.DataFrame) -> DecisionArrays:
    return Engine(REGULAR).run(flow_of(day))


def test_every_column_equals_the_twin(scored: DecisionArrays, twin: Twin) -> None:
    assert_equal(scored, twin, REGULAR)


def test_events_lie_on_decision_rows_and_are_held_to_the_next(scored: DecisionArrays) -> None:
    events = np.flatnonzero(scored.event)
    assert len(events) >= 4
    assert set(scored.event[events]) == {1, -1}
    assert ((scored.second[events] + 1) % 300 == 0).all()
    eligible = scored.column("eligible")
    for row in events.tolist():
        assert (scored.entry[row : row + 300] == scored.event[row]).all()
        assert eligible[row - 300] == 0
    assert np.count_nonzero(scored.entry) == sum(min(300, ROWS - row) for row in events.tolist())


def test_exits_equal_the_twin_and_the_watch(day: pd.DataFrame, twin: Twin, scored: DecisionArrays) -> None:
    flow, names = flow_of(day), set()
    decisions = np.flatnonzero((scored.second + 1) % 300 == 0)
    for entry in decisions[decisions > REGULAR.warmup_rows].tolist()[:-20:2]:
        for direction in (1, -1):
            baseline = Baseline.of(scored.at(entry), direction)
            slow = slow_exit(day, twin.columns, entry, direction, REGULAR)
            fast = first_exit(flow, scored, baseline, REGULAR)
            found = None if fast is None else (fast.second - int(flow.time[0]), fast.name)
            assert found == slow
            if slow is not None:
                assert (int(day["time"].iloc[slow[0]]) + 1) % 300 == 0
                names.add(slow[1])
                watch = ExitWatch(baseline, REGULAR)
                watch.feed(flow.part(entry + 1, slow[0]))
                assert watch.step(flow.row(slow[0]), scored.at(slow[0])) == slow[1]
    assert len(names) >= 3


def test_a_ready_row_does_not_depend_on_where_the_frame_began(
    day: pd.DataFrame, scored: DecisionArrays
) -> None:
    for cut in (1, 299, 7_777):
        part = Engine(REGULAR).run(flow_of(day.iloc[cut:])).values
        first = REGULAR.warmup_rows - 1
        assert np.array_equal(part[first:], scored.values[cut + first :])


def test_second_by_second_is_the_batch(day: pd.DataFrame, scored: DecisionArrays) -> None:
    flow, engine = flow_of(day), Engine(REGULAR)
    engine.feed(flow.part(0, 19_000))
    for row in range(19_000, 19_700):
        assert engine.step(flow.row(row)) == scored.at(row)
    assert np.array_equal(engine.run(flow.part(19_700, ROWS)).values, scored.values[19_700:])
