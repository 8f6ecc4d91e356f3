"""Every second of every market of a wire schedule, as the store has it in the end, against what was traded.

- *lost*: a bar that lacks trades which the exchange still shows, in a second that is called a hole, and a
  second without a record;
- *twice*: a bar that counts more than there was;
- *wrong*: a bar of the right trades with other values, in a second that is called covered;
- *unflagged*: a bar that lacks trades, in a second that is called covered;
- *holes*: seconds called holes.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from squeezeflow_plugin.market import BAR_FIELDS, Bar, Instrument, MarketKind
from squeezeflow_plugin.simulator.faults import Fault, Kind
from squeezeflow_plugin.simulator.trades import MarketTrades
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.soak.inner import Inner, InnerFault
from tests.soak.oracle import Key, Values, stored_bars
from tests.soak.wire_market import START, Event, Market

JUDGED_S = (4, 46)
VERDICTS = ("lost", "twice", "wrong", "unflagged", "misread")
"""Each of them should be 0."""
_KEPT_MS = 4000
"""The last trades of a connection to Binance of which some fills were heard and others not."""


@dataclass(frozen=True)
class WireOutcome:
    """What a schedule came to; see the module's text. ``trades`` were made, ``recovered`` asked for later;
    ``misread`` records a reader of the bus got twice, not at all, or other than stored; ``worst`` names one
    bar of each kind of fault; ``mix`` counts the faults of the wire by exchange.
    """

    seed: int
    faults: Mapping[str, int] = field(default_factory=dict)
    trades: int = 0
    bars: int = 0
    holes: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    unflagged: int = 0
    misread: int = 0
    recovered: int = 0
    rejected: int = 0
    worst: tuple[str, ...] = ()
    schedule: str = "wire"
    mix: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        return not any(getattr(self, name) for name in VERDICTS)

    @property
    def replay(self) -> str:
        """The command that plays the same schedule again."""
        return f"python -m tests.soak --seed {self.seed} --schedule wire"

    def counts(self) -> Mapping[str, int]:
        """What is summed up over many schedules."""
        names = ("trades", "bars", "holes", "recovered", "rejected")
        kills = {"killed twice": int(self.faults.get(Inner.KILL.value, 0) == 2)}
        return kills | {name: getattr(self, name) for name in (*names, *VERDICTS)}

    def line(self) -> str:
        """One JSON line."""
        return msgspec.json.encode(asdict(self) | {"faults": dict(self.faults), "ok": self.is_ok}).decode()


@dataclass(frozen=True)
class Played:
    """What a schedule was, and where its store is."""

    seed: int
    made: Market
    faults: tuple[Fault, ...]
    inner: tuple[InnerFault, ...]
    store: Path

    @functools.cached_property
    def shown(self) -> tuple[tuple[Event, ...], Mapping[str, MarketTrades]]:
        """Events and trades without those that the faults hide for good."""
        return self.made.shown(self.faults)


def judged(played: Played) -> WireOutcome:
    """All but what the reader and the collector counted themselves."""
    made, faults = played.made, played.faults
    first, stop = START + JUDGED_S[0], START + JUDGED_S[1]
    stored, covered, missing = _read(played.store, first, stop)
    _, shown = played.shown
    found, worst = Counter[str](lost=missing), [f"lost: {missing} records"] if missing else []
    for each in made.instruments:
        name = each.market
        gone = _gone(made.trades[name], shown[name]) | _torn(each, faults, played.inner)
        is_shallow = _is_shallow(each)
        found["trades"] += _count(made.trades[name], first, stop)
        for second in range(first, stop):
            key = second, name
            truth, bar = made.bars.get(key), stored.get(key)
            what = _verdict(truth, bar, key in covered, is_shallow or second in gone)
            found["bars"] += truth is not None
            found["holes"] += key not in covered
            if what and not found[what]:
                worst.append(f"{what}: {second - START} s {truth} was {bar}")
            found[what] += bool(what)
    kinds = [fault.kind.value for fault in faults] + [fault.kind.value for fault in played.inner]
    return WireOutcome(
        played.seed,
        Counter(kinds),
        trades=found["trades"],
        bars=found["bars"],
        holes=found["holes"],
        lost=found["lost"],
        twice=found["twice"],
        wrong=found["wrong"],
        unflagged=found["unflagged"],
        worst=tuple(worst),
        mix=_mix(made.exchanges, faults),
    )


def _mix(exchanges: Sequence[str], faults: Sequence[Fault]) -> dict[str, dict[str, int]]:
    """How often each kind of fault was played at each exchange, which was in one schedule."""
    mix = {name: {"schedules": 1} | {kind.value: 0 for kind in Kind} for name in exchanges}
    for fault in faults:
        mix[fault.exchange][fault.kind.value] += 1
    return mix


def _read(path: Path, first: int, stop: int) -> tuple[dict[Key, Values], set[Key], int]:
    """Bars, covered seconds, and how many seconds have no record."""
    store = EmbeddedBarStore(path, readonly=True)
    try:
        bars = stored_bars(store.bars(first, stop))
        spans = store.coverage(first, stop)
        records = {record.second for record in store.records(first, stop)}
    finally:
        store.close()
    covered = {(second, each.market) for each in spans for second in range(each.start, each.stop)}
    return bars, covered, stop - first - len(records)


def _count(trades: MarketTrades, first: int, stop: int) -> int:
    return int(np.count_nonzero((trades.at_ms >= first * 1000) & (trades.at_ms < stop * 1000)))


def _is_shallow(instrument: Instrument) -> bool:
    """Whether what was missed may stay a hole.

    The exchange shows its newest trades alone (Hyperliquid ten; Bybit sixty of spot, 1,000 of contracts),
    pages by time where a millisecond may hold more than a page (Kraken's futures), or shows other sizes than
    its stream's (Bitget's coin-margined).
    """
    match instrument.exchange:
        case "KRAKEN":
            return instrument.kind is MarketKind.PERP
        case "BITGET":
            return instrument.inverse
    return instrument.exchange in {"HYPERLIQUID", "BYBIT"}


def _torn(instrument: Instrument, faults: Sequence[Fault], inner: Sequence[InnerFault]) -> set[int]:
    """The seconds about the end of a connection to Binance, which shows older trades as aggregates: one of
    which some fills were heard and others not cannot be told apart."""
    if not instrument.exchange.startswith("BINANCE"):
        return set()
    ends = [
        f.start_ms for f in faults if f.exchange == instrument.exchange and f.kind in {Kind.CUT, Kind.SILENCE}
    ]
    ends += [START * 1000 + int(1000 * f.start_s) for f in inner if f.kind is Inner.KILL]
    return {second for end in ends for second in range((end - _KEPT_MS) // 1000, end // 1000 + 1)}


def _gone(every: MarketTrades, shown: MarketTrades) -> set[int]:
    """The seconds in which trades are missing for good."""
    return set((every.at_ms[~np.isin(every.ids, shown.ids)] // 1000).tolist())


_CBUY, _CSELL = BAR_FIELDS.index("cbuy"), BAR_FIELDS.index("csell")


def _verdict(truth: Bar | None, bar: Values | None, is_covered: bool, may_lack: bool) -> str:
    """What is wrong with a bar; empty where nothing is."""
    have = (int(bar[_CBUY]), int(bar[_CSELL])) if bar is not None else (0, 0)
    want = (truth.cbuy, truth.csell) if truth is not None else (0, 0)
    if have[0] > want[0] or have[1] > want[1]:
        return "twice"
    if have == want:
        if truth is None or bar is None or not sum(want) or _same(truth, bar):
            return ""
        return "wrong" if is_covered or not may_lack else ""
    if is_covered:
        return "unflagged"
    return "" if may_lack else "lost"


def _same(truth: Bar, bar: Values) -> bool:
    """Liquidations are told by no id and recovered by nobody, so they are not compared."""
    fields = dict(zip(BAR_FIELDS, bar, strict=True))
    exact = ("open", "high", "low", "close")
    return all(getattr(truth, name) == fields[name] for name in exact) and all(
        math.isclose(getattr(truth, name), fields[name], rel_tol=1e-9, abs_tol=1e-9)
        for name in ("vbuy", "vsell")
    )
