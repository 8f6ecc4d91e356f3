"""Running it, and looking at what runs: init, up, collect, simulate, check, monitor."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from squeezeflow_plugin.commands.arguments import Commands, assets, port, positive
from squeezeflow_plugin.commands.terminal import write_lines

_USERDIR = "FreqTrade's user_data folder"
_SQUEEZE_EVERY = "squeezes of an asset follow each other about so many seconds apart, at least 120"


def _up(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.up.app import UpOptions, run_up

    options = UpOptions(
        live=args.live,
        futures=args.futures,
        assets=args.assets,
        seconds=args.seconds,
        as_json=args.json,
        replay=args.replay,
        seed=args.seed,
        squeeze_every_s=args.squeeze_every,
        api_port=args.api_port,
        userdir=args.userdir,
    )
    return run_up(options, load())


def _init(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.up.userdir import prepare

    write_lines([*prepare(args.userdir), f"ready: squeezeflow up --userdir {args.userdir}"])
    return 0


def _collect(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.collector.aggr_config import AggrConfig, read_config
    from squeezeflow_plugin.collector.app import run_collector
    from squeezeflow_plugin.feeds import registry
    from squeezeflow_plugin.settings import load

    config = AggrConfig({}, ()) if args.config is None else read_config(args.config, registry.names())
    settings = load(config.section)
    if args.shard is not None:
        settings = replace(settings, shard=args.shard)
    return run_collector(settings, config.notes)


def _simulate(args: argparse.Namespace) -> int:
    from squeezeflow_plugin.settings import load
    from squeezeflow_plugin.simulator.run import SimulatorOptions, run_simulator

    if args.calibrate is not None:
        from squeezeflow_plugin.simulator.calibration import beside_generated

        sys.stdout.write(beside_generated(args.calibrate, args.seed) + "\n")
        return 0
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
        release_every_s=args.release_every,
        squeeze_every_s=args.squeeze_every,
        exchanges=settings.exchanges,
        faults=args.faults,
        log_level=settings.log_level,
    )
    return run_simulator(options)


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


def add_to(commands: Commands) -> None:
    """Add the sub-commands."""
    init = commands.add_parser(
        "init", help="configuration, strategy and loss into FreqTrade's user_data folder; overwrites nothing"
    )
    init.add_argument("--userdir", type=Path, default=Path("user_data"), help=_USERDIR)
    init.set_defaults(command=_init)
    _add_up(commands)
    collect = commands.add_parser("collect", help="the collector alone, as SQUEEZEFLOW_* variables say")
    collect.add_argument(
        "--config", type=Path, metavar="FILE", help="aggr-server's config.json; the environment wins over it"
    )
    collect.add_argument(
        "--shard", metavar="K/N", help="take part K of N of the markets; the others take the rest"
    )
    collect.set_defaults(command=_collect)

    _add_simulate(commands)
    check = commands.add_parser("check", help="is the running system whole, part by part; status 1 where not")
    check.add_argument("--seconds", type=positive, default=5, help="how long the 1 s flow is watched")
    check.set_defaults(command=_check)

    monitor = commands.add_parser("monitor", help="freshness, rates, latency and use of the running system")
    monitor.add_argument("--seconds", type=positive, default=10, help="how long is measured")
    monitor.add_argument("--watch", action="store_true", help="measure again until Ctrl-C")
    monitor.set_defaults(command=_monitor)


def _add_up(commands: Commands) -> None:
    up = commands.add_parser(
        "up", help="simulated exchanges (or real ones), collector and freqtrade trade in dry-run"
    )
    up.add_argument("--live", action="store_true", help="the real exchanges instead of the simulated ones")
    up.add_argument(
        "--futures", action="store_true", help="trade perpetuals, long and short, instead of spot"
    )
    up.add_argument(
        "--assets", type=assets, default=(), metavar="N|A,B,...", help="so many assets, or these, are traded"
    )
    up.add_argument("--seconds", type=positive, help="stop this many seconds after readiness")
    up.add_argument("--json", action="store_true", help="end with a one-line JSON summary")
    up.add_argument(
        "--replay", type=Path, metavar="FILE", help="recorded trades (Parquet) instead of generated ones"
    )
    up.add_argument("--seed", type=int, default=1, help="seed of the simulated market (default 1)")
    up.add_argument("--squeeze-every", type=positive, metavar="S", help=_SQUEEZE_EVERY)
    up.add_argument(
        "--api-port", type=port, default=8080, help="port of FreqTrade's API server; 0 takes a free one"
    )
    up.add_argument("--userdir", type=Path, default=Path("user_data"), help=_USERDIR)
    up.set_defaults(command=_up)


def _add_simulate(commands: Commands) -> None:
    simulate = commands.add_parser("simulate", help="the simulated exchanges alone, or history written ahead")
    simulate.add_argument("--port", type=port, default=0, help="port to serve on; 0 takes a free one")
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
    simulate.add_argument(
        "--release-every",
        type=positive,
        metavar="S",
        help="the assets' first squeezes follow each other so many seconds apart",
    )
    simulate.add_argument("--squeeze-every", type=positive, metavar="S", help=_SQUEEZE_EVERY)
    simulate.add_argument(
        "--faults",
        type=int,
        metavar="SEED",
        help="play an hour of faults on the wire of those beside Binance",
    )
    simulate.add_argument(
        "--calibrate",
        type=Path,
        metavar="FILE",
        help="set recorded trades (Parquet) beside generated ones, and end",
    )
    simulate.set_defaults(command=_simulate)
