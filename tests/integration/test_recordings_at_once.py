"""Every recording of an exchange that has templates, read at once: the same trades as frame by frame."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from squeezeflow_plugin.errors import FeedProtocolError
from squeezeflow_plugin.feeds.adapter import FrameParser, StreamPlan
from squeezeflow_plugin.feeds.batches import BatchReader
from squeezeflow_plugin.feeds.registry import adapter, classify, names
from squeezeflow_plugin.market import NS_PER_SECOND, Trade

LEAST_TAKEN = {"BINANCE": 9_000, "BINANCE_FUTURES": 20_000, "BYBIT": 4, "OKEX": 9}
"""Trades of a folder that at least must be in a current spelling, so that the comparison means something."""


def frames_of(path: Path) -> list[str]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = [json.loads(line) for line in file]
    return [row["raw"] for row in rows if isinstance(row.get("raw"), str)]


def trades_of(session: FrameParser, frame: str, received_ns: int) -> list[Trade]:
    try:
        return list(session.parse(frame, received_ns).trades)
    except FeedProtocolError:
        return []


def plans_of(exchange: str, trades: list[Trade]) -> tuple[StreamPlan, ...]:
    """The connections that carry trades of the markets that are in a recording."""
    told = [classify(market) for market in dict.fromkeys(trade.market for trade in trades)]
    plans = adapter(exchange).plan([each for each in told if each is not None])
    return tuple(plan for plan in plans if plan.markets)


def compared(exchange: str, frames: list[str], plan: StreamPlan, received: list[int]) -> int:
    """How many trades were read at once; all of them must be those of the session."""
    session, taken = adapter(exchange).session(plan), 0
    one_by_one = [trades_of(session, frame, ns) for frame, ns in zip(frames, received, strict=True)]
    found: list[Trade] = []
    for each in BatchReader(adapter(exchange).templates, plan.instruments, least=1).read(frames, received):
        if isinstance(each, int):
            found += one_by_one[each]
        else:
            taken += len(each.ints)
            found += each.trades()
    assert found == [trade for trades in one_by_one for trade in trades]
    return taken


@pytest.mark.parametrize("exchange", [name for name in names() if adapter(name).templates])
def test_recordings_read_at_once_hold_the_same_trades(exchange: str, shared: Path) -> None:
    taken = 0
    for path in sorted((shared / "recordings" / exchange).glob("*.jsonl*")):
        frames = frames_of(path)
        session = adapter(exchange).session()
        trades = [trade for frame in frames for trade in trades_of(session, frame, 0)]
        latest_ns = max((trade.exchange_ns for trade in trades), default=0)
        received = [latest_ns + NS_PER_SECOND + n for n in range(len(frames))]
        taken += sum(compared(exchange, frames, plan, received) for plan in plans_of(exchange, trades))
    assert taken >= LEAST_TAKEN[exchange]
