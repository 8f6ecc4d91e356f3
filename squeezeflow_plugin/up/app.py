"""The main job: simulator (or the real exchanges), collector and ``freqtrade trade`` as one process tree.

Order of start: the simulator writes its history and serves; the collector takes over the store where
the history ends; the bot follows the store, once its kernels are compiled. The bot is ready once every
pair's newest decision is; then, with simulated exchanges, the first squeeze episode is asked for and the
run's seconds are counted. The stop goes the other way round, so that nothing waits for a process that is
already gone.
"""

from __future__ import annotations

import shutil
import sys
import types
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import msgspec

from squeezeflow_plugin.clock import Clock, SystemClock
from squeezeflow_plugin.errors import ProcessError
from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.settings import Endpoint, Settings, process_environ, to_environ
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision, TradeEvent
from squeezeflow_plugin.store.registry import open_store
from squeezeflow_plugin.up import figures, report
from squeezeflow_plugin.up.children import Child, Stopped, Tree, stoppable
from squeezeflow_plugin.up.overlay import (
    LOOPBACK,
    Credentials,
    bot_overlay,
    claim_port,
    credentials,
    traded_pairs,
    write_private,
)
from squeezeflow_plugin.up.userdir import configuration

_READY_WITHIN_S = 180
_SETTLE_S = 5
_POLL_NS = NS_PER_SECOND // 20
_IDLE_NS = NS_PER_SECOND // 5


@dataclass(frozen=True)
class UpOptions:
    """What the command line says; ``seconds`` None runs until it is stopped.

    ``futures`` trades perpetuals, both ways, instead of spot; ``assets`` are collected and traded instead of
    those of the settings and the whitelist. ``squeeze_every_s`` is the simulator's.
    """

    live: bool = False
    futures: bool = False
    assets: tuple[str, ...] = ()
    seconds: int | None = None
    as_json: bool = False
    replay: Path | None = None
    seed: int = 1
    squeeze_every_s: int | None = None
    api_port: int = 8080  # of FreqTrade; 0 takes free ports, here and for the collector's servers
    userdir: Path = Path("user_data")


class Simulated(msgspec.Struct, frozen=True):
    """What the simulator writes to its state file once it serves."""

    port: int
    first_second: int
    endpoints: dict[str, Endpoint]
    bot_exchange: dict[str, dict[str, Any]]


def run_up(options: UpOptions, settings: Settings, out: TextIO = sys.stdout) -> int:
    """Run the main job; returns 0 after a clean stop.

    Raises ProcessError where the bot's configuration is missing, a child died, a port is taken or the bot is
    not ready in time; SettingsError and ParameterError, before anything is started, for what the bot would
    refuse.
    """
    clock = SystemClock()
    if options.assets:
        count = max(len(options.assets), settings.max_symbols)
        settings = replace(settings, assets=options.assets, max_symbols=count)
    api_port = claim_port(options.api_port, "FreqTrade's API server")
    settings = _claim_collector_ports(settings, anywhere=options.api_port == 0)
    Params.from_mapping(settings.method)  # the bot would refuse them too, but later
    configuration(options.userdir, futures=options.futures)
    login = credentials(settings.data_dir / "credentials.json")
    if not options.live:
        settings = replace(settings, data_dir=settings.data_dir / "simulated")
        _forget_last_run(settings.data_dir)
        settings = _simulated_database(settings)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    with stoppable(clock) as tree:
        job = _Job(options, settings, api_port, login, tree, clock, out)
        try:
            return job.run()
        except Stopped:
            job.say("stopping")
            return 0


def _claim_collector_ports(settings: Settings, *, anywhere: bool) -> Settings:
    """Check the collector's ports before anything is started; ``anywhere`` takes free ones."""
    wanted = {"api_port": "the collector's aggr API", "health_port": "the collector's health page"}
    ports = {name: getattr(settings, name) for name in wanted}
    for name, port in ports.items():
        if port != 0:  # 0 switches the server off
            ports[name] = claim_port(0 if anywhere else port, wanted[name])
    return replace(settings, **ports)


def _forget_last_run(data_dir: Path) -> None:
    """A simulated market does not go on where the last one ended: start from an empty folder."""
    marker = data_dir / "SIMULATED"
    if data_dir.exists():
        if not marker.exists():
            raise ProcessError(
                f"{data_dir} holds no simulated run (no {marker.name} file in it); it is left as it is"
            )
        shutil.rmtree(data_dir)
    data_dir.mkdir(parents=True)
    marker.write_text("This folder holds one simulated run and is emptied by the next.\n", encoding="utf-8")


def _simulated_database(settings: Settings) -> Settings:
    """A simulated market has an InfluxDB database of its own, emptied by the next run like its folder."""
    if not settings.influx_url:
        return settings
    from squeezeflow_plugin.store.admin import drop_database  # noqa: PLC0415 - only this run needs the client

    settings = replace(settings, influx_database=f"{settings.influx_database}_simulated")
    drop_database(settings)
    return settings


class _Job:
    """One run, from the first child to the summary."""

    def __init__(
        self,
        options: UpOptions,
        settings: Settings,
        api_port: int,
        login: Credentials,
        tree: Tree,
        clock: Clock,
        out: TextIO,
    ) -> None:
        self._options = options
        self._settings = settings
        self._api_port = api_port
        self._tree = tree
        self._clock = clock
        self._out = out
        self._login = login
        self._log = DecisionLog(settings.decisions_path, readonly=True)
        self._simulated: Simulated | None = None
        self._pairs: tuple[str, ...] = ()
        self._episode_offset_s: float | None = None
        self._counted: dict[str, int] = {}

    def say(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()

    def run(self) -> int:
        exchange: dict[str, Any] = {}
        self._tree.passing.append(self._child("kernels", [sys.executable, "-c", _COMPILE]))
        if not self._options.live:
            self._simulated = self._start_simulator()
            exchange = self._simulated.bot_exchange["futures" if self._options.futures else "spot"]
            self._settings = replace(
                self._settings,
                endpoints=types.MappingProxyType(self._simulated.endpoints),
                first_second=self._simulated.first_second,
            )
        self._spawn("collector", [*_SQUEEZEFLOW, "collect"])
        if self._options.assets or not self._options.live:
            exchange["pair_whitelist"] = traded_pairs(self._settings.assets, futures=self._options.futures)
        self._start_bot(exchange)
        ready = self._wait_ready()
        self._counted = self._collector_counts()
        self._tree.forget_samples()
        if self._simulated is not None:
            self._start_episode(ready)
        self.say(
            f"ready: {', '.join(self._pairs)}; health on http://{LOOPBACK}:{self._settings.health_port}/health;"
            f" FreqTrade's API on http://{LOOPBACK}:{self._api_port}"
        )
        stop = self._watch(ready)
        summary = self._summarise(ready + 1, stop)
        # FreqTrade's stop breaks off whatever runs; early in a second the bot waits for that second's close.
        now = self._clock.now_ns()
        self._clock.sleep_until((now // NS_PER_SECOND + 1) * NS_PER_SECOND + _IDLE_NS)
        self._tree.stop()
        if self._options.as_json:
            summary = msgspec.structs.replace(summary, errors=self._errors())
            self.say(msgspec.json.encode(summary).decode())
        return 0

    def _start_simulator(self) -> Simulated:
        state = self._settings.run_dir / "simulator.json"
        command = [
            *_SQUEEZEFLOW,
            "simulate",
            "--state-file",
            str(state),
            "--store",
            str(self._settings.store_path),
        ]
        command += ["--seed", str(self._options.seed)]
        if self._options.replay is not None:
            command += ["--replay", str(self._options.replay)]
        if self._options.squeeze_every_s is not None:
            command += ["--squeeze-every", str(self._options.squeeze_every_s)]
        self.say("simulated exchanges: writing 2.5 hours of history")
        self._spawn("simulator", command)
        return msgspec.json.decode(self._wait_file(state), type=Simulated)

    def _start_bot(self, exchange: dict[str, Any]) -> None:
        overlay = self._settings.run_dir / "freqtrade.json"
        body = bot_overlay(self._settings.run_dir, self._login, self._api_port, exchange)
        write_private(overlay, msgspec.json.format(msgspec.json.encode(body)))
        userdir = self._options.userdir
        config = configuration(userdir, futures=self._options.futures)
        self._wait_compiled()
        self._spawn(
            "freqtrade",
            [
                sys.executable, "-m", "freqtrade", "trade",
                "--userdir", str(userdir),
                "--config", str(config),
                "--config", str(overlay),
                "--strategy", "SqueezeFlow",
            ],
        )  # fmt: skip

    def _spawn(self, name: str, command: list[str]) -> None:
        self._tree.children.append(self._child(name, command))

    def _child(self, name: str, command: list[str]) -> Child:
        environ = {**process_environ(), **to_environ(self._settings)}
        return Child(name, command, environ, self._settings.run_dir / f"{name}.log")

    def _wait_compiled(self) -> None:
        """Wait for the kernels; where they could not be compiled or kept, the bot says why."""
        while not all(child.has_ended for child in self._tree.passing):
            self._tree.check()
            self._clock.sleep_until(self._clock.now_ns() + _POLL_NS)

    def _wait_file(self, path: Path) -> bytes:
        deadline = self._clock.now_ns() + _READY_WITHIN_S * NS_PER_SECOND
        while not path.exists():
            self._tree.check()
            if self._clock.now_ns() > deadline:
                raise ProcessError(f"{path} did not appear within {_READY_WITHIN_S} s; everything is stopped")
            self._clock.sleep_until(self._clock.now_ns() + _POLL_NS)
        return path.read_bytes()

    def _wait_ready(self) -> int:
        """The newest second at which every pair's decision is ready."""
        deadline = self._clock.now_ns() + _READY_WITHIN_S * NS_PER_SECOND
        said = 0
        while True:
            self._tree.check()
            rows = self._log.newest()
            if rows and all(row.value("ready") for row in rows) and len({row.second for row in rows}) == 1:
                self._pairs = tuple(row.pair for row in rows)
                return rows[0].second
            now = self._clock.now_ns()
            if now > deadline and not self._options.live:
                raise ProcessError(
                    f"the bot was not ready within {_READY_WITHIN_S} s"
                    f" (its log: {self._settings.run_dir / 'freqtrade.log'}); everything is stopped"
                )
            if now - said > 5 * NS_PER_SECOND:
                said = now
                self.say(report.state_line(rows, ()))
            self._clock.sleep_until(now + _POLL_NS)

    def _start_episode(self, ready: int) -> None:
        """Give the word for the first squeeze episode; its offset from readiness goes into the summary."""
        assert self._simulated is not None  # noqa: S101 - only called with simulated exchanges
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self._simulated.port}/control/start", method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own loopback server
            episode = msgspec.json.decode(answer.read())
        if episode.get("second") is not None:
            self._episode_offset_s = float(episode["second"]) - (ready + 1)

    def _watch(self, ready: int) -> int:
        """Print a line for each new second until the run's last second is decided; returns its end."""
        stop = None if self._options.seconds is None else ready + 1 + self._options.seconds
        printed = ready
        while True:
            self._tree.check()
            rows = self._log.newest()
            newest = min((row.second for row in rows), default=ready)
            if newest > printed:
                printed = newest
                self.say(report.state_line(rows, report.open_pairs(self._log.events())))
            now = self._clock.now_ns()
            if stop is not None and (printed >= stop - 1 or now > (stop + _SETTLE_S) * NS_PER_SECOND):
                return stop
            self._clock.sleep_until(now + _POLL_NS)

    def _summarise(self, start: int, stop: int) -> report.Summary:
        rows: list[LoggedDecision] = list(self._log.read(start, stop, self._pairs))
        scored, missed = figures.coverage(rows, self._pairs, start, stop)
        counts = self._collector_counts()
        delta = {name: counts.get(name, 0) - self._counted.get(name, 0) for name in counts}
        events = [event for event in self._log.events() if start <= event.at_ns // NS_PER_SECOND < stop]
        self._tree.check()
        children = self._tree.children
        return report.Summary(
            seconds=stop - start,
            first_second=start,
            seconds_scored=min(scored.values(), default=0),
            scored_by_pair=dict(scored),
            seconds_missed=len(missed),
            candle_starts=figures.candle_starts(start, stop),
            candle_starts_missed=sum(second % 60 == 0 for second in missed),
            bars=delta.get("bars", 0),
            trades_received=delta.get("trades_received", 0),
            revisions=delta.get("revisions", 0),
            entries=sum(event.kind == "entry_fill" for event in events),
            exits=sum(event.kind == "exit_fill" for event in events),
            latency_ms=figures.latency([row.latency_ms for row in rows]),
            entry_order_ms=self._order_delays(events, "entry_order"),
            exit_order_ms=self._order_delays(events, "exit_order"),
            rss_mb={child.name: round(child.rss_mb, 1) for child in children},
            rss_mb_per_hour={child.name: figures.memory_growth(child.samples) for child in children},
            cpu_s={child.name: round(child.cpu_s, 2) for child in children},
            cpu_cores={child.name: figures.cpu_share(child.samples) for child in children},
            episode_offset_s=self._episode_offset_s,
            data_dir=str(self._settings.data_dir),
            errors=[],
        )

    def _order_delays(self, events: list[TradeEvent], kind: str) -> figures.Latency | None:
        store = open_store(self._settings)
        try:
            return figures.latency(figures.order_delays(events, store, kind))
        finally:
            store.close()

    def _collector_counts(self) -> dict[str, int]:
        """The collector's own counters, which it writes about once a second."""
        path = self._settings.run_dir / "collector.json"
        if not path.exists():
            return {}
        counts = msgspec.json.decode(path.read_bytes())
        return {name: value for name, value in counts.items() if isinstance(value, int)}

    def _errors(self) -> list[str]:
        return [line for child in self._tree.children for line in child.troubles()]


_SQUEEZEFLOW = (sys.executable, "-m", "squeezeflow_plugin.cli")
# Once an installation, in a process of its own: a bot that compiles keeps the compiler's 360 MB to its end.
_COMPILE = "from squeezeflow_plugin.phases.engine import prepare; prepare()"
