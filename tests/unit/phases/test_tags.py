"""The enter tag goes through FreqTrade's database and comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.phases.sizing import tier_of
from squeezeflow_plugin.phases.tags import parse_tag, tag_of

seconds = st.integers(1, 2**33)


@given(st.floats(0, 10), seconds)
def test_a_tag_comes_back(score: float, second: int) -> None:
    tag = tag_of(score, second)
    assert parse_tag(str(tag)) == tag
    assert len(str(tag)) < 64
    assert 0 <= score - tag.score + 1e-8 < 0.01 + 1e-7


@given(st.one_of(st.floats(4, 10), st.sampled_from([4.0, 6.0, 8.0, 6.0 - 1e-10, 8.0 - 1e-10, 5.9999])))
def test_a_tag_is_of_the_scores_tier(score: float) -> None:
    assert tier_of(tag_of(score, 1).score) == tier_of(score)


@pytest.mark.parametrize(
    "text", [None, "", "force_entry", "sf:6.25", "sf:6.25|e=", "sf:6.25|e=1 ", "xsf:6.25|e=1"]
)
def test_what_is_not_ours_is_none(text: str | None) -> None:
    assert parse_tag(text) is None
