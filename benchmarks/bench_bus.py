"""How long a closing record takes from the writer to a reader in another process, over a real redis-server.

Run it by hand: ``python benchmarks/bench_bus.py [--markets 100] [--seconds 1000]``; prints JSON. Without
redis-server on the PATH it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what stands beside this file

import numpy as np
import redis

from benchmarks.measuring import figure, machine
from squeezeflow_plugin.bus.redis import RedisBarBus, connect
from squeezeflow_plugin.market import Bar, ClosingRecord
from squeezeflow_plugin.settings import Settings

T0 = 1_723_161_600
PAUSE_S = 0.01


def make_record(second: int, markets: int) -> ClosingRecord:
    """Every market with a bar: the worst case. ``closed_ns`` carries the writer's clock."""
    price = 60_000.0 + second % 977
    names = tuple(f"EXCHANGE_{number % 10}:market{number:03}usdt" for number in range(markets))
    bars = tuple(
        Bar(n, second, price, price + 1, price - 1, price, 1e5 / 3, 1e4 / 7, 25, 17, 0.0, 0.0) for n in names
    )
    return ClosingRecord("bench", second, time.monotonic_ns(), bars, (), names)


def read(port: int, seconds: int, out: Connection) -> None:
    """Follow every second; the clock is the machine's monotonic one, the same in both processes."""
    bus = RedisBarBus(connect(Settings(redis_port=port), 2.0))
    after, took = T0 - 1, []
    out.send("ready")
    while after < T0 + seconds - 1:
        for record in bus.follow("bench", after, 5.0):
            took.append((time.monotonic_ns() - record.closed_ns) / 1e6)
            after = record.second
    out.send(took)


def measure(port: int, markets: int, seconds: int) -> dict[str, object]:
    """Write a record each 10 ms and collect what the reader saw."""
    mine, theirs = multiprocessing.Pipe()
    reader = multiprocessing.get_context("spawn").Process(target=read, args=(port, seconds, theirs))
    reader.start()
    mine.recv()
    bus = RedisBarBus(connect(Settings(redis_port=port), 2.0))
    calls = []
    for second in range(T0, T0 + seconds):
        record = make_record(second, markets)
        started = time.perf_counter()
        bus.publish([record])
        calls.append((time.perf_counter() - started) * 1e3)
        time.sleep(PAUSE_S)
    took = mine.recv()
    reader.join()
    memory = connect(Settings(redis_port=port), 2.0).info("memory")["used_memory"]
    return {
        "machine": machine(),
        "markets": markets,
        "records": len(took),
        "writer_call_p50": figure(float(np.percentile(calls, 50)), "ms"),
        "writer_call_p99": figure(float(np.percentile(calls, 99)), "ms"),
        "writer_to_reader_p50": figure(float(np.percentile(took, 50)), "ms"),
        "writer_to_reader_p99": figure(float(np.percentile(took, 99)), "ms", 5, at_most=True),
        "in_the_server": figure(memory / (len(took) * markets), "bytes/bar"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markets", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=1000)
    args = parser.parse_args()
    program = shutil.which("redis-server")
    if program is None:
        print(json.dumps({"skipped": "redis-server is not installed"}))
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "yes"]
        server = subprocess.Popen([*command, "--dir", directory], stdout=subprocess.DEVNULL)  # noqa: S603 - found on the PATH, no shell
        try:
            while True:
                try:
                    connect(Settings(redis_port=port), 1.0).ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.02)
            print(json.dumps(measure(port, args.markets, args.seconds)))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
