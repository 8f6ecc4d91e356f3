"""Small simulated markets that several tests share."""

from __future__ import annotations

from collections.abc import Sequence

from squeezeflow_plugin.simulator.echoes import Echo
from squeezeflow_plugin.simulator.episodes import Script, whole_minute
from squeezeflow_plugin.simulator.generator import first_state, next_minute
from squeezeflow_plugin.simulator.profiles import AssetProfile, asset_profile
from squeezeflow_plugin.simulator.sources import GeneratedAsset
from squeezeflow_plugin.simulator.tape import Delays
from squeezeflow_plugin.simulator.trades import AssetMinute
from squeezeflow_plugin.simulator.venue import Venue

ORIGIN = whole_minute(1_767_225_600)
PROMPT = Delays(5.0, 60.0, 0.0)


def minutes_of(profile: AssetProfile, seed: int, script: Script, count: int) -> list[AssetMinute]:
    """The first ``count`` minutes of one asset from ORIGIN on."""
    state, made = first_state(profile, ORIGIN), []
    for _ in range(count):
        minute, state = next_minute(profile, seed, state, script)
        made.append(minute)
    return made


def venue_of(
    *bases: str,
    seed: int = 1,
    script: Script | None = None,
    delays: Delays = PROMPT,
    echoes: Sequence[Echo] = (),
) -> Venue:
    """Generated markets from ORIGIN on."""
    sources = [
        GeneratedAsset(profile, seed, first_state(profile, ORIGIN), script or Script(), delays=delays)
        for profile in map(asset_profile, bases)
    ]
    return Venue(sources, seed, echoes)
