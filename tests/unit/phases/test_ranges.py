"""The ranges of a search: every parameter has one, its default lies in it, and every corner can be scored."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.errors import ParameterError
from squeezeflow_plugin.phases.params import MAX_WARMUP_ROWS, Params
from squeezeflow_plugin.phases.ranges import RANGES, WEIGHT_NAMES, longest, params_of, values_of


def test_every_parameter_of_the_method_can_be_searched() -> None:
    named = {field.name for field in fields(Params)} - {"regular", "weights"}
    assert set(RANGES) == named | set(WEIGHT_NAMES)
    for name, default in values_of(Params()).items():
        given = RANGES[name]
        assert given.low <= default <= given.high
        steps = (default - given.low) / given.step
        assert steps == pytest.approx(round(steps)), f"{name}: the default is no step of the range"
        assert given.whole == isinstance(default, int)
        assert given.meaning


@given(st.data())
def test_every_corner_is_valid_and_warmed_up_by_the_longest(data: st.DataObject) -> None:
    drawn = {name: data.draw(st.sampled_from((given.low, given.high))) for name, given in RANGES.items()}
    for base in (Params(), Params(regular=True)):
        found = params_of(drawn, base)
        assert values_of(found) == drawn
        assert found.regular == base.regular
        assert found.warmup_rows <= longest(base).warmup_rows
    assert longest(Params()).warmup_rows <= MAX_WARMUP_ROWS


def test_a_longer_memory_of_the_settings_is_not_cut() -> None:
    assert longest(Params(setup_ttl=4_000)).setup_ttl == 4_000


def test_an_unknown_or_bad_value_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"parameter.s. weights; known are ctx"):
        params_of({"weights": 1.0}, Params())
    with pytest.raises(ParameterError, match="min_score must be in"):
        params_of({"min_score": 11.0}, Params())
    assert params_of({}, replace(Params(), min_score=5.0)).min_score == 5.0


def test_the_documentation_lists_every_parameter_as_it_is() -> None:
    text = (Path(__file__).parents[3] / "docs" / "hyperopt.md").read_text()
    for name, default in values_of(Params()).items():
        given = RANGES[name]
        row = f"| `{name}` | {default:g} | {given.low:g} to {given.high:g}, by {given.step:g} | "
        assert row in text, name
        assert text.partition(row)[2].partition("\n")[0].endswith(f"| {given.meaning} |")
