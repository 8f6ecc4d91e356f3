"""Whatever a collector is killed by and however often: a second that lacks trades is called a hole.

A small world in its own time: four markets - of two the ids are a sequence, of two they are not, and one of
each trades late for the first time - a connection that breaks, a clock that jumps ahead, kills that take the
newest records with them, and an exchange that may or may not be asked for past trades. Journal, intake and
closer are the real ones.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.bars.closing import Closer
from squeezeflow_plugin.collector.intake import Intake
from squeezeflow_plugin.collector.stats import Tally
from squeezeflow_plugin.feeds.recovery import Continuity, Gap, Recovered
from squeezeflow_plugin.journal.journal import TradeJournal
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord, Trade

START = 1_767_225_600
COUNTED, TIMED, LATE_COUNTED, LATE_TIMED = "X:counted", "X:timed", "X:late counted", "X:late timed"
CONTINUITY = {
    name: Continuity(name in {COUNTED, LATE_COUNTED}) for name in (COUNTED, TIMED, LATE_COUNTED, LATE_TIMED)
}
STEP_S = 0.1
FIRST_S = 8
TROUBLE_S = 30
"""Then everything works, up to the end."""
END_S = 62
JUDGED_S = TROUBLE_S + 8
LAG_S = 0.05
HORIZON_S = 600


@dataclass(frozen=True)
class Plan:
    """``lives`` end: how long they last, for how long the stream was silent by then, how many of the newest
    records go with them, and how long nobody lives; ``cuts`` of the connection: when, for how long, after how
    long a silence; ``jump``: when the clock goes ahead and how far; all in seconds."""

    seed: int
    lives: tuple[tuple[float, float, int, float], ...]
    cuts: tuple[tuple[float, float, float], ...]
    jump: tuple[float, float]
    is_served: bool

    def kills(self) -> Iterator[tuple[float, float, float, int]]:
        """When, for how long, after how long a silence, and how many records go."""
        at_s = float(FIRST_S)
        for lasts_s, silent_s, unstored, dead_s in self.lives:
            at_s += lasts_s
            yield at_s, dead_s, silent_s, unstored
            at_s += dead_s


def lengths(longest: float) -> st.SearchStrategy[float]:
    return st.floats(0.2, longest).map(lambda value: round(value, 1))


moments = st.floats(FIRST_S, TROUBLE_S - 8).map(lambda value: round(value, 1))
silences = st.one_of(st.just(0.0), lengths(8))
plans = st.builds(
    Plan,
    st.integers(0, 10_000),
    st.lists(st.tuples(lengths(4), silences, st.integers(0, 5) | st.just(0), lengths(4)), max_size=3).map(
        tuple
    ),
    st.lists(st.tuples(moments, lengths(6), silences), max_size=3).map(tuple),
    st.tuples(moments, st.sampled_from((0.0, 1.5, 4.0))),
    st.booleans(),
)


class World:
    """See the module's text. ``now_s`` is the exchange's time, after START."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.now_s = 0.0
        self.stored: list[ClosingRecord] = []
        self.truth = sorted(
            (each for name in CONTINUITY for each in traded(name, plan.seed)),
            key=lambda each: each.exchange_ns,
        )
        self._sent = 0
        self._plan = plan
        self._folder = folder
        self._kills = tuple(plan.kills())
        self._ahead_ns = 0
        self._records: list[ClosingRecord] = []
        self._closer: Closer | None = None
        self._is_up = False

    def run(self) -> None:
        for step in range(round(END_S / STEP_S)):
            self.now_s = step * STEP_S
            if self.now_s >= self._plan.jump[0]:
                self._ahead_ns = ns(self._plan.jump[1]) - ns(0)
            dead = [kill for kill in self._kills if kill[0] <= self.now_s < kill[0] + kill[1]]
            if dead and self._closer is not None:
                self._die(max(kill[-1] for kill in dead))
            elif not dead:
                if self._closer is None:
                    self._live()
                self._step()
            self._take_sent()
        self._die(0)

    def counts(self) -> Counter[tuple[str, int]]:
        """Trades by market and second, as the records have them in the end."""
        known: dict[tuple[str, int], int] = {}
        for record in self.stored:
            known |= {(b.market, b.second): b.cbuy + b.csell for b in (*record.bars, *record.revisions)}
        return Counter(known)

    def covered(self) -> set[tuple[str, int]]:
        known: set[tuple[str, int]] = set()
        for record in self.stored:
            for each in record.repaired:
                seconds = {(each.market, second) for second in range(each.start, each.stop)}
                known = known | seconds if each.complete else known - seconds
            known |= {(market, record.second) for market in record.covered}
        return known

    def _local_ns(self) -> int:
        return ns(self.now_s) + self._ahead_ns

    def _live(self) -> None:
        now_ns = self._local_ns()
        self._journal = TradeJournal(self._folder)
        closer = Closer("main", CONTINUITY, started_ns=now_ns, horizon_s=HORIZON_S, continuity=CONTINUITY)
        if self.stored:
            last = self.stored[-1].second
            closer.resume(self.stored, *self._journal.split(last - HORIZON_S + 1, last))
        self._closer = closer
        self._intake = Intake(closer, self._journal, Tally())
        self._is_up = False

    def _die(self, unstored: int) -> None:
        kept = max(len(self._records) - unstored, 0)
        self.stored += self._records[:kept]
        self._records = []
        self._closer = None
        self._journal.close()

    def _step(self) -> None:
        now_ns = self._local_ns()
        is_up = not any(at <= self.now_s < at + length for at, length, _ in self._plan.cuts)
        if is_up and not self._is_up:
            self._intake.live(tuple(CONTINUITY), now_ns)
        elif self._is_up and not is_up:
            self._intake.down(tuple(CONTINUITY), now_ns, "cut")
        sent = self._take_sent()
        ends = [(at, silent_s) for at, _, silent_s, *_ in (*self._kills, *self._plan.cuts)]
        is_silent = any(at - silent_s <= self.now_s < at for at, silent_s in ends)
        if sent and is_up and self._is_up and not is_silent:
            self._intake.trades([msgspec.structs.replace(each, received_ns=now_ns) for each in sent])
        self._is_up = is_up
        self._close(now_ns)
        for gap in self._intake.due("X", now_ns):
            self._ask(gap, now_ns)

    def _take_sent(self) -> list[Trade]:
        """What the exchange has sent since the last call."""
        first, until_ns = self._sent, ns(self.now_s - LAG_S)
        while self._sent < len(self.truth) and self.truth[self._sent].exchange_ns < until_ns:
            self._sent += 1
        return self.truth[first : self._sent]

    def _close(self, now_ns: int) -> None:
        assert self._closer is not None
        while now_ns >= self._closer.due_local_ns():
            record = self._closer.close(now_ns)
            self._intake.closed(record.second, now_ns)
            self._records.append(record)

    def _ask(self, gap: Gap, now_ns: int) -> None:
        if not self._plan.is_served:
            self._intake.give_up(gap, "nobody answers")
            return
        past = [
            each for each in self.truth if each.market == gap.market and each.exchange_ns < ns(self.now_s)
        ]
        self._intake.recovered(gap, Recovered(tuple(past), complete=True), now_ns)
        self._intake.answered(gap, True, now_ns)


def ns(at_s: float) -> int:
    return START * NS_PER_SECOND + round(at_s * NS_PER_SECOND)


def traded(market: str, seed: int) -> list[Trade]:
    """Bursts and pauses, after some trades that let the collector begin, or after a long silence."""
    rng = random.Random(f"{market} {seed}")
    is_late = market in {LATE_COUNTED, LATE_TIMED}
    at_s = rng.uniform(1.0, TROUBLE_S) if is_late else 0.01
    made: list[Trade] = []
    while at_s < END_S:
        made.append(Trade(market, ns(at_s), str(len(made) + 1), 1.0, 1.0, 1.0, 1))
        is_steady = len(made) <= 9 and not is_late
        at_s += 0.1 if is_steady else rng.expovariate(rng.choice((0.4, 5.0, 20.0))) + 0.001
    return made


@given(plans)
@example(Plan(365, ((3.7, 6.2, 0, 2.1), (2.4, 0.0, 0, 3.1)), (), (8.2, 4.0), is_served=False))
@example(Plan(0, ((1.0, 0.0, 0, 1.0),), (), (8.0, 0.0), is_served=True))
@example(Plan(208, ((1.0, 0.0, 0, 1.0),), (), (8.0, 0.0), is_served=True))
@settings(max_examples=60, deadline=None)
def test_a_second_that_lacks_trades_is_a_hole_until_it_is_repaired(plan: Plan) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(plan, Path(folder))
        world.run()
    steps = {after.second - before.second for before, after in pairwise(world.stored)}
    assert steps == {1}
    judged = range(world.stored[0].second + 2, START + JUDGED_S)
    assert world.stored[-1].second in range(judged[-1], START + END_S + 5)
    truth = Counter((each.market, each.exchange_ns // NS_PER_SECOND) for each in world.truth)
    found, covered = world.counts(), world.covered()
    for key in ((market, second) for market in CONTINUITY for second in judged):
        assert found[key] == truth[key] or key not in covered, (key, found[key], truth[key])
        if plan.is_served:
            assert found[key] == truth[key], (key, found[key], truth[key])
            assert key in covered, key
