"""The simulated market against the method that trades it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, Exit, first_exit
from squeezeflow_plugin.simulator.episodes import Script, free_script, waiting_script, whole_minute
from squeezeflow_plugin.simulator.generator import first_state, next_minute
from squeezeflow_plugin.simulator.profiles import AssetProfile, asset_profile
from squeezeflow_plugin.simulator.run import HISTORY_S
from squeezeflow_plugin.simulator.trades import AssetMinute, concatenate

ORIGIN = whole_minute(1_767_225_600)
WORD = ORIGIN + HISTORY_S
Trip = tuple[int, int, Exit | None]
"""An entry event's second, its direction and its exit."""


def flow_of(profile: AssetProfile, minutes: Sequence[AssetMinute]) -> Flow:
    """One row a second, the spot market as the reference."""
    seconds = 60 * len(minutes)
    columns: dict[str, Any] = {"time": ORIGIN + np.arange(seconds)}
    for name, market in (("spot", profile.spot), ("perp", profile.perp)):
        trades = concatenate([minute.trades[market.market] for minute in minutes])
        second = trades.at_ms // 1000 - ORIGIN
        quote = trades.signed_quote
        columns[f"{name}_buy"] = np.bincount(second, np.maximum(quote, 0.0), seconds)
        columns[f"{name}_sell"] = np.bincount(second, np.maximum(-quote, 0.0), seconds)
        if name == "spot":
            price = pd.Series(trades.price).groupby(second).agg(["first", "max", "min", "last"])
            price = price.reindex(range(seconds))
            close = price["last"].ffill().bfill()
            columns["close"] = close
            for ours, theirs in (("open", "first"), ("high", "max"), ("low", "min")):
                columns[ours] = price[theirs].fillna(close)
    return Flow.from_columns(columns)


def trips(profile: AssetProfile, seed: int, script: Script, seconds: int) -> list[Trip]:
    """Every entry event that the method sees in the market's first ``seconds``, and its exit."""
    state, minutes = first_state(profile, ORIGIN), []
    for _ in range(seconds // 60):
        minute, state = next_minute(profile, seed, state, script)
        minutes.append(minute)
    flow = flow_of(profile, minutes)
    decisions = Engine().run(flow)
    entry = decisions.entry
    events = np.flatnonzero((entry != 0) & (np.concatenate(([0], entry[:-1])) == 0))
    made = []
    for row in events.tolist():
        baseline = Baseline.of(decisions.at(row))
        made.append((int(flow.time[row]), int(entry[row]), first_exit(flow, decisions, baseline)))
    return made


@pytest.mark.parametrize("base", ["BTC", "ETH", "SOL"])
@pytest.mark.parametrize(
    ("seed", "delay"), [(1, 5), (2, 20), (3, 120), (4, 60), (5, 90), (6, 33), (7, 1200), (8, 10)]
)
def test_the_first_squeeze_is_entered_and_left_soon_after_the_word(base: str, seed: int, delay: int) -> None:
    profile = asset_profile(base)
    direction = 1 if seed % 2 else -1
    word = WORD + delay
    script = waiting_script(seed, profile.key, direction, WORD).released(word + 1)
    ((entered, way, exit_),) = [
        trip for trip in trips(profile, seed, script, HISTORY_S + delay + 300) if trip[0] > WORD - 600
    ]
    assert way == direction
    assert 5 < entered - word <= 30
    assert exit_ is not None
    assert exit_.name == "flow_reversal"
    assert exit_.second - entered >= 60
    assert exit_.second - word <= 140


@pytest.mark.parametrize(("base", "seed"), [("BTC", 11), ("SOL", 12)])
def test_every_later_squeeze_is_entered_and_left_as_its_ending_says(base: str, seed: int) -> None:
    profile, day = asset_profile(base), 86_400
    script = free_script(seed, profile.key, ORIGIN, ORIGIN + day)
    made = trips(profile, seed, script, day)
    scored = [e for e in script.episodes if e.release and ORIGIN + 7300 < e.release < ORIGIN + day - 300]
    assert len(scored) >= 10
    for episode in scored:
        assert episode.release is not None
        (trip,) = [t for t in made if 0 <= t[0] - episode.release <= 60]
        assert trip[1] == episode.direction
        assert trip[2] is not None
        assert trip[2].name == episode.ending.value
        assert trip[2].second - trip[0] <= 160


def test_chance_alone_is_hardly_ever_entered() -> None:
    profile = asset_profile("ETH")
    assert len(trips(profile, 21, Script(), 86_400)) <= 3
