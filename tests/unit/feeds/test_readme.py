"""The README names every exchange that can be collected, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from squeezeflow_plugin.feeds import registry


def test_the_readme_lists_the_registered_exchanges() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if re.match(r"\| (spot|perpetual)", line)]
    assert sorted(name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)) == list(registry.names())
