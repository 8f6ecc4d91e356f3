from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.simulator.episodes import (
    FREE,
    MINUTE_S,
    Ending,
    Episode,
    Pace,
    Push,
    Script,
    free_script,
    waiting_script,
    whole_minute,
)

FIELDS = ("flow_spot", "flow_perp", "drift", "tracked", "liquidations")
START = 6000


def pushes(episode: Episode, stop: int) -> dict[str, np.ndarray]:
    """Each field of the push, second by second from START to ``stop``."""
    zero = Push(*(np.zeros(MINUTE_S) for _ in FIELDS))
    made = [episode.push(second) or zero for second in range(START, stop, MINUTE_S)]
    return {name: np.concatenate([getattr(push, name) for push in made]) for name in FIELDS}


def test_a_squeeze_builds_up_holds_breaks_loose_and_reverses() -> None:
    release = START + 1200
    flow = pushes(Episode(1, START, release), START + 1800)
    at = release - START
    assert set(flow["flow_spot"][: FREE.build_s]) == {0.16}
    assert set(flow["flow_perp"][FREE.build_s : at]) == {-0.10}
    assert set(flow["flow_perp"][at : at + FREE.release_s]) == {9.0}
    assert set(flow["liquidations"][at : at + FREE.release_s]) == {0.7}
    assert set(flow["flow_spot"][at + FREE.release_s : at + 100]) == {-1.2}
    assert flow["tracked"].sum() == at
    assert not flow["flow_spot"][at + FREE.after_s :].any()


def test_a_break_falls_by_more_than_the_release_rose() -> None:
    flow = pushes(Episode(1, START, START + 900, Ending.RANGE_BREAK), START + 1800)
    assert flow["drift"].sum() < -80.0
    assert flow["flow_spot"].min() >= 0.0


@pytest.mark.parametrize("ending", Ending)
def test_a_squeeze_of_longs_is_the_mirror_of_one_of_shorts(ending: Ending) -> None:
    up = pushes(Episode(1, START, START + 1000, ending), START + 1800)
    down = pushes(Episode(-1, START, START + 1000, ending), START + 1800)
    assert all((up[name] == -down[name]).all() for name in FIELDS if name != "tracked")
    assert (up["tracked"] == down["tracked"]).all()


@given(st.integers(START + 1, START + 3000))
def test_nothing_before_the_release_depends_on_it(release: int) -> None:
    waiting = pushes(Episode(1, START, None), START + 3600)
    released = pushes(Episode(1, START, release), START + 3600)
    assert all(
        (waiting[name][: release - START] == released[name][: release - START]).all() for name in FIELDS
    )


def test_a_waiting_script_is_built_up_six_to_eleven_minutes_before_it_is_needed() -> None:
    for seed in range(50):
        episode = waiting_script(seed, 5, 1, 100_000).waiting
        assert episode is not None
        assert 360 <= 100_000 - (episode.build_start + FREE.build_s) <= 720
        assert episode.build_start % MINUTE_S == 0


def test_free_episodes_stand_apart_and_come_both_ways_and_both_endings() -> None:
    episodes = free_script(3, 9, 0, 7 * 86_400).episodes
    assert {episode.direction for episode in episodes} == {1, -1}
    assert {episode.ending for episode in episodes} == set(Ending)
    for before, after in pairwise(episodes):
        assert before.stop is not None
        assert after.build_start - before.stop >= 1500


def test_a_script_made_in_steps_is_the_script_made_at_once() -> None:
    steps = free_script(3, 9, 0, 3600)
    for until in range(3600, 86_401, MINUTE_S):
        steps = steps.followed(3, 9, until)
    assert steps == free_script(3, 9, 0, 86_400)


def test_only_a_waiting_episode_is_released_and_nothing_follows_it_before() -> None:
    script = waiting_script(1, 2, -1, 9000)
    assert script.followed(1, 2, 100_000) is script
    released = script.released(9100)
    assert released.waiting is None
    assert released.episodes[0] == replace(script.episodes[0], release=9100)
    assert released.released(9500) is released
    assert len(released.followed(1, 2, 100_000).episodes) > 3
    assert Script().push(0) is None
    assert whole_minute(61.0) == 60


@given(st.integers(120, 3600), st.integers(0, 1000))
def test_a_pace_brings_squeezes_so_far_apart_that_do_not_touch_each_other(every: int, seed: int) -> None:
    episodes = free_script(seed, 9, 0, 50 * every, Pace.every(every)).episodes
    for before, after in pairwise(episodes):
        assert before.stop is not None
        assert after.build_start >= before.stop
    starts = [episode.build_start for episode in episodes]
    assert np.diff(starts).mean() == pytest.approx(every, rel=0.35, abs=MINUTE_S)


@pytest.mark.parametrize("every", [120, 300, 1200])
def test_what_comes_often_is_small_enough_not_to_be_its_own_measure(every: int) -> None:
    episode = Episode(1, START, START + 44, pace=Pace.every(every))
    flow = pushes(episode, START + MINUTE_S * 4)
    for name in ("flow_spot", "flow_perp", "drift"):
        assert np.square(flow[name]).sum() / every < 0.9
    assert not flow["flow_spot"][44 + 60 :].any()
