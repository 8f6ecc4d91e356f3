"""What can be asked of ``squeezeflow sweep``."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from squeezeflow_plugin.backtest.options import BacktestOptions, add_timeframe
from squeezeflow_plugin.errors import SettingsError


@dataclass(frozen=True)
class SweepOptions:
    """Each of ``sets`` (parameters that differ from the settings') on each time range and list of pairs.

    ``base`` gives what all runs share; ``jobs`` as joblib takes it (-1 all cores); ``scheduler`` the address
    of a Dask scheduler, None for this machine; ``out`` the file of finished runs.
    """

    base: BacktestOptions
    sets: tuple[Mapping[str, Any], ...]
    timeranges: tuple[str, ...]
    pairs: tuple[tuple[str, ...], ...] = ((),)
    jobs: int = -1
    scheduler: str | None = None
    out: Path = Path("sweep.jsonl")


def grid(axes: Sequence[tuple[str, Sequence[Any]]]) -> tuple[Mapping[str, Any], ...]:
    """Every combination of the values of some parameters.

    >>> grid([("min_score", [4.0, 5.0]), ("rearm", [300])])
    ({'min_score': 4.0, 'rearm': 300}, {'min_score': 5.0, 'rearm': 300})
    """
    names = [name for name, _ in axes]
    combined = itertools.product(*(values for _, values in axes))
    return tuple(dict(zip(names, values, strict=True)) for values in combined)


def add_sweep_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add(
        "--set",
        action="append",
        default=[],
        dest="axes",
        metavar="NAME=V1,V2,...",
        help="values of a method parameter; repeatable, every combination is run",
    )
    add("--timerange", action="append", required=True, help="as for backtest; repeatable")
    add_timeframe(parser)
    add("--pairs", action="append", nargs="+", default=[], metavar="PAIR", help="pairs of a run; repeatable")
    add("--config", "-c", action="append", type=Path, default=[], help="FreqTrade configuration; repeatable")
    add("--userdir", type=Path, default=Path("user_data"), help="FreqTrade's user_data folder")
    add("--slippage", type=float, default=0.0, help="share of the price each order fills worse")
    add("--delay", type=int, default=1, help="seconds between a second's close and its order (default 1)")
    add("--jobs", type=int, default=-1, help="runs at the same time; -1 (the default) one a core")
    add("--scheduler", metavar="tcp://HOST:PORT", help="run on this Dask cluster instead of this machine")
    add("--out", type=Path, default=Path("sweep.jsonl"), help="finished runs; what is there is not run again")


def sweep_options_of(args: argparse.Namespace) -> SweepOptions:
    """The options that were given; raises SettingsError for what cannot be."""
    base = BacktestOptions(
        config=tuple(args.config),
        timeframe=args.timeframe,
        userdir=args.userdir,
        slippage=args.slippage,
        delay_s=args.delay,
        export="none",
        report=False,
    )
    return SweepOptions(
        base,
        grid([_axis(text) for text in args.axes]),
        tuple(args.timerange),
        tuple(tuple(pairs) for pairs in args.pairs) or ((),),
        args.jobs,
        args.scheduler,
        args.out,
    )


def _axis(text: str) -> tuple[str, Sequence[Any]]:
    name, given, values = text.partition("=")
    try:
        found = [msgspec.json.decode(value) for value in values.split(",")]
    except msgspec.DecodeError as error:
        raise SettingsError(
            f"--set must be NAME=V1,V2,... of numbers, was {text!r}; nothing is run"
        ) from error
    if not name or not given:
        raise SettingsError(f"--set must be NAME=V1,V2,..., was {text!r}; nothing is run")
    return name, found
