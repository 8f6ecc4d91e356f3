"""The regular mode in a backtest: seconds in, one decision in five minutes, against both references."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from squeezeflow_plugin.backtest.stepper import Rules, SecondsBacktesting
from squeezeflow_plugin.backtest.window import Asked
from squeezeflow_plugin.cli import main
from squeezeflow_plugin.features.layout import INPUT_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.judging import final_flow
from tests.integration.seconds_stage import (
    END,
    OFTEN,
    Stage,
    left_early,
    run_stock,
    set_stage,
    trades_of,
    write_market,
)
from tests.reference.exits_twin import slow_exit
from tests.reference.score_twin import score_twin

HOURS = 13
PAIR = "BTC/USDT:USDT"
PARAMS = Params.from_mapping({**OFTEN, "regular": True})

# FreqTrade and its dependencies warn about each other; only what they answer counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("regular")
    store = folder / "store.sqlite"
    write_market(store, HOURS, 5, ("BTC",))
    ours = {"data_dir": str(folder), "params": OFTEN, "enable_1s_mode": False}
    made = set_stage(folder, store, ("BTC",), futures=True, more={"squeezeflow": ours})
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def run(stage: Stage) -> SecondsBacktesting:
    return stage.run(Asked(), Rules(noise=False))


def test_no_trade_differs_from_freqtrades_own_loop(stage: Stage, run: SecondsBacktesting) -> None:
    trades = trades_of(run)
    assert len(trades) >= 8
    assert trades == trades_of(run_stock(stage, run))
    assert left_early(trades) == []


def test_events_and_exits_are_the_slow_twins(stage: Stage, run: SecondsBacktesting) -> None:
    window = run.source.window
    flow = final_flow(stage.store, run.source.markets[PAIR], window.read_from, window.stop)
    frame = pd.DataFrame({name: getattr(flow, name) for name in ("time", *INPUT_NAMES)})
    twin = score_twin(frame, PARAMS)
    assert not twin.near.any(), "no quantity of this market lies on a threshold"
    rows = np.flatnonzero(twin.columns["event"]).tolist()
    slow, first = {}, int(flow.time[0])
    for row in rows:
        left = slow_exit(frame, twin.columns, row, int(twin.columns["event"][row]), PARAMS)
        slow[first + row] = None if left is None else (first + left[0], left[1])
    decisions = run.decisions[PAIR]
    exits = {second: decisions.exits.get(second) for second in decisions.events}
    fast = {second: None if left is None else (left.second, left.name) for second, left in exits.items()}
    assert fast == slow
    assert len(slow) >= 8
    assert {second % 300 for second in slow} == {299}


@pytest.mark.parametrize("how", [("--timeframe", "5m"), ()])
def test_the_command_takes_the_mode_from_its_timeframe_or_the_settings(
    stage: Stage,
    run: SecondsBacktesting,
    how: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SQUEEZEFLOW_ENABLE_1S_MODE", "true" if how else "false")
    configs = [word for path in stage.options.config for word in ("--config", str(path))]
    words = ["backtest", "--userdir", str(stage.userdir), *configs, "--json", "--export", "none", *how]
    assert main([*words, "--no-report"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["decide_every"] == 300
    assert [trade["decided"] for trade in found["trades"]] == [
        int(trade[14].partition("|e=")[2]) for trade in trades_of(run)
    ]
    assert found["untradable_share"] == pytest.approx((PARAMS.warmup_rows - 1) / (HOURS * 3600))


@pytest.mark.parametrize("how", ["1s", None])
def test_the_other_mode_is_a_word_away(
    stage: Stage, how: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if how is None:
        monkeypatch.setenv("SQUEEZEFLOW_ENABLE_1S_MODE", "true")
    configs = [word for path in stage.options.config for word in ("--config", str(path))]
    words = ["backtest", "--userdir", str(stage.userdir), *configs, "--json", "--export", "none"]
    words += ["--no-report", "--timerange", f"{END - 3600}-{END}"]
    assert main([*words, *(() if how is None else ("--timeframe", how))]) == 0
    assert json.loads(capsys.readouterr().out)["decide_every"] == 1
