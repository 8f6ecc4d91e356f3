"""The README names every exchange that can be collected, and no other, with the kinds of its markets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from squeezeflow_plugin.feeds import registry

TESTS = Path(__file__).parents[2]
README = (TESTS.parent / "README.md").read_text(encoding="utf-8")
KINDS = {
    name: kinds
    for kinds, cell in re.findall(
        r"^\| (spot|perpetual|spot and perpetual) \| (.*) \|$", README, re.MULTILINE
    )
    for name in re.findall(r"`([A-Z_]+)`", cell)
}


def test_the_readme_lists_the_registered_exchanges() -> None:
    assert sorted(KINDS) == list(registry.names())


@pytest.mark.parametrize("name", registry.names())
def test_the_kinds_of_its_markets_are_those_of_its_frames(name: str) -> None:
    module = registry.found()[name].__module__.rpartition(".")[2]
    first = (TESTS / "frames" / f"{module}.jsonl").read_text(encoding="utf-8").splitlines()[0]
    kinds = {each["kind"] for each in json.loads(first)["instruments"]}
    said = {"spot": {"spot"}, "perpetual": {"perp"}, "spot and perpetual": {"spot", "perp"}}
    assert kinds - {"future"} == said[KINDS[name]]
