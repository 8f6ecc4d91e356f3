"""Defaults of the method, the memory that follows from them, and refusals that name field and value."""

from __future__ import annotations

import math
import re
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from squeezeflow_plugin.errors import ParameterError
from squeezeflow_plugin.phases.kernels import state_size
from squeezeflow_plugin.phases.params import MAX_WARMUP_ROWS, REGULAR_MAX_WARMUP_ROWS, Params


def test_the_defaults_look_back_6905_rows_and_warm_up_for_7200() -> None:
    assert Params().lookback_rows == 6905
    assert Params().warmup_rows == 7200


@pytest.mark.parametrize("name", ["setup_ttl", "reset_ttl", "explosion_memory", "rearm", "entry_ttl"])
def test_each_longer_memory_lengthens_the_warmup_and_a_shorter_one_does_not_shorten_it(name: str) -> None:
    value = getattr(Params(), name)
    assert replace(Params(), **{name: value + 7}).warmup_rows == 7207
    assert replace(Params(), **{name: value - 1}).warmup_rows == 7200


def test_short_memories_leave_the_candles_as_the_longest() -> None:
    params = Params(setup_ttl=1, reset_ttl=1, explosion_memory=1, rearm=5000)
    assert params.lookback_rows == 5 + 5000 + 1200 + 3600


def test_too_long_a_memory_is_refused_and_the_longest_fits_a_megabyte() -> None:
    longest = Params(setup_ttl=1800 + MAX_WARMUP_ROWS - 7200)
    assert longest.warmup_rows == MAX_WARMUP_ROWS
    assert 8 * state_size(longest.rules()) < 1_000_000
    with pytest.raises(ParameterError, match="warmup_rows 14401, at most 14400"):
        replace(longest, setup_ttl=longest.setup_ttl + 1)


def test_the_regular_mode_looks_back_further_and_still_fits_a_megabyte() -> None:
    regular = Params(regular=True)
    assert (regular.noise_rows, regular.decide_every, regular.warmup_rows) == (14_400, 300, 18_295)
    assert (regular.rules().rearm, regular.rules().entry_ttl) == (300, 300)
    longest = Params(regular=True, setup_ttl=1800 + REGULAR_MAX_WARMUP_ROWS - 18_295)
    assert 8 * state_size(longest.rules()) < 1_000_000
    with pytest.raises(ParameterError, match="warmup_rows 21601, at most 21600"):
        replace(longest, setup_ttl=longest.setup_ttl + 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"min_score": 12.5}, "min_score must be in [0, 10], was 12.5"),
        ({"min_score": math.nan}, "min_score must be a finite number, was nan"),
        ({"min_score": "4"}, "min_score must be a finite number, was '4'"),
        ({"min_activity": -0.1}, "min_activity must be in [0, 1], was -0.1"),
        ({"div_threshold": 0}, "div_threshold must be at least 1e-06, was 0"),
        ({"setup_ttl": 1800.0}, "setup_ttl must be a whole number of rows, at least 1, was 1800.0"),
        ({"setup_ttl": True}, "setup_ttl must be a whole number of rows, at least 1, was True"),
        ({"rearm": -1}, "rearm must be a whole number of rows, at least 0, was -1"),
        ({"regular": 1}, "regular must be true or false, was 1"),
        ({"weights": (1.0, 2.0)}, "weights must be four finite numbers, 0 or more, was (1.0, 2.0)"),
        ({"weights": (1.0, 2.0, -3.0, 1.0)}, "weights must be four finite numbers"),
    ],
)
def test_a_refusal_names_field_and_value(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(message)):
        Params(**changed)


def test_parameters_by_name() -> None:
    assert Params.from_mapping({"weights": [4, 2, 2, 2], "rearm": 60}) == Params(
        weights=(4, 2, 2, 2), rearm=60
    )
    with pytest.raises(ParameterError, match="unknown parameter\\(s\\) min_scor; known are ctx_threshold"):
        Params.from_mapping({"min_scor": 4})


def test_parameters_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Params().min_score = 5.0  # type: ignore[misc]  # the point of the test


def test_the_kernels_read_the_same_numbers() -> None:
    params = Params(min_score=6, weights=(1, 2, 3, 4), rearm=17)
    rules = params.rules()
    assert (rules.weight_reset, rules.weight_bias, rules.min_score) == (1.0, 4.0, 6.0)
    assert (rules.rearm, rules.warmup_rows, rules.setup_ttl) == (17, 7200, 1800)
    assert all(isinstance(value, float) for value in rules[:16])
    assert all(isinstance(value, int) for value in rules[16:])
