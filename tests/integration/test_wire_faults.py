"""A score of the seeded wire schedules that ``make soak`` plays by the thousand."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.simulator.faults import Fault, Kind
from tests.soak.inner import Inner
from tests.soak.wire import MARKETS, SHARED_BY, play_wire
from tests.soak.wire_market import START, market

SEEDS = (*range(20), 9074)
"""In the last one a market trades for the first time about a kill."""

# They compute for long what faster tests have measured: the tracer would triple their time.
pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize("seed", SEEDS)
def test_no_bar_is_wrong_unnoticed_whatever_wire_journal_store_and_bus_do(seed: int) -> None:
    outcome = play_wire(seed)
    kinds = {kind.value for kind in (*Kind, *Inner)}
    assert kinds - {Inner.KILL.value} <= set(outcome.faults) <= kinds
    assert outcome.bars > 400
    assert outcome.is_ok, f"{outcome.line()}; play it again with: {outcome.replay}"


def test_a_wire_without_faults_has_no_holes_beside_quiet_markets() -> None:
    outcome = play_wire(0, (), ())
    assert outcome.is_ok, outcome.line()
    assert outcome.rejected == 0


def test_a_connection_that_is_cut_before_a_markets_first_trade_loses_none_of_it() -> None:
    """The exchanges are away from 1.5 s to 7 s, when one market has not traded yet."""
    made = market(152 // SHARED_BY % MARKETS)
    away = (START * 1000 + 1500, START * 1000 + 7000)
    cuts = [Fault(Kind.CUT, name, *away, strength=1.0, seed=3) for name in made.exchanges]
    outcome = play_wire(152, cuts, ())
    assert outcome.is_ok, outcome.line()


def test_a_seed_plays_the_same_again() -> None:
    assert play_wire(3) == play_wire(3)
