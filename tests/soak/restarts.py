"""kill -9 of bot, collector and Redis in mid-trade, and whether the exits come as without.

What should have happened is told by an offline replay of the run's own records: which second each open
trade's exit holds at first. An exit whose second fell into a downtime must come in the first second after.

The market squeezes every two minutes and the method's thresholds are lowered to it, so that a trade is nearly
always open, and most are left when ``min_hold`` is over. The bot is killed shortly before that.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.phases.layout import EXIT_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.desk import Watched, spec_of
from squeezeflow_plugin.provider.replay import Difference, Replay, open_recorded, run_parity
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.simulator.profiles import LISTED_ASSETS
from squeezeflow_plugin.store.decisions import DecisionLog, TradeEvent
from tests.soak.stage import now_s, pause
from tests.soak.trading import PARAMS, TradingStage, wait_for_trade

ASSETS = LISTED_ASSETS[:10]
KINDS = ("bot", "collector", "redis")
MIN_HOLD_S = float(Params.from_mapping(PARAMS).min_hold)
LEFT_WITHIN_S = 180.0
PROMPT_S = 5.0
"""An exit order follows the decision that it could follow first within this time: what was pending after a
downtime is decided first, second by second, and the machine may be busy.
"""


@dataclass(frozen=True)
class Restarts:
    """What a run came to. ``exits`` compared with the replay, ``missed_exits`` of trades that are still open
    although it has one for them; ``late_s`` the longest wait from the first decision that knew of an exit to
    its order; ``downtime_exits`` those whose second nobody decided live.
    """

    schedule: str
    seed: int
    kills: Mapping[str, int] = field(default_factory=dict)
    trades: int = 0
    duplicate_entries: int = 0
    exits: int = 0
    missed_exits: int = 0
    downtime_exits: int = 0
    late_s: float = 0.0
    decisions: int = 0
    differences: Sequence[Difference] = ()
    elapsed_s: float = 0.0
    failure: str = ""

    @property
    def is_ok(self) -> bool:
        held = self.exits > 0 and not (self.differences or self.missed_exits or self.duplicate_entries)
        return not self.failure and held and self.late_s <= PROMPT_S

    @property
    def replay(self) -> str:
        """The command that plays the same schedule again."""
        return f"python -m tests.soak --seed {self.seed} --schedule {self.schedule}"

    def line(self) -> str:
        """One JSON line."""
        body = asdict(self) | {"kills": dict(self.kills), "ok": self.is_ok}
        body |= {"differences": [str(each) for each in self.differences[:5]]}
        body |= {"late_s": round(self.late_s, 3), "elapsed_s": round(self.elapsed_s, 1)}
        return msgspec.json.encode(body).decode()


def run_restarts(
    name: str, folder: Path, seed: int, *, rounds: int = 10, assets: tuple[str, ...] = ASSETS
) -> Restarts:
    """Kill each part ``rounds`` times while a trade is open. AssertionError says what did not happen."""
    began, rng = now_s(), random.Random(seed)
    with TradingStage(folder, seed, assets) as stage:
        start = stage.decided() + 1
        starts_ns: list[int] = []
        order = [kind for _ in range(rounds) for kind in rng.sample(KINDS, len(KINDS))]
        for kind in order:
            if kind == "bot":
                wait_for_trade(stage, MIN_HOLD_S - 6.0, MIN_HOLD_S - 1.0, 1800.0)
            else:
                wait_for_trade(stage, 3.0, 3600.0, 1800.0)
                pause(rng.uniform(0, 5.0))
            stage.kill(kind)
            pause(rng.choice((0.0, rng.uniform(0, 8.0))))
            if kind == "bot":
                starts_ns.append(int(now_s() * NS_PER_SECOND))
            stage.start(kind)
            stage.recover()
        stage.stop_entries()
        end = now_s() + LEFT_WITHIN_S
        while stage.open_since() and now_s() < end:
            pause(1.0)
        stop = stage.decided() - 2
        stage.stop()
        return _judged(stage, name, seed, (start, stop), starts_ns, now_s() - began)


def _judged(
    stage: TradingStage,
    name: str,
    seed: int,
    span: tuple[int, int],
    starts_ns: Sequence[int],
    elapsed_s: float,
) -> Restarts:
    start, stop = span
    parity = run_parity(stage.settings, "binance", start, stop)
    log = DecisionLog(stage.settings.decisions_path, readonly=True)
    exits = [event for event in log.events() if event.kind == "exit_order" and event.tag in EXIT_NAMES]
    waits = [_wait(log, event, starts_ns) for event in exits]
    log.close()
    entered = Counter((pair, second) for pair, second, _ in stage.trades())
    return Restarts(
        schedule=name,
        seed=seed,
        kills=dict(stage.kills),
        trades=sum(entered.values()),
        duplicate_entries=sum(count - 1 for count in entered.values()),
        exits=parity.exits,
        missed_exits=_missed(stage.settings, start, stop),
        downtime_exits=sum(not live for _, live in waits),
        late_s=max((late_s for late_s, _ in waits), default=0.0),
        decisions=parity.seconds,
        differences=parity.differences,
        elapsed_s=elapsed_s,
    )


def _missed(settings: Settings, start: int, stop: int) -> int:
    """How many of the trades that were never left should have been before ``stop``."""
    with open_recorded(settings, "binance", start, stop) as found:
        events = found.log.events()
        left = {event.trade_id for event in events if event.kind == "exit_order"}
        held = [event for event in events if event.kind == "entry_fill" and event.trade_id not in left]
        trades = [Watched(each.pair, each.trade_id, each.decision_second, each.direction) for each in held]
        replay = Replay(found.store, found.pairs, spec_of(settings), found.start, trades)
        for _ in replay.run(found.stop):
            pass
        return len(replay.exits())


def _wait(log: DecisionLog, event: TradeEvent, starts_ns: Sequence[int]) -> tuple[float, bool]:
    """Seconds from the first decision at or after the exit's second to the order; whether that second's own
    was it. A bot that was killed between the two orders after its next start, so that one's decisions count.
    """
    begun_ns = max((each for each in starts_ns if each < event.at_ns), default=0)
    rows = log.read(event.second, event.second + 600, [event.pair])
    first = next(row for row in rows if row.decided_ns >= begun_ns)
    return (event.at_ns - first.decided_ns) / NS_PER_SECOND, first.second == event.second
