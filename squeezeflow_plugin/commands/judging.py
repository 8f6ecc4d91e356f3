"""Decisions made again: parity, explain, backtest, sweep."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from squeezeflow_plugin.backtest.options import add_options
from squeezeflow_plugin.backtest.sweep_options import add_sweep_options
from squeezeflow_plugin.commands.arguments import Commands, moment, timerange
from squeezeflow_plugin.commands.terminal import write_lines
from squeezeflow_plugin.jsonfile import read_json, replace_json
from squeezeflow_plugin.store.paritystatus import PARITY_FILE, ParityStatus


def _parity(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from squeezeflow_plugin.backtest.options import BacktestOptions
    from squeezeflow_plugin.backtest.parity import run_trade_parity
    from squeezeflow_plugin.backtest.run import configuration
    from squeezeflow_plugin.backtest.stepper import Rules
    from squeezeflow_plugin.provider.final_parity import run_final_parity
    from squeezeflow_plugin.provider.replay import run_parity
    from squeezeflow_plugin.provider.tuning import tuned
    from squeezeflow_plugin.settings import load

    options = BacktestOptions(config=tuple(args.config), userdir=args.userdir, export="none")
    config = None if args.no_trades else configuration(options)
    settings = tuned(load(None if config is None else config.get("squeezeflow")), args.userdir)
    if args.data_dir is not None:
        settings = replace(settings, data_dir=args.data_dir)
    start, stop = args.timerange
    known = run_parity(settings, args.exchange, start, stop)
    write_lines(str(each) for each in known.differences)
    final = run_final_parity(settings, args.exchange, start, stop)
    write_lines(str(each) for each in final.differences)
    unexplained = len(final.unexplained)
    if config is not None:
        trades = run_trade_parity(settings, config, final, start, stop, Rules(noise=False))
        write_lines(str(each) for each in trades.differences)
        unexplained += len(trades.unexplained)
        sys.stdout.write(
            f"{trades.entries} entries and {trades.exits} exits are those of a 1 s backtest,"
            f" {len(trades.differences)} differ, {len(trades.unexplained)} without a cause\n"
        )
    sys.stdout.write(
        f"{known.seconds} decisions and {known.exits} exits compared as known,"
        f" {known.differing_seconds} seconds differ\n"
        f"{final.seconds} decisions compared as final, {len(final.differences)} differ by {len(final.causes)}"
        f" revisions and repairs, {len(final.unexplained)} without a cause\n"
    )
    mismatches = known.differing_seconds + unexplained
    path = settings.data_dir / PARITY_FILE
    before = read_json(path, ParityStatus)
    total = mismatches + (0 if before is None else before.total)
    _remember(path, ParityStatus(known.seconds, mismatches, total))
    return 1 if known.differences or unexplained else 0


def _remember(path: Path, status: ParityStatus) -> None:
    try:
        replace_json(path, status)
    except OSError as error:
        sys.stderr.write(f"squeezeflow: {path} cannot be written: {error}; metrics keep the last result\n")


def _explain(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from squeezeflow_plugin.provider.explaining import run_explain, text_lines, to_json
    from squeezeflow_plugin.provider.tuning import tuned
    from squeezeflow_plugin.settings import load

    settings = tuned(load(), args.userdir)
    if args.data_dir is not None:
        settings = replace(settings, data_dir=args.data_dir)
    found = run_explain(settings, args.exchange, args.pair, args.at)
    write_lines([to_json(found).decode()] if args.json else text_lines(found))
    return 0


def _backtest(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.backtest.options import options_of
    from squeezeflow_plugin.backtest.run import run_backtest

    return run_backtest(options_of(args), sys.stdout)


def _sweep(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.backtest.sweep import run_sweep
    from squeezeflow_plugin.backtest.sweep_options import sweep_options_of

    return run_sweep(sweep_options_of(args), sys.stdout)


def add_to(commands: Commands) -> None:
    """Add the sub-commands."""
    parity = commands.add_parser(
        "parity", help="make recorded live decisions again and name every difference"
    )
    parity.add_argument(
        "--timerange", type=timerange, default="-", help="START-STOP, epoch seconds or YYYYMMDD"
    )
    parity.add_argument(
        "--data-dir", type=Path, help="folder of store and decisions (default: the settings')"
    )
    parity.add_argument("--exchange", default="binance", help="FreqTrade's name of the traded exchange")
    parity.add_argument(
        "--config", "-c", action="append", type=Path, default=[], help="the bot's configuration; repeatable"
    )
    parity.add_argument(
        "--userdir", type=Path, default=Path("user_data"), help="FreqTrade's user_data folder"
    )
    parity.add_argument("--no-trades", action="store_true", help="compare decisions, not trades")
    parity.set_defaults(command=_parity)
    explain = commands.add_parser("explain", help="why a second's score was what it was; why no entry")
    explain.add_argument("--pair", required=True, help="FreqTrade's pair, e.g. BTC/USDT")
    explain.add_argument(
        "--at", type=moment, required=True, metavar="TIME", help="epoch second, or 2023-11-14T22:13:20 (UTC)"
    )
    explain.add_argument("--data-dir", type=Path, help="folder of the store (default: the settings')")
    explain.add_argument("--exchange", default="binance", help="FreqTrade's name of the traded exchange")
    explain.add_argument(
        "--userdir", type=Path, default=Path("user_data"), help="FreqTrade's user_data folder"
    )
    explain.add_argument("--json", action="store_true", help="one JSON object instead of text")
    explain.set_defaults(command=_explain)
    backtest = commands.add_parser("backtest", help="FreqTrade's Backtesting stepped through every second")
    add_options(backtest)
    backtest.set_defaults(command=_backtest)
    sweep = commands.add_parser("sweep", help="many backtests side by side: one table")
    add_sweep_options(sweep)
    sweep.set_defaults(command=_sweep)
