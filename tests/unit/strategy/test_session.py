"""A bot's session on a stepped clock: what it decides when, and when it refuses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from squeezeflow_plugin.errors import StoreEmptyError, StoreError
from squeezeflow_plugin.features.flow import Flow
from squeezeflow_plugin.jsonfile import read_json
from squeezeflow_plugin.market import NS_PER_SECOND, ClosingRecord
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.tags import EnterTag, parse_tag
from squeezeflow_plugin.settings import Settings
from squeezeflow_plugin.store.botstatus import STATUS_FILE, BotStatus
from squeezeflow_plugin.store.decisions import DecisionLog
from squeezeflow_plugin.store.memory import MemoryBarStore
from squeezeflow_plugin.strategy.columns import LOGGED
from squeezeflow_plugin.strategy.opening import wait_for_store
from squeezeflow_plugin.strategy.session import Session
from squeezeflow_plugin.strategy.trades import Fill, OpenTrade
from tests.integration.freqtrade_stage import StoreClock
from tests.reference.flows import Episode, scripted_frame
from tests.unit.provider.known import known_frame
from tests.unit.provider.records import INSTRUMENTS, MARKETS, Script, script

PAIR = "BTC/USDT"
MS = 1_000_000


class FaultyStore(MemoryBarStore):
    """Fails once where it is told to."""

    fail_next = False

    def records(
        self, start: int, stop: int, collectors: Iterable[str] | None = None
    ) -> Iterator[ClosingRecord]:
        if self.fail_next:
            self.fail_next = False
            raise StoreError("the disk is gone for a moment")
        return super().records(start, stop, collectors)


@pytest.fixture(scope="module")
def told() -> Script:
    return script(scripted_frame(5, 8_700, (Episode(6_600, 1),)), seed=5)


@pytest.fixture(scope="module")
def event(told: Script) -> int:
    frame = known_frame(told.records, MARKETS, told.records[-1].second)
    decided = Engine().run(Flow.from_columns({name: frame[name].to_numpy() for name in frame.columns}))
    return int(decided.second[decided.event != 0][0])


class Stage:
    """A session that starts ``before`` seconds ahead of the event."""

    def __init__(self, told: Script, start: int, path: Path, phase_ms: int = 450) -> None:
        self.store = FaultyStore()
        self.store.put_instruments(INSTRUMENTS)
        self.store.append(record for record in told.records if record.second < start)
        self.clock = StoreClock(start * NS_PER_SECOND + phase_ms * MS, self.store, told.since(start))
        self.settings = Settings(lookback_hours=2.25, quotes=("USDT", "USDC"), data_dir=path)
        self.log = DecisionLog(path / "decisions.sqlite", LOGGED, "engine")
        self.session = Session(self.store, self.log, self.settings, {PAIR: MARKETS}, self.clock)
        self.session.start()

    def run_to(self, second: int, trades: tuple[OpenTrade, ...] = ()) -> None:
        while self.newest < second:
            self.session.advance(trades)

    @property
    def newest(self) -> int:
        return self.log.last_second(PAIR) or 0


@pytest.fixture
def stage(told: Script, event: int, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(told, event - 10, tmp_path)
    yield made
    made.session.close()


def test_every_second_is_decided_once_and_in_time(stage: Stage, event: int) -> None:
    for _ in range(8):
        stage.session.advance(())
    rows = list(stage.log.read(0, 2**40))
    assert [row.second for row in rows] == list(range(event - 10, event - 2))
    assert all(row.known == row.second for row in rows)
    assert all(400 <= row.latency_ms <= 420 for row in rows)
    ages = [row.decided_ns - (row.second + 1) * NS_PER_SECOND for row in rows]
    assert ages == [round(row.latency_ms * MS) for row in rows]


def test_a_short_call_waits_for_one_more_second(told: Script, event: int, tmp_path: Path) -> None:
    stage = Stage(told, event - 10, tmp_path)
    stage.clock.sleep_until((event - 9) * NS_PER_SECOND + 100 * MS)
    stage.session.advance(())
    assert [row.second for row in stage.log.read(0, 2**40)] == [event - 10, event - 9]
    stage.session.close()


def test_an_order_goes_before_the_second_wait(told: Script, event: int, tmp_path: Path) -> None:
    stage = Stage(told, event - 10, tmp_path)
    stage.run_to(event - 1)
    stage.clock.sleep_until((event + 1) * NS_PER_SECOND + 100 * MS)
    stage.session.advance(())
    assert stage.newest == event
    assert stage.session.entry(PAIR) is not None
    stage.session.close()


def test_an_entry_is_open_for_its_seconds_and_confirmed_as_itself(stage: Stage, event: int) -> None:
    held = []
    for second in range(event - 2, event + 8):
        stage.run_to(second)
        entry = stage.session.entry(PAIR)
        if entry is not None:
            held.append(second)
            assert (entry.tag.second, entry.direction, entry.second) == (event, 1, second)
            assert stage.session.confirm(PAIR, entry.tag, 1) == ""
            assert stage.session.confirm(PAIR, entry.tag, -1) == "no such entry is open"
            assert stage.session.confirm(PAIR, EnterTag(9.0, event), 1) == "no such entry is open"
    assert held == list(range(event, event + 5))
    assert stage.session.confirm(PAIR, EnterTag(4.0, event), 1) == "no such entry is open"
    assert stage.session.confirm("ETH/USDT", EnterTag(4.0, event), 1) == "no decision"


def test_an_entry_closes_when_the_decision_gets_old(stage: Stage, event: int) -> None:
    stage.run_to(event)
    assert stage.session.entry(PAIR) is not None
    stage.clock.advance(2 * NS_PER_SECOND)
    assert stage.session.entry(PAIR) is None
    assert "ended" in stage.session.veto(event)


def test_a_second_that_does_not_close_vetoes_until_it_does(
    stage: Stage, event: int, caplog: pytest.LogCaptureFixture
) -> None:
    stage.run_to(event - 1)
    stage.clock.missing = {event + 1}
    stage.run_to(event)
    with caplog.at_level(logging.INFO):
        stage.session.advance(())
        assert stage.session.entry(PAIR) is None
        assert stage.session.veto(event) == f"second {event + 1} was not closed in time"
        status = read_json(stage.settings.data_dir / STATUS_FILE, BotStatus)
        assert status is not None
        assert status.vetoes == {PAIR: f"second {event + 1} was not closed in time"}
        stage.clock.missing = set()
        stage.run_to(event + 2)
    assert stage.session.entry(PAIR) is not None
    assert [row.second for row in stage.log.read(event, event + 3)] == [event, event + 1, event + 2]
    assert "entries are allowed again" in caplog.text


def test_a_broken_call_vetoes_and_the_next_one_starts_anew(
    stage: Stage, event: int, caplog: pytest.LogCaptureFixture
) -> None:
    stage.run_to(event)
    stage.store.fail_next = True
    with caplog.at_level(logging.INFO):
        stage.session.advance(())
        assert stage.session.entry(PAIR) is None
        wanted = "the last second was not finished: the disk is gone for a moment"
        assert stage.session.veto(event) == stage.session.reason(PAIR) == wanted
        stage.session.advance(())
        assert stage.session.errors == 1
        stage.session.advance(())
    assert stage.newest > event
    assert "entries are allowed again" in caplog.text
    assert stage.session.entry(PAIR) is None, "an event from before the restart never fires"


def test_a_store_that_stays_away_is_named_once_and_never_waited_for(
    stage: Stage, event: int, caplog: pytest.LogCaptureFixture
) -> None:
    stage.run_to(event - 3)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            stage.store.fail_next = True
            before = stage.clock.now_ns()
            stage.session.advance(())
            assert stage.clock.now_ns() - before <= NS_PER_SECOND, "FreqTrade's stop is looked at each loop"
            stage.clock.advance(NS_PER_SECOND)
        named = [line for line in caplog.messages if "no entries until seconds are decided again" in line]
        assert len(named) == 1
        assert named[0].startswith("the last second was not finished: the disk is gone for a moment")
        stage.clock.deliver()
        stage.run_to(stage.clock.last_ended - 1)
    assert "entries are allowed again" in caplog.text
    assert stage.session.reason(PAIR) == ""


def test_a_clock_that_is_off_vetoes_from_the_second_it_is_known_and_is_named_once(
    stage: Stage, event: int, caplog: pytest.LogCaptureFixture
) -> None:
    stage.run_to(event - 3)
    assert stage.session.reason(PAIR) == ""
    stage.clock.missing = {event - 2}
    stage.session.follower._skew.observe(closed_ns=5 * NS_PER_SECOND, arrived_ns=3 * NS_PER_SECOND)
    assert stage.session.reason(PAIR) == "the clock is -2000 ms off market time"
    stage.clock.missing = set()
    stage.run_to(event + 10)
    assert stage.session.entry(PAIR) is None
    named = [line for line in caplog.messages if "the clock is" in line]
    assert len(named) == 1
    assert named[0].endswith("the clock is -2000 ms off market time")


def test_exits_are_judged_through_a_downtime(event: int, tmp_path: Path) -> None:
    """Whoever starts after the exit's second knows it as one who was there all along."""
    frame = scripted_frame(5, 8_700, (Episode(6_600, 1),))
    place = event - int(frame["time"].iloc[0])
    turn = frame.index[place + 8 : place + 100]
    frame.loc[turn, "spot_sell"] += 25_000.0
    frame.loc[turn, "perp_buy"] += 80_000.0
    told = script(frame.iloc[: place + 200], seed=5)
    told_until = told.records[-1].second
    awake = Stage(told, event - 10, tmp_path / "awake")
    awake.run_to(event + 1)
    awake.run_to(told_until - 5, (trade_of(event),))
    exits = awake.session.desk.timelines[PAIR].exits
    awake.session.close()
    assert set(exits) == {3}, "the story has an exit"
    late = Stage(told, exits[3].second + 30, tmp_path / "late")
    late.session.advance([trade_of(event)])
    late.session.advance([trade_of(event)])
    assert late.session.desk.timelines[PAIR].exits == exits
    assert late.session.exit_name(PAIR, 3) == exits[3].name
    late.session.close()


def test_a_long_stand_still_is_read_as_history(
    stage: Stage, event: int, caplog: pytest.LogCaptureFixture
) -> None:
    stage.run_to(event - 8)
    stage.clock.advance(350 * NS_PER_SECOND)
    stage.clock.deliver()
    stage.session.advance(())
    assert "pending" in caplog.text
    stage.session.advance(())
    assert stage.newest >= event + 340
    assert stage.session.entry(PAIR) is None
    assert len(list(stage.log.read(event - 7, stage.newest - 2))) == 0


def trade_of(event: int) -> OpenTrade:
    return OpenTrade(PAIR, 3, 1, parse_tag(f"sf:4.50|e={event}"))


def fill(event: int, *, is_entry: bool) -> Fill:
    ns = (event + 1) * NS_PER_SECOND
    return Fill(is_entry, ns + 430 * MS, ns + 460 * MS, 100.0, 50.0)


def test_orders_are_logged_with_the_second_that_caused_them(stage: Stage, event: int) -> None:
    stage.run_to(event + 1)
    entry = stage.session.entry(PAIR)
    assert entry is not None
    stage.session.confirm(PAIR, entry.tag, 1)
    stage.run_to(event + 4)
    stage.session.filled(trade_of(event), str(entry.tag), fill(event, is_entry=True))
    stage.session.filled(trade_of(event), "stop_loss", fill(event + 4, is_entry=False))
    events = stage.log.events()
    assert [(e.kind, e.decision_second, e.second, e.tag) for e in events] == [
        ("entry_order", event, event + 1, str(entry.tag)),
        ("entry_fill", event, event + 1, str(entry.tag)),
        ("exit_order", event, event + 4, "stop_loss"),
        ("exit_fill", event, event + 4, "stop_loss"),
    ]


def test_a_fill_from_another_thread_is_logged_at_the_next_call(stage: Stage, event: int) -> None:
    stage.run_to(event - 5)
    worker = threading.Thread(
        target=stage.session.filled, args=(trade_of(event), "force_exit", fill(event, is_entry=False))
    )
    worker.start()
    worker.join()
    assert stage.log.events() == ()
    stage.session.advance(())
    assert [item.tag for item in stage.log.events()] == ["force_exit"] * 2


def test_trades_are_watched_while_they_are_open(stage: Stage, event: int) -> None:
    stage.run_to(event + 1)
    stage.run_to(event + 3, (trade_of(event),))
    assert stage.session.desk.timelines[PAIR].watched == {3}
    assert stage.session.exit_name(PAIR, 3) is None
    stage.run_to(event + 5)
    assert stage.session.desk.timelines[PAIR].watched == frozenset()


def test_a_trade_of_an_earlier_life_is_taken_up_from_the_records(
    told: Script, event: int, tmp_path: Path
) -> None:
    stage = Stage(told, event + 30, tmp_path)
    stage.session.advance([trade_of(event)])
    stage.session.advance([trade_of(event)])
    assert stage.session.errors == 0
    assert stage.session.desk.timelines[PAIR].watched == {3}
    assert stage.newest >= event + 30
    stage.session.close()


def test_a_trade_without_records_is_left_to_the_stop_loss(
    stage: Stage, event: int, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = OpenTrade(PAIR, 9, 1, None)
    ancient = OpenTrade(PAIR, 8, 1, EnterTag(5.0, 1_000))
    for _ in range(3):
        stage.session.advance([stranger, ancient])
    assert [message.count("only the stop loss guards it") for message in caplog.messages].count(1) == 2
    assert stage.newest == event - 8


def test_a_store_that_stays_empty_is_named() -> None:
    store = MemoryBarStore()
    clock = StoreClock(0, store, ())
    with pytest.raises(
        StoreEmptyError, match="no closed second of main after 5 s; start the collector first"
    ):
        wait_for_store(store, Settings(), clock, limit_s=5)
