"""``freqtrade hyperopt`` over the method's parameters, and what FreqTrade then does with the best set."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from freqtrade.enums import RunMode
from freqtrade.optimize.hyperopt_tools import HyperoptTools
from freqtrade.resolvers import StrategyResolver

from squeezeflow_plugin.phases.engine import fingerprint
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.ranges import RANGES, params_of
from squeezeflow_plugin.provider.tuning import tuned
from squeezeflow_plugin.settings import load
from tests.integration.offline_stage import Stage, stage
from tests.integration.test_stock_backtest import backtest, configuration

# FreqTrade and its dependencies warn about each other; only what they answer counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]

STOP = 1_763_683_200  # 2025-11-21 00:00 UTC
TIMERANGE = "20251120T2200-20251121"
EPOCHS = 4


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("hyperopt"), ("BTC", "ETH"), 6, STOP) as found:
        yield found


def fixed(staged: Stage) -> dict[str, Any]:
    """Settings that fix one parameter, so that it is not searched."""
    return {"squeezeflow": {"data_dir": str(staged.store.parent), "params": {"rearm": 60}}}


@pytest.fixture(scope="module")
def epochs(staged: Stage) -> list[dict[str, Any]]:
    """A search on two jobs, as a user starts it; its epochs as FreqTrade writes them."""
    freqtrade = Path(sys.executable).with_name("freqtrade")
    config = staged.config("futures", fixed(staged))
    line = [str(freqtrade), "hyperopt", "--userdir", str(staged.userdir), "--config", str(config)]
    line += ["--strategy", "SqueezeFlow", "--timerange", TIMERANGE, "--timeframe-detail", "1s", "--print-all"]
    line += ["--hyperopt-loss", "SqueezeFlowLoss", "--spaces", "buy", "sell", "protection"]
    line += ["-j", "2", "--epochs", str(EPOCHS), "--random-state", "3"]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=240, check=False, env={**os.environ, "COLUMNS": "300"}
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "is part of this hyperopt run, but its value is used during indicator" not in done.stderr
    results = next((staged.userdir / "hyperopt_results").glob("*.fthypt"))
    return [json.loads(epoch) for epoch in results.read_text().splitlines()]


def found_by(epoch: dict[str, Any]) -> Params:
    """The parameters that an epoch stands for."""
    values = {name: round(value, 9) for name, value in epoch["params_dict"].items() if name in RANGES}
    return params_of(values, Params(rearm=60))


def test_every_parameter_is_searched_but_the_fixed_one(epochs: list[dict[str, Any]]) -> None:
    assert len(epochs) == EPOCHS
    names = set(epochs[0]["params_dict"])
    assert set(RANGES) - names == {"rearm"}
    assert {"cooldown_minutes", "loss_pause_minutes", "stop_pause_minutes"} <= names
    assert epochs[0]["params_not_optimized"]["buy"]["rearm"] == 60
    assert len({str(found_by(epoch)) for epoch in epochs}) == EPOCHS
    assert all(math.isfinite(epoch["loss"]) for epoch in epochs)


def test_the_best_set_is_applied_by_freqtrades_own_file(
    staged: Stage, epochs: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search left it beside the strategy; a bot that starts, and a backtest, decide by it."""
    monkeypatch.chdir(tmp_path)
    best = min(epochs, key=lambda epoch: float(epoch["loss"]))
    kept = json.loads((staged.userdir / "strategies" / "SqueezeFlow.json").read_text())
    assert kept["params"]["sell"] == best["params_details"]["sell"]
    config = configuration(staged, "backtesting", "futures", "--timerange", TIMERANGE, extra=fixed(staged))
    bot = StrategyResolver.load_strategy(config | {"runmode": RunMode.DRY_RUN})
    assert Params.from_mapping(bot.tuned(load(config["squeezeflow"])).method) == found_by(best)
    assert tuned(load(config["squeezeflow"]), staged.userdir) == bot.tuned(load(config["squeezeflow"]))
    tested = StrategyResolver.load_strategy(config)
    assert tested._offline.params == found_by(best)
    assert config["squeezeflow_data"]["engine"] == fingerprint(found_by(best))
    assert bot.protections == tested.protections


def test_an_epoch_is_a_backtest_with_its_parameters(
    staged: Stage, epochs: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch trades what FreqTrade's own backtest trades when the parameter file says the same."""
    monkeypatch.chdir(tmp_path)
    epoch = max(epochs, key=lambda epoch: int(epoch["results_metrics"]["total_trades"]))
    # as ``freqtrade hyperopt-show`` and the end of a search write it
    beside = staged.userdir / "strategies" / "SqueezeFlow.json"
    HyperoptTools.export_params(epoch, "SqueezeFlow", beside)
    options = ("--timerange", "20251120T2221-20251121", "--cache", "none", "--enable-protections")
    config = configuration(staged, "backtesting", "futures", *options, extra=fixed(staged))
    again = backtest(config).results["strategy"]["SqueezeFlow"]
    told = epoch["results_metrics"]
    assert again["total_trades"] == told["total_trades"] > 0
    assert again["profit_total"] == pytest.approx(told["profit_total"], abs=1e-12)
    # it is what the loss was made of
    assert epoch["loss"] >= -100.0 * again["profit_mean"]
