"""The collector under load, from the socket to the store: seven exchanges' wires on loopback at a set rate.

Run it by hand: ``python benchmarks/bench_load.py [--markets 100] [--rate 20000] [--seconds 60]``. It prints
JSON. A process of its own speaks the exchanges' wires and sends trades dated now, evenly over the markets;
the collector is the unmodified ``squeezeflow collect``. ``lost`` compares every market's trades in the store
with what was sent; processor time, memory and closing delays are taken from the full seconds of the load.
Memory rises for ten minutes, in which trades are held for a revision; ``--seconds 900`` shows what follows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for what stands beside this file

import numpy as np
import psutil

from benchmarks.measuring import figure, machine
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.market import MarketKind
from squeezeflow_plugin.settings import Settings, process_environ, to_environ
from squeezeflow_plugin.simulator.dialect import Row
from squeezeflow_plugin.simulator.echoes import Echo
from squeezeflow_plugin.simulator.exchange import Exchange, endpoints, serving
from squeezeflow_plugin.simulator.profiles import LISTED_ASSETS
from squeezeflow_plugin.simulator.run import SimulatorOptions, live_venue
from squeezeflow_plugin.store.embedded import EmbeddedBarStore

EXCHANGES = ("BINANCE", "BINANCE_FUTURES", "BYBIT", "OKEX", "COINBASE", "KRAKEN", "HYPERLIQUID", "BITGET")
TURN_S = 0.02
PRICE = 60_000.0
WATERMARK_MS = 400
WARM_S = 5


class LoadedExchange(Exchange):
    """Sends trades of its own at a rate instead of the market's, to whoever listens; ``sent`` counts them."""

    rate = 0.0
    chosen: tuple[str, ...] = ()

    async def send(self) -> None:
        """At the rate that is set, until cancelled."""
        clock, owed, numbers = SystemClock(), 0.0, Counter[str]()
        self.sent = Counter[str]()
        put = [self._put_of(market) for market in self.chosen]
        last_ns = clock.now_ns()
        while True:
            await asyncio.sleep(TURN_S)
            now_ns = clock.now_ns()
            owed += self.rate * (now_ns - last_ns) / 1e9
            last_ns = now_ns
            share, owed = divmod(owed, len(put))
            for market, send in zip(self.chosen, put, strict=True):
                first = 1_000_000 + numbers[market]
                numbers[market] += int(share)
                now_ms = now_ns // 1_000_000
                self.sent[market] += send(_rows(now_ms, first, int(share)), now_ms)

    def _put_of(self, market: str) -> Callable[[list[Row], int], int]:
        for floor in self._floors:
            if floor.carries(market):
                echo = next(e for e in self._venue.echoes if e.market == market)
                return lambda rows, now_ms: self._to_floor(floor, echo, rows, now_ms)
        profile = self._venue.tapes[market].profile
        instrument = profile.instrument
        return lambda rows, _: self._to_hub(instrument.kind, instrument.symbol, rows)

    def _to_floor(self, floor: Any, echo: Echo, rows: list[Row], now_ms: int) -> int:
        guests = [guest for guest in floor.guests if echo.market in guest.conversation.topics]
        step = floor.dialect.rows_a_frame
        for start in range(0, len(rows), step):
            frames = floor.dialect.trades(echo, rows[start : start + step], now_ms)
            for guest in guests:
                guest.put(frames)
        return len(rows) if guests else 0

    def _to_hub(self, kind: MarketKind, symbol: str, rows: list[Row]) -> int:
        stream = f"{symbol.lower()}@trade"
        if not self._hub.listens(kind, stream):
            return 0
        more = '"X":"MARKET",' if kind is MarketKind.PERP else ""
        self._hub.publish(
            kind,
            stream,
            [
                f'{{"e":"trade","E":{row.at_ms},"s":"{symbol}","t":{row.number},"p":"{row.price}","q":"{row.size}",'
                f'"T":{row.at_ms},{more}"m":{"false" if row.side > 0 else "true"}}}'
                for row in rows
            ],
        )
        return len(rows)


def _rows(at_ms: int, first: int, count: int) -> list[Row]:
    return [
        Row(at_ms, number, f"{PRICE + number % 97 / 10:.1f}", f"{number % 89 + 1}", 1 if number % 2 else -1)
        for number in range(first, first + count)
    ]


def serve(markets: int, pipe: Connection) -> None:
    """The exchanges' process: says its port and markets, then does as the pipe tells it."""
    asyncio.run(_serve(markets, pipe))


async def _serve(markets: int, pipe: Connection) -> None:
    clock = SystemClock()
    now = clock.now_ns() // 10**9
    venue = live_venue(SimulatorOptions(assets=LISTED_ASSETS[:10], exchanges=EXCHANGES), now - 60, now)
    exchange = LoadedExchange(venue, clock, now)
    spread = sorted(venue.tapes, key=lambda market: (market.partition(":")[2], market))
    by_exchange: dict[str, list[str]] = {}
    for market in spread:
        by_exchange.setdefault(market.partition(":")[0], []).append(market)
    turns = [
        group[place] for place in range(len(spread)) for group in by_exchange.values() if place < len(group)
    ]
    exchange.chosen = tuple(turns[:markets])
    loop = asyncio.get_running_loop()
    async with serving(exchange) as served:
        pipe.send((served.port, exchange.chosen))
        while (told := await loop.run_in_executor(None, pipe.recv)) is not None:
            exchange.rate = told
        exchange.rate = 0.0
        await asyncio.sleep(0.5)
        pipe.send((dict(exchange.sent), psutil.Process().cpu_times()))
        await loop.run_in_executor(None, pipe.recv)


def measure(markets: int, rate: float, seconds: int, folder: Path) -> dict[str, Any]:
    """Load for so long; what was lost and what it cost."""
    mine, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(markets, theirs), daemon=True)
    server.start()
    port, chosen = mine.recv()
    settings = Settings(
        markets=chosen,
        exchanges=EXCHANGES,
        endpoints=endpoints(port, EXCHANGES),
        data_dir=folder,
        api_port=0,
        health_port=0,
        watermark_ms=WATERMARK_MS,
        log_level="WARNING",
    )
    command = (sys.executable, "-m", "squeezeflow_plugin.cli", "collect")
    environ = {**process_environ(), **to_environ(settings)}
    collector = subprocess.Popen(command, env=environ)  # noqa: S603 - our own program
    store = EmbeddedBarStore(settings.store_path, readonly=True)
    try:
        _wait(lambda: _covered(store) == len(chosen), "the markets are not all covered")
        mine.send(rate)
        time.sleep(WARM_S)
        process = psutil.Process(collector.pid)
        first, before = int(time.time()), process.cpu_times()
        memory = []
        for _ in range(seconds):
            time.sleep(1)
            memory.append(process.memory_info().rss / 2**20)
        after, last = process.cpu_times(), int(time.time())
        mine.send(None)
        sent, theirs_cpu = mine.recv()
        end = int(time.time()) + 2
        _wait(lambda: (store.last_second("main") or 0) > end, "the last seconds are not closed")
        collector.send_signal(signal.SIGTERM)
        collector.wait(60)
    finally:
        collector.kill()
        mine.send(None)
        server.join(10)
    used = after.user + after.system - before.user - before.system
    return _figures(store, sent, (first, last), used / (last - first), memory) | {
        "server_cpu_s": round(theirs_cpu.user + theirs_cpu.system, 1)
    }


def _figures(
    store: EmbeddedBarStore, sent: dict[str, int], span: tuple[int, int], cores: float, memory: list[float]
) -> dict[str, Any]:
    columns = store.bars(0, 2**40)
    kept = Counter(
        dict(
            zip(
                columns.names,
                np.bincount(columns.market, columns.cbuy + columns.csell).astype(int).tolist(),
                strict=True,
            )
        )
    )
    delays = [(r.closed_ns - (r.second + 1) * 10**9) / 1e6 for r in store.records(*span)]
    inside = (columns.second >= span[0]) & (columns.second < span[1])
    rate = float((columns.cbuy + columns.csell)[inside].sum()) / (span[1] - span[0])
    third = max(len(memory) // 3, 1)
    store.close()
    return {
        "machine": machine(),
        "markets": len(sent),
        "figures": {
            "rate": figure(rate, "trades/s"),
            "lost": figure(sum(abs(sent[m] - kept[m]) for m in sent), "trades", 0, at_most=True),
            "sent": figure(sum(sent.values()), "trades"),
            "collector_cpu": figure(cores, "cores", 1, at_most=True),
            "cpu_per_trade": figure(cores / rate * 1e6, "us"),
            "close_p50": figure(float(np.percentile(delays, 50)), "ms"),
            "close_p95": figure(float(np.percentile(delays, 95)), "ms", WATERMARK_MS + 150, at_most=True),
            "memory_start": figure(memory[0], "MB"),
            "memory_end": figure(memory[-1], "MB"),
            "memory_last_third_growth": figure(memory[-1] - memory[-third], "MB"),
        },
    }


def _covered(store: EmbeddedBarStore) -> int:
    last = store.last_second("main")
    if last is None:
        return 0
    return max((len(record.covered) for record in store.records(last - 2, last + 1)), default=0)


def _wait(what: Callable[[], bool], otherwise: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit(otherwise)
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markets", type=int, default=100)
    parser.add_argument("--rate", type=float, default=20_000.0, help="trades a second over all markets")
    parser.add_argument("--seconds", type=int, default=60)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(args.markets, args.rate, args.seconds, Path(folder)), indent=1))


if __name__ == "__main__":
    main()
