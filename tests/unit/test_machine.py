"""The limit of the control group counts where there is one and it is below what the machine has."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from squeezeflow_plugin.machine import memory_budget, size_of

INSTALLED = psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("1073741824\n", 1 << 30),
        ("max\n", INSTALLED),
        ("9223372036854771712\n", INSTALLED),
        (None, INSTALLED),
    ],
)
def test_the_budget_is_the_limit_or_the_machine(text: str | None, budget: int, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    if text is not None:
        limit.write_text(text, encoding="ascii")
    assert memory_budget((tmp_path / "absent", limit)) == budget


def test_what_has_gone_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bars").write_bytes(b"123")
    assert [size_of(tmp_path / name) for name in ("bars", "gone")] == [3, 0]
    assert size_of(tmp_path) == 0
