"""One backtest from its options to its results: configuration, window, run, export, report, summary."""

from __future__ import annotations

import contextlib
import logging
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import msgspec
from freqtrade.commands.optimize_commands import setup_optimize_configuration
from freqtrade.constants import LAST_BT_RESULT_FN, Config
from freqtrade.enums import RunMode
from freqtrade.exceptions import FreqtradeException

from squeezeflow_plugin.backtest.exchange import seconds_exchange
from squeezeflow_plugin.backtest.options import BacktestOptions
from squeezeflow_plugin.backtest.page import write_page
from squeezeflow_plugin.backtest.stepper import Rules, SecondsBacktesting, Source
from squeezeflow_plugin.backtest.summary import Summary, summary_of
from squeezeflow_plugin.backtest.terminal import as_json, as_text
from squeezeflow_plugin.backtest.window import Asked, asked_range, whole_day, window_of
from squeezeflow_plugin.bars.flow import AssetMarkets
from squeezeflow_plugin.errors import BacktestError, SettingsError
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.configuration import read_configuration
from squeezeflow_plugin.provider.dataprovider import check_version
from squeezeflow_plugin.provider.desk import pair_markets
from squeezeflow_plugin.provider.tuning import tuned
from squeezeflow_plugin.settings import Settings, load
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.registry import open_store

log = logging.getLogger(__name__)

ROW_TIMEFRAME = "1s"
"""What FreqTrade's rows are, however often is decided."""


@dataclass(frozen=True)
class Outcome:
    """A finished run: ``result`` is FreqTrade's file and ``report`` the page, None where not written."""

    summary: Summary
    result: Path | None
    report: Path | None
    took_s: float
    peak_mb: float


def run_backtest(options: BacktestOptions, out: TextIO) -> int:
    """Run it and write the summary to ``out``; returns the exit status 0.

    Raises SettingsError, StoreEmptyError or BacktestError, saying what to do, where it cannot be run.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    outcome = backtest(options)
    if options.as_json:
        out.write(msgspec.json.encode(as_json(outcome)).decode() + "\n")
    else:
        out.write(as_text(outcome))
    return 0


def backtest(options: BacktestOptions) -> Outcome:
    """Run it; see ``run_backtest``."""
    began = time.perf_counter()
    check_version()
    asked = _asked(options)
    with freqtrade_refusals():
        config = configuration(options)
        settings = options.applied_to(tuned(load(config.get("squeezeflow")), options.userdir))
        store = open_store(settings)
        try:
            run = prepare(config, settings, store, asked, _rules(options))
            run.start()
        finally:
            store.close()
    summary = summary_of(run)
    result = _result_file(config) if options.export != "none" else None
    report = None
    if options.report:
        report = _report_path(config, result, summary)
        write_page(report, run, summary)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Outcome(summary, result, report, time.perf_counter() - began, peak_mb)


def configuration(options: BacktestOptions) -> Config:
    """FreqTrade's configuration for the run.

    Raises SettingsError where there is none to start from or it cannot be read, BacktestError where FreqTrade
    refuses it.
    """
    files = options.config or (options.userdir / "config.json",)
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise SettingsError(
            f"there is no configuration {', '.join(missing)}: name one with --config; nothing is run"
        )
    for path in files:
        read_configuration(path)
    (options.userdir / "backtest_results").mkdir(parents=True, exist_ok=True)
    args: dict[str, Any] = {
        "config": [str(path) for path in files],
        "user_data_dir": str(options.userdir),
        "timeframe": ROW_TIMEFRAME,
        "export": options.export,
        "enable_protections": options.protections,
        "backtest_cache": "none",
    }
    if options.pairs:
        args["pairs"] = list(options.pairs)
    with _quiet(), freqtrade_refusals():
        try:
            return setup_optimize_configuration(args, RunMode.BACKTEST)
        except KeyError as error:  # FreqTrade looks some sections up before it asks whether they are there
            names = ", ".join(args["config"])
            raise SettingsError(f"{names} must have a section {error}; nothing is run") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what FreqTrade tells of its configuration, and later of itself, unless all is wanted."""
    if log.isEnabledFor(logging.DEBUG):
        yield
        return
    before = logging.root.manager.disable
    logging.disable(max(logging.INFO, before))
    try:
        yield
    finally:
        logging.disable(before)
        logging.getLogger("freqtrade").setLevel(logging.WARNING)


def prepare(
    config: Config, settings: Settings, store: BarStore, asked: Asked, rules: Rules
) -> SecondsBacktesting:
    """Everything set up, nothing run yet. Raises StoreEmptyError and the others of ``run_backtest``."""
    params = Params.from_mapping(settings.method)
    window = window_of(store, settings, asked, params.warmup_rows)
    markets = _markets(config, settings, store)
    config["pairs"] = list(markets)
    config["exchange"]["pair_whitelist"] = list(markets)
    config["timerange"] = f"{window.start}-{window.stop - 1}"
    config["squeezeflow_run"] = {"delay_s": rules.delay_s, "slippage": rules.slippage}
    exchange = seconds_exchange(config, store.instruments())
    return SecondsBacktesting(config, exchange, Source(store, markets, window, settings), rules)


def _asked(options: BacktestOptions) -> Asked:
    if options.date is not None:
        return whole_day(options.date)
    return Asked() if options.timerange is None else asked_range(options.timerange)


def _rules(options: BacktestOptions) -> Rules:
    return Rules(delay_s=options.delay_s, slippage=options.slippage, noise=options.report or options.as_json)


def _markets(config: Config, settings: Settings, store: BarStore) -> Mapping[str, AssetMarkets]:
    """The markets of the traded pairs: those asked for, else the first of the whitelist."""
    pairs: list[str] = list(config.get("pairs") or config["exchange"]["pair_whitelist"])
    if pairs[settings.max_symbols :]:
        left = ", ".join(pairs[settings.max_symbols :])
        log.warning("max_symbols is %d: %s are left out", settings.max_symbols, left)
    instruments, name = store.instruments(), config["exchange"]["name"]
    return {
        pair: pair_markets(instruments, name, pair, settings.quotes, settings.references)
        for pair in pairs[: settings.max_symbols]
    }


@contextlib.contextmanager
def freqtrade_refusals() -> Iterator[None]:
    """Turn what FreqTrade refuses into a BacktestError."""
    try:
        yield
    except FreqtradeException as error:
        raise BacktestError(f"FreqTrade refuses the backtest: {error}") from error


def _result_file(config: Config) -> Path:
    folder = Path(config["exportdirectory"])
    folder = folder if folder.is_dir() else folder.parent
    newest = msgspec.json.decode((folder / LAST_BT_RESULT_FN).read_bytes(), type=dict[str, str])
    return folder / newest["latest_backtest"]


def _report_path(config: Config, result: Path | None, summary: Summary) -> Path:
    if result is not None:
        return result.with_suffix(".html")
    return Path(config["exportdirectory"]) / f"backtest-{summary.start}-{summary.stop}.html"
