"""A frame says what its own seconds say: decisions, offers with their delay, exits; nothing else."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.features.noise import NoiseMaker
from squeezeflow_plugin.phases.decision import DecisionArrays
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.exits import Baseline, first_exit
from squeezeflow_plugin.phases.layout import SETUP
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.phases.tags import tag_of
from squeezeflow_plugin.provider.materialise import DataSet, Wanted, materialise
from squeezeflow_plugin.provider.recording import recording
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.strategy.offline import Offline, startup_candles
from tests.reference.flows import Episode, scripted_frame
from tests.unit.provider.records import INSTRUMENTS, MARKETS, script

PAIR = "BTC/USDT"
START = 1_763_643_600
ROWS = 14_400
EPISODES = (Episode(6_600, 1), Episode(9_900, -1, build=900))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    store = MemoryBarStore()
    store.put_instruments(INSTRUMENTS)
    store.append(script(scripted_frame(5, ROWS, EPISODES, start=START), seed=5).records)
    return materialise(store, Wanted({PAIR: MARKETS}, 0, 2**40), tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def flow(data: DataSet) -> Flow:
    return data.flow(PAIR, START, START + ROWS)


@pytest.fixture(scope="module")
def decided(flow: Flow) -> DecisionArrays:
    return Engine().run(flow)


def _starts(stop: int = START + ROWS, candle_s: int = 60, start: int = START) -> list[int]:
    return list(range(start, stop, candle_s))


@pytest.mark.parametrize("candle_s", [60, 300])
def test_a_row_is_the_decision_at_its_candles_close(
    data: DataSet, decided: DecisionArrays, candle_s: int
) -> None:
    scored = Offline(data, Params()).score(PAIR, _starts(candle_s=candle_s), candle_s)
    assert scored is not None
    closes = np.arange(candle_s - 1, ROWS, candle_s)
    assert scored.at_close.tobytes() == np.ascontiguousarray(decided.values[closes].T).tobytes()


def test_entries_are_offered_a_delay_after_their_decision(data: DataSet, decided: DecisionArrays) -> None:
    offline = Offline(data, Params())
    scored = offline.score(PAIR, _starts(), 60)
    assert scored is not None
    expected = {}
    for place in np.flatnonzero((decided.entry != 0) & decided.tradable).tolist():
        event = max(row for row in np.flatnonzero(decided.event).tolist() if row <= place)
        tag = tag_of(float(decided.score[event]), START + event)
        expected[START + place + 2] = (tag, int(decided.entry[place]))
    assert {second: (each.tag, each.direction) for second, each in scored.offers.items()} == expected
    assert {each.direction for each in scored.offers.values()} == {1, -1}
    second = min(expected)
    assert offline.offer(PAIR, second - 1) is None
    assert offline.offer(PAIR, second) == scored.offers[second]
    assert offline.offer("ETH/USDT", second) is None


def test_exits_hold_a_delay_after_their_decision(data: DataSet, flow: Flow, decided: DecisionArrays) -> None:
    offline = Offline(data, Params())
    scored = offline.score(PAIR, _starts(), 60)
    assert scored is not None
    event = int(np.flatnonzero(decided.event)[0])
    found = first_exit(flow, decided, Baseline.of(decided.at(event)))
    assert found is not None
    assert scored.exits[START + event] == found
    names = [offline.exit_name(PAIR, START + event, found.second + lag) for lag in (1, 2, 100)]
    assert names == [None, found.name, found.name]


def test_candles_are_armed_by_the_newest_setup_that_still_lives(
    data: DataSet, decided: DecisionArrays
) -> None:
    scored = Offline(data, Params()).score(PAIR, _starts(), 60)
    assert scored is not None
    setup = decided.values[:, SETUP]
    for place, side in enumerate(scored.armed.tolist()):
        close = place * 60 + 59
        memory = setup[max(close - 1799, 0) : close + 1]
        newest = memory[np.flatnonzero(memory)[-1]] if memory.any() else 0
        assert side == newest
    assert set(scored.armed.tolist()) == {0, 1, -1}


def test_a_frame_that_ends_earlier_says_the_same_of_what_it_has(data: DataSet) -> None:
    whole = Offline(data, Params()).score(PAIR, _starts(), 60)
    assert whole is not None
    for stop in (START + 8_700, START + 11_820):
        cut = Offline(data, Params()).score(PAIR, _starts(stop), 60)
        assert cut is not None
        size = len(cut.armed)
        assert cut.at_close.tobytes() == np.ascontiguousarray(whole.at_close[:, :size]).tobytes()
        assert cut.armed.tolist() == whole.armed[:size].tolist()
        assert cut.offers == {key: each for key, each in whole.offers.items() if key < stop + 2}
        assert cut.exits == {key: each for key, each in whole.exits.items() if each.second < stop}


def test_a_frame_that_begins_later_says_the_same_after_its_start_up(data: DataSet) -> None:
    startup = startup_candles(Params(), "1m")
    assert startup == 150
    whole = Offline(data, Params()).score(PAIR, _starts(), 60)
    later = Offline(data, Params()).score(PAIR, _starts(start=START + 2_400), 60)
    assert whole is not None
    assert later is not None
    assert (
        later.at_close[:, startup:].tobytes()
        == np.ascontiguousarray(whole.at_close[:, startup + 40 :]).tobytes()
    )
    assert later.armed[startup:].tolist() == whole.armed[startup + 40 :].tolist()


def test_nothing_outside_the_frame_can_be_read(data: DataSet) -> None:
    offline = Offline(data, Params())
    with pytest.raises(KeyError):
        offline.flow(PAIR, START, START + 10)
    offline.score(PAIR, _starts(START + 9_000, start=START + 600), 60)
    seen = offline.flow(PAIR, 0, 2**40)
    assert (seen.time[0], seen.time[-1]) == (START + 600, START + 8_999)


def test_a_pair_without_data_is_not_scored(data: DataSet) -> None:
    offline = Offline(data, Params())
    assert offline.score("ETH/USDT", _starts(), 60) is None
    assert offline.score(PAIR, [], 60) is None
    assert offline.exit_name("ETH/USDT", START, START) is None


def test_a_copy_answers_as_the_original(data: DataSet) -> None:
    offline = Offline(data, Params())
    scored = offline.score(PAIR, _starts(), 60)
    assert scored is not None
    second = min(scored.offers)
    assert copy.deepcopy(offline).offer(PAIR, second) == scored.offers[second]


OTHER = Params(div_threshold=1.5, min_score=3.0, setup_ttl=900, entry_ttl=9, exit_threshold=1.5)


@pytest.mark.parametrize("params", [Params(), OTHER])
def test_an_epoch_offers_what_a_frame_of_its_own_would(data: DataSet, params: Params) -> None:
    """From recorded features, and only the candles before one with an offer on the armed side are armed."""
    own = Offline(data, params)
    whole = own.score(PAIR, _starts(), 60)
    assert whole is not None
    searched = Offline(data, Params())
    searched.record()
    searched.score(PAIR, _starts(), 60)
    armed, noise = searched.rescore(PAIR, _starts(), 60, params)
    found = searched._scored[PAIR]
    assert len(whole.offers) > 0
    assert (found.offers, found.exits) == (whole.offers, whole.exits)
    for place, side in enumerate(whole.armed.tolist()):
        candle = range(START + 60 * (place + 1), START + 60 * (place + 2))
        here = {whole.offers[second].direction for second in candle if second in whole.offers}
        assert armed[place] == (side if side in here else 0)
    assert np.count_nonzero(armed) > 0
    assert noise.shape == armed.shape
    shuffled = NoiseMaker(1)
    pieces = [shuffled.shuffled(data.flow(PAIR, START, START + ROWS))]
    events = np.concatenate([Engine(params).columns(piece, ("event",))[:, 0] for piece in pieces])
    assert noise.sum() == np.count_nonzero(events)


def test_features_are_recorded_once_and_belong_to_their_data(data: DataSet) -> None:
    first = recording(data, PAIR, 3600)
    files = {path: path.stat().st_mtime_ns for path in data.folder.glob("*-3600-*.npy")}
    assert len(files) == 2
    again = recording(data, PAIR, 3600)
    assert {path: path.stat().st_mtime_ns for path in data.folder.glob("*-3600-*.npy")} == files
    assert (first.first, first.features.shape) == (again.first, again.features.shape) == (START, (ROWS, 50))
    assert isinstance(first.features, np.memmap)
    assert len(recording(data, PAIR, 14_400).noise) == ROWS
    assert not list(data.folder.glob(".*.npy"))


def test_a_pair_without_data_offers_nothing_in_an_epoch(data: DataSet) -> None:
    armed, noise = Offline(data, Params()).rescore("ETH/USDT", _starts(), 60, Params())
    assert not armed.any()
    assert not noise.any()
