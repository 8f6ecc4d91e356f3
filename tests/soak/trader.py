"""FreqTrade's worker on a stepped clock over a store with holes, silences and late revisions, and restarts.

The market is the simulator's, with a squeeze every two minutes; its closing records are troubled by a seeded
script before the bot sees them (``records``), and the bot itself is ended and started again while it holds
trades. The judges are the product's own replays: of the store as it was known at each second, whose decisions
and exits must be the same to the bit, and a backtest of the final view, whose trades must be the same but for
what a named revision, or a second that nobody decided, explains. No entry may come of a vetoed second.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import msgspec
import pytest
import time_machine

from squeezeflow_plugin.backtest.parity import run_trade_parity
from squeezeflow_plugin.backtest.stepper import Rules
from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.provider.final_parity import run_final_parity
from squeezeflow_plugin.provider.replay import run_parity
from squeezeflow_plugin.settings import Settings, load
from squeezeflow_plugin.simulator.profiles import asset_profiles
from squeezeflow_plugin.simulator.run import SimulatorOptions, write_hours
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from squeezeflow_plugin.strategy.bot import SqueezeFlowStrategy
from tests.integration.live_stage import (
    AFTER_S,
    Book,
    MarketClock,
    SteppedWorker,
    live_configuration,
)
from tests.integration.offline_stage import markets_only
from tests.integration.seconds_stage import END, Stage, set_stage
from tests.soak.bounded import BOT_WORLDS
from tests.soak.records import troubled
from tests.soak.trading import PARAMS, UNPROTECTED

ASSETS = ("BTC", "ETH", "SOL")
HOURS = 2.4
LIVED_S = 150
SQUEEZE_EVERY_S = 120
STOP = END - AFTER_S
START = STOP - LIVED_S
METHOD = {**PARAMS, "min_hold": 15, "min_score": 2.0, "exit_threshold": 0.05}
RESTARTS = (1, 2)
_HALF_SECOND_NS = NS_PER_SECOND // 2
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a random name is made in it


@dataclass(frozen=True)
class BotOutcome:
    """What a schedule came to. ``decisions`` compared as known; ``wrong`` decisions, entries and exits that
    are other than the replays' and that nothing explains; ``vetoed`` entries of a second that forbade them.
    """

    seed: int
    faults: Mapping[str, int] = field(default_factory=dict)
    decisions: int = 0
    entries: int = 0
    exits: int = 0
    wrong: int = 0
    vetoed: int = 0
    worst: tuple[str, ...] = ()
    schedule: str = "bot"
    mix: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        return self.decisions > 0 and not self.wrong and not self.vetoed

    @property
    def replay(self) -> str:
        """The command that plays the same schedule again."""
        return f"python -m tests.soak --seed {self.seed} --schedule bot"

    def counts(self) -> Mapping[str, int]:
        """What is summed up over many schedules."""
        return {
            "decisions": self.decisions,
            "entries": self.entries,
            "exits": self.exits,
            "wrong decisions": self.wrong,
            "vetoed entries": self.vetoed,
        }

    def line(self) -> str:
        """One JSON line."""
        return msgspec.json.encode(asdict(self) | {"faults": dict(self.faults), "ok": self.is_ok}).decode()


@dataclass(frozen=True)
class World:
    """A market in a store, a store that ends where the bot begins, and the records from there on."""

    folder: tempfile.TemporaryDirectory[str]
    records: tuple[ClosingRecord, ...]

    @property
    def store(self) -> Path:
        return Path(self.folder.name) / "store.sqlite"

    @property
    def begun(self) -> Path:
        return Path(self.folder.name) / "begun.sqlite"


@functools.lru_cache(maxsize=1)
def _world(seed: int) -> World:
    folder = tempfile.TemporaryDirectory(prefix="soak-world-", dir=_shared())
    world = World(folder, ())
    options = SimulatorOptions(
        seed=seed, assets=ASSETS, hours=HOURS, store=world.store, squeeze_every_s=SQUEEZE_EVERY_S
    )
    write_hours(options, SteppedClock(END * NS_PER_SECOND))
    store, begun = EmbeddedBarStore(world.store, readonly=True), EmbeddedBarStore(world.begun)
    with contextlib.closing(store), contextlib.closing(begun):
        begun.put_instruments(store.instruments())
        begun.append(store.records(0, START))
        return replace(world, records=tuple(store.records(START, END)))


def play_bot(seed: int) -> BotOutcome:
    """One schedule from its beginning to its verdict."""
    world = _world(seed % BOT_WORLDS)
    rng = random.Random(f"bot {seed}")
    with tempfile.TemporaryDirectory(prefix="soak-bot-", dir=_shared()) as name, _quiet():
        folder = Path(name)
        stage = set_stage(folder, world.store, ASSETS, bool(seed % 2), {}, METHOD)
        (stage.userdir / "strategies" / "SqueezeFlow.py").write_text(UNPROTECTED)
        try:
            faults, settings = _live(stage, folder, world, rng)
            return _judged(seed, stage, settings, faults)
        finally:
            stage.store.close()


def _live(stage: Stage, folder: Path, world: World, rng: random.Random) -> tuple[Counter[str], Settings]:
    """Live through the seconds; what was inflicted, and the settings of what is left behind."""
    settings = load({"data_dir": str(folder / "live"), "params": dict(METHOD)}, {})
    settings.data_dir.mkdir()
    shutil.copyfile(world.begun, settings.store_path)
    records, faults = troubled(world.records, START + 5, STOP - 20, rng)
    book = Book(stage.store, asset_profiles(ASSETS), (START - 600, END))
    now_ns = START * NS_PER_SECOND + _HALF_SECOND_NS
    live = EmbeddedBarStore(settings.store_path)
    with (
        time_machine.travel(now_ns / NS_PER_SECOND, tick=False) as wall,
        markets_only(ASSETS, book.answers()) as port,
        pytest.MonkeyPatch.context() as patch,
        contextlib.closing(live),
    ):
        clock = book.clock = MarketClock(now_ns, live, records, wall)
        patch.setattr(SqueezeFlowStrategy, "make_clock", lambda _: clock)
        ends = sorted(rng.sample(range(START + 30, STOP - 30), rng.choice(RESTARTS)))
        for end in (*ends, STOP - 1):
            configuration = live_configuration(stage, folder, port, METHOD)
            configuration["exchange"]["ccxt_async_config"] = {"timeout_on_exit": 0}  # ms; it is for TLS
            worker = SteppedWorker(configuration, clock)
            try:
                worker.run_until(end)
            finally:
                worker.freqtrade.cleanup()
            if end in ends:
                faults["bot restarted"] += 1
                clock.sleep_until(clock.now_ns() + int(rng.uniform(0.5, 12.0) * NS_PER_SECOND))
    return faults, settings


def _judged(seed: int, stage: Stage, settings: Settings, faults: Mapping[str, int]) -> BotOutcome:
    known = run_parity(settings, "binance", START, STOP)
    final = run_final_parity(settings, "binance", START, STOP)
    config = stage.config()
    trades = run_trade_parity(settings, config, final, START, STOP, Rules(noise=False))
    vetoed = _vetoed(settings)
    wrong = [*known.differences, *final.unexplained, *trades.unexplained]
    return BotOutcome(
        seed,
        dict(faults),
        decisions=known.seconds,
        entries=trades.entries,
        exits=known.exits,
        wrong=len(wrong),
        vetoed=len(vetoed),
        worst=tuple(map(str, [*wrong[:3], *vetoed[:3]])),
    )


def _vetoed(settings: Settings) -> list[str]:
    """Entry orders whose second did not allow them."""
    log = DecisionLog(settings.decisions_path, readonly=True)
    found = []
    with contextlib.closing(log):
        for event in log.events():
            if event.kind == "entry_order":
                (row,) = log.read(event.second, event.second + 1, [event.pair])
                if row.veto or not row.value("tradable"):
                    found.append(f"{event.pair} entered at {event.second} in spite of: {row.veto}")
    return found


def _shared() -> Path | None:
    return _MEMORY if _MEMORY.is_dir() else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """FreqTrade, its loggers and its progress bars say much; here only what they order counts."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number, _ in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)
