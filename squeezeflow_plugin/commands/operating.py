"""Operating it: doctor (what will make trouble), status (what runs), plan (what it needs)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from squeezeflow_plugin.commands.arguments import Commands, positive, rate
from squeezeflow_plugin.commands.terminal import write_lines
from squeezeflow_plugin.errors import SettingsError

if TYPE_CHECKING:
    from squeezeflow_plugin.checks.findings import Finding


def _doctor(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.checks.findings import exit_status

    found = []
    for finding in _findings(args.config):
        found.append(finding)
        if not args.json:
            write_lines([str(finding)])
            sys.stdout.flush()
    status = exit_status(found)
    if args.json:
        _write_json({"ok": status == 0, "findings": found})
    return status


def _findings(config: Path | None) -> Iterator[Finding]:
    """Everything that is found; settings that cannot be used are a finding too, and the only one."""
    from squeezeflow_plugin.checks.doctor import examine
    from squeezeflow_plugin.checks.findings import Finding, Level
    from squeezeflow_plugin.clock import SystemClock
    from squeezeflow_plugin.settings import load

    try:
        bot = None if config is None else _configuration(config)
        settings = load(None if bot is None else bot.get("squeezeflow"))
    except SettingsError as error:
        yield Finding(
            "settings", Level.FAIL, str(error), "correct it; docs/configuration.md lists the settings"
        )
        return
    yield from examine(settings, SystemClock(), bot)


def _configuration(path: Path) -> Mapping[str, Any]:
    """FreqTrade's configuration. Raises SettingsError."""
    try:
        from squeezeflow_plugin.provider.configuration import read_configuration
    except ImportError as error:
        raise SettingsError(
            f"{path} cannot be read without FreqTrade, which is not installed here"
        ) from error
    return read_configuration(path)


def _status(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.checks.standing import lines, look
    from squeezeflow_plugin.settings import load

    standing = look(load())
    if args.json:
        _write_json(standing)
    else:
        write_lines(lines(standing))
    return int(bool(standing.reasons))


def _plan(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.checks.planning import assumed_load, lines, plan
    from squeezeflow_plugin.checks.standing import known_load
    from squeezeflow_plugin.settings import load

    settings = load()
    is_given = args.markets is not None or args.trades is not None
    load_of = assumed_load(settings, args.markets, args.trades) if is_given else known_load(settings)
    found = plan(settings, load_of)
    if args.json:
        _write_json({"disk_bytes": found.disk_bytes, "memory_bytes": found.memory_bytes, "plan": found})
    else:
        write_lines(lines(found))
    return 0


def _write_json(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def add_to(commands: Commands) -> None:
    """Add the sub-commands."""
    doctor = commands.add_parser(
        "doctor",
        help="what of machine and settings will make trouble, and the remedy; status 1 where any must",
    )
    doctor.add_argument("--config", "-c", type=Path, metavar="FILE", help="FreqTrade's configuration, too")
    doctor.set_defaults(command=_doctor)
    status = commands.add_parser("status", help="what runs; status 1 where it is not well")
    status.set_defaults(command=_status)
    plan = commands.add_parser("plan", help="memory, disk, processor and network for markets and retention")
    plan.add_argument("--markets", type=positive, help="so many markets (default: those of the store)")
    plan.add_argument("--trades", type=rate, metavar="N", help="so many trades a second in all")
    plan.set_defaults(command=_plan)
    for each in (doctor, status, plan):
        each.add_argument("--json", action="store_true", help="one JSON object instead of text")
