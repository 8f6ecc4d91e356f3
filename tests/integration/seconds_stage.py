"""A generated market in a store, a configuration, and FreqTrade's own loop over all rows of it.

The reference is FreqTrade's Backtesting as it comes: candles of one second from feather files, its own lists,
its own loop. What the strategy does in it is planned ahead from one pass of the engine over the whole span:
entries in columns of the frame, exits in ``custom_exit``.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import pandas as pd
from freqtrade.optimize.backtesting import Backtesting
from freqtrade.persistence import Trade

from squeezeflow_plugin.backtest.exchange import seconds_exchange
from squeezeflow_plugin.backtest.options import BacktestOptions
from squeezeflow_plugin.backtest.run import configuration, prepare
from squeezeflow_plugin.backtest.stepper import Rules, SecondsBacktesting
from squeezeflow_plugin.backtest.window import Asked
from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.features.layout import CLOSE, INPUT_NAMES
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, first_exit
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.tags import event_tag, parse_tag
from squeezeflow_plugin.provider.datadir import PairWriter
from squeezeflow_plugin.provider.final import final_rows
from squeezeflow_plugin.settings import Settings, load
from squeezeflow_plugin.simulator.run import SimulatorOptions, write_hours
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy

USER_DATA = Path(__file__).resolve().parents[2] / "user_data"
END = 1_754_784_000  # 2025-08-10 00:00 UTC
COMPARED = (
    "pair",
    "is_short",
    "open_timestamp",
    "close_timestamp",
    "open_rate",
    "close_rate",
    "amount",
    "stake_amount",
    "leverage",
    "profit_abs",
    "profit_ratio",
    "funding_fees",
    "min_rate",
    "max_rate",
    "enter_tag",
    "exit_reason",
)
OFTEN = {
    "min_score": 3.0,
    "div_threshold": 0.3,
    "rearm": 10,
    "retrace_threshold": 0.05,
    "stall_threshold": 1.0,
    "reset_ttl": 20,
    "price_threshold": 3.0,
    "exit_threshold": 0.7,
}
"""Parameters under which the method trades far too often: for comparing trades, not for trading."""


def write_market(path: Path, hours: float, seed: int, assets: tuple[str, ...]) -> None:
    """A simulated market with episodes, up to ``END``, in the store at ``path``."""
    options = SimulatorOptions(seed=seed, assets=assets, hours=hours, store=path)
    write_hours(options, SteppedClock(END * NS_PER_SECOND))


@dataclass(frozen=True)
class Stage:
    """A user folder of FreqTrade's and the store it is run on."""

    userdir: Path
    store: EmbeddedBarStore
    options: BacktestOptions

    def config(self) -> Any:
        return configuration(self.options)

    def run(self, asked: Asked, rules: Rules) -> SecondsBacktesting:
        """The stepper over the asked seconds, run."""
        return started(stepper_of(self, asked, rules))


Run = TypeVar("Run", bound=Backtesting)


def started(run: Run) -> Run:
    """The run, run without its tables."""
    with contextlib.redirect_stdout(io.StringIO()):
        run.start()
    run.cleanup()
    return run


def stepper_of(stage: Stage, asked: Asked, rules: Rules) -> SecondsBacktesting:
    """The stepper over the asked seconds, ready to start."""
    config = stage.config()
    return prepare(config, load(config["squeezeflow"], {}), stage.store, asked, rules)


def set_stage(
    folder: Path,
    store: Path,
    assets: tuple[str, ...],
    futures: bool,
    more: Mapping[str, Any],
    params: Mapping[str, float] = OFTEN,
) -> Stage:
    """A user folder with the shipped strategy and configuration, and ``more`` over it."""
    userdir = folder / "user_data"
    (userdir / "strategies").mkdir(parents=True)
    (userdir / "data").mkdir()
    (userdir / "backtest_results").mkdir()
    for name, source in (("SqueezeFlow", SHIPPED), ("Reference", REFERENCE)):
        (userdir / "strategies" / f"{name}.py").write_text(source)
    overlay: dict[str, Any] = {
        "trading_mode": "futures" if futures else "spot",
        "margin_mode": "isolated" if futures else "",
        "exchange": {
            "pair_whitelist": [f"{asset}/USDT" + (":USDT" if futures else "") for asset in assets],
            "ccxt_config": {"urls": {"api": dict.fromkeys(("public", "fapiPublic"), "http://127.0.0.1:9")}},
        },
        "squeezeflow": {"data_dir": str(store.parent), "params": dict(params)},
        **more,
    }
    (folder / "overlay.json").write_text(json.dumps(overlay))
    files = (USER_DATA / "config.json", folder / "overlay.json")
    options = BacktestOptions(config=files, userdir=userdir, export="none")
    return Stage(userdir, EmbeddedBarStore(store, readonly=True), options)


SHIPPED = (USER_DATA / "strategies" / "SqueezeFlow.py").read_text()
REFERENCE = '''
from tests.integration.seconds_stage import ReferenceStrategy


class Reference(ReferenceStrategy):
    """Found by FreqTrade in a file, as it wants its strategies."""
'''


@dataclass(frozen=True)
class Plan:
    """One pair's entries by the second of the candle that signals them, and exits by their event's second."""

    entries: Mapping[int, tuple[int, str]]
    exits: Mapping[int, tuple[int, str]]


class ReferenceStrategy(SqueezeFlowStrategy):
    """Acts on plans: through frames and callbacks of FreqTrade's, none of ours but stake and leverage."""

    plans: ClassVar[dict[str, Plan]] = {}
    flows: ClassVar[dict[str, Flow]] = {}
    startup_candle_count = 0

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._settings = Settings()

    def seconds(self, pair: str, start: int, stop: int) -> Flow:
        first = int(self.flows[pair].time[0])
        return self.flows[pair].part(max(start - first, 0), stop - first)

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:  # noqa: ARG002 - FreqTrade's signature
        return dataframe

    def populate_entry_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        plan = self.plans[metadata["pair"]]
        seconds = dataframe["date"].dt.as_unit("s").astype("int64").tolist()
        sides = np.array([plan.entries.get(second, (0, ""))[0] for second in seconds])
        tags = [plan.entries.get(second, (0, ""))[1] for second in seconds]
        return dataframe.assign(enter_long=(sides > 0) * 1, enter_short=(sides < 0) * 1, enter_tag=tags)

    def confirm_trade_entry(self, pair: str, *args: Any, **kwargs: Any) -> bool:  # noqa: ARG002 - FreqTrade's signature
        tags = {trade.enter_tag for trade in Trade.get_trades_proxy(pair=pair)}
        return kwargs["entry_tag"] not in tags

    def custom_exit(
        self, pair: str, trade: Trade, current_time: datetime, *_args: Any, **_kwargs: Any
    ) -> str | None:
        tag = parse_tag(trade.enter_tag)
        assert tag is not None
        second, name = self.plans[pair].exits.get(tag.second, (2**40, ""))
        return name if current_time.timestamp() >= second else None


def plan_of(flow: Flow, params: Params, start: int, lag_s: int) -> Plan:
    """What the method decides of one asset, in one pass over its rows."""
    decided = Engine(params).run(flow)
    entry, tradable, event = decided.entry, decided.tradable, decided.event
    entries, exits = {}, {}
    newest = -1
    for row in np.flatnonzero(entry).tolist():
        second = int(flow.time[row])
        if second < start:
            continue
        if event[row]:
            newest = row
            found = first_exit(flow, decided, Baseline.of(decided.at(row)), params)
            if found is not None:
                exits[second] = (found.second + lag_s, found.name)
        if newest >= 0 and tradable[row]:
            tag = event_tag(decided.at(newest))
            entries[second + lag_s - 1] = (int(entry[row]), str(tag))  # FreqTrade moves it one row on
    return Plan(entries, exits)


class StockBacktesting(Backtesting):  # type: ignore[misc]  # FreqTrade ships no types
    """FreqTrade's own, but for the tick: it takes the finest of the whole span, ours the exchange's."""

    def get_pair_precision(self, pair: str, current_time: datetime) -> tuple[float | None, int]:  # noqa: ARG002 - FreqTrade's signature
        return self.exchange.get_precision_price(pair), self.precision_mode_price


def stock_of(stage: Stage, run: SecondsBacktesting) -> StockBacktesting:
    """The reference over the same seconds as ``run``, ready to start."""
    config = stage.config()
    params = Params.from_mapping(load(config["squeezeflow"], {}).method)
    window, rate = run.source.window, None
    if run.trading_mode.value == "futures":
        rate = run.funding_rate
    datadir = stage.userdir / "data" / f"stock-{config['trading_mode']}"
    ReferenceStrategy.plans, ReferenceStrategy.flows = {}, {}
    for pair, markets in run.source.markets.items():
        flow = _write_pair(stage, datadir, pair, markets, (window.read_from, window.stop), rate)
        ReferenceStrategy.flows[pair] = flow
        lag_s = 1 + run.rules.delay_s
        ReferenceStrategy.plans[pair] = plan_of(flow, params, window.start, lag_s)
    config["strategy"] = "Reference"
    config["datadir"] = datadir
    config["timerange"] = f"{window.start}-{window.stop - 1}"
    config["exchange"]["pair_whitelist"] = list(run.source.markets)
    exchange = seconds_exchange(config, stage.store.instruments())
    stock = StockBacktesting(config, exchange=exchange)
    stock.timeframe_min = 1
    return stock


def _write_pair(
    stage: Stage, datadir: Path, pair: str, markets: AssetMarkets, span: tuple[int, int], rate: float | None
) -> Flow:
    pieces = list(final_rows(stage.store, markets, *span))
    with PairWriter(datadir, pair, *span, rate) as writer:
        for piece in pieces:
            writer.add(piece)
        writer.finish()
    values = np.concatenate([piece.values for piece in pieces], axis=1)
    unpriced = int(np.isnan(values[CLOSE]).sum())
    time = np.arange(span[0] + unpriced, span[1], dtype=np.int64)
    return Flow(time, *values[: len(INPUT_NAMES), unpriced:])


def run_stock(stage: Stage, run: SecondsBacktesting) -> StockBacktesting:
    """The reference over the same seconds as ``run``, run."""
    return started(stock_of(stage, run))


FREQTRADES_OWN = frozenset({"stop_loss", "trailing_stop_loss", "liquidation", "roi", "force_exit"})
"""Exits that no decision of the method's makes: FreqTrade's stops and targets, and the end of the span."""


def left_early(trades: list[tuple[Any, ...]], lag_s: int = 2, min_hold: int = Params().min_hold) -> list[str]:
    """The trades that the method left sooner after their event than ``min_hold``."""
    found = []
    for trade in trades:
        row = dict(zip(COMPARED, trade, strict=True))
        tag = parse_tag(row["enter_tag"])
        assert tag is not None
        held_s = row["close_timestamp"] // 1000 - lag_s - tag.second
        if row["exit_reason"] not in FREQTRADES_OWN and held_s < min_hold:
            found.append(f"{row['pair']} {tag}: {row['exit_reason']} after {held_s} s")
    return found


def trades_of(run: Backtesting) -> list[tuple[Any, ...]]:
    """Every trade of a finished run, as it will be stored."""
    (found,) = run.results["strategy"].values()
    return [tuple(trade[name] for name in COMPARED) for trade in found["trades"]]
