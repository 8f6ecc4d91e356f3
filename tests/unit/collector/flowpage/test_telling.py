"""The page's words follow the method's phases, and its default score is the method's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezeflow_plugin.collector.flowpage.telling import parts_of, phase_of, why_not
from squeezeflow_plugin.collector.flowpage.view import MIN_SCORE
from squeezeflow_plugin.phases.params import Params
from squeezeflow_plugin.strategy.columns import phase_labels

SIDES = st.sampled_from([-1.0, 0.0, 1.0])
QUALIFIED = {"ready": 1.0, "setup": 1.0, "divergence": 1.5, "reset_active": 1.0, "retrace": 0.2}


def test_the_default_score_is_the_methods() -> None:
    assert Params().min_score == MIN_SCORE


@given(
    st.fixed_dictionaries(
        {
            "ready": st.sampled_from([0.0, 1.0]),
            "entry": SIDES,
            "reset_active": st.sampled_from([0.0, 1.0, 2.0]),
            "setup": SIDES,
            "regime": SIDES,
        }
    )
)
def test_phases_are_named_as_in_the_strategys_frames(values: dict[str, float]) -> None:
    one = {name: np.array([value]) for name, value in values.items()}
    assert [phase_of(values)] == phase_labels(one).tolist()


@pytest.mark.parametrize(
    ("values", "veto", "words"),
    [
        ({"ready": 0.0}, "warming_up", "warming up; entries vetoed: warming_up"),
        (QUALIFIED | {"score": 3.2}, "", "setup long, divergence 1.50, reset, score 3.20 < 4.00"),
        (QUALIFIED | {"score": 5.0}, "", "setup long, divergence 1.50, reset, score 5.00: no new event"),
        (QUALIFIED | {"score": 5.0, "entry": -1.0}, "", "entry short: score 5.00"),
    ],
)
def test_the_first_thing_that_is_missing_is_named(values: dict[str, float], veto: str, words: str) -> None:
    assert why_not(values, veto, 4.0) == words


def test_parts_that_a_log_lacks_are_nothing() -> None:
    assert list(parts_of({}).values()) == [0.0] * 5
