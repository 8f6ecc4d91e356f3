"""The same trades from InfluxDB as from the embedded store that it was shipped from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from squeezeflow_plugin.cli import main
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.store.influx import InfluxBarStore
from tests.influx_server import InfluxDaemon
from tests.integration.offline_stage import Stage, stage
from tests.integration.test_stock_backtest import backtest, configuration

# FreqTrade and its dependencies warn about each other; only what they answer counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(280)]

STOP = 1_763_683_200  # 2025-11-21 00:00 UTC
TIMERANGE = "20251120T2230-20251121T0000"


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("influx"), ("BTC", "ETH"), 4.5, STOP) as found:
        yield found


@pytest.fixture(scope="module")
def shipped(staged: Stage, influx: InfluxDaemon) -> Settings:
    """A database that holds what the store holds."""
    settings = influx.settings(store="influx", influx_timeout_s=60.0)
    source, target = EmbeddedBarStore(staged.store, readonly=True), InfluxBarStore(settings)
    target.set_up()
    target.put_instruments(source.instruments())
    records = list(source.records(0, STOP))
    for first in range(0, len(records), 3600):
        target.append(records[first : first + 3600])
    assert target.span() == source.span()
    target.close()
    source.close()
    return settings


@pytest.fixture
def from_influx(shipped: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a bot that reads InfluxDB; its data folder, which holds no store."""
    for name in ("url", "user", "password", "database", "retention_1s", "timeout_s"):
        monkeypatch.setenv(f"INFLUX_{name.upper()}", str(getattr(shipped, f"influx_{name}")))
    monkeypatch.setenv("SQUEEZEFLOW_STORE", "influx")
    monkeypatch.setenv("SQUEEZEFLOW_DATA_DIR", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


def stepped(staged: Stage, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    words = ["backtest", "--userdir", str(staged.userdir), "--config", str(staged.config("futures"))]
    assert main([*words, "--timerange", TIMERANGE, "--json", "--export", "none", "--no-report"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])  # FreqTrade prints before
    return {name: value for name, value in found.items() if name not in {"took_s", "peak_mb"}}


def stock(staged: Stage) -> list[dict[str, Any]]:
    config = configuration(staged, "backtesting", "futures", "--timerange", TIMERANGE, "--cache", "none")
    trades: list[dict[str, Any]] = backtest(config).results["strategy"]["SqueezeFlow"]["trades"]
    return trades


def test_run_backtest_and_the_stock_command_trade_the_same_from_both(
    staged: Stage, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    embedded = stepped(staged, capsys), stock(staged)
    elsewhere: Path = request.getfixturevalue("from_influx")
    assert (stepped(staged, capsys), stock(staged)) == embedded
    assert embedded[0]["trades"]
    assert embedded[1]
    assert not (elsewhere / "store.sqlite").exists(), "nothing was read from an embedded store"
    assert any((elsewhere / "backtest").iterdir()), "the stock command's candles came from InfluxDB"
