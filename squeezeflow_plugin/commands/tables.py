"""Files in and out: parse, bars, score, import, export."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from squeezeflow_plugin.commands.arguments import Commands, timerange
from squeezeflow_plugin.commands.terminal import show_progress


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


def _import(args: argparse.Namespace) -> int:
    from contextlib import closing

    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.store.embedded import EmbeddedBarStore
    from squeezeflow_plugin.store.importing import Positions, Progress, import_file, open_source
    from squeezeflow_plugin.store.rolling import StoreKeeper

    path = args.store or load().store_path
    for file in args.files:
        open_source(file, args.market)  # refused before anything is made or imported

    def show(progress: Progress) -> None:
        show_progress(
            f"{progress.path.name}: {progress.rows:,} rows, {progress.bars:,} bars", progress.fraction
        )

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
        show_progress(f"{args.output.name}: {bars:,} bars", fraction)

    markets = args.markets.split(",") if args.markets else None
    start, stop = args.timerange
    with closing(EmbeddedBarStore(args.store or load().store_path, readonly=True)) as store:
        count = export_bars(store, args.output, start, stop, markets, show)
    sys.stdout.write(f"{args.output}: {count} bars\n")
    return 0


def add_to(commands: Commands) -> None:
    """Add the sub-commands."""
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
    go.add_argument("--timerange", type=timerange, default="-", help="START-STOP, epoch seconds or YYYYMMDD")
    go.add_argument("--markets", metavar="A,B,...", help="aggr-server's names (default: all)")
    go.add_argument("--store", type=Path, help="store to read (default: the settings')")
    go.set_defaults(command=_export)
