"""A backtest of seconds: against FreqTrade's own loop, trade by trade, and over a month.

Writes a simulated market first (20 s a day), runs it spot and futures through the stepper and through
FreqTrade's Backtesting fed with the same one-second candles in its own way and compares every trade. Then the
command line is run on two days and on a month, made of that day again and again, for time and memory. Prints
one JSON line; ``figures`` says what is to be reached and whether it is. ``--store FILE`` takes a market that
is there, whole, for the month.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the reference lies beside the tests

import msgspec  # noqa: E402 - after the path is known

from benchmarks.measuring import figure, machine  # noqa: E402
from squeezeflow_plugin.backtest.stepper import Rules  # noqa: E402 - after the path is known
from squeezeflow_plugin.backtest.window import Asked  # noqa: E402
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord  # noqa: E402
from squeezeflow_plugin.phases import engine  # noqa: E402
from squeezeflow_plugin.store.embedded import EmbeddedBarStore  # noqa: E402
from tests.integration.seconds_stage import (  # noqa: E402
    COMPARED,
    OFTEN,
    Stage,
    set_stage,
    started,
    stepper_of,
    stock_of,
    trades_of,
    write_market,
)

ASSETS = ("BTC", "ETH", "SOL")
CHUNK_MS = 7200 * 1000
DAYS = 30
SPOT = {**OFTEN, "min_score": 4.0, "rearm": 120, "exit_threshold": 0.05}
PARAMS = {"spot": SPOT, "futures": {**SPOT, "rearm": 300}}
"""Many trades that are soon over, 10 to 20 % of the time in position: futures have twice the events."""


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What the work gives, its CPU seconds and its seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def compare(stage: Stage, asked: Asked) -> dict[str, Any]:
    """Both over the same seconds; raises where a trade differs."""
    run, cpu, wall = timed(lambda: started(stepper_of(stage, asked, Rules(noise=False))))
    trades = trades_of(run)
    reference = stock_of(stage, run)
    stock, stock_cpu, stock_wall = timed(lambda: started(reference))
    if trades != trades_of(stock):
        raise SystemExit("a trade differs from FreqTrade's own loop")
    rows = [dict(zip(COMPARED, trade, strict=True)) for trade in trades]
    span_ms = len(run.source.window) * len(run.source.markets) * 1000
    held_ms = sum(row["close_timestamp"] - row["open_timestamp"] for row in rows)
    over_borders = sum(
        row["open_timestamp"] // CHUNK_MS != row["close_timestamp"] // CHUNK_MS for row in rows
    )
    return {
        "trades": len(rows),
        "differing": 0,
        "shorts": sum(row["is_short"] for row in rows),
        "over_chunk_borders": over_borders,
        "in_position": round(held_ms / span_ms, 4),
        "exits": dict(Counter(row["exit_reason"] for row in rows)),
        "seconds": len(run.source.window),
        "seconds_looked_at": run.counts.seconds_seen,
        "stepper_cpu_s": round(cpu, 2),
        "stock_cpu_s": round(stock_cpu, 2),
        "cpu_ratio": round(stock_cpu / cpu, 2),
        "wall_ratio": round(stock_wall / wall, 2),
    }


def command(store: Path, userdir: Path, timerange: str) -> dict[str, Any]:
    """One run of the command line in a process of its own: seconds and peak memory."""
    # By way of a shell: a process begins with its parent's largest memory, and this one's is large.
    words = ["sh", "-c", '"$@"; exit $?', "sh"]
    words += [sys.executable, str(ROOT / "run_backtest.py"), "--json", "--timerange", timerange]
    words += ["--config", str(ROOT / "user_data" / "config.json"), "--userdir", str(userdir)]
    environ = {**os.environ, "SQUEEZEFLOW_DATA_DIR": str(store.parent)}
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command line
        words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    found = json.loads(done.stdout)
    return {
        "days": round((found["stop"] - found["start"]) / 86_400, 2),
        "trades": len(found["trades"]),
        "wall_s": round(time.perf_counter() - began, 1),
        "peak_mb": round(found["peak_mb"]),
    }


def repeated(source: Path, target: Path, days: int) -> Path:
    """A store in which the last day of ``source`` stands ``days`` times, the last time at its own place."""
    store, given = EmbeddedBarStore(target), EmbeddedBarStore(source, readonly=True)
    store.put_instruments(given.instruments())
    _, stop = given.span() or (0, 0)
    for back in range(days - 1, -1, -1):
        store.append(moved(record, -86_400 * back) for record in given.records(stop - 86_400, stop))
    store.close()
    given.close()
    return target


def moved(record: ClosingRecord, by_s: int) -> ClosingRecord:
    """The record of another time."""
    bars, revisions = (
        tuple(msgspec.structs.replace(bar, second=bar.second + by_s) for bar in part)
        for part in (record.bars, record.revisions)
    )
    second, closed_ns = record.second + by_s, record.closed_ns + by_s * NS_PER_SECOND
    return msgspec.structs.replace(record, second=second, closed_ns=closed_ns, bars=bars, revisions=revisions)


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """What is to be reached."""
    modes, month = [found["spot"], found["futures"]], found.get("month")
    reached = {
        "trades": figure(sum(mode["trades"] for mode in modes), "trades", 300),
        "over_chunk_borders": figure(sum(mode["over_chunk_borders"] for mode in modes), "trades", 1),
        "in_position_least": figure(min(mode["in_position"] for mode in modes), "share", 0.1),
        "in_position_most": figure(max(mode["in_position"] for mode in modes), "share", 0.2, at_most=True),
        "cpu_of_stock": figure(min(mode["cpu_ratio"] for mode in modes), "times the stepper's", 8),
    }
    if month is not None:
        reached |= {
            "month_wall": figure(month["whole"]["wall_s"], "s", 180, at_most=True),
            "month_peak": figure(month["whole"]["peak_mb"], "MB", 900, at_most=True),
            "month_peak_of_two_days": figure(month["peak_ratio"], "times", 1.2, at_most=True),
        }
    return reached


def month(store: Path, folder: Path) -> dict[str, Any]:
    """Two days and everything."""
    reader = EmbeddedBarStore(store, readonly=True)
    span = reader.span()
    reader.close()
    if span is None:
        raise SystemExit(f"{store} is empty")
    stage = set_stage(folder / "month", store, ASSETS, futures=False, more={})
    two, whole = (
        command(store, stage.userdir, f"{start}-{span[1]}") for start in (span[1] - 2 * 86_400, span[0])
    )
    return {"two_days": two, "whole": whole, "peak_ratio": round(whole["peak_mb"] / two["peak_mb"], 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="store.sqlite of a market of BTC, ETH and SOL")
    parser.add_argument(
        "--hours", type=float, default=36.0, help="length of the market and of the comparison"
    )
    parser.add_argument("--no-month", action="store_true", help="the comparison only")
    args = parser.parse_args()
    engine.prepare()  # compiled once an installation
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = args.store or folder / "store.sqlite"
        if args.store is None:
            write_market(store, args.hours, 11, ASSETS)
        found: dict[str, Any] = {}
        for mode in ("spot", "futures"):
            more = {"max_open_trades": 3}
            stage = set_stage(folder / mode, store, ASSETS, mode == "futures", more, PARAMS[mode])
            span = stage.store.span()
            stop = 0 if span is None else span[1]
            found[mode] = compare(stage, Asked(stop - round(args.hours * 3600), stop))
        if not args.no_month:
            long = args.store or repeated(store, folder / "days" / "store.sqlite", DAYS)
            found["month"] = month(long, folder)
    sys.stdout.write(json.dumps({"figures": figures(found), **found, "machine": machine()}) + "\n")


if __name__ == "__main__":
    main()
