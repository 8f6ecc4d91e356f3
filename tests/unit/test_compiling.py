"""Compiled code is kept where it can be, and where it cannot a kernel works all the same, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from squeezeflow_plugin.compiling import compiled
from squeezeflow_plugin.features.kernels import feature_rows
from squeezeflow_plugin.phases.kernels import find_exit, score_recorded, score_rows

SOURCE = """
def doubled(values):
    return values * 2.0
"""


def test_every_kernel_has_a_cache_on_disk() -> None:
    kernels: tuple[Any, ...] = (feature_rows, score_rows, score_recorded, find_exit)
    for kernel in kernels:
        assert Path(kernel._cache.cache_path).is_dir()


def test_a_kernel_without_a_place_for_its_cache_is_compiled_in_memory() -> None:
    """As in a container whose package, home and temporary folders are all read-only."""
    names: dict[str, Any] = {}
    exec(compile(SOURCE, "<nowhere>", "exec"), names)  # noqa: S102 - a function that has no file
    with pytest.warns(
        RuntimeWarning, match="doubled cannot be kept .*; it is compiled at each start.*NUMBA_CACHE_DIR"
    ):
        kernel = compiled(names["doubled"])
    assert kernel(np.arange(3.0)).tolist() == [0.0, 2.0, 4.0]
