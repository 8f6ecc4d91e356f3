"""What runs, in one look: the collector's health pages, the bot's newest decisions, the processes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from squeezeflow_plugin.checks.pages import Pages
from squeezeflow_plugin.checks.performance import programs
from squeezeflow_plugin.checks.planning import Load, assumed_load, measured_load
from squeezeflow_plugin.errors import ProcessError, StoreError
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.embedded import EmbeddedBarStore


class PairStanding(msgspec.Struct, frozen=True):
    """A pair's newest decision; ``veto`` is why it may not be entered now, empty where it may."""

    pair: str
    second: int
    latency_ms: float
    score: float | None
    veto: str


class Standing(msgspec.Struct, frozen=True):
    """``running`` whether the collector answers; ``reasons`` why the system is not well, empty where it is.

    ``second`` is the newest stored second (None: none yet), ``age_s`` how long ago it ended; ``markets`` and
    ``covered`` count the feeds. ``memory_bytes`` is by program on this machine.
    """

    running: bool
    reasons: tuple[str, ...]
    second: int | None
    age_s: float | None
    markets: int
    covered: int
    trades_received: int
    pairs: tuple[PairStanding, ...]
    memory_bytes: dict[str, int]


def look(settings: Settings) -> Standing:
    """How it stands now. Raises ProcessError where the health page answers with something else."""
    memory = {name: usage.rss_bytes for name, usage in sorted(programs().items())}
    if settings.health_port == 0:
        return _silent("SQUEEZEFLOW_HEALTH_PORT is 0: the health page is switched off", memory)
    pages = Pages(settings)
    try:
        pages.get(f"{pages.health}/livez")
    except ProcessError as error:
        return _silent(str(error), memory)
    _, health = pages.json(f"{pages.health}/health")
    _, data = pages.json(f"{pages.health}/health/data/1s")
    counts = health.get("collector", {})
    pairs = (data.get("bot") or {}).get("pairs", ())
    return Standing(
        True,
        tuple(health.get("reasons", ())),
        data.get("second"),
        data.get("age_s"),
        counts.get("markets", 0),
        sum(market["covered"] for market in data.get("markets", ())),
        counts.get("trades_received", 0),
        tuple(msgspec.convert(pair, PairStanding) for pair in pairs),
        memory,
    )


def lines(standing: Standing) -> Iterator[str]:
    """The same for a person."""
    if not standing.running:
        yield f"collector  not running: {'; '.join(standing.reasons)}"
    else:
        state = "failing" if standing.reasons else "ok"
        yield f"collector  {state}, {standing.trades_received} trades received"
        age = "" if standing.age_s is None else f", ended {standing.age_s:.1f} s ago"
        feeds = f"{standing.covered} of {standing.markets} markets covered"
        yield f"data       second {standing.second}{age}; {feeds}"
        for reason in standing.reasons:
            yield f"           {reason}"
    for pair in standing.pairs:
        score = "no score" if pair.score is None else f"score {pair.score:.1f}"
        may = f"vetoed: {pair.veto}" if pair.veto else "may be entered"
        yield f"bot        {pair.pair} {score}, decided after {pair.latency_ms:.0f} ms, {may}"
    for name, size in standing.memory_bytes.items():
        yield f"process    {name} {size / 1e6:.0f} MB"


def known_load(settings: Settings) -> Load:
    """The load of the embedded store's last hour, where it tells one; else an assumed one."""
    if settings.store_path.exists():
        try:
            store = EmbeddedBarStore(settings.store_path, readonly=True)
            try:
                load = measured_load(store)
            finally:
                store.close()
        except StoreError:
            load = None  # `check` and the log say what is wrong with it; a plan is possible without
        if load is not None:
            return load
    return assumed_load(settings)


def _silent(reason: str, memory: dict[str, int]) -> Standing:
    return Standing(False, (reason,), None, None, 0, 0, 0, (), memory)
