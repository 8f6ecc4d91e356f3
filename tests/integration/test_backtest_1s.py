"""The stepper against FreqTrade's own loop, and from the command line."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from freqtrade.data.btanalysis import load_backtest_stats

from squeezeflow_plugin.backtest.stepper import Rules
from squeezeflow_plugin.backtest.window import Asked
from squeezeflow_plugin.cli import main
from tests.integration.seconds_stage import (
    END,
    Stage,
    left_early,
    run_stock,
    set_stage,
    trades_of,
    write_market,
)

HOURS = 6
ASSETS = ("BTC", "ETH")
STOPS = {"minimal_roi": {"0": 0.02, "20": 0.003}, "stoploss": -0.006, "max_open_trades": 1}

# FreqTrade and its dependencies warn about each other; only what they log as an error counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a simulated market."""
    path = tmp_path_factory.mktemp("market") / "store.sqlite"
    write_market(path, HOURS, 5, ASSETS)
    return path


@pytest.fixture
def stage(market: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    made: Stage = set_stage(tmp_path, market, **{"assets": ASSETS, **request.param})
    yield made
    made.store.close()


@pytest.mark.parametrize(
    "stage",
    [
        {"futures": False, "more": {}},
        {"futures": True, "more": {"futures_funding_rate": 0.001, **STOPS}},
        {"futures": True, "more": {"trailing_stop": True, "stoploss": -0.004}},
    ],
    ids=["spot", "futures-stops-targets-funding", "futures-trailing"],
    indirect=True,
)
def test_no_trade_differs_from_freqtrades_own_loop(stage: Stage) -> None:
    run = stage.run(Asked(), Rules(noise=False))
    trades = trades_of(run)
    assert len(trades) >= 10
    assert trades == trades_of(run_stock(stage, run))
    if not run.strategylist[0].trailing_stop:
        assert run.counts.seconds_seen < 0.1 * len(run.source.window)
    if run.funding_rate:
        assert {trade[-1] for trade in trades} >= {"roi", "stop_loss"}
    assert left_early(trades) == []


@pytest.mark.parametrize("stage", [{"futures": True, "more": {}}], indirect=True)
def test_every_second_looked_at_or_not_gives_the_same_trades(stage: Stage) -> None:
    asked = Asked(END - 3 * 3600, END - 1800)
    runs = [stage.run(asked, Rules(noise=False, skip=skip, slippage=0.0003)) for skip in (True, False)]
    assert trades_of(runs[0]) == trades_of(runs[1]) != []
    assert runs[1].counts.seconds_seen == len(runs[1].source.window) - 1


@pytest.mark.parametrize("stage", [{"futures": True, "more": {}}], indirect=True)
def test_delay_and_slippage_make_fills_later_and_worse(stage: Stage) -> None:
    asked = Asked(END - 3 * 3600, END - 1800)
    near, late, slipping = (
        trades_of(stage.run(asked, Rules(noise=False, delay_s=delay, slippage=slippage)))[0]
        for delay, slippage in ((0, 0.0), (3, 0.0), (0, 0.001))
    )
    event = int(near[14].partition("|e=")[2])
    assert near[2] == (event + 1) * 1000
    assert late[2] == (event + 4) * 1000
    assert slipping[2:4] == near[2:4]
    side = -1 if near[1] else 1
    assert slipping[4] == pytest.approx(near[4] * (1 + side * 0.001), rel=1e-9)
    assert slipping[5] == pytest.approx(near[5] * (1 - side * 0.001), rel=1e-6)


@pytest.fixture
def command(stage: Stage, market: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("SQUEEZEFLOW_DATA_DIR", str(market.parent))
    configs = [word for path in stage.options.config for word in ("--config", str(path))]
    return ["backtest", "--userdir", str(stage.userdir), *configs]


@pytest.mark.parametrize("stage", [{"futures": False, "more": {}}], indirect=True)
def test_the_command_writes_a_result_a_report_and_a_summary(
    stage: Stage, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--date", "2025-08-09", "--json", "--slippage", "0.0002"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["stop"], found["stop"] - found["start"]) == (END, HOURS * 3600)
    assert (found["delay_s"], found["slippage"]) == (1, 0.0002)
    assert found["trades"]
    assert all(trade["opened"] >= trade["decided"] + 2 for trade in found["trades"])
    assert found["untradable_share"] == pytest.approx(7199 / (HOURS * 3600))

    stats = load_backtest_stats(stage.userdir / "backtest_results")
    (kept,) = stats["strategy"].values()
    assert kept["total_trades"] == len(found["trades"])
    assert kept["timeframe"] == "1s"
    with zipfile.ZipFile(found["result"]) as archive:
        wallet = next(item for item in archive.infolist() if "wallet" in item.filename)
    assert wallet.file_size < 200_000

    page = Path(found["report"]).read_text()
    for text in (
        "Equity",
        "Drawdown",
        "Spot CVD",
        "Perpetual CVD",
        "Score of each trade",
        "Time held",
        "Result by tier",
        "Result by exit reason",
        "Result by coverage at the decision",
        "fills at the open",
        "Events on noise",
        "prefers-color-scheme:dark",
    ):
        assert text in page
    assert "<script" not in page
    assert "http" not in page


@pytest.mark.parametrize("stage", [{"futures": False, "more": {}}], indirect=True)
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        (("--timerange", "20250809T2300-20250810T0000"), END - 3600, END),
        (("--timerange", f"{END - 1000}-{END + 5000}"), END - 1000, END),
        (("--timerange", "20250809-20250809"), END - HOURS * 3600, END),
    ],
)
def test_spans(
    command: list[str], asked: tuple[str, ...], first: int, last: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *asked, "--json", "--export", "none", "--no-report"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["start"], found["stop"]) == (first, last)
    assert found["result"] is found["report"] is None


@pytest.mark.parametrize("stage", [{"futures": False, "more": {}}], indirect=True)
@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--date", "2024-01-01"), "nothing of what was asked for"),
        (
            ("--timerange", f"{END - HOURS * 3600}-{END - HOURS * 3600 + 600}"),
            "the first decision needs 7200",
        ),
        (("--timeframe", "1m"), "1s or 5m"),
        (("--pairs", "DOGE/USDT"), "DOGE/USDT"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_sentence(
    command: list[str], asked: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *asked]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("stage", [{"futures": False, "more": {}}], indirect=True)
def test_an_empty_store_says_how_to_fill_it(
    stage: Stage,
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SQUEEZEFLOW_DATA_DIR", str(tmp_path / "empty"))
    assert main([*command, "--date", "2025-08-09"]) == 2
    assert "simulate --hours 48" in capsys.readouterr().err
    assert not (tmp_path / "empty").exists(), "a question creates nothing"
