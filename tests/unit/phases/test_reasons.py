"""The one line that says why there was no entry."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.phases.decision import DecisionArrays
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.explain import explain
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.reasons import lines, reason
from tests.reference.flows import Episode, flow_of, market_day, scripted_frame

SIDED = r"setup (long|short) since \d\d:\d\d:\d\d"


@pytest.fixture(scope="module")
def day() -> pd.DataFrame:
    return market_day()


@pytest.fixture(scope="module")
def scored(day: pd.DataFrame) -> DecisionArrays:
    return Engine().run(flow_of(day))


def told(day: pd.DataFrame, row: int, params: Params | None = None) -> str:
    warmup = Params().warmup_rows if params is None else params.warmup_rows
    return reason(explain(flow_of(day.iloc[max(row + 1 - warmup, 0) : row + 1]), params))


def rows_where(wanted: np.ndarray) -> list[int]:
    return [int(row) for row in np.flatnonzero(wanted)[::400]]


def test_an_entry_is_said_with_its_score_and_then_as_held(day: pd.DataFrame, scored: DecisionArrays) -> None:
    event = int(np.flatnonzero(scored.event)[0])
    at = re.escape(f"{pd.Timestamp(int(scored.second[event]), unit='s'):%H:%M:%S}")
    side = "long" if scored.event[event] > 0 else "short"
    assert re.fullmatch(rf"entry {side}: score \d\.\d\d >= 4\.00", told(day, event))
    assert re.fullmatch(rf"entry {side}, held since the event of {at}", told(day, event + 4))
    assert re.fullmatch(rf"{SIDED}, qualifies, no new event: {at} .* 5 s before", told(day, event + 5)) or (
        scored.column("eligible")[event + 4] != 0
    )


def test_a_near_miss_names_what_was_missing(day: pd.DataFrame, scored: DecisionArrays) -> None:
    setup, active = scored.column("setup") != 0, scored.column("reset_active") != 0
    small = scored.column("retrace") < 0.1
    peak = scored.column("retrace_peak") < 0.1
    for row in rows_where(setup & ~active & small & peak)[:5]:
        assert re.match(rf"{SIDED}, no reset: retrace 0\.\d+ < 0\.15", told(day, row))
    for row in rows_where(setup & active & (scored.score < 3.9))[:5]:
        assert re.match(rf"{SIDED}, no entry: score \d\.\d\d < 4\.00", told(day, row))
    for row in rows_where(~setup & scored.column("ready").astype(bool))[:5]:
        assert told(day, row).startswith("no setup: ")


def test_no_rows_no_reason_but_warming_up(day: pd.DataFrame) -> None:
    assert told(day, 7_198) == "warming up: 7,199 of 7,200 rows"


def test_a_held_entry_that_is_not_tradable_says_why() -> None:
    frame = scripted_frame(5, 8_700, (Episode(6_600, 1),))
    event = int(np.flatnonzero(Engine().run(flow_of(frame)).event)[0])
    live = np.ones(len(frame))
    live[event] = 0
    assert told(frame.assign(reference_live=live), event).endswith("; not traded: reference_stale")
    hole = np.ones(len(frame))
    hole[event - 20 : event] = 0.5
    words = told(frame.assign(coverage_perp=hole), event)
    assert words.endswith("; not traded: hole_perp_5m, coverage 0.9667 < 0.9800")


def test_the_regular_mode_says_which_second_decides() -> None:
    params = Params(regular=True)
    frame = scripted_frame(31, 21_000, (Episode(17_000, 1, build=1_800, reset=500, push=700, drift=0.2),))
    scored = Engine(params).run(flow_of(frame))
    eligible = (scored.column("eligible") != 0) & (scored.column("entry") == 0)
    row = int(np.flatnonzero(eligible & ((scored.second + 1) % 300 != 0))[0])
    due = pd.Timestamp(int(scored.second[row] + 300 - (scored.second[row] + 1) % 300), unit="s")
    assert told(frame, row, params).endswith(f"qualifies: {due:%H:%M:%S} decides")


def test_the_lines_give_each_number_with_its_rows(day: pd.DataFrame, scored: DecisionArrays) -> None:
    event = int(np.flatnonzero(scored.event)[0])
    text = list(lines(explain(flow_of(day.iloc[event - 7_199 : event + 1]))))
    for name in ("score_reset", "score_absorption", "score_breakdown", "score_bias", "score_oi"):
        assert any(line.startswith(f"  {name} ") for line in text)
    numbers = [line for line in text if re.search(r"( [<>]=? | of .*\[)", line) and "[" in line]
    assert len(numbers) > 40
    assert all(re.search(r"\[\d\d:\d\d:\d\d( to \d\d:\d\d:\d\d)?\]$", line) for line in numbers)
