"""A trading system to be killed part by part: simulated exchanges, Redis, collector, ``freqtrade trade``."""

from __future__ import annotations

import base64
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import msgspec

from squeezeflow_plugin.phases.tags import parse_tag
from squeezeflow_plugin.settings import Endpoint, process_environ, to_environ
from squeezeflow_plugin.store.decisions import DecisionLog, TradeEvent
from squeezeflow_plugin.up.app import Simulated
from squeezeflow_plugin.up.overlay import bot_overlay, credentials, traded_pairs, write_private
from tests.free_ports import free_port
from tests.redis_server import RedisServer
from tests.soak.stage import now_s, wait_for

ROOT = Path(__file__).parents[2]
SQUEEZE_EVERY_S = 120
PARAMS: Mapping[str, Any] = {
    "div_threshold": 0.3, "min_score": 3.0, "explosion_threshold": 1.0, "exit_threshold": 0.3,
    "rearm": 20, "reset_ttl": 20,
}  # fmt: skip  # one table
"""With these the small squeezes that come so often are entered, and most are left when min_hold is over."""
UNPROTECTED = """\
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy


class SqueezeFlow(SqueezeFlowStrategy):
    protections = []
"""
"""Trades that come so often lose their costs: the protection against a drawdown would end the run."""
_CLI = ("-m", "squeezeflow_plugin.cli")


class TradingStage:
    """One run in ``folder``. A context: leaving it ends every process, whatever happened."""

    def __init__(self, folder: Path, seed: int, assets: tuple[str, ...], *, futures: bool = True) -> None:
        self.folder = folder
        self.redis = RedisServer(folder / "redis")
        served = self.redis.settings
        self.settings = replace(
            served,
            assets=assets,
            max_symbols=len(assets),
            data_dir=folder / "data",
            params=PARAMS,
            api_port=0,
            health_port=0,
        )
        self.kills: Counter[str] = Counter()
        self.seed = seed
        self._futures = futures
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.market_port = 0
        self._api_port = free_port()
        self._login = credentials(folder / "credentials.json")
        self._log = DecisionLog(self.settings.decisions_path, readonly=True)

    def __enter__(self) -> Self:
        try:
            self.settings.run_dir.mkdir(parents=True)
            shutil.copytree(
                ROOT / "user_data", self.folder / "user_data", ignore=shutil.ignore_patterns("squeezeflow")
            )
            strategy = self.folder / "user_data" / "strategies" / "SqueezeFlow.py"
            strategy.write_text(UNPROTECTED, encoding="utf-8")
            self.redis.start()
            self.start_market()
            self.start_collector()
            self.start_bot()
            wait_for("every pair is ready", self._is_ready, 300.0)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()

    def stop_entries(self) -> None:
        """Tell FreqTrade to enter nothing more; exits go on."""
        self.ask("stopentry", "POST")

    def ask(self, path: str, method: str = "GET") -> Any:
        """FreqTrade's REST API."""
        login = f"{self._login.username}:{self._login.password}".encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._api_port}/api/v1/{path}",
            method=method,
            headers={"Authorization": f"Basic {base64.b64encode(login).decode()}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return msgspec.json.decode(answer.read())

    def logged(self, name: str) -> str:
        """What a process has logged so far, its earlier lives included."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def pid(self, name: str) -> int:
        """A process of the stage."""
        return self._processes[name].pid

    def start_collector(self) -> None:
        self._run("collector", *_CLI, "collect")

    def start_bot(self) -> None:
        userdir = self.folder / "user_data"
        name = "config.futures.json" if self._futures else "config.json"
        self._run(
            "bot", "-m", "freqtrade", "trade", "--userdir", str(userdir), "--config", str(userdir / name),
            "--config", str(self.settings.run_dir / "freqtrade.json"), "--strategy", "SqueezeFlow",
        )  # fmt: skip  # one command

    def kill(self, name: str) -> None:
        """kill -9."""
        self.kills[name] += 1
        if name == "redis":
            self.redis.kill()
            return
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def start(self, name: str) -> None:
        """Start what was killed."""
        starts: dict[str, Callable[[], None]] = {
            "redis": self.redis.start, "collector": self.start_collector, "bot": self.start_bot
        }  # fmt: skip  # one line
        starts[name]()

    def recover(self) -> None:
        """Wait until the bot decides seconds that end after now, one after the other."""
        since = int(now_s())
        wait_for("the bot decides again", lambda: self.decided() > since + 2, 120.0)

    def decided(self) -> int:
        """The newest second that was decided for every pair; 0 before the first."""
        self.check()
        return min((row.second for row in self._log.newest()), default=0)

    def events(self) -> tuple[TradeEvent, ...]:
        return self._log.events()

    def open_since(self) -> list[int]:
        """The decision seconds of the trades that are open now, by the log."""
        found: dict[int, int] = {}
        for event in self.events():
            if event.kind == "entry_fill":
                found[event.trade_id] = event.decision_second
            elif event.kind == "exit_fill":
                found.pop(event.trade_id, None)
        return list(found.values())

    def trades(self) -> list[tuple[str, int, str | None]]:
        """FreqTrade's own database: pair, event second, and exit reason of each trade."""
        with sqlite3.connect(self.settings.run_dir / "trades.sqlite") as database:
            rows = database.execute("SELECT pair, enter_tag, exit_reason FROM trades").fetchall()
        database.close()
        tagged = ((pair, parse_tag(tag), reason) for pair, tag, reason in rows)
        return [(pair, tag.second if tag else 0, reason) for pair, tag, reason in tagged]

    def check(self) -> None:
        """AssertionError where a process has ended by itself."""
        for name, process in self._processes.items():
            assert process.poll() is None, f"{name} ended by itself; see {name}.log"

    def end(self) -> None:
        """Leave no process behind."""
        for process in reversed(self._processes.values()):
            process.kill()
            process.wait()
        self._processes.clear()
        self.redis.kill()
        self._log.close()

    def stop(self) -> None:
        """Stop the bot in order, so that its database is at rest, and then the rest.

        It is told twice, as by a user: FreqTrade makes an exception of the signal, and Python drops one that
        is raised while an object is finalized. AssertionError shows where a bot stands that runs on.
        """
        self.check()
        if not any(self._ends_when_told("bot") for _ in range(2)):
            self._processes["bot"].send_signal(signal.SIGABRT)
            self._processes["bot"].wait(10)
            raise AssertionError(f"the bot was told to stop and did not:\n{self.logged('bot')[-8000:]}")
        self._processes.pop("bot")
        self.end()

    def _ends_when_told(self, name: str) -> bool:
        self._processes[name].terminate()
        try:
            self._processes[name].wait(60)
        except subprocess.TimeoutExpired:
            return False
        return True

    def market_command(self, state_file: Path) -> tuple[str, ...]:
        """What the interpreter is told to run as the exchanges."""
        return (
            *_CLI, "simulate", "--seed", str(self.seed), "--state-file", str(state_file),
            "--store", str(self.settings.store_path), "--squeeze-every", str(SQUEEZE_EVERY_S),
        )  # fmt: skip  # one command

    def start_market(self) -> None:
        state_file = self.settings.run_dir / "simulator.json"
        self._run("market", *self.market_command(state_file))
        wait_for("the market serves", state_file.exists, 180.0)
        state = msgspec.json.decode(state_file.read_bytes(), type=Simulated)
        self.market_port = state.port
        endpoints: dict[str, Endpoint] = state.endpoints
        self.settings = replace(self.settings, endpoints=endpoints, first_second=state.first_second)
        exchange = state.bot_exchange["futures" if self._futures else "spot"]
        exchange["pair_whitelist"] = traded_pairs(self.settings.assets, futures=self._futures)
        overlay = bot_overlay(self.settings.run_dir, self._login, self._api_port, exchange)
        overlay["max_open_trades"] = len(self.settings.assets)
        write_private(self.settings.run_dir / "freqtrade.json", msgspec.json.encode(overlay))

    def _is_ready(self) -> bool:
        self.check()
        rows = self._log.newest()
        return len(rows) == len(self.settings.assets) and all(row.value("ready") for row in rows)

    def _run(self, name: str, *command: str) -> None:
        environ = {**process_environ(), **to_environ(self.settings), "PYTHONFAULTHANDLER": "1"}
        with (self.folder / f"{name}.log").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *command], env=environ, stdout=out, stderr=out, cwd=self.folder
            )


def wait_for_trade(stage: TradingStage, least_s: float, most_s: float, within_s: float) -> None:
    """Return once a trade is open whose decision second is that long ago."""

    def found() -> bool:
        stage.check()
        return any(least_s <= now_s() - second <= most_s for second in stage.open_since())

    wait_for("a trade is open", found, within_s)
