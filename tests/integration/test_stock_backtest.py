"""FreqTrade's own analysis commands on our store, in a user's folder without any downloaded candle."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from freqtrade.commands import Arguments
from freqtrade.configuration import setup_utils_configuration
from freqtrade.enums import RunMode
from freqtrade.exceptions import OperationalException
from freqtrade.optimize.analysis.lookahead import LookaheadAnalysis
from freqtrade.optimize.analysis.lookahead_helpers import LookaheadAnalysisSubFunctions
from freqtrade.optimize.analysis.recursive import RecursiveAnalysis
from freqtrade.optimize.analysis.recursive_helpers import RecursiveAnalysisSubFunctions
from freqtrade.optimize.backtesting import Backtesting
from freqtrade.resolvers import StrategyResolver
from freqtrade.rpc import RPC
from freqtrade.util import get_progress_tracker

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.features.layout import INPUT_NAMES
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, first_exit
from squeezeflow_plugin.phases.tags import event_tag
from squeezeflow_plugin.provider.desk import pair_markets
from squeezeflow_plugin.provider.final import final_rows
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.strategy.plots import plotted_columns
from tests.integration.offline_stage import Stage, stage

# FreqTrade and its dependencies warn about each other; only what they answer counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]

STOP = 1_763_683_200  # 2025-11-21 00:00 UTC
HOURS = 6
FROM, TIMERANGE = STOP - 12_600, "20251120T2030-20251121"
ASSETS = ("BTC", "ETH")
LAG_S = 2  # what second i decided is filled at the open of second i + 2


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stock"), ASSETS, HOURS, STOP) as found:
        yield found


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def configuration(
    staged: Stage, command: str, mode: str, *options: str, extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """FreqTrade's configuration of a command line, as its own commands make it."""
    path = staged.config(mode, extra)
    line = [command, "--userdir", str(staged.userdir), "--config", str(path), "--strategy", "SqueezeFlow"]
    run_mode = RunMode.BACKTEST if command == "backtesting" else RunMode.UTIL_NO_EXCHANGE
    args = Arguments([*line, *options]).get_parsed_arg()
    config: dict[str, Any] = setup_utils_configuration(args, run_mode)
    return config


def backtest(config: dict[str, Any]) -> Backtesting:
    backtesting = Backtesting(config)
    try:
        backtesting.start()
    finally:
        Backtesting.cleanup()
    return backtesting


@dataclass(frozen=True)
class Deal:
    pair: str
    opened: int
    closed: int
    tag: str
    exit: str
    short: bool


def deals(backtesting: Backtesting) -> list[Deal]:
    trades = backtesting.results["strategy"]["SqueezeFlow"]["trades"]
    found = [
        Deal(
            trade["pair"],
            trade["open_timestamp"] // 1000,
            trade["close_timestamp"] // 1000,
            trade["enter_tag"],
            trade["exit_reason"],
            trade["is_short"],
        )
        for trade in trades
    ]
    return sorted(found, key=lambda deal: (deal.opened, deal.pair))


def expected(staged: Stage, mode: str) -> list[Deal]:
    """What the method decides on the final view, entered where FreqTrade's minute lets it."""
    store = EmbeddedBarStore(staged.store, readonly=True)
    found: list[Deal] = []
    for asset in staged.assets:
        pair = f"{asset}/USDT" + (":USDT" if mode == "futures" else "")
        markets = pair_markets(store.instruments(), "binance", pair, ("USDT",))
        pieces = list(final_rows(store, markets, STOP - HOURS * 3600, STOP))
        values = np.concatenate([piece.values for piece in pieces], axis=1)[: len(INPUT_NAMES)]
        known = ~np.isnan(values[0])
        flow = Flow(np.arange(pieces[0].first, STOP)[known], *values[:, known])
        found += _deals_of(pair, flow, shorts=mode == "futures")
    store.close()
    return sorted(found, key=lambda deal: (deal.opened, deal.pair))


def _deals_of(pair: str, flow: Flow, *, shorts: bool) -> Iterator[Deal]:
    decided = Engine().run(flow)
    free_from = FROM + 60  # FreqTrade's first candle only arms
    for place in np.flatnonzero((decided.event != 0) & decided.tradable).tolist():
        event = decided.at(place)
        opened = event.second + LAG_S
        if opened < free_from or (event.event < 0 and not shorts):
            continue
        left = first_exit(flow, decided, Baseline.of(event))
        closed = STOP - 60 if left is None else left.second + LAG_S
        name = "force_exit" if left is None or closed > STOP - 60 else left.name
        closed = min(closed, STOP - 60)
        free_from = (closed // 60 + 1) * 60  # no other entry in the candle of the exit
        if opened < closed:
            tag = str(event_tag(event))
            yield Deal(pair, opened, closed, tag, name, event.event < 0)


@pytest.mark.parametrize("mode", ["spot", "futures"])
def test_trades_are_the_methods_own(staged: Stage, mode: str) -> None:
    download = staged.userdir / "data" / "binance" / "BTC_USDT-1m.feather"
    download.parent.mkdir(parents=True, exist_ok=True)
    download.write_bytes(b"the user's own")
    config = configuration(staged, "backtesting", mode, "--timerange", TIMERANGE, "--cache", "none")
    found = deals(backtest(config))
    assert len(found) >= 3
    assert found == expected(staged, mode)
    assert {deal.short for deal in found} == ({True, False} if mode == "futures" else {False})
    kept = [path for path in (staged.userdir / "data").rglob("*") if path.is_file()]
    assert kept == [download]
    assert download.read_bytes() == b"the user's own"


def test_stake_and_leverage_follow_the_tier(staged: Stage) -> None:
    config = configuration(staged, "backtesting", "futures", "--timerange", TIMERANGE, "--cache", "none")
    trades = backtest(config).results["strategy"]["SqueezeFlow"]["trades"]
    for trade in trades:
        score = float(trade["enter_tag"].partition("|")[0].removeprefix("sf:"))
        leverage, factor = (3.0, 1.0) if score >= 6 else (2.0, 0.5)
        assert trade["leverage"] == leverage
        assert trade["stake_amount"] == pytest.approx(1000 * factor, rel=0.1)


def test_the_result_is_kept_and_never_served_old(
    staged: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> bool:
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="freqtrade"):
            backtest(
                configuration(
                    staged,
                    "backtesting",
                    "spot",
                    "--timerange",
                    "20251120T2230-20251120T2330",
                    "--cache",
                    "day",
                )
            )
        return "Reusing result" in caplog.text

    assert [run(), run()] == [False, True]
    monkeypatch.setenv("SQUEEZEFLOW_PARAMS", '{"min_score": 5.0}')
    assert [run(), run()] == [False, True]
    monkeypatch.delenv("SQUEEZEFLOW_PARAMS")
    store = EmbeddedBarStore(staged.store)
    bars = store.bars(STOP - 4_000, STOP - 3_000, ["BINANCE:btcusdt"])
    last = next(store.records(STOP - 1, STOP))
    bar = next(
        bar
        for record in store.records(int(bars.second[0]), int(bars.second[0]) + 1)
        for bar in record.bars
        if bar.market == "BINANCE:btcusdt"
    )
    revised = msgspec.structs.replace(bar, vbuy=bar.vbuy + 0.01, revision=bar.revision + 1)
    store.append([msgspec.structs.replace(last, second=STOP, bars=(), revisions=(revised,))])
    store.close()
    assert [run(), run()] == [False, True]


def test_a_result_opens_again(staged: Stage) -> None:
    config = configuration(
        staged, "backtesting", "spot", "--timerange", "20251120T2230-20251120T2330", "--cache", "none"
    )
    config["exportdirectory"] = staged.userdir / "backtest_results"
    trades = backtest(config).results["strategy"]["SqueezeFlow"]["trades"]
    newest = max((staged.userdir / "backtest_results").glob("*.zip"), key=lambda path: path.stat().st_mtime)
    with zipfile.ZipFile(newest) as archive:
        name = next(name for name in archive.namelist() if name == f"{newest.stem}.json")
        kept = json.loads(archive.read(name))["strategy"]["SqueezeFlow"]
    assert len(kept["trades"]) == len(trades)


PLANTED = """
import pandas as pd
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy

class SqueezeFlow(SqueezeFlowStrategy):
    def populate_indicators(self, dataframe, metadata):
        frame = super().populate_indicators(dataframe, metadata)
        ahead = frame["date"].dt.as_unit("s").astype("int64") + 119
        {read}
        return frame.assign(ahead=ahead.map(close))
"""
READS = {
    "the store": """flow = self.seconds(metadata["pair"], int(ahead.iloc[0]), int(ahead.iloc[-1]) + 1)
        close = dict(zip(flow.time.tolist(), flow.close.tolist()))""",
    "the 1 s candles": """seconds = self.dp.get_pair_dataframe(metadata["pair"], "1s")
        close = dict(zip(seconds["date"].dt.as_unit("s").astype("int64"), seconds["close"]))""",
}


def lookahead(staged: Stage) -> LookaheadAnalysis:
    options = ("--minimum-trade-amount", "2", "--targeted-trade-amount", "3")
    config = configuration(
        staged, "lookahead-analysis", "futures", "--timerange", "20251120T2030-20251120T2300", *options
    )
    config = LookaheadAnalysisSubFunctions.calculate_config_overrides(config)
    strategy = StrategyResolver.search_all_objects(config, enum_failed=False)[0]
    analysis = LookaheadAnalysis(config, strategy)
    with get_progress_tracker() as progress:
        analysis.start(progress)
    assert not analysis.failed_bias_check
    assert analysis.current_analysis.total_signals >= 2
    return analysis


def test_lookahead_analysis_finds_nothing(staged: Stage) -> None:
    found = lookahead(staged).current_analysis
    assert (found.false_entry_signals, found.false_exit_signals, found.false_indicators) == (0, 0, [])


@pytest.mark.parametrize("what", READS)
def test_a_planted_read_one_candle_ahead_is_reported(staged: Stage, what: str) -> None:
    strategy = staged.userdir / "strategies" / "SqueezeFlow.py"
    own = strategy.read_text()
    strategy.write_text(PLANTED.format(read=READS[what]))
    try:
        assert lookahead(staged).current_analysis.false_indicators == ["ahead"]
    finally:
        strategy.write_text(own)


def test_recursive_analysis_finds_nothing(staged: Stage) -> None:
    options = ("--timerange", "20251120T2330-20251121", "--startup-candle", "199", "240")
    config = configuration(staged, "recursive-analysis", "futures", *options)
    config = RecursiveAnalysisSubFunctions.calculate_config_overrides(config)
    strategy = StrategyResolver.search_all_objects(config, enum_failed=False)[0]
    analysis = RecursiveAnalysis(config, strategy)
    with get_progress_tracker() as progress:
        analysis.start(progress)
    assert analysis._startup_candle == [150, 199, 240]
    assert analysis.dict_recursive == {}


@pytest.mark.parametrize(("timeframe", "rows"), [("1m", 61), ("1s", 3601), ("5m", 13)])
def test_the_webservers_pair_history_shows_the_phases(staged: Stage, timeframe: str, rows: int) -> None:
    config = configuration(staged, "backtesting", "spot", "--timerange", "20251120T2230-20251120T2330")
    config |= {"runmode": RunMode.WEBSERVER, "timeframe": timeframe, "strategy": "SqueezeFlow"}
    answer = RPC._rpc_analysed_history_full(config, "BTC/USDT", timeframe, None, None, live=False)
    frame = pd.DataFrame(answer["data"], columns=answer["columns"])
    assert len(frame) == rows
    assert (frame["ready"] == 1.0).all()
    assert frame["score"].between(0, 10).all()
    assert (frame["score_high"] >= frame["score"]).all()
    assert set(plotted_columns()) <= set(frame.columns)
    assert frame[["flow_spot", "flow_perp", "coverage_spot"]].notna().all(axis=None)
    assert {area["label"] for area in answer["annotations"]} & {"setup long", "setup short"}


REFUSED = {
    "20251118-20251119": r"holds data from 2025-11-20 18:00:00 UTC to .* and nothing of what was asked for",
    "20251120T1800-20251120T1900": r"the first decision needs 9000 seconds before it, at 2025-11-20 20:30:00",
}


@pytest.mark.parametrize("timerange", REFUSED)
def test_a_span_that_cannot_be_decided_is_refused_in_words(staged: Stage, timerange: str) -> None:
    with pytest.raises(OperationalException, match=f"SqueezeFlow: .*{REFUSED[timerange]}.*"):
        Backtesting(configuration(staged, "backtesting", "spot", "--timerange", timerange))


def test_pairs_the_store_does_not_know_are_named(staged: Stage) -> None:
    config = configuration(staged, "backtesting", "spot", "--timerange", TIMERANGE, "--pairs", "DOGE/USDT")
    with pytest.raises(
        OperationalException, match="no market of DOGE/USDT on binance; it knows BTC/USDT, ETH"
    ):
        Backtesting(config)


def test_several_strategies_at_once_are_refused(staged: Stage) -> None:
    config = configuration(staged, "backtesting", "spot", "--timerange", TIMERANGE)
    config["strategy_list"] = ["SqueezeFlow", "Other"]
    with pytest.raises(OperationalException, match="name one with --strategy"):
        Backtesting(config)


@pytest.mark.parametrize("mode", [RunMode.WEBSERVER, RunMode.UTIL_NO_EXCHANGE, RunMode.OTHER])
def test_looking_at_the_strategy_brings_no_data(staged: Stage, mode: RunMode) -> None:
    config = configuration(staged, "backtesting", "spot")
    folder = config["datadir"]
    StrategyResolver.load_strategy(config | {"runmode": mode})
    assert config["datadir"] == folder
