from __future__ import annotations

import json
from pathlib import Path

import pytest

from squeezeflow_plugin.clock import SteppedClock
from squeezeflow_plugin.errors import FrameError, SimulatorError
from squeezeflow_plugin.simulator.run import SimulatorOptions, TruthWriter, live_venue, run_simulator
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.unit.simulator.markets import ORIGIN, venue_of
from tests.unit.simulator.test_replay import table, write

NOW = ORIGIN + 1234


def test_hours_of_history_end_with_the_last_whole_second(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.sqlite"
    options = SimulatorOptions(seed=2, assets=("SOL",), store=path, hours=0.25)
    assert run_simulator(options, SteppedClock(NOW * 10**9 + 5)) == 0
    store = EmbeddedBarStore(path, readonly=True)
    start = ORIGIN + 300
    assert store.span() == (start, NOW)
    assert {(each.start, each.stop) for each in store.coverage(start, NOW)} == {(start, NOW)}
    assert len(store.bars(start, NOW)) > 1000
    store.close()


def test_every_asset_of_a_live_market_waits_in_turn_for_longs_and_shorts() -> None:
    venue = live_venue(SimulatorOptions(assets=("BTC", "ETH", "SOL")), ORIGIN, ORIGIN + 9000)
    waiting = [(each.base, each.episode.direction, each.episode.release) for each in venue.planned]
    assert waiting == [("BTC", 1, None), ("ETH", -1, None), ("SOL", 1, None)]


def test_squeezes_that_come_often_wait_for_nobody_and_are_in_the_history_too() -> None:
    options = SimulatorOptions(assets=("BTC", "ETH"), squeeze_every_s=300)
    venue = live_venue(options, ORIGIN, ORIGIN + 9000)
    assert venue.release(ORIGIN + 9000) is None
    for base in ("BTC", "ETH"):
        assert 20 <= sum(each.base == base for each in venue.planned) <= 45
    assert all(each.episode.release is not None for each in venue.planned)


def test_a_recording_takes_the_place_of_its_asset(tmp_path: Path) -> None:
    options = SimulatorOptions(assets=("BTC", "SOL"), replay=write(tmp_path, table()))
    venue = live_venue(options, ORIGIN, ORIGIN + 180)
    assert [each.base for each in venue.planned] == ["BTC"]
    venue.extend(ORIGIN + 240)
    assert venue.tapes["BINANCE:solusdt"].last_trade((ORIGIN + 240) * 1000).ids[0] == 1_000_018


def test_a_recording_of_none_of_the_assets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="holds trades of SOL, none of the assets BTC"):
        live_venue(SimulatorOptions(assets=("BTC",), replay=write(tmp_path, table())), ORIGIN, ORIGIN + 180)


def test_a_recording_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "trades.parquet"
    with pytest.raises(FrameError, match="is not there"):
        run_simulator(SimulatorOptions(replay=path))
    path.write_bytes(b"no Parquet")
    with pytest.raises(FrameError, match=r"trades\.parquet"):
        run_simulator(SimulatorOptions(replay=path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must not be negative, was -1"),
        ({"squeeze_every_s": 119}, "squeezes must be 120 s apart at least, not 119"),
        ({"squeeze_every_s": 300, "release_every_s": 40}, "with squeeze_every_s none waits"),
        ({"hours": 1.0}, "hours must be in"),
        ({"hours": 0.0, "store": Path("x")}, "hours must be in"),
        ({"late_share": 1.5}, "late_share must be in"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(SimulatorError, match=message):
        SimulatorOptions(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_the_truth_is_every_trade_sent_in_its_own_spelling(tmp_path: Path) -> None:
    venue = venue_of("SOL")
    venue.extend(ORIGIN + 60)
    path = tmp_path / "truth.jsonl"
    with path.open("w") as out:
        truth = TruthWriter(out)
        for tape in venue.tapes.values():
            for due in tape.due(ORIGIN * 1000, (ORIGIN + 70) * 1000):
                truth(tape, due)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for market, tape in venue.tapes.items():
        trades, forced = tape.span(ORIGIN * 1000, (ORIGIN + 60) * 1000)
        mine = [line for line in lines if line["market"] == market and not line["liquidation"]]
        assert [line["trade_id"] for line in mine] == trades.ids.tolist()
        assert [float(line["price"]) for line in mine] == trades.price.tolist()
        assert [float(line["size"]) for line in mine] == trades.size.tolist()
        assert len([line for line in lines if line["market"] == market]) == len(trades) + len(forced)
