"""Faults of feeds, collector and store beside a trading bot: how soon entries stop, and what goes on.

Measured on real processes, in a market that squeezes every two minutes: seconds from the fault until the bot
says of every pair why it may not be entered, from its end until it says so of none any more, the entry orders
placed in spite of it, and the exits that were decided and placed meanwhile. The second from which the method
has a reason is compared with a replay of the run's own records.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType

import msgspec

from squeezeflow_plugin.jsonfile import read_json
from squeezeflow_plugin.phases.layout import EXIT_NAMES
from squeezeflow_plugin.provider.live import SKEW_SECONDS
from squeezeflow_plugin.provider.replay import run_parity
from squeezeflow_plugin.settings import Endpoint
from squeezeflow_plugin.simulator.profiles import LISTED_ASSETS
from squeezeflow_plugin.store.botstatus import STATUS_FILE, BotStatus
from squeezeflow_plugin.strategy.vetoes import REPEAT_S
from tests.feed_proxy import FeedProxy
from tests.free_ports import free_port
from tests.soak.stage import now_s, pause, wait_for
from tests.soak.trading import PARAMS, SQUEEZE_EVERY_S, TradingStage, wait_for_trade

ASSETS = LISTED_ASSETS[:8]
MIN_HOLD_S = 15
REST = " REST"
HOLE_S = 8.0
PROMPT_S = 2.0
RESUMED_WITHIN_S = 120.0
CLOCK_FORGOTTEN_S = 300.0 + SKEW_SECONDS
"""The collector remembers the smallest lag of five minutes, and the bot that of a minute of records."""
SHOWN_WITHIN_S = REPEAT_S + 15.0
"""A reason that stood a minute ago already is named in the log when that minute is over."""
LOOP_S = 1.0
"""The bot says what holds at the end of its loop, up to a second after nothing could be entered any more."""
LONGEST_SILENCE_S = 70.0
_GIVEN_UP = re.compile(r"no trade for ([0-9.]+) s")


class FaultyStage(TradingStage):
    """A trading stage whose collector reaches the streams and the REST of spot and perpetuals through a proxy
    each, and whose exchanges' clock can be told to jump.
    """

    def __init__(self, folder: Path, seed: int, assets: tuple[str, ...]) -> None:
        super().__init__(folder, seed, assets)
        params = {**PARAMS, "min_hold": MIN_HOLD_S}
        self.settings = replace(self.settings, params=MappingProxyType(params), health_port=free_port())
        self.proxies: dict[str, FeedProxy] = {}

    def market_command(self, state_file: Path) -> tuple[str, ...]:
        store = str(self.settings.store_path)
        known = (str(self.seed), str(state_file), store, str(SQUEEZE_EVERY_S), *self.settings.assets)
        return (str(Path(__file__).with_name("jumping_market.py")), *known)

    def start_market(self) -> None:
        super().start_market()
        names = [f"{name}{what}" for name in self.settings.endpoints for what in ("", REST)]
        self.proxies = {name: FeedProxy(self.market_port) for name in names}
        endpoints = {
            name: Endpoint(self._moved(at.rest, f"{name}{REST}"), self._moved(at.ws, name))
            for name, at in self.settings.endpoints.items()
        }
        self.settings = replace(self.settings, endpoints=MappingProxyType(endpoints))

    def end(self) -> None:
        super().end()
        for proxy in self.proxies.values():
            proxy.close()
        self.proxies.clear()

    def _moved(self, url: str | None, name: str) -> str | None:
        """The address behind that proxy."""
        return url and url.replace(f":{self.market_port}", f":{self.proxies[name].port}")

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send it to a process of the stage."""
        os.kill(self.pid(name), number)

    def limit_writes(self, size: int) -> None:
        """The collector can write to no file beyond that many bytes; -1 lifts the limit."""
        pid = self.pid("collector")
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    def status(self) -> BotStatus | None:
        """What the bot said last; None before its first second."""
        self.check()
        return read_json(self.settings.data_dir / STATUS_FILE, BotStatus)

    def await_vetoes(self, *, stand: bool, within_s: float) -> BotStatus:
        """The first status in which every pair has a reason not to be entered, or none has one any more."""
        found: list[BotStatus] = []

        def is_so() -> bool:
            status = self.status()
            if status is not None and {bool(reason) for reason in status.vetoes.values()} == {stand}:
                found.append(status)
            return bool(found)

        wait_for("no pair may be entered" if stand else "every pair may be entered", is_so, within_s)
        return found[0]

    def silence_limit_s(self, logged: int) -> float:
        """How long a feed was silent when the collector gave it up, by what it logged from there on.

        The settings' limit where it did not: until a feed's pace is known that one holds.
        """
        given_up = _GIVEN_UP.findall(self.logged("collector")[logged:])
        return float(given_up[-1]) if given_up else self.settings.silence_limit_s

    def has_named_a_veto(self, logged: int) -> bool:
        """Whether the bot's log does so behind that place; FreqTrade breaks long lines."""
        return "no entries" in " ".join(self.logged("bot")[logged:].split())

    def shown_veto(self, pair: str) -> str:
        """The reason in the newest candle of FreqTrade's API."""
        name = pair.replace("/", "%2F").replace(":", "%3A")
        found = self.ask(f"pair_candles?pair={name}&timeframe=1m&limit=1")
        return str(dict(zip(found["columns"], found["data"][-1], strict=True))["veto"])

    def page_reasons(self) -> str:
        """What the health page says of the data; empty where all is well or nobody answers."""
        url = f"http://127.0.0.1:{self.settings.health_port}/health/data/1s"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return "; ".join(json.load(refused)["reasons"])
        except OSError:
            return ""
        return ""


@dataclass(frozen=True)
class Fault:
    """What is done and undone, and what is done ``meanwhile``, once it is shown. Entries must have stopped
    within two seconds, of a fault that is ``silent`` within the feed's adaptive limit and one second, and be
    allowed again ``resumed_within_s`` after its end; the health page ``tells`` where the collector lives and
    sees it.
    """

    name: str
    begin: Callable[[FaultyStage], None]
    end: Callable[[FaultyStage], None]
    silent: bool = False
    tells: bool = True
    resumed_within_s: float = RESUMED_WITHIN_S
    meanwhile: Callable[[FaultyStage], None] | None = None


def _cut_for_good(stage: FaultyStage) -> None:
    for name in ("BINANCE", f"BINANCE{REST}"):
        stage.proxies[name].cut()


def _leave_a_hole(stage: FaultyStage) -> None:
    """The stream comes back, what it missed cannot be asked for: then a hole is the reason."""
    pause(HOLE_S)
    stage.proxies["BINANCE"].restore()

    def is_hole() -> bool:
        status = stage.status()
        return status is not None and all(each.startswith("hole_spot") for each in status.vetoes.values())

    wait_for("the hole is the reason", is_hole, RESUMED_WITHIN_S)


def _kill_collector(stage: FaultyStage) -> None:
    stage.kill("collector")


FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("dead store", lambda stage: stage.limit_writes(0), lambda stage: stage.limit_writes(-1)),
        Fault(
            "disconnect",
            lambda stage: stage.proxies["BINANCE"].cut(),
            lambda stage: stage.proxies["BINANCE"].restore(),
        ),
        Fault(
            "silence",
            lambda stage: stage.proxies["BINANCE_FUTURES"].silence(),
            lambda stage: stage.proxies["BINANCE_FUTURES"].restore(),
            silent=True,
        ),
        Fault("dead collector", _kill_collector, lambda stage: stage.start("collector"), tells=False),
        Fault(
            "hole",
            _cut_for_good,
            lambda stage: stage.proxies[f"BINANCE{REST}"].restore(),
            meanwhile=_leave_a_hole,
        ),
        Fault(
            "clock skew",
            lambda stage: stage.signal("market", signal.SIGUSR1),
            lambda stage: stage.signal("market", signal.SIGUSR2),
            tells=False,
            resumed_within_s=CLOCK_FORGOTTEN_S + RESUMED_WITHIN_S,
        ),
    )
}
SHORT = ("disconnect", "dead store", "silence", "dead collector")


@dataclass(frozen=True)
class Met:
    """One fault: seconds from it until every pair had a ``reason``, and from its end until none had.

    ``entries`` orders placed later than ``within_s`` after it, ``exits`` of the method placed while it stood.
    """

    name: str
    veto_s: float
    resumed_s: float
    entries: int
    exits: int
    reason: str
    within_s: float

    @property
    def is_ok(self) -> bool:
        return self.veto_s <= self.within_s + LOOP_S and not self.entries


@dataclass(frozen=True)
class Vetoes:
    """What a run came to; ``differences`` of decisions, their reasons and exits from the replay."""

    schedule: str
    seed: int
    met: Sequence[Met]
    differences: int
    decisions: int
    elapsed_s: float

    @property
    def is_ok(self) -> bool:
        return all(each.is_ok for each in self.met) and not self.differences and self.exits > 0

    @property
    def exits(self) -> int:
        return sum(each.exits for each in self.met)

    @property
    def replay(self) -> str:
        """The command that plays the same schedule again."""
        return f"python -m tests.soak --seed {self.seed} --schedule {self.schedule}"

    def line(self) -> str:
        """One JSON line."""
        body = asdict(self) | {"ok": self.is_ok, "exits": self.exits}
        body["elapsed_s"] = round(self.elapsed_s, 1)
        return msgspec.json.encode(body).decode()


def run_vetoes(name: str, folder: Path, seed: int, *, rounds: int = 3, hold_s: float = 8.0) -> Vetoes:
    """Each fault ``rounds`` times in a random order, the clock's once and last: forgetting takes minutes.

    AssertionError says what did not come to pass.
    """
    began, rng = now_s(), random.Random(seed)
    *often, last = FAULTS.values()
    with FaultyStage(folder, seed, ASSETS) as stage:
        start = stage.decided() + 1
        order = [fault for _ in range(rounds) for fault in rng.sample(often, len(often))]
        met = [play(stage, fault, hold_s) for fault in (*order, last)]
        return judged(stage, name, seed, start, met, began)


def run_short(name: str, folder: Path, seed: int) -> Vetoes:
    """Each fault once, only until it is shown, whether a trade is open or not: the form for the tests."""
    began = now_s()
    with FaultyStage(folder, seed, ASSETS[:3]) as stage:
        start = stage.decided() + 1
        met = [play(stage, fault, 0.0, in_trade=False) for fault in map(FAULTS.__getitem__, SHORT)]
        return judged(stage, name, seed, start, met, began)


def judged(
    stage: FaultyStage, name: str, seed: int, start: int, met: Sequence[Met], began_s: float
) -> Vetoes:
    """Stop the bot, and decide its seconds again."""
    stop = stage.decided() - 2
    stage.stop()
    parity = run_parity(stage.settings, "binance", start, stop)
    return Vetoes(name, seed, met, len(parity.differences), parity.seconds, now_s() - began_s)


def play(stage: FaultyStage, fault: Fault, hold_s: float, *, in_trade: bool = True) -> Met:
    """Do it, for a while and until it is shown, undo it, and wait until entries are allowed again.

    ``in_trade``: when a trade is about to be left.
    """
    stage.await_vetoes(stand=False, within_s=RESUMED_WITHIN_S)
    if in_trade:
        wait_for_trade(stage, MIN_HOLD_S - 5.0, MIN_HOLD_S - 1.0, 300.0)
    logged, heard = (len(stage.logged(name)) for name in ("bot", "collector"))
    began_s = now_s()
    fault.begin(stage)
    status = stage.await_vetoes(stand=True, within_s=LONGEST_SILENCE_S)
    within_s = stage.silence_limit_s(heard) + 1.0 if fault.silent else PROMPT_S
    pair, reason = next(iter(status.vetoes.items()))
    wait_for("the log names the reason", lambda: stage.has_named_a_veto(logged), SHOWN_WITHIN_S)
    wait_for("the API shows the reason", lambda: bool(stage.shown_veto(pair)), SHOWN_WITHIN_S)
    if fault.tells:
        wait_for("the page shows a reason", lambda: bool(stage.page_reasons()), SHOWN_WITHIN_S)
    if fault.meanwhile is not None:
        fault.meanwhile(stage)
    pause(max(began_s + hold_s - now_s(), 0.0))
    ended_s = now_s()
    fault.end(stage)
    resumed_s = stage.await_vetoes(stand=False, within_s=fault.resumed_within_s).at_ns / 1e9
    orders = [(event.kind, event.tag, event.at_ns / 1e9) for event in stage.events()]
    return Met(
        fault.name,
        veto_s=round(status.at_ns / 1e9 - began_s, 3),
        resumed_s=round(resumed_s - ended_s, 3),
        entries=sum(kind == "entry_order" and began_s + within_s < at < ended_s for kind, _, at in orders),
        exits=sum(
            kind == "exit_order" and tag in EXIT_NAMES and status.at_ns / 1e9 < at < resumed_s
            for kind, tag, at in orders
        ),
        reason=reason,
        within_s=within_s,
    )
