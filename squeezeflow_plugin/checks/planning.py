"""What a machine has to have for these markets and these retentions: memory, disk, processor and network.

Everything is the load times a constant; the constants stand below with where they were measured (one is
assumed, and says so), and are shown with each plan. The load - markets, trades and bars a second - is taken
from the last hour of the store where it holds one, else assumed from recordings of busy minutes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from squeezeflow_plugin.bus.contract import HOLD_SECONDS
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.contract import BarStore
from squeezeflow_plugin.store.influx_schema import HIGHER

HOUR_S, DAY_S = 3600, 86_400
_TELLING_S = 600
"""A store has to hold so many seconds before its rates are believed."""
_FOR_EVER_DAYS = 365
"""What "for ever" is planned as; the plan says so."""
_HOT_HOURS = 3
_HELD_HOURS = 24
"""Of seconds kept for ever InfluxDB holds those in memory that are asked for: about a day."""


class Constant(msgspec.Struct, frozen=True):
    """A figure, its unit, and where it was measured."""

    value: float
    unit: str
    source: str


CONSTANTS: Mapping[str, Constant] = MappingProxyType({
    "store_bar": Constant(20.3, "B/bar", "closed days of the embedded store (benchmarks/bench_store.py)"),
    "hot_bar": Constant(120.0, "B/bar", "an hour of 6 markets in SQLite (benchmarks/bench_plan.py)"),
    "influx_bar": Constant(43.5, "B/bar", "InfluxDB 1.8 after compaction (benchmarks/bench_influx.py)"),
    "bus_bar": Constant(150.0, "B/bar", "redis-server 7 grown by an hour of 5, 20 and 60 bars a second"),
    "bus_decision": Constant(1420.0, "B/decision", "redis-server 7 in an hour's run, its bars taken off"),
    "journal_trade": Constant(110.0, "B/trade", "journal of ten minutes (benchmarks/bench_plan.py)"),
    "decision": Constant(315.0, "B/decision", "decision log of ten minutes (benchmarks/bench_plan.py)"),
    "wire_trade": Constant(213.0, "B/trade", "184 with headers (benchmarks/bench_plan.py), 29 of TLS"),
    "market_trades": Constant(42.0, "trades/s", "BTC on Binance, mean of four recorded busy spans"),
    "market_bars": Constant(0.98, "bars/s", "share of seconds with trades in those recordings"),
    "collector_base": Constant(155.0, "MB", "collector with roll-over, no trades (benchmarks/bench_plan.py)"),
    "collector_trade": Constant(25.0, "B/trade", "over the revision horizon (benchmarks/bench_load.py)"),
    "collector_influx": Constant(75.0, "MB", "added by shipping 6 markets (benchmarks/bench_plan.py)"),
    "bot_base": Constant(490.0, "MB", "FreqTrade with plugin and kernels compiled before, in dry-run"),
    "bot_influx": Constant(30.0, "MB", "added by reading InfluxDB instead of the embedded store"),
    "bot_compiling": Constant(360.0, "MB", "added in a bot that found no compiled kernels, to its end"),
    "bot_row": Constant(400.0, "B/row", "assumed, not measured: an asset's second in the bot"),
    "trade_cpu": Constant(14.5, "us/trade", "20,000 trades/s on eight wires (benchmarks/bench_load.py)"),
    "collector_cpu": Constant(0.034, "cores", "collector in an hour of 190 trades/s, those taken off"),
    "bot_cpu": Constant(0.026, "cores", "FreqTrade with three and twenty pairs, the pairs taken off"),
    "decision_cpu": Constant(0.0034, "cores/pair", "FreqTrade with three and twenty pairs, every second"),
    "influx_cpu": Constant(0.0040, "cores/bar/s", "influxd in hours of 6 bars/s (benchmarks/bench_plan.py)"),
    "influx_base": Constant(50.0, "MB", "influxd 1.6 with four hours of 6 markets, these taken off"),
    "influx_held": Constant(790.0, "B/bar", "influxd with a day of 20 markets: 1,400 MB resident"),
    "bus_base": Constant(12.5, "MB", "redis-server 7 with an append-only file and nothing in it"),
    "bus_cpu": Constant(0.0027, "cores", "redis-server with a record a second (benchmarks/bench_plan.py)"),
    "wal": Constant(16.8, "MB/file", "write-ahead logs of store and decisions: 1,000 pages of 16 KiB"),
})  # fmt: skip  # a table


class Load(msgspec.Struct, frozen=True):
    """How much comes: markets, trades and bars a second, and how that is known."""

    markets: int
    trades_per_s: float
    bars_per_s: float
    source: str


class Plan(msgspec.Struct, frozen=True):
    """Bytes by part on disk and in memory, cores by program, and bytes a second over the network.

    ``growing`` are parts of the disk that no retention bounds, in bytes a day; they are not in ``disk``.
    ``notes`` say what was assumed.
    """

    load: Load
    disk: dict[str, int]
    growing: dict[str, int]
    memory: dict[str, int]
    cores: dict[str, float]
    network_bytes_per_s: int
    notes: tuple[str, ...]
    constants: dict[str, Constant]

    @property
    def disk_bytes(self) -> int:
        return sum(self.disk.values())

    @property
    def memory_bytes(self) -> int:
        return sum(self.memory.values())


def assumed_load(settings: Settings, markets: int | None = None, trades_per_s: float | None = None) -> Load:
    """The load of so many markets; without a number, each asset has one market on each exchange."""
    count = markets or len(settings.markets) or len(settings.assets) * len(settings.exchanges)
    given = trades_per_s is not None
    trades = trades_per_s if trades_per_s is not None else count * _of("market_trades")
    source = "the rate that was given" if given else "every market as busy as BTC on Binance; most are not"
    return Load(count, trades, min(count * _of("market_bars"), trades), source)


def measured_load(store: BarStore) -> Load | None:
    """The load of the store's last hour; None where it holds less than ten minutes. Raises StoreError."""
    span = store.span()
    names = [each.market for each in store.instruments()]
    if span is None or span[1] - span[0] < _TELLING_S or not names:
        return None
    start = max(span[0], span[1] - HOUR_S)
    bars, seconds = store.bars(start, span[1], names), span[1] - start
    trades = int(bars.cbuy.sum()) + int(bars.csell.sum())
    return Load(
        len(set(bars.market.tolist())),
        trades / seconds,
        len(bars.second) / seconds,
        f"the last {seconds / 60:.0f} minutes of the store",
    )


def plan(settings: Settings, load: Load) -> Plan:
    """What that load takes under these settings."""
    rates = f"{load.markets} markets, {load.trades_per_s:.0f} trades/s, {load.bars_per_s:.1f} bars/s"
    notes = [f"{rates}: {load.source}"]
    notes.append(
        f"a bot started by hand that finds no compiled kernels takes {_of('bot_compiling'):.0f} MB more until"
        " its next start"
    )
    if settings.retention_days == 0:
        notes.append(f"the embedded store keeps for ever; {_FOR_EVER_DAYS} days are planned")
    pairs = settings.max_symbols
    per_decision_s = 1 if settings.enable_1s_mode else 300
    decisions = int(pairs * DAY_S / per_decision_s * _of("decision"))
    disk, growing = _disk(settings, load), {}
    if settings.decision_days:
        disk["decisions"] = decisions * settings.decision_days
    else:
        growing["decisions"] = decisions
    return Plan(
        load,
        disk,
        growing,
        _memory(settings, load),
        _cores(settings, load),
        int(load.trades_per_s * _of("wire_trade")),
        tuple(notes),
        dict(CONSTANTS),
    )


def lines(found: Plan) -> Sequence[str]:
    """The plan for a person."""
    return (
        *found.notes,
        f"disk     {_size(found.disk_bytes)}: {_parts(found.disk)}",
        *(f"         and {_size(size)} a day of {name}" for name, size in found.growing.items()),
        f"memory   {_size(found.memory_bytes)}: {_parts(found.memory)}",
        f"cores    {sum(found.cores.values()):.2f}: "
        + ", ".join(f"{name} {share:.2f}" for name, share in found.cores.items()),
        f"network  {_size(found.network_bytes_per_s)}/s, {_size(found.network_bytes_per_s * DAY_S)} a day",
        "constants and where they come from:",
        *(f"  {name:<17} {c.value:g} {c.unit}: {c.source}" for name, c in found.constants.items()),
    )


def _of(name: str) -> float:
    return CONSTANTS[name].value


def _disk(settings: Settings, load: Load) -> dict[str, int]:
    days = settings.retention_days or _FOR_EVER_DAYS
    disk = {
        "embedded store": load.bars_per_s * days * DAY_S * _of("store_bar"),
        "open hours": load.bars_per_s * _HOT_HOURS * HOUR_S * _of("hot_bar"),
        "journal": load.trades_per_s * settings.journal_hours * HOUR_S * _of("journal_trade"),
        "write-ahead logs": 2e6 * _of("wal"),
    }
    if settings.influx_url:
        hours = settings.influx_retention_hours or _FOR_EVER_DAYS * 24
        seconds = load.bars_per_s * hours * HOUR_S
        higher = sum(
            load.markets * max(hours, each.hours or _FOR_EVER_DAYS * 24) * HOUR_S / each.seconds
            for each in HIGHER
        )
        disk["InfluxDB 1s"] = seconds * _of("influx_bar")
        disk["InfluxDB above"] = higher * _of("influx_bar")
    return {name: math.ceil(size) for name, size in disk.items()}


def _memory(settings: Settings, load: Load) -> dict[str, int]:
    collector = _of("collector_base") * 1e6
    collector += load.trades_per_s * settings.revision_horizon_s * _of("collector_trade")
    rows = settings.max_symbols * settings.lookback_hours * HOUR_S
    bot = _of("bot_base") * 1e6 + rows * _of("bot_row")
    if settings.store == "influx":
        bot += _of("bot_influx") * 1e6
    memory = {"collector": collector, "freqtrade": bot}
    if settings.influx_url:
        memory["collector"] += _of("collector_influx") * 1e6
        held_s = (settings.influx_retention_hours or _HELD_HOURS) * HOUR_S
        memory["influxd"] = _of("influx_base") * 1e6 + load.bars_per_s * held_s * _of("influx_held")
    if settings.bus == "redis":
        held = load.bars_per_s * _of("bus_bar") + settings.max_symbols * _of("bus_decision")
        memory["redis"] = _of("bus_base") * 1e6 + HOLD_SECONDS * held
    return {name: math.ceil(size) for name, size in memory.items()}


def _cores(settings: Settings, load: Load) -> dict[str, float]:
    cores = {
        "collector": _of("collector_cpu") + load.trades_per_s * _of("trade_cpu") / 1e6,
        "freqtrade": _of("bot_cpu") + settings.max_symbols * _of("decision_cpu"),
    }
    if settings.influx_url:
        cores["influxd"] = load.bars_per_s * _of("influx_cpu")
    if settings.bus == "redis":
        cores["redis"] = _of("bus_cpu")
    return {name: round(share, 4) for name, share in cores.items()}


def _parts(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {_size(size)}" for name, size in parts.items())


def _size(count: float) -> str:
    """
    >>> _size(999), _size(1_500_000), _size(2.5e9)
    ('999 B', '1.5 MB', '2.5 GB')
    """
    for unit, limit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count:.0f} B"
