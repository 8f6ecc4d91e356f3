"""What can be asked of ``run_backtest.py`` and ``squeezeflow backtest``, which are the same."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from squeezeflow_plugin.errors import SettingsError
from squeezeflow_plugin.settings import Settings

EXPORTS = ("trades", "none")
REGULAR = {"1s": False, "5m": True}
"""Whether a timeframe is the regular mode's."""


@dataclass(frozen=True)
class BacktestOptions:
    """One run. ``date`` or ``timerange``, neither takes all there is; ``pairs`` empty takes the whitelist.

    ``timeframe`` says how often is decided: each second (1s) or, in the regular mode, each five minutes (5m);
    None leaves that to the settings. Rows are seconds in both.
    """

    date: str | None = None
    timerange: str | None = None
    timeframe: str | None = None
    pairs: tuple[str, ...] = ()
    config: tuple[Path, ...] = ()
    userdir: Path = Path("user_data")
    export: str = "trades"
    as_json: bool = False
    slippage: float = 0.0
    delay_s: int = 1
    protections: bool = False
    report: bool = True

    def __post_init__(self) -> None:
        if self.date is not None and self.timerange is not None:
            raise SettingsError("--date and --timerange exclude each other; nothing is run")
        if self.timeframe is not None and self.timeframe not in REGULAR:
            raise SettingsError(
                f"--timeframe must be 1s or 5m (the regular mode), was {self.timeframe!r}; on candles run "
                "`freqtrade backtesting --timeframe-detail 1s`. Nothing is run"
            )

    def applied_to(self, settings: Settings) -> Settings:
        """The settings of the run: of the configuration, in the mode that was asked for."""
        if self.timeframe is None:
            return settings
        return replace(settings, enable_1s_mode=not REGULAR[self.timeframe], run_interval=1)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    add = parser.add_argument
    add("--date", help="a whole day in UTC, e.g. 2025-08-09")
    add("--timerange", help="START-STOP as FreqTrade takes it: days, 20250809T1200, or epoch seconds")
    add_timeframe(parser)
    add("--pairs", nargs="+", default=[], metavar="PAIR", help="instead of the configured whitelist")
    add("--config", "-c", action="append", type=Path, default=[], help="FreqTrade configuration; repeatable")
    add("--userdir", type=Path, default=Path("user_data"), help="FreqTrade's user_data folder")
    add("--export", choices=EXPORTS, default="trades", help="keep a result for FreqTrade (default: trades)")
    add("--json", action="store_true", help="end with a one-line JSON summary")
    add("--slippage", type=float, default=0.0, help="share of the price each order fills worse, e.g. 0.0002")
    add("--delay", type=int, default=1, help="seconds between a second's close and its order (default 1)")
    add("--enable-protections", action="store_true", help="apply the configured protections")
    add("--no-report", action="store_true", help="write no HTML report")


def add_timeframe(parser: argparse.ArgumentParser) -> None:
    """Add the option that chooses between the 1 s mode and the regular one."""
    parser.add_argument(
        "--timeframe",
        help="1s decides each second, 5m (the regular mode) each five minutes; else the settings",
    )


def options_of(args: argparse.Namespace) -> BacktestOptions:
    """The options that were given; raises SettingsError for what cannot be."""
    return BacktestOptions(
        date=args.date,
        timerange=args.timerange,
        timeframe=args.timeframe,
        pairs=tuple(args.pairs),
        config=tuple(args.config),
        userdir=args.userdir,
        export=args.export,
        as_json=args.json,
        slippage=args.slippage,
        delay_s=args.delay,
        protections=args.enable_protections,
        report=not args.no_report,
    )
