"""The command line: one thin function a command. Heavy modules are imported by the command that needs them.

Exit status: 0 done, 1 the answer is no (a parity difference), 2 an error, said in one sentence on stderr.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from squeezeflow_plugin import __version__
from squeezeflow_plugin.backtest.options import add_options
from squeezeflow_plugin.backtest.sweep_options import add_sweep_options
from squeezeflow_plugin.errors import SqueezeFlowError

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    args = _parser().parse_args(argv)
    command: Command = args.command
    try:
        return command(args)
    except SqueezeFlowError as error:
        sys.stderr.write(f"squeezeflow: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has gone, `head` for example
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _up(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.up.app import UpOptions, run_up

    options = UpOptions(
        live=args.live,
        seconds=args.seconds,
        as_json=args.json,
        replay=args.replay,
        seed=args.seed,
        api_port=args.api_port,
        userdir=args.userdir,
    )
    return run_up(options, load())


def _collect(_args: argparse.Namespace) -> int:
    from squeezeflow_plugin.collector.app import run_collector
    from squeezeflow_plugin.settings import load

    return run_collector(load())


def _simulate(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.simulator.run import SimulatorOptions, run_simulator

    settings = load()
    options = SimulatorOptions(
        seed=args.seed,
        assets=tuple(args.assets.split(",")) if args.assets else settings.assets,
        port=args.port,
        store=settings.store_path if args.store is None and args.hours is not None else args.store,
        state_file=args.state_file,
        replay=args.replay,
        hours=args.hours,
        truth=args.truth,
        log_level=settings.log_level,
    )
    return run_simulator(options)


def _parse(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.feeds.parse import parse_file

    parse_file(args.exchange, args.file, sys.stdout)
    return 0


def _bars(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.frames import bars_file

    bars_file(args.file, args.output)
    return 0


def _score(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.frames import score_file

    score_file(args.file, args.output)
    return 0


def _parity(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from squeezeflow_plugin.provider.final_parity import run_final_parity
    from squeezeflow_plugin.provider.replay import run_parity
    from squeezeflow_plugin.settings import load

    settings = load()
    if args.data_dir is not None:
        settings = replace(settings, data_dir=args.data_dir)
    known = run_parity(settings, args.exchange, *args.timerange)
    for each in known.differences:
        what = each.column or "decision"
        sys.stdout.write(f"{each.pair} {each.second} {what}: logged {each.logged}, again {each.replayed}\n")
    final = run_final_parity(settings, args.exchange, *args.timerange)
    for item in final.differences:
        sys.stdout.write(f"{item}\n")
    sys.stdout.write(
        f"{known.seconds} decisions and {known.exits} exits compared as known,"
        f" {known.differing_seconds} seconds differ\n"
        f"{final.seconds} decisions compared as final, {len(final.differences)} differ by {len(final.causes)}"
        f" revisions and repairs, {len(final.unexplained)} without a cause\n"
    )
    return 1 if known.differences or final.unexplained else 0


def _explain(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from squeezeflow_plugin.provider.explaining import run_explain, text_lines, to_json
    from squeezeflow_plugin.settings import load

    settings = load()
    if args.data_dir is not None:
        settings = replace(settings, data_dir=args.data_dir)
    found = run_explain(settings, args.exchange, args.pair, args.at)
    _write_lines([to_json(found).decode()] if args.json else text_lines(found))
    return 0


def _check(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.checks.findings import exit_status
    from squeezeflow_plugin.checks.system import check_system
    from squeezeflow_plugin.clock import SystemClock
    from squeezeflow_plugin.settings import load

    findings = []
    for finding in check_system(load(), SystemClock(), args.seconds):
        sys.stdout.write(f"{finding}\n")
        sys.stdout.flush()
        findings.append(finding)
    return exit_status(findings)


def _monitor(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.checks.findings import exit_status
    from squeezeflow_plugin.checks.performance import measure
    from squeezeflow_plugin.clock import SystemClock
    from squeezeflow_plugin.settings import load

    settings, clock = load(), SystemClock()
    while True:
        report = measure(settings, clock, args.seconds)
        sys.stdout.write("".join(f"{line}\n" for line in (*report.lines, *report.findings, "")))
        sys.stdout.flush()
        if not args.watch:
            return exit_status(report.findings)


def _db_setup(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.store.admin import set_up_database

    _write_lines(set_up_database(load(), args.shorten))
    return 0


def _db_show(_args: argparse.Namespace) -> int:
    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.store.admin import describe_database

    _write_lines(describe_database(load()))
    return 0


def _db_verify(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.store.admin import verify_database

    result = verify_database(load(), *args.timerange)
    _write_lines(result.named)
    sys.stdout.write(
        f"seconds {result.start} to {result.stop}: {result.records} records, {result.bars} bars and"
        f" {result.higher_bars} higher bars compared, {result.differences} differences;"
        f" {result.waiting} closed seconds are not shipped yet\n"
    )
    return 1 if result.differences else 0


def _write_lines(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _backtest(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.backtest.options import options_of
    from squeezeflow_plugin.backtest.run import run_backtest

    return run_backtest(options_of(args), sys.stdout)


def _sweep(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.backtest.sweep import run_sweep
    from squeezeflow_plugin.backtest.sweep_options import sweep_options_of

    return run_sweep(sweep_options_of(args), sys.stdout)


def _add_backtest(commands: Any) -> None:
    backtest = commands.add_parser("backtest", help="FreqTrade's Backtesting stepped through every second")
    add_options(backtest)
    backtest.set_defaults(command=_backtest)
    sweep = commands.add_parser("sweep", help="many backtests side by side: one table")
    add_sweep_options(sweep)
    sweep.set_defaults(command=_sweep)


def _import(args: argparse.Namespace) -> int:
    from contextlib import closing

    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.store.embedded import EmbeddedBarStore
    from squeezeflow_plugin.store.importing import Positions, Progress, import_file
    from squeezeflow_plugin.store.rolling import StoreKeeper

    path = args.store or load().store_path

    def show(progress: Progress) -> None:
        _bar(f"{progress.path.name}: {progress.rows:,} rows, {progress.bars:,} bars", progress.fraction)

    with closing(EmbeddedBarStore(path)) as store, closing(StoreKeeper(path)) as keeper:
        positions = Positions(path.with_suffix(".imports.json"))
        for file in args.files:
            done = import_file(store, file, positions, args.market, show, keeper.roll_over)
            what = f"{done.bars} bars of {done.rows} rows" if done.rows else "imported before"
            sys.stdout.write(f"{file}: {what}\n")
    return 0


def _export(args: argparse.Namespace) -> int:
    from contextlib import closing

    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.store.embedded import EmbeddedBarStore
    from squeezeflow_plugin.store.exporting import export_bars

    def show(fraction: float, bars: int) -> None:
        _bar(f"{args.output.name}: {bars:,} bars", fraction)

    markets = args.markets.split(",") if args.markets else None
    start, stop = args.timerange
    with closing(EmbeddedBarStore(args.store or load().store_path, readonly=True)) as store:
        count = export_bars(store, args.output, start, stop, markets, show)
    sys.stdout.write(f"{args.output}: {count} bars\n")
    return 0


def _bar(text: str, fraction: float) -> None:
    """A progress bar on a terminal's last line; nothing where stderr is no terminal."""
    if sys.stderr.isatty():
        done = round(30 * fraction)
        end = "\n" if fraction >= 1 else ""
        sys.stderr.write(f"\r[{'#' * done}{'.' * (30 - done)}] {fraction:4.0%} {text}\x1b[K{end}")
        sys.stderr.flush()


def _timerange(text: str) -> tuple[int, int]:
    """Epoch seconds or dates (YYYYMMDD, UTC), joined by a dash; an open end takes everything.

    >>> _timerange("20260101-20260102")
    (1767225600, 1767312000)
    >>> _timerange("1767225600-")
    (1767225600, 9223372036)
    """
    start, dash, stop = text.partition("-")
    if not dash:
        raise argparse.ArgumentTypeError(f"must be START-STOP, was {text!r}")
    return _instant(start, 0), _instant(stop, 2**63 // 10**9)


def _instant(text: str, otherwise: int) -> int:
    if not text:
        return otherwise
    try:
        if len(text) == 8:
            return int(dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC).timestamp())
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be epoch seconds or YYYYMMDD, was {text!r}") from error


def _moment(text: str) -> int:
    """An epoch second, or a date and time in ISO's form; UTC where it names no zone.

    >>> _moment("2023-11-14T22:13:20"), _moment("1700000000")
    (1700000000, 1700000000)
    """
    if text.isdecimal() and len(text) > 8:
        return int(text)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be epoch seconds or a time such as 2023-11-14T22:13:20, was {text!r}"
        ) from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp())


def _seconds(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, was {value}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="squeezeflow", description="One-second order flow, scored in five phases."
    )
    parser.add_argument("--version", action="version", version=f"squeezeflow {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser(
        "up", help="simulated exchanges (or real ones), collector and freqtrade trade in dry-run"
    )
    up.add_argument("--live", action="store_true", help="the real exchanges instead of the simulated ones")
    up.add_argument("--seconds", type=_seconds, help="stop this many seconds after readiness")
    up.add_argument("--json", action="store_true", help="end with a one-line JSON summary")
    up.add_argument(
        "--replay", type=Path, metavar="FILE", help="recorded trades (Parquet) instead of generated ones"
    )
    up.add_argument("--seed", type=int, default=1, help="seed of the simulated market (default 1)")
    up.add_argument(
        "--api-port", type=int, default=8080, help="port of FreqTrade's API server; 0 takes a free one"
    )
    up.add_argument("--userdir", type=Path, default=Path("user_data"), help="FreqTrade's user_data folder")
    up.set_defaults(command=_up)

    collect = commands.add_parser("collect", help="the collector alone, as SQUEEZEFLOW_* variables say")
    collect.set_defaults(command=_collect)

    simulate = commands.add_parser("simulate", help="the simulated exchanges alone, or history written ahead")
    simulate.add_argument("--port", type=int, default=0, help="port to serve on; 0 takes a free one")
    simulate.add_argument("--seed", type=int, default=1, help="seed of the market (default 1)")
    simulate.add_argument("--assets", metavar="A,B,...", help="base assets (default: those of the settings)")
    simulate.add_argument(
        "--store", type=Path, help="store that receives 2.5 hours of history before serving"
    )
    simulate.add_argument("--state-file", type=Path, help="receives port and endpoints (JSON) once it serves")
    simulate.add_argument(
        "--replay", type=Path, metavar="FILE", help="recorded trades (Parquet) served as live"
    )
    simulate.add_argument(
        "--hours",
        type=float,
        help="write this much history up to now into the store (the settings' own), and end",
    )
    simulate.add_argument(
        "--truth", type=Path, metavar="FILE", help="receives every trade sent, one JSON a line"
    )
    simulate.set_defaults(command=_simulate)

    check = commands.add_parser("check", help="is the running system whole, part by part; status 1 where not")
    check.add_argument("--seconds", type=_seconds, default=5, help="how long the 1 s flow is watched")
    check.set_defaults(command=_check)

    monitor = commands.add_parser("monitor", help="freshness, rates, latency and use of the running system")
    monitor.add_argument("--seconds", type=_seconds, default=10, help="how long is measured")
    monitor.add_argument("--watch", action="store_true", help="measure again until Ctrl-C")
    monitor.set_defaults(command=_monitor)

    _add_files(commands)
    parity = commands.add_parser(
        "parity", help="make recorded live decisions again and name every difference"
    )
    parity.add_argument(
        "--timerange", type=_timerange, default="-", help="START-STOP, epoch seconds or YYYYMMDD"
    )
    parity.add_argument(
        "--data-dir", type=Path, help="folder of store and decisions (default: the settings')"
    )
    parity.add_argument("--exchange", default="binance", help="FreqTrade's name of the traded exchange")
    parity.set_defaults(command=_parity)
    explain = commands.add_parser("explain", help="why a second's score was what it was; why no entry")
    explain.add_argument("--pair", required=True, help="FreqTrade's pair, e.g. BTC/USDT")
    explain.add_argument(
        "--at", type=_moment, required=True, metavar="TIME", help="epoch second, or 2023-11-14T22:13:20 (UTC)"
    )
    explain.add_argument("--data-dir", type=Path, help="folder of the store (default: the settings')")
    explain.add_argument("--exchange", default="binance", help="FreqTrade's name of the traded exchange")
    explain.add_argument("--json", action="store_true", help="one JSON object instead of text")
    explain.set_defaults(command=_explain)
    _add_db(commands)
    return parser


def _add_files(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands that read or write files."""
    parse = commands.add_parser("parse", help="recorded frames (JSON lines) to one JSON trade a line")
    parse.add_argument("--exchange", required=True, help="aggr-server's name, e.g. BINANCE_FUTURES")
    parse.add_argument("file", type=Path)
    parse.set_defaults(command=_parse)

    bars = commands.add_parser(
        "bars", help="trades (Parquet, or parse's JSON lines) to one-second bars (Parquet)"
    )
    bars.add_argument("file", type=Path)
    bars.add_argument("-o", "--output", type=Path, required=True)
    bars.set_defaults(command=_bars)

    score = commands.add_parser("score", help="rows of one asset (Parquet) to phases and scores (Parquet)")
    score.add_argument("file", type=Path)
    score.add_argument("-o", "--output", type=Path, required=True)
    score.set_defaults(command=_score)
    _add_backtest(commands)
    come = commands.add_parser(
        "import", help="trades or bars from files (Parquet, CSV, Binance's archives, line protocol)"
    )
    come.add_argument("files", type=Path, nargs="+", metavar="FILE")
    come.add_argument(
        "--market", metavar="EXCHANGE:SYMBOL", help="the market where a Binance file's name lacks it"
    )
    come.add_argument("--store", type=Path, help="store to import into (default: the settings')")
    come.set_defaults(command=_import)
    go = commands.add_parser("export", help="bars of the store into a .parquet, .csv or .lp file")
    go.add_argument("-o", "--output", type=Path, required=True)
    go.add_argument("--timerange", type=_timerange, default="-", help="START-STOP, epoch seconds or YYYYMMDD")
    go.add_argument("--markets", metavar="A,B,...", help="aggr-server's names (default: all)")
    go.add_argument("--store", type=Path, help="store to read (default: the settings')")
    go.set_defaults(command=_export)


def _add_db(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    db = commands.add_parser("db", help="the InfluxDB that INFLUX_* variables name: setup, show, verify")
    verbs = db.add_subparsers(required=True, metavar="VERB")
    setup = verbs.add_parser("setup", help="make database, retention policies and continuous queries")
    setup.add_argument(
        "--shorten", action="store_true", help="also shorten a retention, which deletes the older bars"
    )
    setup.set_defaults(command=_db_setup)
    show = verbs.add_parser("show", help="what it holds, and where that differs from the settings")
    show.set_defaults(command=_db_show)
    verify = verbs.add_parser("verify", help="compare it with the embedded store; status 1 where they differ")
    verify.add_argument(
        "--timerange", type=_timerange, default="-", help="START-STOP, epoch seconds or YYYYMMDD"
    )
    verify.set_defaults(command=_db_verify)


if __name__ == "__main__":
    sys.exit(main())
