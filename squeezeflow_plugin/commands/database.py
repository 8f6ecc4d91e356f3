"""The InfluxDB that INFLUX_* variables name: db setup, show, verify."""

from __future__ import annotations

import argparse
import sys

from squeezeflow_plugin.commands.arguments import Commands, timerange
from squeezeflow_plugin.commands.terminal import write_lines


def _db_setup(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.store.admin import set_up_database

    write_lines(set_up_database(load(), args.shorten))
    return 0


def _db_show(_args: argparse.Namespace) -> int:
    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.store.admin import describe_database

    write_lines(describe_database(load()))
    return 0


def _db_verify(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.store.admin import verify_database

    result = verify_database(load(), *args.timerange)
    write_lines(result.named)
    sys.stdout.write(
        f"seconds {result.start} to {result.stop}: {result.records} records, {result.bars} bars and"
        f" {result.higher_bars} higher bars compared, {result.differences} differences;"
        f" {result.waiting} closed seconds are not shipped yet\n"
    )
    return 1 if result.differences else 0


def add_to(commands: Commands) -> None:
    """Add the sub-commands."""
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
        "--timerange", type=timerange, default="-", help="START-STOP, epoch seconds or YYYYMMDD"
    )
    verify.set_defaults(command=_db_verify)
