"""What an explanation costs and what it names; that it adds up is in tests/property."""

from __future__ import annotations

import pytest

from squeezeflow_plugin.errors import EngineError
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.explain import PART_NAMES, explain
from tests.reference.flows import flow_of, market_day


def test_an_empty_flow_has_nothing_to_explain() -> None:
    flow = flow_of(market_day(7, 100))
    with pytest.raises(EngineError, match="no row to explain"):
        explain(flow.part(0, 0))


def test_a_second_that_is_not_ready_has_votes_but_no_parts() -> None:
    flow = flow_of(market_day(7, 4_000))
    told = explain(flow)
    assert told.decision == Engine().run(flow).at(-1)
    assert (told.parts, told.entry, told.setup, told.rows) == ((), (), None, 4_000)
    assert list(told.votes) == ["15m", "30m", "1h"]


def test_it_names_the_rows_behind_the_memories() -> None:
    flow = flow_of(market_day(7, 10_600))
    scored = Engine().run(flow)
    row = int(scored.event.nonzero()[0][0])
    told = explain(flow.part(row - 7_199, row + 1))
    assert told.setup is not None
    assert [part.name for part in told.parts] == list(PART_NAMES)
    at = told.setup.strongest - int(flow.time[0])
    strength = min(abs(scored.column("z_spot_30m")[at]), abs(scored.column("z_perp_30m")[at]))
    shorter = min(abs(scored.column("z_spot_15m")[at]), abs(scored.column("z_perp_15m")[at]))
    assert told.decision.divergence in (strength, shorter)
    since = told.setup.since - int(flow.time[0])
    setups = scored.column("setup")
    assert (setups[since : row + 1] == told.setup.direction).all()
    assert setups[since - 1] != told.setup.direction


def test_an_engine_says_what_it_remembers_only_where_it_is_asked() -> None:
    flow = flow_of(market_day(7, 6_000))
    assert not Engine().run(flow).column("context").any()
    assert Engine(memory=True).run(flow).column("context").any()
