"""A live bot, on a clock of its own, orders what a backtest of the same seconds orders.

``benchmarks/bench_live_equality.py`` is the same over six hours.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from squeezeflow_plugin.cli import main
from squeezeflow_plugin.jsonfile import read_json
from squeezeflow_plugin.store.paritystatus import PARITY_FILE, ParityStatus
from tests.integration.live_stage import AFTER_S, Equality, backtest_orders, backtest_run, live_run
from tests.integration.seconds_stage import END, OFTEN, set_stage, write_market

ASSETS = ("BTC", "ETH", "SOL")
LIVED_S = 900
SHORT = {**OFTEN, "min_score": 2.0, "rearm": 5, "exit_threshold": 0.05}
"""Many trades that are soon over; one is left in the second after an event on its own side."""

# FreqTrade and its dependencies warn about each other; only what they order counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600), pytest.mark.slow]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a simulated market: its warm-up, the seconds to live through, and some more."""
    path = tmp_path_factory.mktemp("market") / "store.sqlite"
    write_market(path, 2.4, 7, ASSETS)
    return path


@pytest.mark.parametrize(
    ("futures", "orders"),
    # the second computes for long what the first has measured; the tracer would take half as long again
    [(False, 3), pytest.param(True, 6, marks=pytest.mark.no_cover)],
    ids=["spot", "futures"],
)
def test_entries_and_exits_are_decided_at_the_same_seconds(
    market: Path, tmp_path: Path, futures: bool, orders: int, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = set_stage(tmp_path, market, ASSETS, futures, {}, SHORT)
    stop = END - AFTER_S
    start = stop - LIVED_S
    try:
        lived = live_run(stage, tmp_path, start, stop, SHORT)
        expected = backtest_orders(backtest_run(stage, start, stop), stop)
    finally:
        stage.store.close()
    assert len(expected) >= orders
    assert Equality.of(lived.orders, expected) == Equality(expected, (), ())

    configs = [word for path in stage.options.config for word in ("--config", str(path))]
    where = ("--data-dir", str(lived.settings.data_dir), "--userdir", str(stage.userdir))
    capsys.readouterr()
    assert main(["parity", *where, *configs]) == 0
    kinds = Counter(order.kind for order in expected if order.second < stop - 3)
    entries, exits, decisions = kinds["entry"], kinds["exit"], LIVED_S * len(ASSETS)
    same = "0 differ, 0 without a cause"
    assert capsys.readouterr().out.splitlines() == [
        f"{entries} entries and {exits} exits are those of a 1 s backtest, {same}",
        f"{decisions} decisions and {exits} exits compared as known, 0 seconds differ",
        f"{decisions} decisions compared as final, 0 differ by 0 revisions and repairs, 0 without a cause",
    ]
    assert read_json(lived.settings.data_dir / PARITY_FILE, ParityStatus) == ParityStatus(decisions, 0)
