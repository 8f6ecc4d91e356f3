"""A block tells a watch exactly what its trades tell it one by one."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezeflow_plugin.bars.continuity import ContinuityWatch
from squeezeflow_plugin.bars.gaps import MAX_JUMP, MarketGaps
from squeezeflow_plugin.bars.holes import Holes
from squeezeflow_plugin.bars.runs import runs_of
from squeezeflow_plugin.feeds.recovery import Continuity, Gap
from squeezeflow_plugin.market import NS_PER_SECOND, Trade
from tests.unit.bars.tapes import START, as_block

KINDS = {
    "X:sequence": Continuity(sequence=True),
    "X:other": Continuity(sequence=True),
    "X:replayed": Continuity(sequence=False, replayed=True),
    "X:times": Continuity(sequence=False),
}
MARKETS = (*KINDS, "X:unwatched")
STEPS = (2, 5, 0, -1, -3, MAX_JUMP + 9, -MAX_JUMP - 9)
STRANGE_IDS = ("007", "a-1", "9" * 18, "1" + "0" * 18, "+5", "1_0", "")


class Tape:
    """A market's ids as they may come: mostly one after the other."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._newest = dict.fromkeys(MARKETS, 100)
        self._at_ns = START * NS_PER_SECOND

    def next(self) -> Trade:
        rng = self._rng
        market = rng.choice(MARKETS)
        step = rng.choice(STEPS) if rng.random() < 0.2 else 1
        count = rng.choice([1, 1, 1, 2, 7])
        number = max(self._newest[market] + step + count - 1, 0)
        self._newest[market] = max(self._newest[market], number)
        self._at_ns += rng.choice([0, 1, 10**8, 2 * 10**9])
        when = self._at_ns - rng.choice([0, 0, 0, 0, 1, 10**9, 5 * 10**9, 20 * 10**9, 99 * 10**9])
        trade_id = rng.choice(STRANGE_IDS) if rng.random() < 0.03 else str(number)
        return Trade(market, when, trade_id, 2.0, 1.0, 2.0, 1, count, False, self._at_ns)


def state(gaps: MarketGaps) -> dict[str, Any]:
    """Everything it knows."""
    names = set(MarketGaps.__slots__) - {"_accepts"}
    return {name: _plain(getattr(gaps, name)) for name in sorted(names)}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Holes):
        return {name: _plain(getattr(value, name)) for name in Holes.__slots__}
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def act(watch: ContinuityWatch, event: str, market: str, at_ns: int, gap: Gap | None) -> Any:
    second = at_ns // NS_PER_SECOND
    match event:
        case "down":
            watch.down([market], second)
        case "live":
            watch.live([market], second, at_ns)
        case "silent":
            watch.silent([market], second, at_ns)
        case "left out":
            watch.leave_out(market, str(max(watch.of(market).last, 0) + 1))
        case "settle":
            return watch.settle(second, at_ns), watch.due(at_ns), watch.take_lost()
        case "answered" if gap is not None:
            watch.of(gap.market).answered(gap, complete=True, now_ns=at_ns)
        case _:
            watch.expire(second - 5)
    return None


EVENTS = ("down", "down", "live", "live", "live", "silent", "left out", "settle", "answered", "expire")


@settings(deadline=None, max_examples=400)
@given(st.integers(0, 2**32 - 1))
def test_a_block_is_taken_as_its_trades_are(seed: int) -> None:
    """Over holes, repeats, jumps, strange ids, interruptions and answers, in blocks of any size."""
    rng = random.Random(seed)
    values, blocks = (ContinuityWatch(KINDS, lambda trade: trade.exchange_ns % 3 > 0) for _ in range(2))
    tape = Tape(rng)
    for _ in range(rng.randrange(1, 20)):
        trades = [tape.next() for _ in range(rng.randrange(1, 30))]
        values.add(trades)
        blocks.add_block(as_block(trades))
        at_ns = trades[-1].received_ns
        if rng.random() < 0.5:
            event, market = rng.choice(EVENTS), rng.choice(list(KINDS))
            due = values.due(at_ns + 10 * NS_PER_SECOND)
            gap = rng.choice(due) if due else None
            told = [act(watch, event, market, at_ns, gap) for watch in (values, blocks)]
            assert told[0] == told[1]
        for name in KINDS:
            assert state(blocks.of(name)) == state(values.of(name))


def test_usual_trades_become_no_values(monkeypatch: Any) -> None:
    watch = ContinuityWatch(KINDS)
    tape = [
        Trade(
            market, START * NS_PER_SECOND + n, str(n), 2.0, 1.0, 2.0, 1, 1, False, START * NS_PER_SECOND + n
        )
        for n in range(1, 40)
        for market in MARKETS
    ]
    watch.add(tape[:10])
    block = as_block(tape[10:])
    unusual: list[Trade] = []
    monkeypatch.setattr(watch, "add", unusual.extend)
    watch.add_block(block)
    assert not unusual
    assert [watch.of(market).last_id for market in KINDS] == ["39"] * len(KINDS)
    watch.add_block(as_block([msgspec.structs.replace(each, trade_id="50") for each in tape[-5:]]))
    assert [trade.market for trade in unusual] == ["X:sequence", "X:other"]


def test_runs_are_by_market_and_end_with_a_hole() -> None:
    rows = [(0, 5, 1), (1, 9, 1), (0, 6, 1), (0, 8, 2), (1, 11, 1), (1, 12, 1)]
    trades = [
        Trade(f"X:{'ab'[market]}", 1000 - n, str(number), 2.0, 1.0, 2.0, 1, count, False, 1)
        for n, (market, number, count) in enumerate(rows)
    ]
    block = as_block(trades)
    assert runs_of(block) == [[0, 4, 8, 997, 0], [1, -1, -1, 995, 1]]
    assert runs_of(block.of(np.array([3]))) == [[0, 6, 8, 997, 0]]
