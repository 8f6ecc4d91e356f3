"""The processes a fault schedule plays with: simulated exchanges, a collector, and its servers if wanted."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from squeezeflow_plugin.bus.redis import RedisBarBus
from squeezeflow_plugin.clock import SystemClock
from squeezeflow_plugin.errors import BusError
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.settings import Endpoint, Settings, process_environ, to_environ
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.fault_proxy import FaultProxy
from tests.influx_server import InfluxDaemon
from tests.redis_server import RedisServer
from tests.soak.disk import SmallDisk
from tests.soak.oracle import Verdict, judge

ASSETS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "BNB", "ADA", "AVAX", "LINK", "LTC")
COVERED_AGAIN_S = 3
CLOCK = SystemClock()


def now_s() -> float:
    """Epoch seconds."""
    return CLOCK.now_ns() / NS_PER_SECOND


def pause(seconds: float) -> None:
    """Let a fault last."""
    CLOCK.sleep_until(CLOCK.now_ns() + int(seconds * NS_PER_SECOND))


def wait_for(what: str, condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Return once the condition holds; AssertionError names ``what`` where it does not in time."""
    deadline = now_s() + within_s
    while not condition():
        assert now_s() < deadline, f"not within {within_s:g} s: {what}"
        pause(0.02)


class Stage:
    """One run in ``folder``. A context: leaving it ends every process, whatever happened."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        assets: int = 3,
        redis: bool = False,
        influx: bool = False,
        disk_mb: int = 0,
    ) -> None:
        self.folder = folder
        self.truth = folder / "truth.jsonl"
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.disk = SmallDisk(self.data, disk_mb) if disk_mb else None
        self.redis = RedisServer(folder / "redis") if redis else None
        self.influx = InfluxDaemon(folder / "influxd") if influx else None
        self.proxy: FaultProxy | None = None
        self.settings = Settings(assets=ASSETS[:assets], data_dir=self.data, api_port=0, health_port=0)
        self.catch_up_s: list[float] = []
        self.kills = 0
        self.peak_spool_s = 0
        self.peak_spool_bytes = 0
        self._seed = seed
        self._seen: dict[int, bytes] = {}
        self._market: subprocess.Popen[bytes] | None = None
        self.collector: subprocess.Popen[bytes] | None = None
        self._reader: EmbeddedBarStore | None = None

    def __enter__(self) -> Stage:
        try:
            self._start_servers()
            self._start_market()
            self.start_collector()
            self.recover()
        except BaseException:
            self.end()
            raise
        self.catch_up_s.clear()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()

    @property
    def reader(self) -> EmbeddedBarStore:
        if self._reader is None:
            self._reader = EmbeddedBarStore(self.settings.store_path, readonly=True)
        return self._reader

    def last_second(self) -> int:
        """The newest stored second; 0 before the first."""
        return self.reader.last_second(self.settings.collector) or 0

    def shipped_second(self) -> int:
        """The newest second known to be in InfluxDB; 0 before the first."""
        try:
            remembered = json.loads((self.data / "shipped.json").read_bytes())
        except FileNotFoundError:
            return 0
        return int(remembered["positions"].get(self.settings.collector, 0))

    def announced_second(self) -> int:
        """The newest second on the bus; 0 before the first and where the bus does not answer."""
        assert self.redis is not None
        bus = RedisBarBus(self.redis.client())
        try:
            return bus.last_second(self.settings.collector) or 0
        except BusError:
            return 0
        finally:
            bus.close()

    def start_collector(self) -> None:
        """Start it with the same folder as its lives before; returns at once."""
        assert self.collector is None
        self.collector = self._run(
            "collector.log", "squeezeflow_plugin.cli", "collect", **to_environ(self.settings)
        )

    def kill_collector(self) -> None:
        """kill -9; what had been stored until then is remembered."""
        assert self.collector is not None
        self.remember()
        self.collector.kill()
        self.collector.wait()
        self.collector = None
        self.kills += 1
        self.remember()

    def limit_files(self, size: int) -> None:
        """The running collector can write to no file beyond that many bytes; -1 lifts the limit."""
        assert self.collector is not None
        _, hard = resource.prlimit(self.collector.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.collector.pid, resource.RLIMIT_FSIZE, (size, hard))

    def remember(self) -> None:
        """Note the closing records that can be read now; the verdict counts those that change afterwards."""
        start = max(self._seen, default=-1) + 1
        for record in self.reader.records(start, 2**40, [self.settings.collector]):
            self._seen[record.second] = msgspec.msgpack.encode(record)

    def recover(self) -> None:
        """Wait until every store has caught up with the clock and the feeds are covered; note how long."""
        self.note_spool()
        began = now_s()
        # A second that ends after the fault: what was stored before says nothing.
        wait_for("the store goes on", lambda: self.is_alive() and self.last_second() >= int(began))
        wait_for("the store stands at the clock", lambda: now_s() - self.last_second() < 3)
        wait_for("every market is covered", self._is_covered)
        if self.influx is not None:
            wait_for("InfluxDB stands at the store", lambda: self.last_second() - self.shipped_second() <= 1)
        if self.redis is not None:
            wait_for("the bus stands at the store", lambda: self.last_second() - self.announced_second() <= 1)
        self.catch_up_s.append(now_s() - began)
        self.remember()

    def note_spool(self) -> None:
        """How much waits for the slowest store just now, in seconds, and the bytes kept on disk."""
        last = self.last_second()
        behind = [int(now_s()) - 1 - last] if last else []
        if self.influx is not None and self.shipped_second():
            behind.append(last - self.shipped_second())
        self.peak_spool_s = max(self.peak_spool_s, *behind, 0)
        size = sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file())
        self.peak_spool_bytes = max(self.peak_spool_bytes, size)

    def is_alive(self) -> bool:
        """True; AssertionError where the collector has ended by itself."""
        assert self.collector is not None
        assert self.collector.poll() is None, "the collector ended by itself; see collector.log"
        return True

    def finish(self) -> Verdict:
        """Let late trades arrive, stop everything in order, and judge."""
        assert self.collector is not None
        assert self._market is not None
        end = int(now_s())
        wait_for("the last seconds are stored", lambda: self.is_alive() and self.last_second() > end + 1)
        for process in (self.collector, self._market):
            process.terminate()
            assert process.wait(30) == 0, "a process that was told to stop did not end well"
        self.collector = self._market = None
        self.remember()
        return judge(self.settings, self.truth, self._seen)

    def await_refusal(self, *words: str) -> None:
        """The collector just started ends by itself, and its last line says why in these words."""
        assert self.collector is not None
        assert self.collector.wait(30) != 0, "it should have refused to work"
        self.collector = None
        last = (self.folder / "collector.log").read_text(encoding="utf-8").rstrip().rpartition("\n")[2]
        assert all(word in last for word in words), f"its last line does not say {words}: {last}"

    def close_reader(self) -> None:
        """Let go of the store's files; the next look opens them again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def end(self) -> None:
        """Leave no process behind."""
        for process in (self.collector, self._market):
            if process is not None:
                process.kill()
                process.wait()
        self.collector = self._market = None
        self.close_reader()
        if self.proxy is not None:
            self.proxy.close()
        for server in (self.redis, self.influx):
            if server is not None:
                server.kill()
        if self.disk is not None:
            self.disk.unmount()
            self.disk = None

    def _start_servers(self) -> None:
        if self.redis is not None:
            self.redis.start()
            self.settings = replace(
                self.settings, bus="redis", redis_host="127.0.0.1", redis_port=self.redis.port
            )
        if self.influx is not None:
            self.influx.start()
            self.proxy = FaultProxy(self.influx.port, slow_s=3.0)
            served = self.influx.settings(influx_url=self.proxy.url, influx_timeout_s=2.0)
            names = (
                "influx_url", "influx_user", "influx_password", "influx_database",
                "influx_retention_1s", "influx_timeout_s",
            )  # fmt: skip  # the fields of one family
            given: dict[str, Any] = {name: getattr(served, name) for name in names}
            self.settings = replace(self.settings, **given)

    def _start_market(self) -> None:
        state_file = self.folder / "market.json"
        self._market = self._run(
            "market.log",
            "tests.soak.market",
            str(self._seed),
            str(self.truth),
            str(state_file),
            *self.settings.assets,
        )
        wait_for("the market serves", state_file.exists)
        state = json.loads(state_file.read_bytes())
        wait_for("the market trades", lambda: self._sent(state["port"]) > 0)
        endpoints = msgspec.convert(state["endpoints"], dict[str, Endpoint])
        self.settings = replace(self.settings, endpoints=endpoints)

    def _sent(self, port: int) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/control/state", timeout=30) as answer:
            return sum(json.load(answer)["sent"].values())

    def _is_covered(self) -> bool:
        last = self.last_second()
        records = list(self.reader.records(last - COVERED_AGAIN_S + 1, last + 1))
        return self.is_alive() and len(records) == COVERED_AGAIN_S and not any(r.uncovered for r in records)

    def _run(self, log: str, *command: str, **environ: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", *command], env={**process_environ(), **environ}, stdout=out, stderr=out
            )
