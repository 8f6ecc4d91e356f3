"""The record of a second and the columns of many say the same, under the same names."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from squeezeflow_plugin.phases.decision import SCORE_COLUMNS, Decision, decision_of
from squeezeflow_plugin.phases.engine import Engine
from squeezeflow_plugin.phases.layout import COLUMN_COUNT, COLUMN_NAMES
from tests.reference.flows import flow_of, market_day


def test_the_record_has_exactly_the_columns_in_their_order() -> None:
    assert Decision.__struct_fields__ == ("second", *COLUMN_NAMES)
    assert set(SCORE_COLUMNS) < set(COLUMN_NAMES)


def test_types_are_those_of_the_fields() -> None:
    decision = decision_of(7, np.ones(COLUMN_COUNT))
    kinds = {"int": int, "float": float, "bool": bool}
    for field in msgspec.structs.fields(Decision):
        assert type(getattr(decision, field.name)) is field.type, field.name
    assert decision.veto == "warming_up"
    assert set(kinds) == {"int", "float", "bool"}


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        decision_of(7, np.zeros(COLUMN_COUNT)).score = 9.0  # type: ignore[misc]  # the point of the test


def test_records_of_the_columns() -> None:
    scored = Engine().run(flow_of(market_day(1, 11_000)))
    event = int(np.flatnonzero(scored.event)[0])
    decision = scored.at(event)
    assert decision.entry == decision.event == decision.eligible == scored.entry[event]
    assert decision.ready
    assert decision.tradable == bool(scored.tradable[event])
    assert decision.veto == scored.veto[event]
    assert scored.at(-1).second == int(scored.second[-1])
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision
