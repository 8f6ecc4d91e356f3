"""The step function's own affairs: its cache key and its state; its numbers are in tests/reference."""

from __future__ import annotations

import inspect
from typing import Any

from squeezeflow_plugin.features.kernels import feature_state_size
from squeezeflow_plugin.phases.kernels import find_exit, score_rows, state_size
from squeezeflow_plugin.phases.params import Params


def test_the_cache_key_holds_a_digest_of_every_source() -> None:
    """Numba's cache would otherwise go on running what an edited layout or feature kernel once said."""
    kernels: tuple[Any, ...] = (score_rows, find_exit)
    for kernel in kernels:
        closed_over = inspect.getclosurevars(kernel.py_func).nonlocals
        assert len(closed_over["sources"]) == 64


def test_longer_memories_take_more_state() -> None:
    usual = state_size(Params().rules())
    assert usual > feature_state_size(3600)
    assert state_size(Params(setup_ttl=1900).rules()) == usual + 100 * 4
