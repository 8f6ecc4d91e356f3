"""A squeeze that the simulator plays on one venue alone, and the same one on all of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from squeezeflow_plugin.market import NS_PER_SECOND, Bar, ClosingRecord
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.provider.desk import pair_markets
from squeezeflow_plugin.provider.judging import final_flow
from squeezeflow_plugin.provider.venues import judged_venues
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.simulator.episodes import BUILD_S, Episode, Script
from squeezeflow_plugin.simulator.generator import first_state
from squeezeflow_plugin.simulator.history import write_history
from squeezeflow_plugin.simulator.peers import echoes
from squeezeflow_plugin.simulator.profiles import asset_profile
from squeezeflow_plugin.simulator.sources import GeneratedAsset
from squeezeflow_plugin.simulator.venue import Venue
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.strategy.columns import LOGGED
from squeezeflow_plugin.strategy.session import Session
from tests.integration.freqtrade_stage import StoreClock

PAIR = "BTC/USDT"
EXCHANGES = ("BINANCE", "BINANCE_FUTURES", "BYBIT", "OKEX")
WASHED = ("BINANCE", "BINANCE_FUTURES")
START, SEED = 1_700_006_400, 3
BUILD = START + 8_400
RELEASE = BUILD + BUILD_S + 200
STOP = RELEASE + 60
SETTINGS = Settings(lookback_hours=2.25, quotes=("USDT",))


def told(script: Script) -> MemoryBarStore:
    """The history of a simulated market on all venues."""
    profile = asset_profile("BTC")
    source = GeneratedAsset(profile, SEED, first_state(profile, START), script)
    store = MemoryBarStore()
    write_history(store, Venue([source], SEED, echoes(EXCHANGES, [profile])), START, STOP)
    return store


@pytest.fixture(scope="module")
def squeeze() -> MemoryBarStore:
    return told(Script((Episode(1, BUILD, RELEASE),)))


@pytest.fixture(scope="module")
def wash(squeeze: MemoryBarStore) -> MemoryBarStore:
    """The squeeze on Binance alone: everybody else's trades are those of the same market without it."""
    quiet = told(Script())
    store = MemoryBarStore()
    store.put_instruments(squeeze.instruments())
    pairs = zip(squeeze.records(START, STOP), quiet.records(START, STOP), strict=True)
    store.append(msgspec.structs.replace(one, bars=_mixed(one, other)) for one, other in pairs)
    return store


def _mixed(squeezed: ClosingRecord, quiet: ClosingRecord) -> tuple[Bar, ...]:
    theirs = {bar.market: bar for bar in quiet.bars if bar.market.partition(":")[0] not in WASHED}
    own = {bar.market: bar for bar in squeezed.bars if bar.market.partition(":")[0] in WASHED}
    return tuple(bar for _, bar in sorted((own | theirs).items()))


def entered(records: MemoryBarStore, path: Path) -> tuple[bool, bool, str]:
    """Whether the event was entered by a session, whether it was tradable, and what the log says of it."""
    instruments = records.instruments()
    markets = pair_markets(instruments, "binance", PAIR, SETTINGS.quotes)
    assert {kind for kind, _ in judged_venues(markets)} == {"spot", "perp"}
    flow = final_flow(records, markets, START, STOP)
    decided = Engine().run(flow)
    event = int(decided.second[(decided.event != 0) & (decided.second >= BUILD)][0])
    start = event - 3
    store = MemoryBarStore()
    store.put_instruments(instruments)
    every = list(records.records(START, STOP))
    store.append(record for record in every if record.second < start)
    coming = [msgspec.structs.replace(record, collector="main") for record in every if record.second >= start]
    clock = StoreClock(start * NS_PER_SECOND + 450_000_000, store, coming)
    log = DecisionLog(path / "decisions.sqlite", LOGGED, "engine")
    session = Session(store, log, SETTINGS, {PAIR: markets}, clock)
    session.start()
    while (log.last_second(PAIR) or 0) < event:
        session.advance(())
    entry = session.entry(PAIR)
    tradable = bool(decided.tradable[np.flatnonzero(decided.second == event)[0]])
    session.close()
    return entry is not None, tradable, "" if entry is None else str(entry.tag)


def test_the_squeeze_on_all_venues_is_entered(squeeze: MemoryBarStore, tmp_path: Path) -> None:
    taken, tradable, tag = entered(squeeze, tmp_path)
    assert (taken, tradable) == (True, True)
    assert "fragile" not in tag


def test_the_wash_on_one_venue_is_marked_fragile_and_not_entered(
    wash: MemoryBarStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken, tradable, _ = entered(wash, tmp_path)
    assert (taken, tradable) == (False, True)
    assert "fragile: without BINANCE" in caplog.text
    assert caplog.text.rstrip().endswith("refused")
