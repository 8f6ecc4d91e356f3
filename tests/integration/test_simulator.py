"""The simulated market against the method that trades it, and the simulator beside the collector."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.frames import build_bars
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, Exit, first_exit
from squeezeflow_plugin.settings import process_environ
from squeezeflow_plugin.simulator.episodes import Script, free_script, waiting_script, whole_minute
from squeezeflow_plugin.simulator.generator import first_state, next_minute
from squeezeflow_plugin.simulator.profiles import AssetProfile, asset_profile
from squeezeflow_plugin.simulator.run import HISTORY_S
from squeezeflow_plugin.simulator.trades import AssetMinute, concatenate
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

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


def wait_for(what: Callable[[], Any], *processes: subprocess.Popen[bytes], seconds: float = 60.0) -> Any:
    """What ``what`` gives once it is true; fails where a process ends or the time is up."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        assert all(process.poll() is None for process in processes), "a process ended"
        time.sleep(0.05)
    return value


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts ``squeezeflow`` commands and leaves none behind."""
    processes = []

    def start(*arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "squeezeflow_plugin.cli", *arguments)
        processes.append(subprocess.Popen(command, env={**process_environ(), **environ}))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.slow
def test_the_collector_takes_over_without_a_hole_and_keeps_what_was_sent(
    tmp_path: Path, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    path, state_file, truth = tmp_path / "store.sqlite", tmp_path / "state.json", tmp_path / "truth.jsonl"
    environ = {"SQUEEZEFLOW_DATA_DIR": str(tmp_path), "SQUEEZEFLOW_ASSETS": "SOL"}
    arguments = ("--seed", "3", "--store", str(path), "--state-file", str(state_file), "--truth", str(truth))
    simulator = started("simulate", *arguments, **environ)
    wait_for(state_file.exists, simulator)
    state = json.loads(state_file.read_bytes())
    first = state["first_second"]
    taken_over = {
        "SQUEEZEFLOW_FIRST_SECOND": str(first),
        "SQUEEZEFLOW_ENDPOINTS": json.dumps(state["endpoints"]),
    }
    ports = {"SQUEEZEFLOW_API_PORT": "0", "SQUEEZEFLOW_HEALTH_PORT": "0"}
    collector = started("collect", **environ, **taken_over, **ports)
    store = EmbeddedBarStore(path, readonly=True)
    wait_for(lambda: (store.last_second("main") or 0) >= first + 6, simulator, collector)
    for process in (collector, simulator):
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    start, stop = store.span() or (0, 0)
    assert first - start >= HISTORY_S
    assert {(each.start, each.stop) for each in store.coverage(start, stop)} == {(start, stop)}
    assert [r.second for r in store.records(start, stop)] == list(range(start, stop))
    # a late trade may still be under way in the last seconds
    last = stop - 4
    sent = pd.read_json(truth, lines=True, dtype={"price": str, "size": str})
    sent = sent[~sent["liquidation"]].astype({"price": float, "size": float})
    bars = build_bars(sent[["ts_ms", "price", "size", "side", "market", "trade_id"]])
    bars = bars[(bars["time"] >= first) & (bars["time"] < last)]
    kept = store.bars(first, last)
    assert len(bars) == np.count_nonzero(kept.cbuy + kept.csell) > 0
    for name in ("open", "high", "low", "close", "vbuy", "vsell", "cbuy", "csell"):
        column = getattr(kept, name)[kept.cbuy + kept.csell > 0]
        assert bars[name].to_numpy().tolist() == column.tolist()
    store.close()


def test_it_ends_at_once_when_told(tmp_path: Path, started: Callable[..., subprocess.Popen[bytes]]) -> None:
    state_file = tmp_path / "state.json"
    process = started(
        "simulate",
        "--state-file",
        str(state_file),
        SQUEEZEFLOW_ASSETS="SOL",
        SQUEEZEFLOW_DATA_DIR=str(tmp_path),
    )
    wait_for(state_file.exists, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
