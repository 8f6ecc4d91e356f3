"""Fixtures of the whole test tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SQUEEZEFLOW_SHARED") or Path(__file__).parents[2] / "shared")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference data: SQUEEZEFLOW_SHARED, else ../shared; skips the test where there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"there is no reference data at {SHARED} (set SQUEEZEFLOW_SHARED)")
    return SHARED
