from __future__ import annotations

import numpy as np

from squeezeflow_plugin.simulator.episodes import Episode, Script, waiting_script
from squeezeflow_plugin.simulator.generator import first_state
from squeezeflow_plugin.simulator.profiles import asset_profile
from squeezeflow_plugin.simulator.sources import GeneratedAsset
from tests.unit.simulator.markets import ORIGIN

SOL = asset_profile("SOL")


def waiting(release_by: int | None = None) -> GeneratedAsset:
    script = Script((Episode(1, ORIGIN + 60, None),))
    return GeneratedAsset(SOL, 1, first_state(SOL, ORIGIN), script, release_by)


def test_a_release_makes_the_minutes_from_it_on_again() -> None:
    source = waiting()
    minutes = [source.advance() for _ in range(18)]
    release = ORIGIN + 16 * 60 + 30
    changed = source.release(release)
    assert [minute.second for minute in changed] == [ORIGIN + 16 * 60, ORIGIN + 17 * 60]
    for market in changed[0].trades:
        before = minutes[16].trades[market].between(0, release * 1000)
        assert np.array_equal(before.lots, changed[0].trades[market].between(0, release * 1000).lots)
    assert source.second == ORIGIN + 18 * 60
    assert source.episodes[-1].release == release


def test_a_release_in_the_future_changes_nothing_made_and_a_second_one_nothing_at_all() -> None:
    source = waiting()
    for _ in range(3):
        source.advance()
    assert source.release(ORIGIN + 10_000) == ()
    assert source.release(ORIGIN + 200) == ()
    assert source.episodes[-1].release == ORIGIN + 10_000


def test_an_episode_that_nobody_releases_breaks_loose_by_itself() -> None:
    source = waiting(release_by=ORIGIN + 1200)
    while source.second < ORIGIN + 1200:
        source.advance()
    assert source.episodes[-1].release is None
    source.advance()
    assert source.episodes[-1].release == ORIGIN + 1200


def test_episodes_follow_the_first_one() -> None:
    source = GeneratedAsset(SOL, 1, first_state(SOL, ORIGIN), waiting_script(1, SOL.key, -1, ORIGIN + 1800))
    source.release(ORIGIN + 1800)
    while source.second < ORIGIN + 4 * 3600:
        source.advance()
    assert len(source.episodes) >= 2
