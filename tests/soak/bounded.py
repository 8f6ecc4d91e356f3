"""``python -m tests.soak.bounded``: seeded schedules in simulated time on every core, and one table of them.

``wire`` plays a collector from its sockets to its bus, ``bot`` FreqTrade's worker over a store with holes and
restarts. No schedule begins after ``--minutes``. Exit code 1 where a verdict is not clean, a schedule ended
with an error, or less was played than asked; each such seed is named with the command that plays it again.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Protocol

from tests.soak.stage import now_s
from tests.soak.wire import MARKETS, SHARED_BY, play_wire

BOT_WORLDS = 4
"""So many markets the schedules with the bot share: each seed has the one of its remainder."""


class Judged(Protocol):
    """What a schedule came to. ``counts`` are summed up in the table; ``faults`` says how many of which, and
    ``mix`` how many of which at which exchange.
    """

    @property
    def schedule(self) -> str: ...

    @property
    def faults(self) -> Mapping[str, int]: ...

    @property
    def mix(self) -> Mapping[str, Mapping[str, int]]: ...

    @property
    def is_ok(self) -> bool: ...

    @property
    def replay(self) -> str: ...

    def counts(self) -> Mapping[str, int]: ...

    def line(self) -> str: ...


@dataclass(frozen=True)
class Batch:
    """Outcomes of one turn in a worker; ``cpu_s`` its CPU time."""

    outcomes: tuple[Judged, ...]
    cpu_s: float


def play_wires(seeds: Sequence[int], end_s: float) -> Batch:
    """Wire schedules one after the other; none begins after ``end_s``."""
    return _batch(play_wire, seeds, end_s)


def play_bots(seeds: Sequence[int], end_s: float) -> Batch:
    """Schedules with the bot; FreqTrade is imported by the workers that need it."""
    from tests.soak.trader import play_bot

    return _batch(play_bot, seeds, end_s)


def _batch(play: Callable[[int], Judged], seeds: Sequence[int], end_s: float) -> Batch:
    began_s, outcomes = time.process_time(), []
    gc.disable()  # what a schedule leaves is collected between two of them
    try:
        for seed in seeds:
            if now_s() >= end_s:
                break
            outcomes.append(play(seed))
            gc.collect()
            gc.freeze()  # what is still there, modules and caches, stays: it need not be looked at again
    finally:
        gc.enable()
    return Batch(tuple(outcomes), time.process_time() - began_s)


@dataclass(frozen=True)
class Turn:
    """What a worker was asked to play."""

    schedule: str
    seeds: Sequence[int]


@dataclass
class Sum:
    """All outcomes of one schedule."""

    asked: int
    played: int = 0
    cpu_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    mix: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        self.cpu_s += batch.cpu_s
        for outcome in batch.outcomes:
            self.played += 1
            self.counts.update(outcome.counts())
            self.faults.update(outcome.faults)
            for exchange, kinds in outcome.mix.items():
                self.mix.setdefault(exchange, Counter()).update(kinds)


def main() -> int:
    """Play, say what failed as it fails, and end with the table."""
    options = _options()
    began_s = now_s()
    end_s = began_s + 60 * options.minutes
    sums = {"bot": Sum(options.bot), "wire": Sum(options.wire)}
    failed: list[str] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
        turns: dict[Future[Batch], Turn] = {}
        for turn in _turns(options):
            play = play_bots if turn.schedule == "bot" else play_wires
            turns[pool.submit(play, turn.seeds, end_s)] = turn
        for done in as_completed(turns):
            turn, error = turns[done], done.exception()
            if error is not None:
                failed += [f"{replay(turn.schedule, seed)}  # one of these: {error!r}" for seed in turn.seeds]
                _say(f"{turn.schedule} schedules of the seeds {[*turn.seeds]} ended with {error!r}")
                continue
            sums[turn.schedule].add(done.result())
            for outcome in done.result().outcomes:
                if not outcome.is_ok:
                    failed.append(outcome.replay)
                    _say(outcome.line())
    _say(table(sums))
    _say(mix_table(sums["wire"].mix))
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s, wall_s = sum(each.ru_utime + each.ru_stime for each in used), now_s() - began_s
    _say(f"CPU {cpu_s:,.0f} s, wall {wall_s:,.0f} s" + of_bound(wall_s, 60 * options.minutes))
    missed = unmet(sums, options.trades)
    for line in [f"FAILED, play it again with: {each}" for each in failed] + missed:
        _say(line)
    return 1 if failed or missed else 0


def of_bound(wall_s: float, bound_s: float) -> str:
    """How much of its time the run took; nothing where it was given none.

    >>> of_bound(720.0, 900.0)
    ': 80 % of the 900 s it may take'
    """
    return f": {100 * wall_s / bound_s:.0f} % of the {bound_s:,.0f} s it may take" if bound_s else ""


def _turns(options: argparse.Namespace) -> list[Turn]:
    """The longest first, so that all workers end together; seeds that share a market beside one another."""
    bots = sorted(range(options.seed, options.seed + options.bot), key=lambda seed: (seed % BOT_WORLDS, seed))
    first, last = options.seed, options.seed + options.wire
    blocks = sorted({seed // SHARED_BY for seed in range(first, last)}, key=lambda n: (n % MARKETS, n))
    wires = [range(max(first, n * SHARED_BY), min(last, (n + 1) * SHARED_BY)) for n in blocks]
    return [*(Turn("bot", (seed,)) for seed in bots), *(Turn("wire", seeds) for seeds in wires)]


def replay(schedule: str, seed: int) -> str:
    """The command that plays a schedule again."""
    return f"python -m tests.soak --seed {seed} --schedule {schedule}"


def unmet(sums: Mapping[str, Sum], trades: int) -> list[str]:
    """What was asked and not reached, one line each."""
    missed = [
        f"NOT REACHED: {each.played:,} of {each.asked:,} {name} schedules were played in time"
        for name, each in sums.items()
        if each.played < each.asked
    ]
    if (made := sums["wire"].counts["trades"]) < trades:
        missed.append(f"NOT REACHED: {made:,} of {trades:,} trades were judged")
    return missed


def table(sums: Mapping[str, Sum]) -> str:
    """One column a schedule: what was played, what was found, what was inflicted."""
    names = [name for name, each in sums.items() if each.asked]
    rows = [["", *names], ["schedules", *(str(sums[name].played) for name in names)]]
    if any(sums[name].played < sums[name].asked for name in names):
        rows.append(["not played in time", *(str(sums[name].asked - sums[name].played) for name in names)])
    for part in ("counts", "faults"):
        for what in dict.fromkeys(what for name in names for what in getattr(sums[name], part)):
            found = [getattr(sums[name], part) for name in names]
            rows.append([what, *(f"{each[what]:,}" if what in each else "-" for each in found)])
    rows.append(["CPU s", *(f"{sums[name].cpu_s:,.0f}" for name in names)])
    return _aligned(rows)


def mix_table(mix: Mapping[str, Mapping[str, int]]) -> str:
    """One row an exchange: in how many schedules it was, and how often each fault of the wire was played
    there. Ids can be missing only where they are a sequence.
    """
    kinds = list(dict.fromkeys(kind for exchange in sorted(mix) for kind in mix[exchange]))
    rows = [["", *kinds]]
    rows += [[name, *(f"{mix[name].get(kind, 0):,}" for kind in kinds)] for name in sorted(mix)]
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        row[0].ljust(widths[0])
        + "".join("  " + cell.rjust(n) for cell, n in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.bounded", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--wire", type=int, default=2000, help="schedules without the bot (default 2000)")
    parser.add_argument("--bot", type=int, default=50, help="schedules with the bot (default 50)")
    parser.add_argument("--trades", type=int, default=0, help="trades to be judged at least (default 0)")
    parser.add_argument("--minutes", type=float, default=15, help="begin none after so long (default 15)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
