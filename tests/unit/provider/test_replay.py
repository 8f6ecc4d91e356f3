"""Parity: what was logged comes out again, and what was not is named with both values."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from squeezeflow_plugin.errors import StoreEmptyError
from squeezeflow_plugin.phases.layout import COLUMN_NAMES
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.provider.closings import closed_seconds
from squeezeflow_plugin.provider.desk import open_desk
from squeezeflow_plugin.provider.replay import Difference, Replay, compare, run_parity
from squeezeflow_plugin.provider.timeline import TimelineSpec, numbers_of
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.decisions import DecisionLog, LoggedDecision, TradeEvent
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.reference.flows import Episode, scripted_frame
from tests.unit.provider.records import INSTRUMENTS, MARKETS, script

PAIR = "BTC/USDT"
PAIRS = {PAIR: MARKETS}
SPEC = TimelineSpec(Params(), hold_rows=8_100, horizon_s=600)
SETTINGS = Settings(lookback_hours=2.25, quotes=("USDT", "USDC"))


class Recorded:
    """A store on disk, and the decisions of its last 2,500 seconds with one trade, as a bot logs them."""

    def __init__(self, path: Path) -> None:
        self.settings = Settings(lookback_hours=2.25, quotes=("USDT", "USDC"), data_dir=path)
        episodes = (Episode(7_400, 1), Episode(9_800, -1, build=900))
        told = script(scripted_frame(5, 11_500, episodes), seed=5, late=0.02)
        self.stop = told.records[-1].second + 1
        self.start = self.stop - 2_500
        self.store = EmbeddedBarStore(self.settings.store_path)
        self.store.put_instruments(INSTRUMENTS)
        self.store.append(told.records)
        self.rows: list[LoggedDecision] = []
        self.events: list[TradeEvent] = []
        self._decide()

    def _decide(self) -> None:
        desk = open_desk(self.store, PAIRS, SPEC, self.start)
        timeline = desk.timelines[PAIR]
        entry = None
        for closed in closed_seconds(self.store, self.start, self.stop):
            for scored in desk.push(closed):
                d = scored.decision
                numbers = tuple(numbers_of(d).tolist())
                self.rows.append(LoggedDecision(PAIR, d.second, d.second, 0, 430.0, numbers, d.veto))
                if d.event > 0 and entry is None:
                    entry = d.second
                    self._event("entry_fill", entry, entry, "sf")
                    timeline.watch(1, entry, 1)
        found = timeline.exits[1]
        assert entry is not None
        self._event("exit_order", entry, found.second, found.name)

    def _event(self, kind: str, entry: int, second: int, tag: str) -> None:
        at_ns = (second + 1) * 10**9
        self.events.append(TradeEvent(kind, PAIR, 1, entry, 1, tag, second, at_ns, 1.0, 1.0))

    def log(self, name: str, rows: list[LoggedDecision], events: list[TradeEvent]) -> DecisionLog:
        log = DecisionLog(self.settings.data_dir / name, COLUMN_NAMES, "engine")
        log.append(rows, events)
        return log


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("recorded"))


def test_decisions_and_exits_are_reproduced_as_known(recorded: Recorded) -> None:
    log = recorded.log("whole.sqlite", recorded.rows, recorded.events)
    parity = compare(log, recorded.store, PAIRS, SPEC, recorded.start, recorded.stop)
    assert (parity.seconds, parity.undecided, parity.exits) == (2_500, 0, 1)
    assert parity.differences == ()
    assert parity.differing_seconds == 0
    assert parity.fingerprints == ("engine",)


def test_a_part_of_the_span_is_reproduced_with_the_trade_that_was_open(recorded: Recorded) -> None:
    log = recorded.log("part.sqlite", recorded.rows, recorded.events)
    start = recorded.events[0].second + 10
    parity = compare(log, recorded.store, PAIRS, SPEC, start, recorded.stop)
    assert (parity.seconds, parity.exits, parity.differences) == (recorded.stop - start, 1, ())


def test_each_difference_is_named_with_both_values(recorded: Recorded) -> None:
    rows = list(recorded.rows[100:120])
    score = COLUMN_NAMES.index("score")
    numbers = list(rows[3].numbers)
    numbers[score] = 9.75
    rows[3] = msgspec.structs.replace(rows[3], numbers=tuple(numbers))
    rows[5] = msgspec.structs.replace(rows[5], veto="hole_perp_1h")
    first = rows[0].second
    log = recorded.log("changed.sqlite", rows, [])
    parity = compare(log, recorded.store, PAIRS, SPEC, first - 4, first + 20)
    true_score = recorded.rows[103].numbers[score]
    assert parity.differences == (
        Difference(PAIR, first + 3, "score", 9.75, true_score),
        Difference(PAIR, first + 5, "veto", "hole_perp_1h", recorded.rows[105].veto),
    )
    assert (parity.differing_seconds, parity.undecided) == (2, 4)


def test_an_exit_at_another_second_is_a_difference(recorded: Recorded) -> None:
    entry, left = recorded.events
    wrong = msgspec.structs.replace(left, second=left.second - 1, at_ns=left.at_ns - 1)
    log = recorded.log("exit.sqlite", [], [entry, wrong])
    parity = compare(log, recorded.store, PAIRS, SPEC, recorded.start, recorded.stop)
    assert [(item.column, item.logged, item.replayed) for item in parity.differences] == [
        ("exit", f"{left.tag} at {left.second - 1}", f"{left.tag} at {left.second}")
    ]


def test_a_decision_that_cannot_be_made_again_is_a_difference(recorded: Recorded) -> None:
    ghost = msgspec.structs.replace(recorded.rows[-1], second=recorded.stop - 5, pair="ETH/USDT")
    log = recorded.log("ghost.sqlite", [ghost], [])
    pairs = {**PAIRS, "ETH/USDT": MARKETS.__class__("ETH", ("X:eth",), (), "X:eth")}
    parity = compare(log, recorded.store, pairs, SPEC, recorded.stop - 10, recorded.stop)
    assert parity.differences == (Difference("ETH/USDT", ghost.second, "", "decided", None),)


def test_replay_gives_the_decisions_alone(recorded: Recorded) -> None:
    start = recorded.stop - 30
    again = list(Replay(recorded.store, PAIRS, SPEC, start).run(recorded.stop))
    assert [tuple(numbers_of(item.decision).tolist()) for item in again] == [
        row.numbers for row in recorded.rows[-30:]
    ]


def test_a_span_of_the_settings_own_files(recorded: Recorded) -> None:
    recorded.log(recorded.settings.decisions_path.name, recorded.rows, recorded.events).close()
    parity = run_parity(recorded.settings, "binance", recorded.start, recorded.stop)
    assert (parity.seconds, parity.differences) == (2_500, ())
    with pytest.raises(StoreEmptyError, match="no decision of the seconds"):
        run_parity(recorded.settings, "binance", 5, 10)
