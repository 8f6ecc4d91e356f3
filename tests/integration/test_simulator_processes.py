"""The simulator as a process: beside the collector, and told to end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.frames import build_bars
from squeezeflow_plugin.settings import process_environ
from squeezeflow_plugin.simulator.run import HISTORY_S
from squeezeflow_plugin.store.embedded import EmbeddedBarStore


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
