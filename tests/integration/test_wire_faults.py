"""A score of the seeded wire schedules that ``make soak`` plays by the thousand."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.simulator.faults import Kind
from tests.soak.inner import Inner
from tests.soak.wire import play_wire

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


def test_a_seed_plays_the_same_again() -> None:
    assert play_wire(3) == play_wire(3)
