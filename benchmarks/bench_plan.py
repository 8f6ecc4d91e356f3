"""What `squeezeflow plan` says beside what a run of the whole system took: memory, disk, processor, network.

``--seconds 3600`` is the figure that counts; its ratios (planned / measured) must lie within 0.75 and 1.25.
Shorter runs show the same parts before caches have filled. Servers of the run's own unless ``--bare``. The
plan is made for what is there at the run's end: an hour of journal and decisions, the generated history, and
as many hours of InfluxDB; a month on disk is the same constants times its seconds. Network is what the
collector's feeds received, from ``ss``, with 66 bytes of headers a segment; it is left out where there is
no ``ss``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what stands beside this file

import psutil

from benchmarks.measuring import figure, machine
from squeezeflow_plugin.checks.planning import CONSTANTS, HOUR_S, Load, plan
from squeezeflow_plugin.settings import load as load_settings
from squeezeflow_plugin.settings import process_environ

ROOT = Path(__file__).parents[1]
NEAREST, FURTHEST = 0.75, 1.25
_EVERY_S = 5.0
_HEADERS = 66
HISTORY_HOURS = 2.5  # that the simulator writes before the run
_PARTS = {
    "influxd": r"^influxd ",
    "redis": r"redis-server",
    "freqtrade": r"-m freqtrade trade",
    "collector": r"cli collect",
}


@dataclass
class Use:
    """What one program took: the most resident memory in MB, CPU seconds at the span's ends."""

    process: psutil.Process
    started_cpu_s: float
    rss_mb: float = 0.0
    cpu_s: float = 0.0

    def look(self) -> None:
        with self.process.oneshot():
            self.rss_mb = max(self.rss_mb, self.process.memory_info().rss / 1e6)
            times = self.process.cpu_times()
        self.cpu_s = times.user + times.system - self.started_cpu_s


@dataclass
class Span:
    """The run from readiness on."""

    data: Path
    simulator_port: int
    uses: dict[str, Use] = field(default_factory=dict)
    began_s: float = field(default_factory=time.monotonic)
    sizes: dict[str, int] = field(default_factory=dict)
    received: int | None = None

    def begin(self, tree: list[psutil.Process]) -> None:
        for process in tree:
            line = " ".join(process.cmdline())
            for name, mark in _PARTS.items():
                if re.search(mark, line):
                    times = process.cpu_times()
                    self.uses[name] = Use(process, times.user + times.system)
        self.sizes = sizes(self.data)
        self.received = received(self.uses["collector"].process.pid, self.simulator_port)

    def look(self) -> None:
        for use in self.uses.values():
            use.look()


def sizes(data: Path) -> dict[str, int]:
    """Bytes of the parts of a data folder that only grow, and of the logs before its SQLite files."""
    return {
        "journal": folder_bytes(data / "journal"),
        "write-ahead logs": sum(path.stat().st_size for path in data.glob("*.sqlite-wal")),
    }


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Held:
    """What a SQLite file holds once its log is written back: bytes in use and rows of a table."""

    bytes_: int
    rows: int


def held(path: Path, table: str) -> Held:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages, free, page = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        (rows,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()  # noqa: S608 - our constants
    connection.close()
    return Held((pages - free) * page, rows)


def rolled(path: Path) -> Held:
    """Bytes and bars of the store's partitions."""
    with sqlite3.connect(path) as connection:
        bytes_, bars = connection.execute("SELECT SUM(bytes), SUM(bars) FROM partitions").fetchone()
    connection.close()
    return Held(bytes_ or 0, bars or 0)


def received(pid: int, port: int) -> int | None:
    """Bytes that the process's connections to the port received, headers included; None without ``ss``."""
    program = shutil.which("ss")
    if program is None:
        return None
    listed = subprocess.run(  # noqa: S603 - found on the PATH, numbers of our own
        [program, "-tinpHO", f"dport = :{port}"], capture_output=True, text=True, check=True
    )
    total = 0
    for line in listed.stdout.splitlines():
        if f"pid={pid}," in line:
            counts = dict(re.findall(r"(bytes_received|segs_in):(\d+)", line))
            total += int(counts.get("bytes_received", 0)) + _HEADERS * int(counts.get("segs_in", 0))
    return total


def run(options: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], Span]:
    """One run of ``squeezeflow up``; its summary and what was measured from outside."""
    shutil.copytree(ROOT / "user_data", folder / "user_data", ignore=shutil.ignore_patterns("squeezeflow"))
    environ = process_environ() | {"PYTHON": sys.executable}
    command = [sys.executable, "-m", "squeezeflow_plugin.cli", "up", "--json", "--api-port", "0"]
    command += ["--seconds", str(options.seconds), "--assets", str(options.assets)]
    if not options.bare:
        environ |= {"SQUEEZEFLOW_STORE": "influx", "SQUEEZEFLOW_BUS": "redis"}
        servers = [str(ROOT / "scripts/with_servers.sh"), "influx", "redis", "--"]
        command = [*servers, "env", "-C", str(folder), *command]
    with (folder / "said").open("w", encoding="utf-8") as out:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=folder, env=environ, stdout=out, stderr=out, start_new_session=True
        )
    try:
        span = _watched(process, folder)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
    said = (folder / "said").read_text(encoding="utf-8").splitlines()
    if process.returncode != 0 or not said[-1].startswith("{"):
        raise SystemExit("\n".join(said[-10:]))
    summary: dict[str, Any] = json.loads(said[-1])
    return summary, span


def _watched(process: subprocess.Popen[bytes], folder: Path) -> Span:
    """Look every few seconds from readiness to the end."""
    data, span = folder / "user_data/squeezeflow/simulated", None
    last: dict[str, int] = {}
    most_logged = 0
    while process.poll() is None:
        time.sleep(_EVERY_S if span else 0.5)
        if span is None and "ready:" in (folder / "said").read_text(encoding="utf-8"):
            state = json.loads((data / "run/simulator.json").read_bytes())
            span = Span(data, state["port"])
            span.begin(psutil.Process(process.pid).children(recursive=True))
            before, received_before = span.sizes, span.received
        elif span is not None:
            try:
                span.look()
            except psutil.NoSuchProcess:
                break  # it is being stopped
            now = received(span.uses["collector"].process.pid, span.simulator_port)
            if now and received_before is not None:
                span.received = now - received_before
            last = sizes(data)
            most_logged = max(most_logged, last["write-ahead logs"])
    process.wait()
    if span is None:
        raise SystemExit((folder / "said").read_text(encoding="utf-8")[-2000:])
    span.sizes = {"journal": last["journal"] - before["journal"], "write-ahead logs": most_logged}
    return span


Pairs = dict[str, tuple[float, float, str]]


def compared(summary: dict[str, Any], span: Span, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Planned and measured by part, and their ratio."""
    seconds = summary["seconds"]
    load = Load(
        round(summary["bars"] / seconds + 0.5),
        summary["trades_received"] / seconds,
        summary["bars"] / seconds,
        "the run",
    )
    environ = {"SQUEEZEFLOW_MAX_SYMBOLS": str(options.assets)}
    if not options.bare:
        # What is there by the end, in full hours: the history has fewer bars a second than the run.
        hours = int(seconds / HOUR_S + HISTORY_HOURS)
        environ |= {"SQUEEZEFLOW_STORE": "influx", "SQUEEZEFLOW_BUS": "redis"}
        environ |= {"INFLUX_URL": "http://127.0.0.1:8086"}
        environ |= {"INFLUX_RETENTION_1S": f"{hours}h"}
    planned = plan(load_settings(None, environ), load)
    pairs: Pairs = {}
    for name, bytes_ in planned.memory.items():
        pairs[f"memory {name}"] = (bytes_ / 1e6, span.uses[name].rss_mb, "MB")
    for name, cores in planned.cores.items():
        pairs[f"cores {name}"] = (cores, span.uses[name].cpu_s / seconds, "cores")
    for total in ("memory", "cores"):
        parts = [pair for name, pair in pairs.items() if name.startswith(f"{total} ")]
        pairs[total] = (sum(pair[0] for pair in parts), sum(pair[1] for pair in parts), parts[0][2])
    pairs |= _disk(summary, span, load)
    if span.received:
        pairs["network"] = (planned.network_bytes_per_s / 1e3, span.received / seconds / 1e3, "kB/s")
    return {
        name: {
            "planned": figure(want, unit),
            "measured": figure(got, unit),
            "ratio": round(want / got, 3) if got else None,
            "met": bool(got) and NEAREST <= want / got <= FURTHEST,
        }
        for name, (want, got, unit) in pairs.items()
    }


def _disk(summary: dict[str, Any], span: Span, load: Load) -> Pairs:
    """Bytes of each part by its constant times what it holds, beside those that it takes."""
    decisions = held(span.data / "decisions.sqlite", "decisions")
    store, partitions = held(span.data / "store.sqlite", "closings"), rolled(span.data / "store.sqlite")
    found: Pairs = {}
    for name, constant, count, measured in (
        ("journal", "journal_trade", summary["trades_received"], span.sizes["journal"]),
        ("decisions", "decision", decisions.rows, decisions.bytes_),
        ("open hours", "hot_bar", store.rows * load.bars_per_s, store.bytes_),
        ("partitions", "store_bar", partitions.rows, partitions.bytes_),
        ("write-ahead logs", "wal", 2e6, span.sizes["write-ahead logs"]),
    ):
        if measured:
            found[f"disk {name}"] = (CONSTANTS[constant].value * count / 1e6, measured / 1e6, "MB")
    return found | {
        "disk": (sum(pair[0] for pair in found.values()), sum(p[1] for p in found.values()), "MB")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--assets", type=int, default=3)
    parser.add_argument("--bare", action="store_true", help="no InfluxDB and no Redis")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        summary, span = run(options, Path(folder))
        plans = compared(summary, span, options)
    found = {
        "machine": machine(),
        "seconds": summary["seconds"],
        "trades/s": round(summary["trades_received"] / summary["seconds"], 1),
        "bars/s": round(summary["bars"] / summary["seconds"], 2),
        "plan": plans,
        "whole hour": summary["seconds"] >= HOUR_S,
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
