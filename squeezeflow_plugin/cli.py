"""The command line: one thin function a command. Heavy modules are imported by the command that needs them.

Exit status: 0 done, 1 the answer is no (a parity difference), 2 an error, said in one sentence on stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from squeezeflow_plugin import __version__
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
    return parser


if __name__ == "__main__":
    sys.exit(main())
