"""How many trades a CPU second makes: the market alone, and bars of it written into an embedded store.

Prints one JSON object; CPU time of one process.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from squeezeflow_plugin.simulator.episodes import free_script, whole_minute
from squeezeflow_plugin.simulator.generator import first_state, next_minute
from squeezeflow_plugin.simulator.history import write_history
from squeezeflow_plugin.simulator.profiles import DEFAULT_ASSETS, AssetProfile, asset_profiles
from squeezeflow_plugin.simulator.sources import GeneratedAsset
from squeezeflow_plugin.simulator.venue import Venue
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

ORIGIN = whole_minute(1_767_225_600)
HOURS = 6
SEED = 1


def trades_per_second(profile: AssetProfile) -> float:
    """Trades of both markets, episodes included, per CPU second."""
    state, script = (
        first_state(profile, ORIGIN),
        free_script(SEED, profile.key, ORIGIN, ORIGIN + HOURS * 3600),
    )
    count, start = 0, time.process_time()
    for _ in range(HOURS * 60):
        minute, state = next_minute(profile, SEED, state, script)
        count += sum(len(trades) for trades in minute.trades.values())
    return count / (time.process_time() - start)


def history_seconds_per_second(folder: Path) -> float:
    """Seconds of all assets' bars, generated and stored, per CPU second."""
    sources = [
        GeneratedAsset(profile, SEED, first_state(profile, ORIGIN), free_script(SEED, profile.key, ORIGIN, 0))
        for profile in asset_profiles(DEFAULT_ASSETS)
    ]
    store = EmbeddedBarStore(folder / "store.sqlite")
    start = time.process_time()
    write_history(store, Venue(sources, SEED), ORIGIN, ORIGIN + HOURS * 3600)
    elapsed = time.process_time() - start
    store.close()
    return HOURS * 3600 / elapsed


def main() -> None:
    speeds = {profile.base: round(trades_per_second(profile)) for profile in asset_profiles(DEFAULT_ASSETS)}
    with tempfile.TemporaryDirectory() as folder:
        history = round(history_seconds_per_second(Path(folder)))
    print(json.dumps({"trades_per_cpu_s": speeds, "history_seconds_per_cpu_s": history}))


if __name__ == "__main__":
    main()
