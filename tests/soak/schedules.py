"""The schedules: which faults, how often, on which servers. A new one is an entry of ``SCHEDULES``.

The seed decides the order of the faults, when each begins and how long it lasts, and the market.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from squeezeflow_plugin.store.admin import verify_database
from tests.soak import faults
from tests.soak.follower import Follower
from tests.soak.outage import run_outage
from tests.soak.outcome import Outcome
from tests.soak.restarts import Restarts, run_restarts
from tests.soak.stage import Stage, now_s
from tests.soak.vetoes import Vetoes, run_vetoes

Fault = Callable[[Stage, random.Random], None]
DISK_MB = 64


@dataclass(frozen=True)
class Faults:
    """``rounds`` faults, each kind in turn in a new random order, with a recovery after each."""

    kinds: tuple[Fault, ...]
    rounds: int
    assets: int = 3
    redis: bool = False
    influx: bool = False
    disk_mb: int = 0

    def __call__(self, name: str, folder: Path, seed: int, rounds: int | None = None) -> Outcome:
        """Play it in an empty folder. AssertionError says what did not come to pass."""
        began, rng, met = now_s(), random.Random(seed), Counter[str]()
        stage = Stage(
            folder, seed, assets=self.assets, redis=self.redis, influx=self.influx, disk_mb=self.disk_mb
        )
        with stage:
            follower = None
            if stage.redis is not None:
                follower = Follower(stage.settings, stage.redis, stage.last_second())
            for fault in self._order(rng, rounds or self.rounds):
                fault(stage, rng)
                met[fault.__name__] += 1
                stage.recover()
            if follower is not None:
                follower.stop()
            verdict = stage.finish()
            differences = 0
            if stage.proxy is not None:
                stage.proxy.forget()
                differences = verify_database(stage.settings, 0, 2**40).differences
            return Outcome(
                schedule=name,
                seed=seed,
                faults={**met, "kills": stage.kills},
                verdict=verdict,
                influx_differences=differences,
                bus_misread=0 if follower is None else follower.misread(),
                catch_up_s=max(stage.catch_up_s, default=0.0),
                peak_spool_s=stage.peak_spool_s,
                peak_spool_bytes=stage.peak_spool_bytes,
                elapsed_s=now_s() - began,
            )

    def _order(self, rng: random.Random, rounds: int) -> list[Fault]:
        order: list[Fault] = []
        while len(order) < rounds:
            order += rng.sample(self.kinds, len(self.kinds))
        return order[:rounds]


_KILLS = (faults.kill_collector, faults.kill_again_and_again)
_REDIS = (faults.flush_redis, faults.kill_redis, faults.stall_redis, faults.fill_redis)
_INFLUX = (faults.kill_influx, faults.stall_influx, faults.fail_influx, faults.spoil_influx_writes)
_WRITES = (faults.refuse_writes, faults.refuse_writes_and_kill)
_DISK = (faults.fill_disk, faults.start_on_a_readonly_disk)

FAULTS: Mapping[str, Faults] = {
    "kill9": Faults(_KILLS, 18),
    "kill9-load": Faults(_KILLS, 18, assets=10),
    "writes": Faults(_WRITES, 6),
    "disk": Faults(_DISK, 6, disk_mb=DISK_MB),
    "redis": Faults(_REDIS, 8, redis=True),
    "influx": Faults(_INFLUX, 8, influx=True),
    "mixed": Faults((faults.kill_collector, *_REDIS, *_INFLUX, *_WRITES), 12, redis=True, influx=True),
}
SHORT = Faults(
    (faults.kill_collector, faults.refuse_writes, faults.flush_redis, faults.kill_influx),
    4,
    redis=True,
    influx=True,
)
"""One of each, for the tests."""
Schedule = Callable[[Path, int], Outcome | Restarts | Vetoes]
SCHEDULES: Mapping[str, Schedule] = {
    **{name: partial(each, name) for name, each in FAULTS.items()},
    "influx-outage": partial(run_outage, seconds=600),
    "restarts": partial(run_restarts, "restarts"),
    "vetoes": partial(run_vetoes, "vetoes"),
}
