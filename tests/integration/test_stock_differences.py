"""The stock command against the stepper, trade by trade: FreqTrade's minute causes every difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from freqtrade.optimize.backtesting import Backtesting

from squeezeflow_plugin.backtest.options import BacktestOptions
from squeezeflow_plugin.backtest.run import configuration, prepare
from squeezeflow_plugin.backtest.stepper import Rules
from squeezeflow_plugin.backtest.window import Asked
from squeezeflow_plugin.settings import load
from squeezeflow_plugin.store.embedded import EmbeddedBarStore
from tests.integration import test_stock_backtest as stock
from tests.integration.offline_stage import Stage, stage
from tests.integration.seconds_stage import OFTEN, started
from tests.integration.stock_causes import Differences, Taken, armed_of, counted, taken_of

ASSETS = ("BTC", "ETH", "SOL")
DECIDED_S = 3 * 3600
STOP = stock.STOP
START = STOP - DECIDED_S
SLOTS = 3

# FreqTrade and its dependencies warn about each other; only what they answer counts here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600), pytest.mark.slow]


@dataclass(frozen=True)
class Compared:
    """Both runs over the same seconds, and what names their differences."""

    stock: list[Taken]
    stepper: list[Taken]
    differences: Differences


def compare(staged: Stage, mode: str) -> Compared:
    """The stock command and the stepper over the staged market, with parameters that trade often."""
    squeezeflow: dict[str, object] = {"data_dir": str(staged.store.parent), "params": OFTEN}
    extra = {"squeezeflow": squeezeflow, "max_open_trades": SLOTS}
    timerange = ("--timerange", f"{START}-{STOP}", "--cache", "none")
    minutes = stock.backtest(stock.configuration(staged, "backtesting", mode, *timerange, extra=extra))
    seconds = _stepped(staged, mode, squeezeflow)
    differences = Differences(START, STOP, SLOTS, armed_of(minutes))
    return Compared(taken_of(minutes), taken_of(seconds), differences)


def _stepped(staged: Stage, mode: str, squeezeflow: dict[str, object]) -> Backtesting:
    path = staged.userdir / f"config-{mode}.json"  # the one just written
    config = configuration(BacktestOptions(config=(path,), userdir=staged.userdir, export="none"))
    store = EmbeddedBarStore(staged.store, readonly=True)
    try:
        settings = load(squeezeflow, {})
        return started(prepare(config, settings, store, Asked(START, STOP), Rules(noise=False)))
    finally:
        store.close()


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compared]:
    folder = tmp_path_factory.mktemp("stock")
    with pytest.MonkeyPatch.context() as patch, stage(folder, ASSETS, 5.75, STOP, seed=3) as staged:
        patch.chdir(folder)
        yield compare(staged, "futures")


def test_every_difference_has_a_cause(compared: Compared) -> None:
    found = list(compared.differences.between(compared.stock, compared.stepper))
    assert [each for each in found if each.cause is None] == []
    same = {each.values for each in compared.stock} & {each.values for each in compared.stepper}
    assert len(same) >= 10
    assert len(same) + len(found) >= len(compared.stepper)
    assert counted(found).keys() >= {"exit_candle", "last_candle"}


def test_a_trade_that_is_simply_missing_has_none(compared: Compared) -> None:
    same = [each for each in compared.stock if each in compared.stepper]
    lost = same[len(same) // 2]
    without = [each for each in compared.stock if each is not lost]
    found = {each.taken: each.cause for each in compared.differences.between(without, compared.stepper)}
    assert found[lost] is None
