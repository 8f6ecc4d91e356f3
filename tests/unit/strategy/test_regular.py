"""The regular mode in a session: every second is decided and logged, the last of five minutes enters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from squeezeflow_plugin.market import NS_PER_SECOND
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.settings import load
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.strategy.columns import LOGGED
from squeezeflow_plugin.strategy.session import Session
from tests.integration.freqtrade_stage import StoreClock
from tests.reference.flows import Episode, flow_of, scripted_frame
from tests.unit.provider.known import known_frame
from tests.unit.provider.records import INSTRUMENTS, MARKETS, script

PAIR = "BTC/USDT"


def test_entries_open_on_decision_rows_and_are_held_to_the_next(tmp_path: Path) -> None:
    episode = Episode(17_000, 1, build=1_800, reset=500, push=700, drift=0.2)
    told = script(scripted_frame(31, 20_400, (episode,)), seed=31)
    frame = known_frame(told.records, MARKETS, told.records[-1].second)
    decided = Engine(Params(regular=True)).run(flow_of(frame))
    held = decided.second[(decided.entry != 0) & decided.tradable]
    event = int(decided.second[np.flatnonzero(decided.event)[0]])
    assert (event + 1) % 300 == 0
    start = event - 5
    store = MemoryBarStore()
    store.put_instruments(INSTRUMENTS)
    store.append(record for record in told.records if record.second < start)
    clock = StoreClock(start * NS_PER_SECOND + 450_000_000, store, told.since(start))
    settings = load({"quotes": ["USDT", "USDC"]}, {"SQUEEZEFLOW_ENABLE_1S_MODE": "false"})
    log = DecisionLog(tmp_path / "decisions.sqlite", LOGGED, "engine")
    session = Session(store, log, settings, {PAIR: MARKETS}, clock)
    session.start()
    entered = set()
    while (newest := log.last_second(PAIR) or 0) < event + 20:
        session.advance(())
        entry = session.entry(PAIR)
        if entry is not None:
            assert entry.tag.second == event
            entered.add(entry.second)
    rows = list(log.read(0, 2**40))
    assert [row.second for row in rows] == list(range(start, newest + 1))
    assert entered <= set(held.tolist())
    assert min(entered) == event
    assert max(entered) > event + 5
    session.close()
