"""The main job, once, as a newcomer runs it: what it prints must be so, and made again from its store."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from squeezeflow_plugin import Params, score_frame
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.provider.replay import run_parity
from squeezeflow_plugin.settings import load
from squeezeflow_plugin.store.decisions import DecisionLog, TradeEvent
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.integration.job import UP, end, lines_until, start
from tests.reference.exits_twin import slow_exit
from tests.reference.known_frame import known_frame
from tests.reference.score_twin import features

SECONDS = 170
ROWS = 7800
PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


@dataclass(frozen=True)
class Run:
    """What one run left: its lines, its summary, what FreqTrade's API answered, and its folder."""

    lines: list[str]
    summary: dict[str, Any]
    candles: dict[str, Any]
    data_dir: Path
    status: int


def ask_api(folder: Path, ready_line: str, path: str) -> Any:
    """FreqTrade's REST API, with the credentials of the first run."""
    login = json.loads((folder / "user_data/squeezeflow/credentials.json").read_text(encoding="utf-8"))
    address = ready_line.rsplit(" ", 1)[-1]
    token = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
    request = urllib.request.Request(f"{address}/api/v1/{path}", headers={"Authorization": f"Basic {token}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("job")
    process = start(folder, "--seconds", str(SECONDS), "--json")
    try:
        lines = list(lines_until(process, "ready:"))
        lines += list(lines_until(process, " | "))
        ready = next(line for line in lines if line.startswith("ready:"))
        candles = ask_api(folder, ready, "pair_candles?pair=BTC%2FUSDT&timeframe=1m&limit=5")
        assert process.stdout is not None
        lines += [line.rstrip("\n") for line in process.stdout]
        status = process.wait(60)
    finally:
        end(process)
    assert lines[-1].startswith("{"), "\n".join(lines[-30:])
    summary = json.loads(lines[-1])
    return Run(lines, summary, candles, folder / summary["data_dir"], status)


@pytest.fixture(scope="module")
def store(run: Run) -> Iterator[EmbeddedBarStore]:
    opened = EmbeddedBarStore(run.data_dir / "store.sqlite", readonly=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def log(run: Run) -> Iterator[DecisionLog]:
    opened = DecisionLog(run.data_dir / "decisions.sqlite", readonly=True)
    yield opened
    opened.close()


@pytest.mark.slow
def test_every_second_is_scored_once_and_in_time(run: Run, log: DecisionLog) -> None:
    summary = run.summary
    assert run.status == 0
    assert summary["errors"] == []
    assert summary["seconds_missed"] == 0
    assert set(summary["scored_by_pair"]) == set(PAIRS)
    assert summary["seconds_scored"] >= SECONDS - 1
    first = summary["first_second"]
    keys = [(row.pair, row.second) for row in log.read(first, first + SECONDS)]
    assert len(keys) == len(set(keys)) == len(PAIRS) * SECONDS
    assert summary["trades_received"] > 0
    assert summary["bars"] > 0


@pytest.mark.slow
def test_one_plain_line_a_second(run: Run) -> None:
    lines = [line for line in run.lines if " | open: " in line]
    assert len(lines) >= SECONDS - 5
    assert all(pair in lines[-1] for pair in PAIRS)


@pytest.mark.slow
def test_freqtrade_shows_the_phase_columns(run: Run) -> None:
    wanted = {
        "context",
        "regime",
        "setup",
        "divergence",
        "retrace",
        "reset",
        "score",
        "entry",
        "tradable",
        "veto",
    }
    assert wanted <= set(run.candles["columns"])
    newest = dict(zip(run.candles["columns"], run.candles["data"][-1], strict=True))
    assert newest["ready"] == 1
    assert newest["close"] > 0


@pytest.mark.slow
def test_decisions_are_made_again_from_the_records(
    run: Run, store: EmbeddedBarStore, log: DecisionLog
) -> None:
    settings = load(None, {"SQUEEZEFLOW_DATA_DIR": str(run.data_dir)})
    first = run.summary["first_second"]
    result = run_parity(settings, "binance", first, first + SECONDS)
    assert result.differences == ()
    assert result.seconds == len(PAIRS) * SECONDS
    assert result.exits == run.summary["exits"]


def fills(log: DecisionLog, kind: str) -> list[TradeEvent]:
    return [event for event in log.events() if event.kind == kind]


@pytest.mark.slow
def test_entries_are_the_events_of_score_frame_on_the_bars_as_known(
    run: Run, store: EmbeddedBarStore, log: DecisionLog
) -> None:
    entries = fills(log, "entry_fill")
    assert run.summary["entries"] >= 1
    for event in entries:
        frame = known_frame(store, symbol_of(event), event.decision_second, ROWS)
        scored = score_frame(frame)
        assert scored["entry"].iloc[-1] == event.direction
        assert (scored["entry"].iloc[-301:-1] == 0).all()
        assert scored["score"].iloc[-1] >= Params().min_score


@pytest.mark.slow
def test_exits_are_the_slow_exits_on_the_bars_as_known(
    run: Run, store: EmbeddedBarStore, log: DecisionLog
) -> None:
    exits = fills(log, "exit_fill")
    assert run.summary["exits"] >= 1
    for event in exits:
        frame = known_frame(store, symbol_of(event), event.second, ROWS)
        columns = {**features(frame, 3600), "context": score_frame(frame)["context"].to_numpy(np.float64)}
        entered = len(frame) - 1 - (event.second - event.decision_second)
        assert slow_exit(frame, columns, entered, event.direction) == (len(frame) - 1, event.tag)


def symbol_of(event: TradeEvent) -> str:
    return event.pair.replace("/", "").lower()


def tree_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_up(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path)
    clock = SystemClock()
    try:
        while len(tree := tree_of(process)) < 3:  # however long that takes here: the test's own limit ends it
            assert process.poll() is None, "it ended by itself"
            clock.sleep_until(clock.now_ns() + 10**8)
        os.kill(process.pid, number)
        status = process.wait(120)
    finally:
        end(process)
    assert len(tree) >= 3
    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    _, alive = psutil.wait_procs(tree, timeout=30)
    assert alive == []


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        port = owner.getsockname()[1]
        done = subprocess.run(
            [*UP, "--api-port", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == (
        f"squeezeflow: port {port} for FreqTrade's API server is taken (Address already in use);"
        " choose another one or stop its owner; nothing is started\n"
    )
