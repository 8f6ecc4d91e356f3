"""Spans of every kind on a store with holes: the right seconds are decided, or it is said what exists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from freqtrade.exceptions import OperationalException
from freqtrade.optimize.backtesting import Backtesting

from squeezeflow_plugin.cli import main
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.integration.offline_stage import Stage, stage
from tests.integration.test_stock_backtest import backtest, configuration

# FreqTrade and its dependencies warn about each other; only what they answer counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(280)]

MIDNIGHT = 1_763_683_200  # 2025-11-21 00:00 UTC
START, STOP = MIDNIGHT - 4 * 3600, MIDNIGHT + 3600
HOLES = (range(MIDNIGHT - 4800, MIDNIGHT - 4740), range(MIDNIGHT - 30, MIDNIGHT + 10))
"""22:40:00 to 22:40:59, and 40 seconds over midnight."""
BLIND_S = 1800
"""A minute is more than 2 % of every window but the hour's, so nothing is entered until it has left them."""


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Five hours up to 01:00, two holes in them."""
    with stage(tmp_path_factory.mktemp("spans"), ("BTC",), 5, STOP) as whole:
        path = whole.userdir.parent / "holes" / "store.sqlite"
        source, store = EmbeddedBarStore(whole.store, readonly=True), EmbeddedBarStore(path)
        store.put_instruments(source.instruments())
        lost = {second for hole in HOLES for second in hole}
        store.append(record for record in source.records(0, STOP) if record.second not in lost)
        store.close()
        source.close()
        yield replace(whole, store=path)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def stepped(staged: Stage, timerange: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    words = ["backtest", "--userdir", str(staged.userdir), "--config", str(staged.config("futures"))]
    assert main([*words, "--timerange", timerange, "--json", "--export", "none", "--no-report"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def stock(staged: Stage, timerange: str) -> dict[str, Any]:
    config = configuration(staged, "backtesting", "futures", "--timerange", timerange, "--cache", "none")
    found: dict[str, Any] = backtest(config).results["strategy"]["SqueezeFlow"]
    return found


SPANS = {
    "a single hour": ("20251120T2200-20251120T2300", MIDNIGHT - 7200, MIDNIGHT - 3600),
    "over midnight": ("20251120T2330-20251121T0030", MIDNIGHT - 1800, MIDNIGHT + 1800),
    "the same day twice": ("20251121-20251121", MIDNIGHT, STOP),
    "from before the data": ("20251118-20251121", START, MIDNIGHT),
    "to after the data": ("20251121T0000-20251125", MIDNIGHT, STOP),
    "all there is": ("-", START, STOP),
}


@pytest.mark.parametrize("kind", SPANS)
def test_the_stepper_decides_the_asked_seconds_that_exist(
    staged: Stage, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    timerange, start, stop = SPANS[kind]
    found = stepped(staged, timerange, capsys)
    assert (found["start"], found["stop"]) == (start, stop)
    assert all(line["decided"] == stop - start for line in found["pairs"])
    assert all(
        start <= trade["decided"] < trade["opened"] < trade["closed"] < stop for trade in found["trades"]
    )


def test_nothing_is_entered_until_a_hole_has_left_the_windows(
    staged: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    found = stepped(staged, "-", capsys)
    assert found["trades"]
    for line in found["pairs"]:
        assert line["vetoes"]["hole_spot_5m"] >= sum(map(len, HOLES))
    first, _ = HOLES
    blind = range(first.start, first.stop + BLIND_S - 72)
    assert not [trade for trade in found["trades"] if trade["decided"] in blind]
    entered = [trade["enter_tag"] for trade in stock(staged, "20251120T2230-20251121T0100")["trades"]]
    assert entered
    assert not [tag for tag in entered if int(tag.partition("|e=")[2]) in blind]


STOCK_SPANS = {
    "a single hour": ("20251120T2230-20251120T2330", MIDNIGHT - 5400, MIDNIGHT - 1800),
    "over midnight": ("20251120T2330-20251121T0030", MIDNIGHT - 1800, MIDNIGHT + 1800),
    "from before the data": ("20251118-20251121", START + 9000, MIDNIGHT),
    "to after the data": ("20251121T0000-20251125", MIDNIGHT, STOP - 60),
    "the same day twice": ("20251121-20251121", MIDNIGHT, STOP - 60),
}


@pytest.mark.parametrize("kind", STOCK_SPANS)
def test_the_stock_command_decides_the_asked_minutes_that_exist(staged: Stage, kind: str) -> None:
    timerange, start, stop = STOCK_SPANS[kind]
    found = stock(staged, timerange)
    assert (found["backtest_start_ts"], found["backtest_end_ts"]) == (start * 1000, stop * 1000)


@pytest.mark.parametrize(
    ("timerange", "says"),
    [
        ("20251118-20251119", "nothing of what was asked for"),
        ("20251120T2000-20251120T2200", "the first decision needs 9000 seconds before it"),
        ("20251122-20251123", "nothing of what was asked for"),
    ],
)
def test_the_stock_command_says_what_exists(staged: Stage, timerange: str, says: str) -> None:
    with pytest.raises(OperationalException, match=says):
        Backtesting(configuration(staged, "backtesting", "futures", "--timerange", timerange))


def test_the_stock_command_says_how_to_fill_an_empty_store(
    staged: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQUEEZEFLOW_DATA_DIR", str(tmp_path / "empty"))
    with pytest.raises(OperationalException, match="simulate --hours 48"):
        Backtesting(configuration(staged, "backtesting", "futures", "--timerange", "20251120-20251121"))
