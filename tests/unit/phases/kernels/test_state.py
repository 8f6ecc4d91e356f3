"""The state under the step function: its size, its cache key, and the sliding maxima it is made of."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from numba import njit

from squeezeflow_plugin.features.kernels import feature_state_size
from squeezeflow_plugin.phases.kernels import find_exit, score_recorded, score_rows, state_size
from squeezeflow_plugin.phases.kernels.state import keep_largest
from squeezeflow_plugin.phases.params import Params


@njit
def largest(values, memory):  # type: ignore[no-untyped-def]  # a bare loop over a compiled part
    ring, places, one = np.zeros((memory + 2, 1)), np.zeros(1, np.int64), np.empty(1)
    out = np.empty_like(values)
    for i in range(len(values)):
        one[0] = values[i]
        keep_largest(ring, places, 0, one, 1)
        out[i] = one[0]
    return out


def test_the_cache_key_holds_a_digest_of_every_source() -> None:
    """Numba's cache would otherwise go on running what an edited layout or feature kernel once said."""
    kernels: tuple[Any, ...] = (score_rows, score_recorded, find_exit)
    for kernel in kernels:
        closed_over = inspect.getclosurevars(kernel.py_func).nonlocals
        assert len(closed_over["digest"]) == 64


def test_longer_memories_take_more_state() -> None:
    usual = state_size(Params().rules())
    assert usual > feature_state_size(3600)
    assert state_size(Params(setup_ttl=1900).rules()) == usual + 100 * 4


@pytest.mark.parametrize("memory", [1, 2, 7, 300])
def test_keep_largest_is_the_maximum_of_the_last_rows(memory: int) -> None:
    values = np.random.default_rng(memory).exponential(1.0, 2_000)
    slow = [values[max(i - memory + 1, 0) : i + 1].max() for i in range(len(values))]
    assert largest(values, memory).tolist() == slow
